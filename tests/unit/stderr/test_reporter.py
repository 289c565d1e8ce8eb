"""The lines on stderr: short, rate-limited, never harmful."""

from __future__ import annotations

import io
import os
import sys

import pytest

from forklog.stderr.reporter import INTERVAL, StderrReporter


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines() -> list[str]:
    """Return what was written."""
    return []


@pytest.fixture
def clock() -> _Clock:
    """Return a clock that the test moves."""
    return _Clock()


@pytest.fixture
def report(lines: list[str], clock: _Clock) -> StderrReporter:
    """Return a report that writes to the list and reads the clock."""
    return StderrReporter(lines.append, clock)


def test_a_line_names_us_and_the_process(report: StderrReporter, lines: list[str]) -> None:
    """A line begins with forklog and the PID, and any text is one line."""
    assert report.say("k", "one\n two")
    assert lines == [f"forklog[{os.getpid()}]: one two\n"]


def test_each_kind_speaks_once_a_minute(
    report: StderrReporter, lines: list[str], clock: _Clock
) -> None:
    """The second line of a kind within a minute is withheld; another kind is not."""
    assert report.say("a", "1")
    assert not report.say("a", "2")
    assert report.say("b", "3")
    clock.now += INTERVAL - 1
    assert not report.say("a", "4")
    clock.now += 1
    assert report.say("a", "5")
    assert [line[-2] for line in lines] == ["1", "3", "5"]


def test_withheld_drops_are_summed_up(
    report: StderrReporter, lines: list[str], clock: _Clock
) -> None:
    """The next line about drops holds all that were withheld before."""
    for number in (1, 20, 300):
        report.drop("buffer_full", number)
    clock.now += INTERVAL
    report.drop("buffer_full", 4000)
    assert [line.partition(" ")[2] for line in lines] == [
        "dropped 1 log entries (buffer_full); raise max_buffer_bytes, or set the option spool\n",
        "dropped 4320 log entries (buffer_full); raise max_buffer_bytes, or set the option spool\n",
    ]


def test_at_the_end_nothing_stays_unsaid(report: StderrReporter, lines: list[str]) -> None:
    """``finish`` says what was withheld, once."""
    report.drop("refused", 1)
    report.drop("refused", 2)
    report.finish()
    report.finish()
    assert [line.partition(" ")[2] for line in lines[1:]] == [
        "dropped 2 more log entries (refused); look at them in on_drop, correct what logs them\n"
    ]


@pytest.mark.parametrize("broken", [None, io.StringIO(), object()])
def test_a_broken_stderr_is_borne(monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    """Without a usable stderr nothing is written and nothing raised."""
    if isinstance(broken, io.StringIO):
        broken.close()
    monkeypatch.setattr(sys, "stderr", broken)
    assert StderrReporter().say("k", "text")


def test_withheld_drops_are_reported_when_their_minute_is_over(
    report: StderrReporter, lines: list[str], clock: _Clock
) -> None:
    """Nothing more has to be dropped for that; ``catch_up`` is called after each pass."""
    report.drop("refused", 1, "400 INVALID_ARGUMENT")
    report.drop("refused", 2)
    report.catch_up()
    clock.now += INTERVAL
    report.catch_up()
    report.catch_up()
    remedy = "look at them in on_drop, correct what logs them\n"
    assert [line.partition(" ")[2] for line in lines] == [
        f"dropped 1 log entries (refused: 400 INVALID_ARGUMENT); {remedy}",
        f"dropped 2 log entries (refused); {remedy}",
    ]


def test_a_reason_of_a_foreign_transport_controls_no_terminal(
    report: StderrReporter, lines: list[str]
) -> None:
    """It is one printable line at the end, too."""
    for _ in range(2):
        report.drop("bad\n\x1b]0;owned\x07", 1)
    report.finish()
    assert len(lines) == 2
    assert all(line.removesuffix("\n").isprintable() for line in lines), lines


def test_a_reason_that_comes_while_the_last_lines_are_written_harms_nothing(clock: _Clock) -> None:
    """The flush thread may live on for a moment; the end of the pipeline goes on."""
    lines: list[str] = []

    def write(line: str) -> None:
        lines.append(line)
        if "more" in line:
            report.drop("encode", 1)

    report = StderrReporter(write, clock)
    for reason in ("closed", "closed", "shutdown", "shutdown", "encode"):
        report.drop(reason, 1)
    report.finish()
    assert sum("more log entries" in line for line in lines) == 2
