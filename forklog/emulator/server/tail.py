"""entries:tail: streams entries as they arrive; the server routes its calls here.

Over HTTP the answer is one JSON array, of which an element is sent when entries have arrived, as
Google's servers stream over HTTP. It ends when the client goes away or the emulator stops.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from forklog.emulator.api.tail import read_tail
from forklog.emulator.errors import ApiError
from forklog.emulator.filter.lex import FilterError

if TYPE_CHECKING:
    from forklog.emulator.api.backend import Backend
    from forklog.emulator.api.reader import Arrived, Reader

_LOOK_SECONDS: Final = 1.0  # after which a client that is gone is noticed


class Tail:
    """Answer calls of entries:tail.

    Args:
        backend: where entries arrive.

    """

    def __init__(self, backend: Backend) -> None:
        """Keep what is followed."""
        self._backend = backend
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Let all streams end."""
        self._closed.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one call, for as long as its client reads; ApiError if it cannot be answered."""
        asked = read_tail(await request.read())
        try:
            reader = await self._backend.reader(asked.source, asked.parents)
        except FilterError as error:
            raise ApiError(error.shown(asked.source)) from error
        response = web.StreamResponse()
        response.content_type, response.charset = "application/json", "utf-8"
        try:
            await response.prepare(request)
            array = _Array(response)
            await response.write(b"[")
            if finding := await self._send_all(request, array, reader, asked.window):
                await array.add(ApiError(finding.shown(asked.source)).body())
            await response.write(b"]")
        except ConnectionError:
            pass  # the client has gone
        finally:
            await self._backend.close_reader(reader)
        return response

    async def _send_all(
        self, request: web.Request, array: _Array, reader: Reader, window: float
    ) -> FilterError | None:
        """Send what arrives until the stream is to end; return what is wrong if that is why."""
        gathered: list[Arrived] = []
        due = 0.0
        while not self._closed.is_set() and not _is_gone(request):
            changed = self._backend.changed()
            chunk = await self._backend.read(reader)
            if chunk.arrived and not gathered:
                due = time.monotonic() + window
            gathered += chunk.arrived
            if gathered and (chunk.error or time.monotonic() >= due):
                await array.add(_message(gathered))
                gathered = []
            elif not chunk.left and not chunk.error:
                left = due - time.monotonic() if gathered else _LOOK_SECONDS
                seconds = min(left, _LOOK_SECONDS)
                await self._backend.wait_for(seconds, changed, self._closed)
            if chunk.error:
                return chunk.error
        return None


class _Array:
    """Writes the elements of a JSON array as they come."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._comma = b""

    async def add(self, element: bytes) -> None:
        await self._response.write(self._comma + element)
        self._comma = b","


def _message(gathered: list[Arrived]) -> bytes:
    """Return a TailLogEntriesResponse: its entries are in the order of their timestamps."""
    rows = sorted((one.row for one in gathered), key=lambda row: (row.timestamp, row.insert_id))
    return b'{"entries":[' + b",".join(row.body for row in rows) + b"]}\n"


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
