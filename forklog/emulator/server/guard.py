"""Judges who may call, by the head of a request; asked by server before anything is read; pure.

A browser on the developer's machine sends requests to loopback for any page that it shows. Such a
request has an Origin, and a content type that needs no permission; under DNS rebinding its Host is
the page's own name.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from forklog.emulator.errors import PERMISSION_DENIED, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@\s]+))(?::\d{0,5})?")
_JSON: Final = "application/json"
_SHOWN: Final = 100


class Guard:
    """Refuse what no client of the API sends.

    Args:
        allowed: names and addresses that a Host header may have, besides those of loopback.

    """

    def __init__(self, allowed: Iterable[str]) -> None:
        """Keep the names."""
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)

    def check_caller(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """Raise ApiError unless the Host is ours and the Origin, if there is one, is that Host.

        Args:
            hosts: every Host header of the request.
            origins: every Origin header of it.

        """
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self._is_ours(host):
            shown = ", ".join(hosts)[:_SHOWN]
            msg = f"the Host {shown!r} is refused: start the emulator with --allow-host NAME for it"
            raise ApiError(msg, PERMISSION_DENIED)
        for origin in origins:
            if origin.lower() != f"http://{host}":
                msg = f"the Origin {origin[:_SHOWN]!r} is refused: web pages may not call this"
                raise ApiError(msg, PERMISSION_DENIED)

    def check_fetch(self, site: str, mode: str, destination: str) -> None:
        """Raise ApiError for what a page of another site embeds or fetches, but for a link.

        A browser names these in headers (https://www.w3.org/TR/fetch-metadata/) also where it
        sends no Origin, as for an image; other clients send none of them.
        """
        is_link = mode == "navigate" and destination == "document"
        if site not in ("", "same-origin", "none") and not is_link:
            msg = f"a request from another site ({site[:_SHOWN]!r}) is refused"
            raise ApiError(msg, PERMISSION_DENIED)

    def check_content(self, method: str, content_types: Sequence[str]) -> None:
        """Raise ApiError if a POST has not the one content type of the API."""
        given = [text.partition(";")[0].strip().lower() for text in content_types]
        if method == "POST" and given != [_JSON]:
            shown = ", ".join(content_types)[:_SHOWN]
            msg = f"the Content-Type must be {_JSON}, not {shown!r} (curl: --json)"
            raise ApiError(msg)

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found[1] or found[2]).rstrip(".")
        return name == "localhost" or name in self._allowed or _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
