"""The judgement of a row and the table of rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from forklog.demo.load import Answers
from forklog.demo.row import Row
from forklog.demo.table import one_line, render
from forklog.demo.tally import Tally

PERFECT = Row(
    mode="prefork",
    handler="forklog",
    answers=Answers(48, 48, frozenset({1, 2, 3, 4})),
    hung=0,
    tally=Tally(logged=484, delivered=484, duplicated=0, strays=0, boot_logged=4, boot_delivered=4),
    has_ended=True,
)


def changed(**tally: Any) -> Row:
    """Return the perfect row with another tally."""
    return dataclasses.replace(PERFECT, tally=dataclasses.replace(PERFECT.tally, **tally))


def test_a_row_where_all_arrived_once_is_perfect() -> None:
    """Nothing is found at fault with it."""
    assert PERFECT.faults() == []


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (dataclasses.replace(PERFECT, hung=1), "1 workers hung"),
        (dataclasses.replace(PERFECT, answers=Answers(48, 40)), "8 requests unanswered"),
        (dataclasses.replace(PERFECT, answers=Answers()), "no request was sent"),
        (
            dataclasses.replace(PERFECT, has_ended=False),
            "the server did not end at its stop signal and was killed",
        ),
        (changed(delivered=483), "1 of 484 records lost"),
        (changed(duplicated=2), "2 records duplicated"),
        (changed(strays=1), "1 entries that the app did not log"),
        (changed(logged=0, delivered=0), "no record was logged"),
        (changed(boot_logged=0, boot_delivered=0), "no boot record was logged"),
    ],
)
def test_each_shortcoming_makes_a_row_imperfect(row: Row, fault: str) -> None:
    """One thing wrong is one fault, named in words."""
    assert row.faults() == [fault]


def test_the_table_has_a_head_a_rule_and_a_line_for_each_row() -> None:
    """Columns are aligned, numbers to the right; perfect rows need no remark."""
    lines = render([PERFECT, dataclasses.replace(PERFECT, mode="no-master")]).splitlines()
    assert " ".join(lines[0].split()) == (
        "uWSGI mode handler answered hung logged delivered lost duplicated boot"
    )
    assert set(lines[1]) == {"-", " "}
    assert " ".join(lines[3].split()) == "no-master forklog 48/48 0 484 484 0 0 4/4"
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 4


def test_an_imperfect_row_is_explained_below_the_table() -> None:
    """The remark names mode, handler and every fault."""
    row = dataclasses.replace(changed(delivered=4), handler="stock", hung=2)
    assert render([row]).splitlines()[-1] == (
        "prefork, stock: 2 workers hung; 480 of 484 records lost"
    )


def test_a_row_fits_in_one_line() -> None:
    """What is no terminal gets a sentence for each row."""
    assert one_line(PERFECT) == "prefork, forklog: 484 of 484 records delivered, 0 workers hung"
