r"""Translates characters and character classes of RE2 for `re2` into those of `regex`. Pure.

RE2's classes such as \d, \s, \w and [:alpha:] are those of ASCII, while `regex` has Unicode's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LAST: Final = 0x10FFFF
# Pairs of a first and a last character.
_PERL: Final[Mapping[str, str]] = {"d": "09", "s": "\t\n\f\r  ", "w": "09AZ__az"}
_POSIX: Final[Mapping[str, str]] = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "ascii": "\0\x7f",
    "blank": "\t\t  ",
    "cntrl": "\0\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "word": "09AZ__az",
    "xdigit": "09AFaf",
}
_CATEGORY: Final = re.compile("Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
_SCRIPT: Final = re.compile(r"[A-Z][a-z]+(?:_?[A-Z][a-z]+)*")
_FOLDS: Final[Mapping[str, str]] = {"k": "\u212a", "s": "\u017f"}  # beyond ASCII's own
_MEMBER: Final = re.compile(
    r"""\\(?P<PERL>[dDsSwW])
    |\\(?P<P>[pP])(?:\{(?P<NOT>\^?)(?P<NAME>\w+)\}|(?P<LETTER>[A-Z]))
    |\\(?P<OCTAL>0[0-7]{0,2}|[1-7][0-7]{1,2})
    |\\x(?:(?P<HEX>[0-9A-Fa-f]{2})|\{(?P<LONG>[0-9A-Fa-f]+)\})
    |\\(?P<NAMED>[aftnrv])
    |\\(?P<SELF>[\0-/:-@\[-`{-\x7f])
    |(?P<PLAIN>[^\\])""",
    re.VERBOSE | re.DOTALL,
)
_NAMED: Final[Mapping[str, str]] = dict(zip("aftnrv", "\a\f\t\n\r\v", strict=True))


class Escaped:
    """What stands in a pattern at a place: one character, or a class of them.

    Args:
        pattern: the whole pattern.
        at: where to look.

    Raises:
        ValueError: an escape that RE2 does not have.

    """

    def __init__(self, pattern: str, at: int) -> None:
        """Read it; `end` is where it ends."""
        found = _MEMBER.match(pattern, at)
        if found is None:
            msg = f"RE2 has no {pattern[at : at + 3]!r}"
            raise ValueError(msg)
        self._parts = found.groupdict(default="")
        self.end = found.end()
        self.character = self._character()

    def shown(self, *, is_inside: bool, is_folded: bool) -> str:
        """Return it for `regex`, inside of a class or alone."""
        if self.character:
            return literal(self.character)
        if kind := self._parts["PERL"]:
            members = _members(_PERL[kind.lower()], is_folded=is_folded, is_negated=kind.isupper())
            return members if is_inside else f"[{members}]"
        return self._property()

    def _character(self) -> str:
        parts = self._parts
        if text := parts["PLAIN"] or parts["SELF"] or _NAMED.get(parts["NAMED"], ""):
            return text
        digits, base = (
            (parts["OCTAL"], 8) if parts["OCTAL"] else (parts["HEX"] or parts["LONG"], 16)
        )
        if not digits:
            return ""
        code = int(digits.lstrip("0")[:7] or "0", base)
        if code > _LAST:
            msg = f"there is no character {digits[:20]}"
            raise ValueError(msg)
        return chr(code)

    def _property(self) -> str:
        parts = self._parts
        name = parts["NAME"] or parts["LETTER"]
        is_category = _CATEGORY.fullmatch(name)
        if not is_category and not _SCRIPT.fullmatch(name):
            msg = f"RE2 has no class {name[:50]!r}"
            raise ValueError(msg)
        is_negated = (parts["P"] == "P") != bool(parts["NOT"])
        kind = "" if is_category else "Script="
        return f"\\{'P' if is_negated else 'p'}{{{kind}{name}}}"


def class_at(pattern: str, at: int, *, is_folded: bool) -> tuple[str, int]:
    """Return the class whose bracket is at `at` for `regex`, and where it ends.

    Raises:
        ValueError: it does not end, or has a range, name or escape that RE2 refuses.

    """
    start = at
    last_name_end = pattern.rfind(":]")  # so that no bracket looks further for the end of a name
    is_negated = pattern.startswith("^", at + 1)
    at = first = at + 1 + is_negated
    pieces = []
    while at == first or not pattern.startswith("]", at):
        if at >= len(pattern):
            msg = f"the class {pattern[start : start + 20]!r} has no end"
            raise ValueError(msg)
        if pattern.startswith("[:", at) and at + 2 <= last_name_end:
            end = pattern.index(":]", at + 2)
            pieces.append(_named(pattern[at + 2 : end], is_folded=is_folded))
            at = end + 2
        else:
            piece, at = _member(pattern, at, is_folded=is_folded)
            pieces.append(piece)
    return f"[{'^' if is_negated else ''}{''.join(pieces)}]", at + 1


def literal(character: str) -> str:
    """Return a character so that it stands for itself, in a class too."""
    if character.isalnum() or not character.isascii():
        return character
    return f"\\x{ord(character):02x}"


def _member(pattern: str, at: int, *, is_folded: bool) -> tuple[str, int]:
    first = Escaped(pattern, at)
    shown = first.shown(is_inside=True, is_folded=is_folded)
    at = first.end
    is_range = (
        first.character and pattern.startswith("-", at) and not pattern.startswith("]", at + 1)
    )
    if not is_range or at + 1 == len(pattern):
        return shown, at
    last = Escaped(pattern, at + 1)
    if last.character < first.character:  # "" if it is a class
        msg = f"RE2 has no range {pattern[at - 1 : at + 2]!r}"
        raise ValueError(msg)
    return f"{shown}-{literal(last.character)}", last.end


def _named(name: str, *, is_folded: bool) -> str:
    pairs = _POSIX.get(name.removeprefix("^"))
    if pairs is None:
        msg = f"RE2 has no class [:{name[:50]}:]"
        raise ValueError(msg)
    return _members(pairs, is_folded=is_folded, is_negated=name.startswith("^"))


def _members(pairs: str, *, is_folded: bool, is_negated: bool) -> str:
    ranges = list(zip(pairs[::2], pairs[1::2], strict=True))
    if is_negated:
        ranges = list(_others(ranges, is_folded=is_folded))
    return "".join(f"{literal(first)}-{literal(last)}" for first, last in ranges)


def _others(ranges: list[tuple[str, str]], *, is_folded: bool) -> Iterator[tuple[str, str]]:
    """Yield the ranges of all other characters; if case does not count, of both cases."""
    found = {chr(code) for first, last in ranges for code in range(ord(first), ord(last) + 1)}
    if is_folded:
        found |= {other for one in found for other in one.lower() + one.upper()}
        found |= {_FOLDS[one] for one in found if one in _FOLDS}
    start = 0
    for code in sorted(map(ord, found)):
        if code > start:
            yield chr(start), chr(code - 1)
        start = code + 1
    yield chr(start), chr(_LAST)
