"""The part of a filter that SQLite can decide by its columns; from parse, for listing; pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from forklog.emulator.filter.match import ORDERINGS, severity_of, timestamp_of
from forklog.emulator.filter.parse import All, Comparison, Node

_INT64: Final = 2**63 - 1
_COLUMNS: Final = {"timestamp": "timestamp", "severity": "severity", "logname": "log_name"}


class Narrowed(NamedTuple):
    """An SQL condition with its values, and what of the filter is still to be tested."""

    where: str
    values: tuple[Any, ...]
    rest: Node


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
    return Narrowed(" AND ".join(clauses) or "1", tuple(values), All(tuple(rest)))


def _clause(node: Comparison) -> tuple[str, Any] | None:
    if len(node.path) != 1 or node.operator not in ORDERINGS:
        return None
    column = _COLUMNS.get(node.path[0].replace("_", "").lower())
    if column == "timestamp":
        when = max(-_INT64, min(_INT64, timestamp_of(node)))
        return f"timestamp {node.operator} ?", when
    if column == "severity":
        return f"severity {node.operator} ?", severity_of(node)
    if column == "log_name" and node.operator in ("=", "!=") and node.value.isascii():
        return f"log_name {node.operator} ? COLLATE NOCASE", node.value
    return None
