"""Translates a regular expression of RE2 for `expression` into one of the package `regex`. Pure.

The syntax is that of https://github.com/google/re2/wiki/Syntax. Its classes are those of ASCII, `$`
is the end of the text, and it has no backreferences, no looking around, no possessive repeats.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import regex

from forklog.emulator.filter.classes import Escaped, class_at, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FLAGS: Final = regex.V1  # in which flags hold from their place to the end of their group
MAX_REPEAT: Final = 1000  # RE2's own, for repeats inside of repeats too
_MAX_DEPTH: Final = 100
# Ours: `regex` takes a second to compile so many characters. RE2 refuses programs too large, too.
MAX_TRANSLATED: Final = 200_000
# Between so many characters stands what always holds. `regex` joins characters to one text, and at
# the first search makes tables of it, in cubic time and without a look at the clock.
_MAX_RUN: Final = 64
_BREAK: Final = r"(?!(?s:.)\A)"
_PIECE: Final = re.compile(
    r"""\\Q(?P<QUOTED>.*?)(?:\\E|\Z)
    |(?P<ASSERTION>\\[AzbB]|[\^$])
    |\(\?P?<(?P<NAMED>\w+)>
    |\(\?(?P<FLAGS>[imsU]*(?:-[imsU]+)?)(?P<END>[:)])
    |(?P<FOREIGN>\(\?.{0,3})
    |(?P<OPEN>\()
    |(?P<CLOSE>\))
    |(?P<REPEAT>[*+?]|\{(?:0|[1-9][0-9]*)(?:,(?:0|[1-9][0-9]*)?)?\})(?P<LAZY>\??)
    |(?P<CLASS>\[)
    |(?P<OR>\|)
    |(?P<DOT>\.)
    |(?P<CHARACTER>.)""",
    re.VERBOSE | re.DOTALL,
)
_WORD: Final = "[0-9A-Za-z_]"
_ASSERTIONS: Final[Mapping[str, str]] = {
    "^": r"\A",
    "$": r"\Z",
    r"\A": r"\A",
    r"\z": r"\Z",
    # By ASCII words; the flag `a` of a group has no effect on these in early versions of regex.
    r"\b": f"(?-i:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    r"\B": f"(?-i:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
}


class Translated(NamedTuple):
    """A pattern for `regex`, under `FLAGS`, and the number of capturing groups that it had.

    The first alone captures, because the time in which `regex` reads groups is quadratic.
    """

    pattern: str
    groups: int


@lru_cache(maxsize=256)
def translate(pattern: str) -> Translated:
    """Return the pattern for `regex`; ValueError if RE2 does not have it, or it grows too large."""
    return _Translation(pattern).run()


class _Group(NamedTuple):
    """An open group: the flags outside of it, and the largest product of repeats there."""

    flags: str
    product: int


class _Translation:
    """One pass over a pattern.

    A repeat of a group multiplies what stands in it, so the product along the nesting counts.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._pieces = ["(?-f)"]  # V1 alone would let one character match two
        self._flags = ""
        self._open: list[_Group] = []
        self._product = 1  # the largest in the group that is open
        self._last = 1  # that of the piece before
        self._groups = 0
        self._run = 0  # atoms since the last break
        self._size = 0
        self._is_repeatable = False  # what stands before is neither nothing nor a repeat

    def run(self) -> Translated:
        at = 0
        while at < len(self._pattern):
            found = next(_PIECE.finditer(self._pattern, at))
            at = _READERS[str(found.lastgroup)](self, found) or found.end()
            if self._last > MAX_REPEAT or len(self._open) > _MAX_DEPTH:
                msg = f"a repeat above {MAX_REPEAT}, or more than {_MAX_DEPTH} levels of groups"
                raise ValueError(msg)
            if self._size > MAX_TRANSLATED:
                msg = "it is too large; shorten it, or use fewer classes"
                raise ValueError(msg)
        return Translated("".join(self._pieces), self._groups)

    def quoted(self, found: re.Match[str]) -> None:
        for one in found["QUOTED"]:
            self._atom(literal(one))

    def assertion(self, found: re.Match[str]) -> None:
        text = found["ASSERTION"]
        is_of_line = text in "^$" and "m" in self._flags
        self._atom(f"(?m:{text})" if is_of_line else _ASSERTIONS[text])

    def opened(self, _: re.Match[str]) -> None:
        self._groups += 1
        self._enter("(" if self._groups == 1 else "(?:")

    def flags(self, found: re.Match[str]) -> None:
        before, (on, _, off) = self._flags, found["FLAGS"].partition("-")
        after = "".join(one for one in "imsU" if one in on + before and one not in off)
        fold = "" if ("i" in before) == ("i" in after) else "i" if "i" in after else "-i"
        if found["END"] == ":":
            self._enter(f"(?{fold}:")
        elif fold:
            self._pieces.append(f"(?{fold})")
        self._flags = after

    def foreign(self, found: re.Match[str]) -> None:
        _refuse(found["FOREIGN"])

    def closed(self, _: re.Match[str]) -> None:
        if not self._open:
            _refuse("')' without its '('")
        self._atom(")")
        self._last = self._product
        self._flags, outer = self._open.pop()
        self._product = max(outer, self._last)

    def repeat(self, found: re.Match[str]) -> None:
        if not self._is_repeatable:
            _refuse(self._pattern[max(0, found.start() - 1) : found.end()])
        self._last *= max(map(_count, re.findall("[0-9]+", found["REPEAT"])), default=1)
        self._product = max(self._product, self._last)
        is_lazy = bool(found["LAZY"]) != ("U" in self._flags)
        self._pieces.append(found["REPEAT"] + "?" * is_lazy)
        self._is_repeatable = False

    def bracket(self, found: re.Match[str]) -> int:
        text, end = class_at(self._pattern, found.start(), is_folded="i" in self._flags)
        self._atom(text)
        return end

    def alternative(self, _: re.Match[str]) -> None:
        self._atom("|")
        self._is_repeatable = False

    def dot(self, _: re.Match[str]) -> None:
        self._atom("(?s:.)" if "s" in self._flags else ".")

    def character(self, found: re.Match[str]) -> int:
        one = Escaped(self._pattern, found.start())
        self._atom(one.shown(is_inside=False, is_folded="i" in self._flags))
        return one.end

    def _atom(self, text: str) -> None:
        self._run += 1
        if self._run >= _MAX_RUN and text not in "|)":
            self._pieces.append(_BREAK)
            self._run = 0
        self._pieces.append(text)
        self._size += len(text)
        self._last = 1
        self._is_repeatable = True

    def _enter(self, text: str) -> None:
        self._pieces.append(text)
        self._open.append(_Group(self._flags, self._product))
        self._product = self._last = 1
        self._is_repeatable = False


def _refuse(text: str) -> NoReturn:
    msg = f"RE2 has no {text!r}"
    raise ValueError(msg)


def _count(digits: str) -> int:
    return int(digits[:9])


_READERS: Final[Mapping[str, Callable[[_Translation, re.Match[str]], int | None]]] = {
    "QUOTED": _Translation.quoted,
    "ASSERTION": _Translation.assertion,
    "NAMED": _Translation.opened,
    "END": _Translation.flags,
    "FOREIGN": _Translation.foreign,
    "OPEN": _Translation.opened,
    "CLOSE": _Translation.closed,
    "LAZY": _Translation.repeat,
    "CLASS": _Translation.bracket,
    "OR": _Translation.alternative,
    "DOT": _Translation.dot,
    "CHARACTER": _Translation.character,
}
