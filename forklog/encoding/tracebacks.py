"""Beside the usual road: the text of an exception, as `logging.Formatter` writes it.

The text of one frame depends on the code and the place in it alone, and making it is most of what
logging an exception costs: each is made once, by the traceback module, and kept.
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
_texts: dict[tuple[int, int], tuple[CodeType, str]] = {}


def exception_text(exc_info: Any) -> str | None:
    """Return the text of a ``sys.exc_info()``; None where the traceback module has to be asked.

    That is for chained exceptions, groups, recursion and a ``sys.tracebacklimit``.
    """
    kind, error, entry = exc_info
    if error is None or entry is None or hasattr(sys, "tracebacklimit"):
        return None
    if error.__cause__ is not None or hasattr(error, "exceptions"):
        return None
    if error.__context__ is not None and not error.__suppress_context__:
        return None
    parts, before, alike = [_HEAD], None, 1
    while entry is not None:
        code = entry.tb_frame.f_code
        place = code, entry.tb_lineno
        alike = alike + 1 if place == before else 1
        if alike > _MAX_ALIKE:
            return None
        known = _texts.get((id(code), entry.tb_lasti))
        parts.append(known[1] if known else _new_text(code, entry))
        before, entry = place, entry.tb_next
    parts += traceback.format_exception_only(kind, error)
    return "".join(parts).removesuffix("\n")


def _new_text(code: CodeType, entry: TracebackType) -> str:
    """Have the traceback module write one frame, as part of a traceback that has no other."""
    alone = TracebackType(None, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    text = "".join(traceback.format_tb(alone))
    if len(_texts) >= _MAX_FRAMES:
        _texts.clear()
    _texts[id(code), entry.tb_lasti] = code, text
    return text
