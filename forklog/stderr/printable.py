"""Text from outside: what a server wrote, made fit for one line of a terminal. Pure."""

from __future__ import annotations

_CUT = "..."


def printable(text: object, limit: int = 200) -> str:
    """Return a text as one line of printable characters, at most ``limit`` of them.

    Anything but a string is nothing. Control characters and runs of spaces become one space.
    """
    if not isinstance(text, str):
        return ""
    start = text[: 4 * limit]  # what is longer is cut anyway, and may be very long
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    if len(line) <= limit and len(start) == len(text):
        return line
    return line[: limit - len(_CUT)] + _CUT
