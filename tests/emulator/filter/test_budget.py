"""The time that a filter may take on one entry, whatever it is made of."""

from __future__ import annotations

from itertools import count

import pytest

from forklog.emulator.filter.budget import SEARCH_SECONDS, Budget
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.parse import parse

ENTRY = {"logName": "projects/p/logs/l", "textPayload": "a"}


@pytest.mark.parametrize(
    "source",
    [
        " OR ".join(f"z{number}" for number in range(500)),
        " ".join(f"NOT z{number}" for number in range(500)),
        " OR ".join(f'SEARCH("z{number}")' for number in range(500)),
        " ".join(f"(textPayload:z{number} OR a)" for number in range(250)),
    ],
)
def test_many_comparisons_on_one_entry_run_out_of_time(source: str) -> None:
    """A filter without an expression is given up like one with it, at its next comparison."""
    clock = map(float, count())  # a second passes between two looks at the clock
    test = predicate(parse(source), Budget(now=lambda: next(clock)))
    with pytest.raises(FilterError, match="the filter takes too long on an entry") as caught:
        test(ENTRY)
    assert caught.value.position > 0
    assert next(clock) < 4 * SEARCH_SECONDS


def test_a_filter_in_time_is_not_given_up() -> None:
    """All comparisons are made where the time is not over."""
    source = " OR ".join(f"z{number}" for number in range(499)) + " OR a"
    assert predicate(parse(source), Budget(now=lambda: 1.0))(ENTRY)
