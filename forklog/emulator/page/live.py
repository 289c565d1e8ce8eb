"""The calls that only the page makes: the stream of what arrives, one entry, a filter's check.

The stream is one of server-sent events (https://html.spec.whatwg.org/multipage/
server-sent-events.html), each with a line of JSON:

==========  =====================================================================================
hello       what the client has is old: the stream begins
rows        ``rows``, the lines of entries in the order of arrival (see `summary`), and ``left``,
            how many entries are still to be looked at
copies      pairs of the position of an entry and how often it was stored
state       the armed faults, and what was counted
refused     the filter takes too long; the stream ends
==========  =====================================================================================
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from forklog.emulator.errors import NOT_FOUND, ApiError
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.page.files import SAFE
from forklog.emulator.page.summary import summary

if TYPE_CHECKING:
    from forklog.emulator.api.backend import Backend
    from forklog.emulator.api.reader import Chunk, Reader
    from forklog.emulator.faults.armed import Faults

MAX_ROWS: Final = 200_000  # what the page keeps, too
_TICK_SECONDS: Final = 1.0  # after which counts are looked at, though nothing arrived
_GATHER_SECONDS: Final = 0.05  # in which arrivals become one event
_MAX_POSITION: Final = 2**63 - 1


class Live:
    """Answer the calls of the page.

    Args:
        backend: entries and counts.
        faults: what is armed.

    """

    def __init__(self, backend: Backend, faults: Faults) -> None:
        """Keep what is shown."""
        self._backend = backend
        self._faults = faults
        self._closed = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [
            web.get("/emulator/live", self._stream),
            web.get(r"/emulator/entries/{position:\d{1,19}}", self._entry),
            web.post("/emulator/filter", self._check),
        ]

    def close(self) -> None:
        """Let all streams end."""
        self._closed.set()

    async def _entry(self, request: web.Request) -> web.Response:
        position = min(int(request.match_info["position"]), _MAX_POSITION)
        body = await self._backend.entry_at(position)
        if body is None:
            msg = f"there is no entry at position {position}; it was removed"
            raise ApiError(msg, NOT_FOUND)
        return web.Response(body=body, content_type="application/json", headers=SAFE)

    async def _check(self, request: web.Request) -> web.Response:
        source = _filter_of(await request.read())
        try:
            await self._backend.check_filter(source)
        except FilterError as error:
            return _json({"error": _finding(error, source)})
        return _json({"error": None})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        source = request.query.get("filter", "")
        try:
            reader = await self._backend.reader(source, newest=MAX_ROWS)
        except FilterError as error:
            raise ApiError(error.shown(source)) from error
        response = web.StreamResponse(headers=SAFE)
        response.content_type = "text/event-stream"
        try:
            await response.prepare(request)
            await self._send_until_refused(response, reader, source)
        except ConnectionError:
            pass  # the page is closed
        finally:
            await self._backend.close_reader(reader)
        return response

    async def _send_until_refused(
        self, response: web.StreamResponse, reader: Reader, source: str
    ) -> None:
        if error := await self._send_all(response, reader):
            await response.write(_event("refused", _finding(error, source)))

    async def _send_all(self, response: web.StreamResponse, reader: Reader) -> FilterError | None:
        """Send what arrives until the stream is to end; return what is wrong if that is why."""
        await response.write(_hello())
        state: dict[str, Any] = {}
        left = 1
        while not self._closed.is_set():
            changed = self._backend.changed()
            chunk = await self._backend.read(reader)
            await _send_chunk(response, chunk, is_loading=left > 0)
            left = chunk.left
            if (new := self._state()) != state:
                state = new
                await response.write(_event("state", state))
            if chunk.error:
                return chunk.error
            if not left:
                await response.write(b":\n\n")  # raises if the page is gone
                await self._wait_for(changed)
        return None

    def _state(self) -> dict[str, Any]:
        return {"faults": self._faults.shown(), "stats": self._backend.stats()}

    async def _wait_for(self, changed: asyncio.Event) -> None:
        await self._backend.wait_for(_TICK_SECONDS, changed, self._closed)
        if changed.is_set():
            await asyncio.sleep(_GATHER_SECONDS)


async def _send_chunk(response: web.StreamResponse, chunk: Chunk, *, is_loading: bool) -> None:
    if chunk.has_lost:
        await response.write(_hello())
    if chunk.arrived or chunk.has_lost or is_loading:
        rows = [summary(one) for one in chunk.arrived]
        await response.write(_event("rows", {"rows": rows, "left": chunk.left}))
    if chunk.copies:
        await response.write(_event("copies", chunk.copies))


def _filter_of(body: bytes) -> str:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = f"Invalid JSON payload received. {error}"
        raise ApiError(msg) from error
    source = asked.get("filter") if isinstance(asked, dict) else None
    if not isinstance(source, str):
        raise ApiError('the body must be {"filter": "text"}')
    return source


def _finding(error: FilterError, source: str) -> dict[str, Any]:
    before = source[: error.position]
    return {
        "message": error.text.encode(errors="backslashreplace").decode(),
        "position": error.position,
        "line": before.count("\n") + 1,
        "column": error.position - before.rfind("\n"),
    }


def _hello() -> bytes:
    return _event("hello", {"maxRows": MAX_ROWS})


def _event(name: str, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(value))


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json", headers=SAFE)
