"""What could not be delivered, as JSON lines."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from forklog.last_resort import write_last_resort
from forklog.report import Report

if TYPE_CHECKING:
    from pathlib import Path

_ENTRIES = [b'{"textPayload":"eins"}', '{"textPayload":"zwölf"}'.encode()]


@pytest.fixture
def complaints() -> list[str]:
    """Return what was said on stderr besides the entries."""
    return []


@pytest.fixture
def report(complaints: list[str]) -> Report:
    """Return a report into the list."""
    return Report(complaints.append)


def test_stderr_gets_one_entry_a_line(capsys: pytest.CaptureFixture[str], report: Report) -> None:
    """Each line is one whole JSON entry."""
    write_last_resort("stderr", _ENTRIES, report)
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["textPayload"] for line in lines] == ["eins", "zwölf"]


def test_a_file_is_private_and_appended_to(tmp_path: Path, report: Report) -> None:
    """The file is readable by its user alone, and what it held stays."""
    path = tmp_path / "lost.json"
    write_last_resort(str(path), _ENTRIES[:1], report)
    write_last_resort(str(path), _ENTRIES[1:], report)
    assert path.read_bytes() == b"\n".join(_ENTRIES) + b"\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_symbolic_link_is_not_followed(
    tmp_path: Path, report: Report, complaints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A link planted at the path leads nowhere: its target stays, stderr gets the entries."""
    target = tmp_path / "victim"
    target.write_text("mine")
    link = tmp_path / "lost.json"
    link.symlink_to(target)
    write_last_resort(str(link), _ENTRIES, report)
    assert target.read_text() == "mine"
    assert "zwölf" in capsys.readouterr().err
    assert len(complaints) == 1
    assert str(link) in complaints[0]


def test_none_writes_nothing(capsys: pytest.CaptureFixture[str], report: Report) -> None:
    """Whoever asks for silence has it."""
    write_last_resort("none", _ENTRIES, report)
    assert capsys.readouterr().err == ""


def test_a_missing_folder_falls_back_to_stderr(
    tmp_path: Path, report: Report, complaints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be made is complained about, with the reason, and costs no entry."""
    write_last_resort(str(tmp_path / "no" / "lost.json"), _ENTRIES, report)
    assert os.strerror(2) in complaints[0]
    assert "eins" in capsys.readouterr().err


def test_a_dead_stderr_is_borne(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    """Nothing is raised where there is nowhere left to write."""
    monkeypatch.setattr(sys, "stderr", None)
    write_last_resort("stderr", _ENTRIES, report)


def test_a_slow_reader_gets_whole_lines(tmp_path: Path, report: Report) -> None:
    """More than one write is needed for much data; all of it arrives."""
    path = tmp_path / "lost.json"
    many = [b'{"n":%d,"x":"%b"}' % (n, b"x" * 1000) for n in range(3000)]
    write_last_resort(str(path), many, report)
    assert path.read_bytes().splitlines() == many


def test_an_ascii_stderr_still_gets_the_entries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: Report
) -> None:
    """Under a C locale, where stderr cannot hold every character, no entry is lost."""
    path = tmp_path / "stderr"
    with path.open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        write_last_resort("stderr", _ENTRIES, report)
    assert [json.loads(line)["textPayload"] for line in path.read_bytes().splitlines()] == [
        "eins",
        "zwölf",
    ]
