"""Looks at the first bytes of a connection: TLS and gRPC end here, HTTP/1.1 goes to aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFACES: Final = {"TLS": b"\x16\x03", "gRPC": b"PRI * HTTP/2"}


class Preface(asyncio.Protocol):
    """Stand in front of an HTTP protocol until the first bytes are there.

    Args:
        http: gets the connection if the client speaks HTTP/1.1.
        warn: called with the name of another language; the connection is then closed.

    """

    def __init__(self, http: asyncio.Protocol, warn: Callable[[str], None]) -> None:
        """Keep the protocol that gets the connection."""
        self._http = http
        self._warn = warn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the HTTP server know of the connection."""
        self._transport = transport
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Judge the first bytes."""
        language = next((name for name, head in _PREFACES.items() if data.startswith(head)), "")
        if language:
            self._warn(language)
            self._transport.close()
            return
        self._transport.set_protocol(self._http)
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that the client sends no more."""
        return self._http.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is gone."""
        self._http.connection_lost(exc)


class Warnings:
    """Print on stderr, once for each language, what a client has to set.

    A client of gRPC connects again and again; one line is enough.
    """

    def __init__(self) -> None:
        """Begin with nothing printed."""
        self._printed: set[str] = set()

    def warn(self, language: str, url: str) -> None:
        """Print the line for a language, unless it was printed before."""
        if language in self._printed:
            return
        self._printed.add(language)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(
                f"forklog emulator: a client speaks {language}, the emulator plain HTTP: "
                f"set endpoint={url!r} (forklog), or _use_grpc=False and "
                f'client_options={{"api_endpoint": "{url}"}} (google-cloud-logging)\n'
            )
            sys.stderr.flush()
