"""The text of an exception is what `logging.Formatter` writes, made now or found in the cache."""

from __future__ import annotations

import logging
import queue
import sys
from typing import TYPE_CHECKING, Any

import pytest

from forklog.encoding import tracebacks as traceback_text
from forklog.encoding.tracebacks import exception_text
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable


def _fail() -> None:
    raise ValueError("two\nlines", "ä")


def _deep(levels: int) -> None:
    if levels:
        _deep(levels - 1)
    else:
        _fail()


def _two_on_a_line(levels: int) -> int:
    return (levels and (_two_on_a_line(levels - 1) + 0)) or len({}["x"])


def _generated() -> None:
    exec(compile("def f():\n    1 / 0\nf()", "<made up>", "exec"), {})  # noqa: S102 - code without a file


def _chained() -> None:
    try:
        _fail()
    except ValueError as error:
        raise KeyError("k") from error


def _in_context() -> None:
    try:
        _fail()
    except ValueError:
        _generated()


def _suppressed() -> None:
    try:
        _fail()
    except ValueError:
        raise KeyError("k") from None


def _syntax() -> None:
    compile("a = (1,", "<typed>", "exec")


def _noted() -> None:
    error = ValueError("x")
    if hasattr(error, "add_note"):
        error.add_note("look there")
    raise error


def _exit() -> None:
    raise SystemExit(3)


def _empty() -> None:
    raise RuntimeError


def _ends_its_line() -> None:
    raise RuntimeError("a line\n")


class _Unprintable(Exception):  # noqa: N818 - it is no error of ours
    def __str__(self) -> str:
        raise KeyboardInterrupt


def _unprintable() -> None:
    raise _Unprintable


def _of_a_module() -> None:
    raise queue.Empty("nothing left")


def _misspelt_name() -> None:
    number = 1
    str(nunber + number)  # type: ignore[name-defined]  # noqa: F821


def _misspelt_attribute() -> None:
    [].apend(1)  # type: ignore[attr-defined]


def _misspelt_import() -> None:
    from logging import getLoger  # type: ignore[attr-defined]  # noqa: PLC0415, F401


def _caught(call: Callable[[], object]) -> Any:
    try:
        call()
    except BaseException:  # noqa: BLE001 - SystemExit is one of them
        return sys.exc_info()
    raise AssertionError("it did not raise")


@pytest.mark.parametrize(
    "call",
    [_fail, lambda: _deep(1), lambda: _deep(2), lambda: _two_on_a_line(2), _generated, _suppressed,
     _exit, _empty, _unprintable, _of_a_module, _ends_its_line],
)  # fmt: skip
def test_the_text_is_that_of_logging(call: Callable[[], object]) -> None:
    """Made now or found in the cache, the text is the formatter's."""
    for _ in range(2):
        exc_info = _caught(call)
        assert exception_text(exc_info) == logging.Formatter().formatException(exc_info)


@pytest.mark.parametrize(
    "call",
    [_chained, _in_context, lambda: _deep(9), lambda: _two_on_a_line(9), _syntax, _misspelt_name,
     _misspelt_attribute, _misspelt_import],
)  # fmt: skip
def test_what_more_than_frames_is_in_goes_to_the_traceback_module(
    call: Callable[[], object],
) -> None:
    """Chains, recursion and suggestions for a misspelt name are not put together from frames."""
    assert exception_text(_caught(call)) is None


@pytest.mark.parametrize(
    "call",
    [_fail, _chained, _syntax, _noted, _misspelt_name, _misspelt_attribute, _misspelt_import,
     _empty, _unprintable, _of_a_module, _ends_its_line],
)  # fmt: skip
@pytest.mark.parametrize("message", ["it failed", "it failed\n", ""])
def test_an_entry_has_the_text_that_logging_makes(
    make_logger: Any, call: Callable[[], object], message: str
) -> None:
    """Message and exception of an entry are those of a handler of logging's own."""
    transport = FakeTransport()
    logger, handler = make_logger(transport)
    exc_info = _caught(call)
    logger.error(message, exc_info=exc_info)
    assert handler.flush(10)
    record = logging.LogRecord("", 0, "", 0, message, None, exc_info)
    assert [entry["textPayload"] for entry in transport.entries] == [
        logging.Formatter().format(record)
    ]
    transport.close()  # the traceback holds this frame, and some Pythons hold the exception


def test_equal_code_of_two_files() -> None:
    """Two functions that are alike but for their file keep their own file names."""
    for name in ("/srv/one.py", "/srv/two.py"):
        names: dict[str, Any] = {}
        exec(compile("def f():\n    1 / 0", name, "exec"), names)  # noqa: S102 - code of two files
        assert f'File "{name}", line 2, in f' in str(exception_text(_caught(names["f"])))


def test_no_exception_and_no_frames() -> None:
    """Without an exception or a traceback there is nothing to put together."""
    assert exception_text((None, None, None)) is None
    assert exception_text((ValueError, ValueError("x"), None)) is None


def test_a_group() -> None:
    """An exception that holds others is the traceback module's."""
    error = ValueError("x")
    error.exceptions = ()  # type: ignore[attr-defined]

    def fail() -> None:
        raise error

    assert exception_text(_caught(fail)) is None


def test_a_limit_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """``sys.tracebacklimit`` is left to the traceback module."""
    monkeypatch.setattr(sys, "tracebacklimit", 1, raising=False)
    assert exception_text(_caught(_fail)) is None


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that is made again and again does not fill the memory."""
    monkeypatch.setattr(traceback_text, "_MAX_FRAMES", 5)
    traceback_text._texts.clear()
    for _ in range(50):
        exception_text(_caught(_generated))
    assert len(traceback_text._texts) <= 5
