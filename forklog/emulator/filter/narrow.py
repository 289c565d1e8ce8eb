"""Takes from a filter's tree the part that SQLite can decide; gives `listing` its SQL. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forklog.emulator.filter.match import ORDERINGS, severity_of, timestamp_of
from forklog.emulator.filter.parse import All, Comparison, Node

_INT64: Final = 2**63 - 1
_COLUMNS: Final = {"timestamp": "timestamp", "severity": "severity", "logname": "log_name"}


class Narrowed(NamedTuple):
    """An SQL condition with its values, and what of the filter is still to be tested.

    Attributes:
        since: nanoseconds since 1970; what was received before does not match. None if unknown.

    """

    where: str
    values: tuple[Any, ...]
    rest: Node
    since: int | None = None


def narrow(node: Node) -> Narrowed:
    """Split a filter into an SQL condition and the rest; both together are the filter."""
    parts = node.parts if isinstance(node, All) else (node,)
    clauses, values, rest = [], [], []
    for part in parts:
        clause = _clause(part) if isinstance(part, Comparison) else None
        if clause is None:
            rest.append(part)
        else:
            clauses.append(clause[0])
            values.append(clause[1])
    where, since = " AND ".join(clauses) or "1", max(filter(None, map(_since, parts)), default=None)
    return Narrowed(where, tuple(values), All(tuple(rest)), since)


def _since(node: Node) -> int | None:
    if not isinstance(node, Comparison) or node.operator not in (">", ">=", "="):
        return None
    return timestamp_of(node) if [*map(_plain, node.path)] == ["receivetimestamp"] else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _clause(node: Comparison) -> tuple[str, Any] | None:
    if len(node.path) != 1 or node.operator not in ORDERINGS:
        return None
    column = _COLUMNS.get(_plain(node.path[0]))
    if column == "timestamp":
        when = max(-_INT64, min(_INT64, timestamp_of(node)))
        return f"timestamp {node.operator} ?", when
    if column == "severity":
        return f"severity {node.operator} ?", severity_of(node)
    if column == "log_name" and node.operator in ("=", "!=") and node.value.isascii():
        return f"log_name {node.operator} ? COLLATE NOCASE", node.value
    return None
