"""The comparison of ledger and entries counts what is lost, doubled and foreign."""

from __future__ import annotations

from typing import Any

import pytest

from forklog.demo.tally import compare, read_ledger, record_id


def text(name: str) -> dict[str, Any]:
    """Return an entry as the emulator shows a text record."""
    return {"textPayload": f"order taken id={name}"}


@pytest.mark.parametrize(
    "entry",
    [
        {"textPayload": "order taken id=request-1"},
        {"textPayload": "no price id=request-1\nTraceback (most recent call last):\n  ..."},
        {"jsonPayload": {"message": "cart filled", "id": "request-1"}},
        {"jsonPayload": {"message": "order taken id=request-1"}},
        {"textPayload": "stock is low", "labels": {"id": "request-1", "app": "x"}},
    ],
)
def test_the_id_of_a_record_is_found_wherever_the_example_puts_it(entry: dict[str, Any]) -> None:
    """Every kind of record of the example shows its id."""
    assert record_id(entry) == "request-1"


@pytest.mark.parametrize(
    "entry", [{}, {"textPayload": "nothing"}, {"jsonPayload": {"message": None}}]
)
def test_an_entry_without_an_id_has_none(entry: dict[str, Any]) -> None:
    """A foreign entry is no record of the example."""
    assert record_id(entry) is None


def test_a_ledger_is_a_pid_and_an_id_a_line() -> None:
    """The ids are read in the order in which they were written down."""
    assert read_ledger("12 boot-a\n13 request-b\n") == ["boot-a", "request-b"]
    assert read_ledger("") == []


def test_all_delivered_once_is_no_loss_and_no_duplicate() -> None:
    """Ledger and entries that agree give clean counts, those of the import apart."""
    tally = compare(["boot-a", "request-b"], [text("request-b"), text("boot-a")], [])
    assert (tally.logged, tally.delivered, tally.lost) == (2, 2, 0)
    assert (tally.duplicated, tally.strays) == (0, 0)
    assert (tally.boot_delivered, tally.boot_logged) == (1, 1)


def test_a_record_that_did_not_arrive_is_lost() -> None:
    """Lost is what the ledger has and the emulator has not."""
    tally = compare(["boot-a", "request-b", "request-c"], [text("request-b")], [])
    assert (tally.delivered, tally.lost) == (1, 2)
    assert (tally.boot_delivered, tally.boot_logged) == (0, 1)


def test_a_record_shown_twice_is_delivered_once_and_duplicated_once() -> None:
    """Arrivals beyond the first do not hide a loss elsewhere."""
    tally = compare(["request-a", "request-b"], [text("request-a"), text("request-a")], [])
    assert (tally.delivered, tally.lost, tally.duplicated) == (1, 1, 1)


def test_what_the_emulator_removed_as_equal_is_duplicated_too() -> None:
    """An entry stored three times and shown once counts two duplicates."""
    assert compare(["request-a"], [text("request-a")], [3]).duplicated == 2


def test_entries_that_the_app_did_not_log_are_strays() -> None:
    """Neither an unknown id nor an entry without one is counted as delivered."""
    tally = compare(["request-a"], [text("request-x"), {"textPayload": "dropped 3 entries"}], [])
    assert (tally.delivered, tally.strays, tally.lost) == (0, 2, 1)
