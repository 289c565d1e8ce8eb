"""`StructuredLogHandler` and its stream: what it is written by, and what a copy shares."""

from __future__ import annotations

import copy
import gzip
import io
import json
import logging
import os
import pickle
import sys
import threading
import types
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from records import record_of

from forklog import StructuredLogHandler


def _message(line: str) -> str:
    return str(json.loads(line)["message"])


def test_a_stream_that_compresses_does(tmp_path: Path) -> None:
    """Its descriptor is that of the file, which must get no plain line."""
    path = tmp_path / "lines.gz"
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        StructuredLogHandler(stream=stream).handle(record_of("packed"))
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        assert _message(stream.read()) == "packed"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_a_stream_encodes_by_itself(encoding: str, tmp_path: Path) -> None:
    """A file of another encoding has no UTF-8 in it."""
    path = tmp_path / "lines"
    with path.open("w", encoding=encoding) as stream:
        StructuredLogHandler(stream=stream).handle(record_of("\xe9"))
    assert _message(path.read_text(encoding)) == "\xe9"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_that_cannot_hold_a_character_gets_its_escape(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON has an escape for each character, so a line fits into any encoding."""
    path = tmp_path / "lines"
    with path.open("w", encoding=encoding) as stream:
        StructuredLogHandler(stream=stream).handle(record_of("\xe9 \u2603 \U0001f600"))
    assert _message(path.read_text(encoding)) == "\xe9 \u2603 \U0001f600"
    assert capsys.readouterr().err == ""


def test_a_stream_needs_no_flush(capsys: pytest.CaptureFixture[str]) -> None:
    """As `logging.StreamHandler` has it, an object with ``write`` alone is enough."""
    lines: list[str] = []
    stream = types.SimpleNamespace(write=lines.append)
    handler = StructuredLogHandler(stream=stream)
    handler.handle(record_of("m"))
    handler.flush()
    assert [_message(line) for line in lines] == ["m"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("base", [object, io.TextIOBase])
def test_a_tee_sees_its_lines(base: type) -> None:
    """A stream that has the descriptor of another one for it is asked to write."""

    class Tee(base):  # type: ignore[misc]
        seen = ""

        def write(self, text: str) -> None:
            self.seen += text

        def __getattr__(self, name: str) -> Any:
            return getattr(sys.__stdout__, name)

        def fileno(self) -> int:
            return 1

    tee = Tee()
    StructuredLogHandler(stream=tee).handle(record_of("tee"))
    assert _message(tee.seen) == "tee"


def test_a_wrapper_of_a_files_own_kind_sees_its_lines(tmp_path: Path) -> None:
    """Subclasses of Python's classes may do more than these."""

    class Upper(io.TextIOWrapper):
        def write(self, text: str) -> int:
            return super().write(text.upper())

    with Upper(io.FileIO(tmp_path / "lines", "w"), encoding="utf-8") as stream:  # type: ignore[arg-type]
        StructuredLogHandler(stream=stream).handle(record_of("upper"))
    assert '"MESSAGE":"UPPER"' in (tmp_path / "lines").read_text()


def test_a_plain_file_keeps_its_order(tmp_path: Path) -> None:
    """What the application wrote there before stands before, though it is in the buffer still."""
    path = tmp_path / "lines"
    with path.open("w", encoding="utf-8") as stream:
        stream.write("before\n")
        StructuredLogHandler(stream=stream).handle(record_of("line"))
        before, line = path.read_text().splitlines()
        assert (before, _message(line)) == ("before", "line")


@pytest.mark.parametrize("way", ["setStream", "attribute"])
def test_another_stream_may_be_set(way: str, capfd: pytest.CaptureFixture[str]) -> None:
    """From then on it gets the lines, and stdout gets none."""
    handler, stream = StructuredLogHandler(), io.StringIO()
    if way == "setStream":
        handler.setStream(stream)
    else:
        handler.stream = stream
    handler.handle(record_of("moved"))
    assert _message(stream.getvalue()) == "moved"
    assert not capfd.readouterr().out


@pytest.mark.parametrize("is_formatted", [True, False])
def test_a_closed_stream_raises_nothing(
    is_formatted: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It goes to `handleError`, with a formatter that raises as well."""
    stream = io.StringIO()
    handler = StructuredLogHandler(stream=stream)
    if not is_formatted:
        handler.setFormatter(logging.Formatter("%(missing)s"))
    stream.close()
    handler.handle(record_of("m"))
    assert "Logging error" in capsys.readouterr().err


def test_a_stream_that_raises_anything_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a stream of the application, with a filter that raises."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise ZeroDivisionError(text)

    def refuse(record: logging.LogRecord) -> bool:
        raise LookupError(record)

    handler = StructuredLogHandler(stream=Broken())
    handler.handle(record_of("m"))
    handler.addFilter(refuse)
    handler.handle(record_of("m"))
    assert "ZeroDivisionError" in (printed := capsys.readouterr().err)
    assert "LookupError" in printed


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_formats_by_itself(copied: Any) -> None:
    """A formatter that redacts, set on the copy, is used."""
    stream = io.StringIO()
    handler = StructuredLogHandler(stream=stream)
    other = copied(handler)
    other.setFormatter(logging.Formatter("redacted", validate=False))
    other.handle(record_of("s3cret"))
    assert _message(stream.getvalue()) == "redacted"
    assert other.lock is not handler.lock


def test_a_pickle_is_refused() -> None:
    """With the reason, and what works."""
    with pytest.raises(TypeError, match=r"StructuredLogHandler cannot be pickled.*pass the logger"):
        pickle.dumps(StructuredLogHandler())


@pytest.mark.parametrize("of", ["instance", "class"])
def test_a_patched_emit_runs_one_thread_at_a_time(of: str) -> None:
    """As logging has it, the lock is held around an ``emit`` of the application's."""
    handler = StructuredLogHandler(stream=io.StringIO())
    has_lock = []

    def emit(*_args: object) -> None:
        thread = threading.Thread(target=lambda: has_lock.append(handler.lock.acquire(False)))  # type: ignore[union-attr]
        thread.start()
        thread.join()

    target = handler if of == "instance" else StructuredLogHandler
    with mock.patch.object(target, "emit", emit):
        handler.handle(record_of("m"))
    assert has_lock == [False]


@pytest.mark.parametrize("returned", [ValueError("x"), None])
def test_a_format_of_a_subclass_that_fails_withholds(
    returned: Exception | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """An entry names the failure, as with the other handler."""

    class Formatting(StructuredLogHandler):
        def format(self, record: logging.LogRecord) -> str:  # noqa: ARG002
            if returned is not None:
                raise returned
            return returned  # type: ignore[return-value]

    stream = io.StringIO()
    Formatting(stream=stream).handle(record_of("s3cret"))
    assert "the formatter raised" in _message(stream.getvalue())
    assert "s3cret" not in stream.getvalue()
    assert "Logging error" in capsys.readouterr().err


def test_a_torn_line_is_not_another_streams(tmp_path: Path) -> None:
    """A line that a full pipe did not take leaves no empty line in the next stream."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        os.set_blocking(writing, False)
        handler = StructuredLogHandler(stream=pipe)
        with mock.patch("forklog.stderr.line_stream._PATIENCE_SECONDS", 0.01):
            handler.handleError = lambda _record: None  # type: ignore[method-assign]
            handler.handle(record_of("x" * 200_000))
        path = tmp_path / "lines"
        with path.open("w", encoding="utf-8") as stream:
            handler.setStream(stream)
            handler.handle(record_of("whole"))
        assert _message(path.read_text()) == "whole"
        assert not path.read_text().startswith("\n")
        os.close(reading)
