"""Acts out the armed faults around a call of the service; between server and its handlers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from forklog.emulator.errors import ApiError, quota_error, status_body
from forklog.emulator.faults.armed import WRITE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from forklog.emulator.counts import Counts
    from forklog.emulator.faults.armed import Fault, Faults

_ENDINGS: Final = ("status", "drop", "hang")


class Misbehaviour:
    """Delay, replace, drop or hold back answers as `faults` asks.

    Args:
        faults: what is armed.
        counts: where calls that met a fault are counted.

    """

    def __init__(self, faults: Faults, counts: Counts) -> None:
        """Keep what is armed; nothing waits yet."""
        self._faults = faults
        self._counts = counts
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let every delayed or hanging call go on at once."""
        self._released.set()
        self._released = asyncio.Event()

    async def around(
        self,
        request: web.Request,
        call: str,
        answer: Callable[[], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer a call whose body was read, through the faults that hit it."""
        if delay := self._take(call, "delay"):
            await self._wait(delay.options["seconds"])
        ending = self._take(call, *_ENDINGS)
        if ending is None:
            refused = await self._over_quota(request, call)
            # Not by its truth: an answer of aiohttp 3.10 is an empty mapping.
            response = refused if refused is not None else await answer()
        elif ending.kind == "status":
            response = _status(ending)
        else:
            response = await self._break(request, ending, answer)
        if self._take(call, "idle_close"):
            await _send_and_close(request, response)
        return response

    async def _over_quota(self, request: web.Request, call: str) -> web.Response | None:
        """Return the answer of the quota that refuses this write, if one does."""
        if call != WRITE:
            return None
        fault = self._faults.over_quota(len(await request.read()))
        if fault is None:
            return None
        self._counts.add(faults=1)
        return _refused_by_quota(fault)

    def refusals(self, call: str) -> dict[int, ApiError]:
        """Return the entries of this write that are to be refused, by index."""
        text = "this entry is refused because a fault is armed for it"
        hits = self._faults.take_all(call, "refuse")
        self._counts.add(faults=len(hits))
        return {hit.options["index"]: ApiError(text, hit.options["code"]) for hit in hits}

    def _take(self, call: str, *kinds: str) -> Fault | None:
        fault = self._faults.take(call, *kinds)
        self._counts.add(faults=int(fault is not None))
        return fault

    async def _wait(self, seconds: float | None) -> None:
        released = asyncio.ensure_future(self._released.wait())
        await asyncio.wait([released], timeout=seconds)
        released.cancel()

    async def _break(
        self,
        request: web.Request,
        fault: Fault,
        answer: Callable[[], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()
        if fault.options["when"] == "after":
            response = await answer()
        if fault.kind == "drop":
            if request.transport is not None:
                request.transport.abort()
            return response
        await self._wait(None)
        is_gone = request.transport is None or request.transport.is_closing()
        # A caller that gave up while the call hung has sent it again since. To handle it, too,
        # would be a fault that was not armed.
        return response if is_gone or fault.options["when"] == "after" else await answer()


def _refused_by_quota(fault: Fault) -> web.Response:
    error = quota_error(fault.options["unit"], round(fault.options["per_second"] * 60))
    return web.Response(
        status=error.http_status,
        body=error.body(),
        content_type="application/json",
        charset="utf-8",
    )


def _status(fault: Fault) -> web.Response:
    status, body = fault.options["status"], fault.options["body"]
    headers = {}
    if (seconds := fault.options["retry_after"]) is not None:
        headers["Retry-After"] = f"{seconds:g}"
    if isinstance(body, str):
        return web.Response(status=status, headers=headers, text=body, content_type="text/html")
    raw = orjson.dumps(body) if body else status_body(status, "a fault is armed for this call")
    return web.Response(
        status=status, headers=headers, body=raw, content_type="application/json", charset="utf-8"
    )


async def _send_and_close(request: web.Request, response: web.StreamResponse) -> None:
    with suppress(ConnectionError):  # the client has gone, or another fault broke the connection
        await response.prepare(request)
        await response.write_eof()
    if request.transport is not None:
        request.transport.close()
