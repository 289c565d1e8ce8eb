"""The control calls below /emulator/: counts, entries, faults; the server mounts them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from forklog.emulator.api.listing import MAX_PAGE
from forklog.emulator.errors import ApiError, status_body
from forklog.emulator.faults.armed import WrongFaultError
from forklog.emulator.page.files import SAFE

if TYPE_CHECKING:
    from forklog.emulator.api.backend import Backend
    from forklog.emulator.faults.armed import Faults
    from forklog.emulator.faults.misbehave import Misbehaviour
    from forklog.emulator.server.listener import Listener


_EXPORT: Final = {
    **SAFE,
    "Content-Type": "application/jsonl",
    "Content-Disposition": 'attachment; filename="entries.jsonl"',
}


class Control:
    """Answer the control calls.

    Args:
        backend: entries and counts.
        faults: what is armed.
        misbehaviour: holds the calls that hang.

    """

    def __init__(self, backend: Backend, faults: Faults, misbehaviour: Misbehaviour) -> None:
        """Keep what is controlled; the listener comes by `take_listener`."""
        self._backend = backend
        self._faults = faults
        self._misbehaviour = misbehaviour
        self._outage: asyncio.Task[None] | None = None
        self._listener: Listener | None = None

    def take_listener(self, listener: Listener) -> None:
        """Take the listener, once there is one."""
        self._listener = listener

    def stop_listening(self) -> None:
        """Stop the listener, if there is one."""
        if self._listener is not None:
            self._listener.stop()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [
            web.get("/emulator/stats", self._stats),
            web.get("/emulator/duplicates", self._duplicates),
            web.post("/emulator/entries:list", self._list),
            web.get("/emulator/entries", self._export),
            web.delete("/emulator/entries", self._reset),
            web.get("/emulator/faults", self._armed),
            web.post("/emulator/faults", self._arm),
            web.delete("/emulator/faults", self._clear),
        ]

    async def end_outage(self) -> None:
        """Forget an outage that is going on, without listening again."""
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.gather(self._outage, return_exceptions=True)

    async def _stats(self, request: web.Request) -> web.Response:
        stats = self._backend.stats()
        if self._listener is not None:
            self._listener.leave_out(request.protocol)
            stats["connections"] = self._listener.counted()
        return _json(stats)

    async def _duplicates(self, _: web.Request) -> web.Response:
        return _json({"entries": await self._backend.repeated()})

    async def _list(self, request: web.Request) -> web.Response:
        try:
            body = await self._backend.list_page(await request.read(), is_control=True)
        except ApiError as error:
            return web.Response(
                status=error.http_status, body=error.body(), content_type="application/json"
            )
        return web.Response(body=body, content_type="application/json")

    async def _export(self, request: web.Request) -> web.StreamResponse:
        """Answer with all entries that match, oldest first, each a line of JSON."""
        project = request.query.get("project")
        names = [] if project is None else [f"projects/{project}"]
        asked = {"filter": request.query.get("filter", ""), "resourceNames": names}
        response = web.StreamResponse(headers=_EXPORT)
        with suppress(ConnectionError):  # the client has gone
            await self._send_pages(request, response, asked)
        return response

    async def _send_pages(
        self, request: web.Request, response: web.StreamResponse, asked: dict[str, Any]
    ) -> None:
        token = ""
        while not response.prepared or token:
            body = orjson.dumps({**asked, "pageSize": MAX_PAGE, "pageToken": token})
            try:
                rows, token = await self._backend.control_page(body)
            except ApiError:
                if not response.prepared:
                    raise
                if request.transport is not None:  # so the client sees that the body is not whole
                    request.transport.abort()
                return
            if not response.prepared:  # what is wrong with the filter is answered before
                await response.prepare(request)
            await response.write(b"".join(row.body + b"\n" for row in rows))

    async def _reset(self, _: web.Request) -> web.Response:
        await self._backend.reset()
        if self._listener is not None:
            self._listener.reset()
        return _json({})

    async def _armed(self, _: web.Request) -> web.Response:
        return _json({"faults": self._faults.shown()})

    async def _arm(self, request: web.Request) -> web.StreamResponse:
        try:
            fault = self._faults.arm(orjson.loads(await request.read()))
        except (WrongFaultError, orjson.JSONDecodeError) as error:
            body = status_body(400, str(error), "INVALID_ARGUMENT")
            return web.Response(status=400, body=body, content_type="application/json")
        response = _json(fault.shown())
        if fault.kind == "outage":
            await self._begin_outage(request, response, fault.options["seconds"])
        return response

    async def _begin_outage(
        self, request: web.Request, response: web.Response, seconds: float
    ) -> None:
        # The answer goes out first: the outage breaks this connection too.
        response.force_close()
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write_eof()
        await self.end_outage()
        if self._listener is not None:
            self._outage = asyncio.create_task(self._listener.outage(seconds))

    async def _clear(self, _: web.Request) -> web.Response:
        self._faults.clear()
        self._misbehaviour.release()
        return _json({})


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
