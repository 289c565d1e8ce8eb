"""Marks most cases of a parametrized test as long, so that `make test` runs a few of them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable


def few(
    cases: Iterable[Any], *kept: Any, mark: pytest.MarkDecorator = pytest.mark.long
) -> list[Any]:
    """Return all cases; those that are not kept are marked.

    A kept case that is not there fails, so that each test has one that `make test` runs.
    """
    found = list(cases)
    missing = [case for case in kept if case not in found]
    assert kept, "a test keeps a case"
    assert not missing, f"no such cases: {missing}"
    return [case if case in kept else further(case, mark=mark)[0] for case in found]


def further(*cases: Any, mark: pytest.MarkDecorator = pytest.mark.long) -> list[Any]:
    """Return marked cases; a tuple has one value for each parameter."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=mark) for case in cases
    ]
