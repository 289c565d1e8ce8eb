"""Makes text from outside fit for a terminal: one line of printable characters. Pure.

What a server wrote is cut and loses what is unprintable. The text of a record is shown whole: what
would control the terminal stands there as an escape.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

_CUT = "..."
_TAB = "    "
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


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


def ascii_json(text: str) -> str:
    """Return JSON in ASCII: only its strings hold other characters, and may hold escapes."""
    return _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)


def server_of(url: str) -> str:
    """Return scheme, host and port of a URL, printable and cut: no user, path or query."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = f":{parts.port}" if parts.port is not None else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        scheme = f"{parts.scheme}://" if parts.scheme else ""
    except ValueError:
        host = None
    if not host:
        return "an address that is none"
    return printable(f"{scheme}{host}{port}", 100)
