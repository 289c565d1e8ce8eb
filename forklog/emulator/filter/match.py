"""A filter's tree to a predicate on entries; from parse, for listing; pure.

The rules are those of the Logging query language: text compares without case, regular expressions
with it; a payload field or label that is missing meets no comparison, while a field of the
LogEntry type that is not set compares as its zero value; an unknown LogEntry field is an error.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from forklog.emulator import timestamps
from forklog.emulator.fields import SEVERITIES
from forklog.emulator.filter.budget import Budget
from forklog.emulator.filter.expression import searcher
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.names import MISSING, Path, resolve
from forklog.emulator.filter.parse import PATTERN_OPERATORS, All, Call, Comparison, Node, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Predicate = Callable[[dict[str, Any]], bool]
    Test = Callable[[Any], bool]

ORDERINGS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER: Final = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CONSTANTS: Final = {"true": True, "false": False}


def predicate(node: Node, budget: Budget | None = None) -> Predicate:
    """Return the test that a tree is; FilterError if a name or value in it cannot be.

    The test raises FilterError when the budget, by default one of its own, is used up.
    """
    budget = budget or Budget()
    if isinstance(node, Comparison):
        return _comparison(node, budget)
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Not):
        inner = predicate(node.part, budget)
        return lambda entry: not inner(entry)
    parts = [predicate(part, budget) for part in node.parts]
    if isinstance(node, All):
        return lambda entry: all(part(entry) for part in parts)
    return lambda entry: any(part(entry) for part in parts)


def timestamp_of(node: Comparison) -> int:
    """Return the time a comparison names, a date alone being its midnight in UTC."""
    text = node.value if "T" in node.value else node.value + "T00:00:00Z"
    try:
        return timestamps.parse(text)
    except ValueError as error:
        raise FilterError(str(error), node.value_position) from error


def severity_of(node: Comparison) -> int:
    """Return the severity a comparison names, by name or number."""
    number = SEVERITIES.get(node.value.upper())
    if number is None and re.fullmatch(r"-?\d{1,9}", node.value, re.ASCII):
        number = int(node.value)
    if number is None:
        msg = f"{node.value!r} is not a severity; use one of {', '.join(SEVERITIES)}"
        raise FilterError(msg, node.value_position)
    return number


def _comparison(node: Comparison, budget: Budget) -> Predicate:
    if not node.path:
        needle = node.value.lower()
        return lambda entry: any(needle in text for text in _texts(entry))
    path = resolve(node.path, node.position)
    test = _test(path, node, budget)
    return lambda entry: test(path.value_in(entry))


def _test(path: Path, node: Comparison, budget: Budget) -> Test:
    if node.operator == ":" and node.value == "*" and not node.is_quoted:
        return path.is_present
    if node.operator in PATTERN_OPERATORS:
        return _expression_test(node, budget)
    if path.kind == "timestamp":
        return _ordered(node, timestamp_of(node), _nanoseconds)
    if path.kind == "severity":
        return _ordered(node, severity_of(node), _level)
    return _has(node) if node.operator == ":" else _plain(node)


def _ordered(node: Comparison, wanted: int, measure: Callable[[Any], int]) -> Test:
    compare = ORDERINGS["=" if node.operator == ":" else node.operator]
    return lambda value: compare(measure(value), wanted)


def _expression_test(node: Comparison, budget: Budget) -> Test:
    search = searcher(node.value, node.value_position, budget)
    if node.operator == "=~":
        return lambda value: any(search(text) for text in _leaves(value))
    return lambda value: value is not MISSING and not any(map(search, _leaves(value)))


def _has(node: Comparison) -> Test:
    needle = node.value.lower()
    is_equal = _equality(node)

    def has(value: Any) -> bool:
        if isinstance(value, dict):
            return any(needle in key.lower() or has(inner) for key, inner in value.items())
        if isinstance(value, list):
            return any(map(has, value))
        return needle in value.lower() if isinstance(value, str) else is_equal(value)

    return has


def _plain(node: Comparison) -> Test:
    compare = ORDERINGS[node.operator]
    text, number = node.value.lower(), _number(node.value)
    is_equal = _equality(node)

    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(map(test, value))
        if isinstance(value, str):
            return compare(value.lower(), text)
        if _is_number(value) and number is not None:
            return compare(value, number)
        if value is MISSING or node.operator not in ("=", "!="):
            return False
        return is_equal(value) == (node.operator == "=")

    return test


def _equality(node: Comparison) -> Test:
    number, constant = _number(node.value), _CONSTANTS.get(node.value.lower())

    def is_equal(value: Any) -> bool:
        if isinstance(value, bool):
            return value is constant
        if value is None:
            return node.value == "NULL_VALUE" and not node.is_quoted
        return _is_number(value) and value == number

    return is_equal


def _call(node: Call) -> Predicate:
    if node.name != "log_id":
        msg = f"the function {node.name[:100]!r} is not known here; use a comparison"
        raise FilterError(msg, node.position)
    wanted = node.argument.lower()
    return lambda entry: unquote(entry["logName"].partition("/logs/")[2]).lower() == wanted


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _nanoseconds(value: Any) -> int:
    return timestamps.parse(value) if isinstance(value, str) and value else 0


def _level(value: Any) -> int:
    return value if isinstance(value, int) else SEVERITIES.get(value, 0)


def _texts(value: Any) -> Iterator[str]:
    """Yield all text in an entry in lower case, keys of payloads and labels left out."""
    return (text.lower() for text in _leaves(value))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif _is_number(value):
        yield str(value)
