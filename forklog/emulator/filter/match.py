"""Takes the tree of a filter from `parse`, gives `listing` the test of an entry. Pure.

The rules are those of the Logging query language. Text compares without case, regular expressions
with it. A payload field or label that is missing meets no comparison. A field of the LogEntry type
that is not set compares as its zero value. An unknown LogEntry field is an error.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any, Final

from forklog.emulator import timestamps
from forklog.emulator.fields import SEVERITIES
from forklog.emulator.filter.budget import Budget
from forklog.emulator.filter.convert import (
    boolean_of,
    exact_number_of,
    moment_of,
    nanoseconds_of,
    number_of,
)
from forklog.emulator.filter.expression import searcher
from forklog.emulator.filter.functions import Computed, computed, condition, texts_to_match
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.names import MISSING, Path, resolve
from forklog.emulator.filter.parse import PATTERN_OPERATORS, All, Call, Comparison, Node, Not
from forklog.emulator.filter.values import fold, is_number, texts

if TYPE_CHECKING:
    from collections.abc import Callable

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


def predicate(node: Node, budget: Budget | None = None) -> Predicate:
    """Return the test that a tree is; FilterError if a name or value in it cannot be.

    The test raises FilterError when the budget, by default one of its own, is used up.
    """
    budget = budget or Budget()
    if isinstance(node, Comparison):
        return _in_time(_comparison(node, budget), node, budget)
    if isinstance(node, Call):
        return _in_time(condition(node), node, budget)
    if isinstance(node, Not):
        inner = predicate(node.part, budget)
        return lambda entry: not inner(entry)
    parts = [predicate(part, budget) for part in node.parts]
    if isinstance(node, All):
        return lambda entry: all(part(entry) for part in parts)
    return lambda entry: any(part(entry) for part in parts)


def _in_time(test: Predicate, node: Comparison | Call, budget: Budget) -> Predicate:
    def bounded(entry: dict[str, Any]) -> bool:
        if budget.is_over():
            raise FilterError("the filter takes too long on an entry", node.position)
        return test(entry)

    return bounded


def timestamp_of(node: Comparison) -> int:
    """Return the time a comparison names, a date alone being its midnight in UTC."""
    try:
        return moment_of(node.value)
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


def duration_of(node: Comparison) -> int:
    """Return the nanoseconds that a comparison names, as in "1.5s" or "200ms"."""
    try:
        return nanoseconds_of(node.value)
    except ValueError as error:
        raise FilterError(str(error), node.value_position) from error


def _comparison(node: Comparison, budget: Budget) -> Predicate:
    path: Path | Computed
    if node.call is not None:
        path = computed(node.call, budget)
    elif node.path:
        path = resolve(node.path, node.position)
    else:
        needle = fold(node.value)
        return lambda entry: any(needle in text for text in texts(entry))
    test = _test(path, node, budget)
    return lambda entry: test(path.value_in(entry))


def _test(path: Path | Computed, node: Comparison, budget: Budget) -> Test:
    if node.operator == ":" and node.value == "*" and not node.is_quoted:
        return path.is_present
    if node.operator in PATTERN_OPERATORS:
        return _expression_test(path, node, budget)
    if path.kind == "timestamp":
        return _ordered(node, timestamp_of(node), _nanoseconds)
    if path.kind == "severity":
        return _ordered(node, severity_of(node), _level)
    if path.kind == "duration" and node.operator != ":":
        return _ordered(node, duration_of(node), nanoseconds_of)
    is_exact = path.kind == "integer"
    has = _has(node, _plain(node._replace(operator="="), is_exact=is_exact))
    return has if node.operator == ":" else _plain(node, is_exact=is_exact)


def _ordered(node: Comparison, wanted: int, measure: Callable[[Any], int]) -> Test:
    compare = ORDERINGS["=" if node.operator == ":" else node.operator]
    return lambda value: value is not MISSING and compare(measure(value), wanted)


def _expression_test(path: Path | Computed, node: Comparison, budget: Budget) -> Test:
    search = searcher(node.value, node.value_position, budget)
    is_wanted = node.operator == "=~"
    return lambda value: any(search(text) is is_wanted for text in texts_to_match(path, value))


def _has(node: Comparison, is_equal: Test) -> Test:
    needle = fold(node.value)

    def has(value: Any) -> bool:
        if isinstance(value, dict):
            return any(needle in fold(key) or has(inner) for key, inner in value.items())
        if isinstance(value, list):
            return any(map(has, value))
        return needle in fold(value) if isinstance(value, str) else is_equal(value)

    return has


def _plain(node: Comparison, *, is_exact: bool) -> Test:
    """Return the test that converts the right side to the type of each value.

    A conversion that fails meets no comparison. Numbers of a payload are doubles, so the right
    side is rounded to one unless the field has exact integers.
    """
    compare, text = ORDERINGS[node.operator], fold(node.value)
    number = exact_number_of(node.value) if is_exact else number_of(node.value)
    boolean = boolean_of(node.value)
    is_null = node.value == "NULL_VALUE" and not node.is_quoted

    def test(value: Any) -> bool:
        if isinstance(value, str):
            return compare(fold(value), text)
        if isinstance(value, list):
            return any(map(test, value))
        if value is MISSING:
            return False
        if is_null:
            return node.operator == ("=" if value is None else "!=")
        if isinstance(value, bool):
            return boolean is not None and compare(value, boolean)
        return number is not None and is_number(value) and compare(value, number)

    return test


def _nanoseconds(value: Any) -> int:
    return timestamps.parse(value) if isinstance(value, str) and value else 0


def _level(value: Any) -> int:
    return value if isinstance(value, int) else SEVERITIES.get(value, 0)
