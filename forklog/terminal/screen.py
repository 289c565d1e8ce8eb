"""Picks where a command shows things: with rich where it is installed, on a terminal; or plain.

The text is the same without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from forklog.terminal.plain import Screen

if TYPE_CHECKING:
    from typing import TextIO

COLOURS = ("auto", "always", "never")


def screen_on(stream: TextIO, colour: str = "auto") -> Screen:
    """Return a screen on a stream.

    Args:
        stream: where it shows; one that is no terminal gets plain text.
        colour: of `COLOURS`; ``always`` styles what is no terminal too, where rich is installed.
    """
    is_wanted = {"always": True, "never": False}.get(colour, _is_fit(stream))
    if is_wanted:
        try:
            from forklog.terminal.styled import StyledScreen  # noqa: PLC0415 - needs the extra
        except ImportError:
            return Screen(stream)
        return StyledScreen(stream)
    return Screen(stream)


def _is_fit(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that shows colours, by the usual variables."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
