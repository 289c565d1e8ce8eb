"""The judges of `make soak`: with a spool one lost record is one too many."""

from __future__ import annotations

import json
import random
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import soak
from benchmarks.attack import judge

if TYPE_CHECKING:
    from pathlib import Path

_KILLED, _ENDED = "7-1", "8-1"


def _judge_soak(*, is_shown: bool, dropped: int, killed: dict[int, str]) -> list[str]:
    accounts = {"accepted": 1, "delivered": 1 - dropped, "dropped": {"refused": dropped}}
    verdict = soak._compare(
        {7: ["a"]}, Counter({"a": int(is_shown)}), {7: [{**accounts, "pending": 0}]}, killed
    )
    soak._judge_spooled(verdict)
    return verdict.wrong


@pytest.mark.parametrize("weather", ["calm", "storm"])
def test_the_soak_fails_by_one_record_that_a_kill_took(weather: str) -> None:
    """It was at risk, and would pass without a spool."""
    killed = {7: weather}
    assert _judge_soak(is_shown=True, dropped=0, killed=killed) == []
    assert _judge_soak(is_shown=False, dropped=0, killed=killed) == [
        "1 records of killed workers were in no spool"
    ]


@pytest.mark.parametrize("killed", [{}, {7: "calm"}])
def test_the_soak_fails_by_one_record_that_was_counted_as_dropped(killed: dict[int, str]) -> None:
    """No fault of it has the server refuse one."""
    assert _judge_soak(is_shown=False, dropped=1, killed=killed) == [
        "1 records were dropped, and none was refused"
    ]


def _judge_attack(
    folder: Path, shown: list[str], account: dict[str, Any] | None = None, *, has_spool: bool = True
) -> list[str]:
    """Judge an attack in which one process was killed and one ended, with a record each."""
    (folder / "ledger").write_text(f"{_KILLED} {_KILLED}.a\n{_ENDED} {_ENDED}.a\n")
    ended = {"process": _ENDED, "dropped": 0, "pending": 0, "wrong": [], **(account or {})}
    (folder / "accounts").write_text(json.dumps(ended) + "\n")
    entries = [{"textPayload": f"{name} x"} for name in shown]
    emulator: Any = SimpleNamespace(entries=lambda *_: entries)
    counts = Counter({"killed": 1, "fault refuse": 144})
    assert judge.has_all(folder, emulator) == (len(shown) == 2)
    return judge.compare(folder, emulator, counts, {_KILLED}, has_spool=has_spool)


def test_the_attack_fails_by_one_record_that_a_kill_took(tmp_path: Path) -> None:
    """Refusals explain none of them: no trace tells which they were."""
    both = [f"{_KILLED}.a", f"{_ENDED}.a"]
    assert _judge_attack(tmp_path, both) == []
    assert _judge_attack(tmp_path, both[1:], has_spool=False) == []
    assert _judge_attack(tmp_path, both[1:]) == [
        "1 records are missing, with a spool: {'counted as dropped': 0, 'in no spool': 1}"
    ]


@pytest.mark.parametrize("account", [{"pending": 1}, {"dropped": 1}])
def test_the_attack_fails_by_one_record_of_a_process_that_ended(
    tmp_path: Path, account: dict[str, int]
) -> None:
    """Whether it left the record in the spool or dropped it."""
    [wrong] = _judge_attack(tmp_path, [f"{_KILLED}.a"], account)
    assert wrong.startswith("1 records are missing, with a spool")


def test_with_a_spool_no_fault_loses_an_entry() -> None:
    """Without one the server refuses some: those are counted."""
    choose = random.Random(1)  # noqa: S311 - repeatable
    with_one, without = (
        {soak._fault(choose, has_spool=has_spool)[0] for _ in range(300)}
        for has_spool in (True, False)
    )
    assert without - with_one == {"refuse"}
    assert len(with_one) == 6


def test_an_attack_in_which_nothing_was_logged_fails(tmp_path: Path) -> None:
    """On a busy machine each process may be killed before its first record."""
    emulator: Any = SimpleNamespace(entries=lambda *_: [])
    assert judge.compare(tmp_path, emulator, Counter(), set(), has_spool=False) == [
        "no process has logged"
    ]
