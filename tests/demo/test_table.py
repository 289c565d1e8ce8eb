"""The judgement of a row and the table of rows."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest

from forklog.demo.command import _is_perfect
from forklog.demo.load import Answers
from forklog.demo.row import Row
from forklog.demo.table import COLUMNS, explain, one_line, show, verdict
from forklog.demo.tally import Tally
from forklog.terminal.plain import Screen

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
        (dataclasses.replace(PERFECT, hung=1), "1 worker hung"),
        (dataclasses.replace(PERFECT, answers=Answers(48, 40)), "8 requests unanswered"),
        (dataclasses.replace(PERFECT, answers=Answers()), "no request was sent"),
        (
            dataclasses.replace(PERFECT, has_ended=False),
            "the server did not end at its stop signal and was killed",
        ),
        (changed(delivered=483), "1 of 484 records lost"),
        (changed(duplicated=2), "2 records duplicated"),
        (changed(strays=1), "1 entry that the app did not log"),
        (changed(logged=0, delivered=0), "no record was logged"),
        (changed(boot_logged=0, boot_delivered=0), "no record was logged at the import"),
    ],
)
def test_each_shortcoming_makes_a_row_imperfect(row: Row, fault: str) -> None:
    """One thing wrong is one fault, named in words."""
    assert row.faults() == [fault]


def _shown(*rows: Row) -> list[str]:
    screen = Screen(io.StringIO())
    show(screen, rows)
    return screen.stream.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_the_table_has_a_head_a_rule_and_a_line_for_each_row() -> None:
    """Columns are aligned, numbers to the right; perfect rows need no remark, only the verdict."""
    lines = _shown(PERFECT, dataclasses.replace(PERFECT, mode="no-master"))
    assert " ".join(lines[0].split()) == (
        "uWSGI mode handler answered hung logged delivered lost twice boot"
    )
    assert set(lines[1]) == {"-", " "}
    assert " ".join(lines[3].split()) == "no-master forklog 48/48 0 484 484 0 0 4/4"
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[4:] == ["", "forklog delivered all 968 records, each once."]


def test_an_imperfect_row_is_explained_below_the_table() -> None:
    """The remark names mode, handler and every fault."""
    row = dataclasses.replace(changed(delivered=4), handler="stock", hung=2)
    assert _shown(row)[-3:] == [
        "prefork, stock: 2 workers hung; 480 of 484 records lost",
        "",
        "stock lost 480 of 484 records and hung 2 workers.",
    ]


def test_each_column_is_explained() -> None:
    """Before the first row the user knows what is counted."""
    screen = Screen(io.StringIO())
    explain(screen)
    text = screen.stream.getvalue()  # type: ignore[attr-defined]
    assert [line.split("  ")[1] for line in text.splitlines()[1:-1]] == list(COLUMNS)
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (PERFECT, "forklog delivered all 484 records, each once."),
        (changed(delivered=480), "forklog lost 4 of 484 records."),
        (changed(duplicated=3), "forklog delivered 3 records more than once."),
        (dataclasses.replace(PERFECT, hung=1), "forklog hung 1 worker."),
        (dataclasses.replace(PERFECT, has_ended=False), "forklog failed."),
    ],
)
def test_the_verdict_is_one_sentence(row: Row, words: str) -> None:
    """It is what the rows come to, for each handler."""
    assert verdict([row]) == words
    stock = dataclasses.replace(PERFECT, handler="stock")
    both = f"stock delivered all 484 records, each once, and {words}"
    assert verdict([stock, row]) == both


def test_rows_with_killed_workers_have_a_sentence_of_their_own() -> None:
    """What stock and forklog lose to a kill is not counted with the other modes."""
    kept = dataclasses.replace(PERFECT, mode="kill", handler="forklog-spool", killed=8)
    lost = dataclasses.replace(changed(delivered=480), mode="kill", killed=8)
    assert verdict([PERFECT, lost, kept]) == (
        "forklog delivered all 484 records, each once. With 8 workers killed while they log, "
        "forklog lost 4 of 484 records, "
        "and forklog-spool delivered all 484 records, each once."
    )


def test_several_modes_are_counted() -> None:
    """In how many of them a handler failed."""
    lost = dataclasses.replace(changed(delivered=480), mode="lazy")
    assert verdict([PERFECT, lost]) == "forklog lost 4 of 968 records in 1 of 2 modes."


@pytest.mark.parametrize(
    ("mode", "handler", "is_perfect"),
    [
        ("prefork", "stock", True),
        ("prefork", "forklog", False),
        ("prefork", "forklog-spool", False),
        ("kill", "stock", True),
        ("kill", "forklog", True),
        ("kill", "forklog-spool", False),
    ],
)
def test_the_exit_status_judges_each_handler_that_may_lose_nothing(
    mode: str, handler: str, *, is_perfect: bool
) -> None:
    """Stock may in each mode, forklog without a spool where workers are killed."""
    row = dataclasses.replace(changed(delivered=480), mode=mode, handler=handler)
    assert _is_perfect([row]) is is_perfect
    assert _is_perfect([PERFECT])


def test_a_killed_worker_may_leave_a_request_and_a_record_in_the_air() -> None:
    """Its request is not answered, and its last record may be delivered but not written down."""
    row = dataclasses.replace(changed(strays=2), answers=Answers(48, 46), killed=2)
    assert row.faults() == []
    assert dataclasses.replace(row, killed=1).faults() == [
        "2 requests unanswered",
        "2 entries that the app did not log",
    ]


def test_what_was_sent_again_after_a_kill_stands_below_the_table() -> None:
    """It has its insertId of before, so that readers see it once: no fault."""
    row = dataclasses.replace(PERFECT, mode="kill", killed=8, resent=3)
    assert _shown(row)[3:] == [
        "",
        "kill, forklog: 3 records sent again after a kill, and shown once",
        "",
        verdict([row]),
    ]


def test_a_row_fits_in_one_line() -> None:
    """What is no terminal gets a sentence for each row."""
    assert one_line(PERFECT) == "prefork, forklog: 484 of 484 records delivered, 0 workers hung"


def test_fewer_kills_than_wanted_are_a_fault() -> None:
    """A server of which none was killed shows nothing about kills: the demo does not succeed."""
    row = dataclasses.replace(PERFECT, mode="kill", handler="forklog-spool", wanted=8)
    assert row.faults() == ["0 of 8 workers were killed"]
    assert not _is_perfect([row])
    assert verdict([row]) == "With 0 workers killed while they log, forklog-spool failed."
    row = dataclasses.replace(row, killed=8)
    assert row.faults() == []
    assert _is_perfect([row])
