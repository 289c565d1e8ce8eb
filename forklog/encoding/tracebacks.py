"""Writes the text of an exception as `logging.Formatter` does, but faster; for `StrictEncoder`.

The text of one frame depends on the code and the place in it alone. Making it is most of what
logging an exception costs, so each is made once, by the traceback module, and kept.
"""

from __future__ import annotations

import sys
import traceback
from types import CodeType, TracebackType
from typing import Any

_MAX_FRAMES = 4096
_MAX_ALIKE = 3  # of more frames at one place the traceback module makes one line
_HEAD = "Traceback (most recent call last):\n"
# By the identity of the code, which is kept with the text: equal code may come from two files.
_texts: dict[tuple[int, int], tuple[CodeType, int, str]] = {}
# Of these the traceback module says more than the message, some of it from the frames' variables.
_SAYING_MORE = (SyntaxError, ImportError, NameError, AttributeError)


def exception_text(exc_info: Any) -> str | None:
    """Return the text of a ``sys.exc_info()``; None where the traceback module has to be asked.

    That is for chained exceptions, groups, recursion, misspelt names and a ``sys.tracebacklimit``.
    """
    kind, error, entry = exc_info
    if error is None or entry is None or hasattr(sys, "tracebacklimit"):
        return None
    if error.__cause__ is not None or isinstance(error, _SAYING_MORE) or kind is not type(error):
        return None
    if error.__context__ is not None and not error.__suppress_context__:
        return None
    if hasattr(error, "exceptions") or hasattr(error, "__notes__"):
        return None
    parts, before, alike = [_HEAD], None, 1
    while entry is not None:
        # Not by the frame's line, which is searched for in a table of the code.
        code, lasti = entry.tb_frame.f_code, entry.tb_lasti
        known = _texts.get((id(code), lasti)) or _new_text(code, entry)
        place = code, known[1]
        alike = alike + 1 if place == before else 1
        if alike > _MAX_ALIKE:
            return None
        parts.append(known[2])
        before, entry = place, entry.tb_next
    parts.append(_last_line(kind, error))
    return "".join(parts)


def _last_line(kind: type[BaseException], error: BaseException) -> str:
    """Write class and message as the traceback module does."""
    name, module = kind.__qualname__, kind.__module__
    if module not in {"builtins", "__main__"}:
        name = f"{module}.{name}"
    try:
        message = str(error)
    except BaseException:  # noqa: BLE001 - as the traceback module; a message may raise anything
        message = "<exception str() failed>"
    return f"{name}: {message}" if message else name


def _new_text(code: CodeType, entry: TracebackType) -> tuple[CodeType, int, str]:
    """Have the traceback module write one frame, as part of a traceback that has no other."""
    alone = TracebackType(None, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    text = "".join(traceback.format_tb(alone))
    if len(_texts) >= _MAX_FRAMES:
        _texts.clear()
    known = _texts[id(code), entry.tb_lasti] = code, entry.tb_lineno, text
    return known
