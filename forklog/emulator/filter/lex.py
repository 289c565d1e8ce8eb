"""Splits the text of a filter into tokens, for `parse`. Pure."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class FilterError(Exception):
    """The filter cannot be understood; says what and where.

    Args:
        text: what is wrong.
        position: the offset of it in the filter, from 0.

    """

    def __init__(self, text: str, position: int) -> None:
        """Keep the finding and its place."""
        super().__init__(text)
        self.text = text
        self.position = position

    def shown(self, source: str) -> str:
        """Return the finding with its line and column, counted from 1."""
        before = source[: self.position]
        line = before.count("\n") + 1
        column = self.position - (before.rfind("\n") + 1) + 1
        text = f"Unparseable filter: {self.text} at line {line}, column {column}"
        return text.encode(errors="backslashreplace").decode()  # an escape may name half a pair


class Kind(Enum):
    """What a token is."""

    OPEN = "("
    CLOSE = ")"
    OPERATOR = "operator"
    MINUS = "-"
    DOT = "."
    COMMA = ","
    TEXT = "text"
    QUOTED = "quoted"
    END = "end"


class Token(NamedTuple):
    """A piece of the filter and where it stands.

    `glued` means no space before it; `pattern` is the text as a regular expression, which keeps
    the escapes that are its own.
    """

    kind: Kind
    text: str
    position: int
    glued: bool
    pattern: str


_SPACE: Final = re.compile(r"(?:\s+|--[^\n]*)*")
_TOKEN: Final = re.compile(
    r"""(?P<OPEN>\()|(?P<CLOSE>\))|(?P<COMMA>,)
    |(?P<OPERATOR>!=|!~|=~|>=|<=|=|<|>|:)
    |(?P<QUOTED>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<MINUS>-)|(?P<DOT>\.)
    |(?P<TEXT>[^\s()"'=<>:!~,.]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_SIMPLE_ESCAPES: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
}


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of a filter, the last one END; FilterError where none fits."""
    position = 0
    while True:
        start = _end_of_space(source, position)
        glued = start == position
        if start == len(source):
            yield Token(Kind.END, "", start, glued, "")
            return
        found = _TOKEN.match(source, start)
        if found is None or found.lastgroup is None:
            raise FilterError(_why_not(source[start]), start)
        kind = Kind[found.lastgroup]
        text = pattern = found.group()
        if kind is Kind.QUOTED:
            text, pattern = unquote(text), re.sub(r"\\([\"'\\])", r"\1", text[1:-1])
        yield Token(kind, text, start, glued, pattern)
        position = found.end()


def unquote(quoted: str) -> str:
    r"""Return the text of a quoted string, with \", \n, \x41, \u0041 and \101 resolved."""
    return _ESCAPE.sub(_unescaped, quoted[1:-1])


def _end_of_space(source: str, position: int) -> int:
    found = _SPACE.match(source, position)
    return found.end() if found else position


def _unescaped(found: re.Match[str]) -> str:
    wide, narrow, octal, other = found.groups()
    if wide or narrow:
        return chr(int(wide or narrow, 16))
    if octal:
        return chr(int(octal, 8))
    return _SIMPLE_ESCAPES.get(other, other)


def _why_not(character: str) -> str:
    if character in "\"'":
        return "a quoted string without its end"
    return f"unexpected {character!r}"
