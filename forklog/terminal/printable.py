"""Text of records, made fit for a terminal: what would control it is shown as an escape. Pure."""

from __future__ import annotations

_TAB = "    "


def escaped(text: str) -> str:
    """Return one line of a text with each unprintable character as Python would write it.

    That is also what changes the direction of writing or has no width. A tab becomes spaces.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if character == "\t":
        return _TAB
    return character.encode("unicode_escape").decode()


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, each escaped; only a line feed ends one."""
    return [escaped(line.removesuffix("\r")) for line in text.split("\n")]
