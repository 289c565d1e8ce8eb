"""The text of an exception is what `logging.Formatter` writes, made now or found in the cache."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from forklog.encoding import tracebacks as traceback_text
from forklog.encoding.tracebacks import exception_text

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


def _caught(call: Callable[[], object]) -> Any:
    try:
        call()
    except BaseException:  # noqa: BLE001 - SystemExit is one of them
        return sys.exc_info()
    raise AssertionError("it did not raise")


@pytest.mark.parametrize(
    "call",
    [_fail, lambda: _deep(1), lambda: _deep(2), lambda: _two_on_a_line(2), _generated, _suppressed,
     _syntax, _noted, _exit],
)  # fmt: skip
def test_the_text_is_that_of_logging(call: Callable[[], object]) -> None:
    """Made now or found in the cache, the text is the formatter's."""
    for _ in range(2):
        exc_info = _caught(call)
        assert exception_text(exc_info) == logging.Formatter().formatException(exc_info)


@pytest.mark.parametrize(
    "call", [_chained, _in_context, lambda: _deep(9), lambda: _two_on_a_line(9)]
)
def test_what_more_than_frames_is_in_goes_to_the_traceback_module(
    call: Callable[[], object],
) -> None:
    """Chains and recursion are not put together from frames."""
    assert exception_text(_caught(call)) is None


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
