"""The HTTP server: routes calls of the service to backend through misbehave, the rest to control.

This module, with listener, misbehave and control below it, is what needs aiohttp.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import hdrs, http_exceptions, web

from forklog.emulator.api.backend import Backend
from forklog.emulator.api.write import MAX_REQUEST_BYTES
from forklog.emulator.errors import NOT_FOUND, ApiError
from forklog.emulator.faults.armed import LIST, WRITE, Faults
from forklog.emulator.faults.misbehave import Misbehaviour
from forklog.emulator.page.files import Files
from forklog.emulator.page.live import Live
from forklog.emulator.server.control import Control
from forklog.emulator.server.guard import Guard
from forklog.emulator.server.listener import Listener
from forklog.emulator.server.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KEEP_ALIVE_SECONDS: Final = 3600.0  # long, so that only a fault closes an idle connection
_STOP_SECONDS: Final = 0.5
_MAX_LINE_BYTES: Final = 250_000  # a filter of 20,000 characters in the URL of the page's stream
_READ_BYTES: Final = MAX_REQUEST_BYTES + 1  # releases of aiohttp differ on the last byte
_OF_CLIENTS: Final = (http_exceptions.HttpProcessingError, web.RequestPayloadError)
_LOGGER: Final = logging.getLogger("forklog.emulator.server")


def _is_of_server(record: logging.LogRecord) -> bool:
    """Tell of a record whether a client is not to blame; one that is gets an answer of 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, _OF_CLIENTS)


_LOGGER.addFilter(_is_of_server)


class Config(NamedTuple):
    """How the server is to run; the defaults are those of the command line."""

    host: str = "127.0.0.1"
    port: int = 8085
    database: Path | None = None
    retention_days: float = 30.0
    allowed_hosts: tuple[str, ...] = ()


class Server:
    """A local Cloud Logging; make, `start` and `stop` it in one event loop.

    Args:
        config: where it listens and keeps its entries.

    """

    def __init__(self, config: Config) -> None:
        """Wire the parts; nothing is opened yet."""
        self._config = config
        self._backend = Backend(config.database, config.retention_days)
        self._guard = Guard((config.host, *config.allowed_hosts))
        faults = Faults()
        self._misbehaviour = Misbehaviour(faults, self._backend.counts)
        self._control = Control(self._backend, faults, self._misbehaviour)
        self._live = Live(self._backend, faults)
        self._tail = Tail(self._backend)
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            logger=_LOGGER,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            shutdown_timeout=_STOP_SECONDS,
            max_line_size=_MAX_LINE_BYTES,
        )

    async def start(self) -> int:
        """Open the store, listen, and return the port; StoreError or OSError if it cannot."""
        await self._backend.open()
        await self._runner.setup()
        if (server := self._runner.server) is None:
            msg = "the application runner has no server after its setup"
            raise RuntimeError(msg)
        self._listener = Listener(server, self._config.host, self._config.port)
        self._control.take_listener(self._listener)
        await self._listener.start()
        return self._listener.port

    async def stop(self) -> None:
        """Close everything; hanging calls are let go first."""
        await self._control.end_outage()
        self._live.close()
        self._tail.close()
        self._misbehaviour.release()
        self._control.stop_listening()
        await self._runner.cleanup()
        await self._backend.close()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._serve], client_max_size=_READ_BYTES)
        for part in (Files(), self._live, self._control):
            application.add_routes(part.routes())
        application.add_routes(
            [
                web.post("/v2/entries:write", self._write),
                web.post("/v2/entries:list", self._list),
                web.post("/v2/entries:tail", self._tail.answer),
                web.get(r"/v2/{parent:[^/]+/[^/]+(?:/locations/.+)?}/logs", self._list_logs),
                web.delete(r"/v2/{parent:[^/]+/[^/]+}/logs/{log:.+}", self._delete_log),
            ]
        )
        return application

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into the API's answers, and let faults at calls of the service."""
        try:
            self._check(request)
            if not request.path.startswith("/v2/"):
                self._listener.leave_out(request.protocol)
                await _body(request)
                return await handler(request)
            return await self._serve_call(request, handler)
        except ApiError as error:
            return _error(error)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            text = f"{request.method} {request.path} is not a call of this server; see GET /"
            return _error(ApiError(text, NOT_FOUND))

    def _check(self, request: web.Request) -> None:
        headers = request.headers
        self._guard.check_caller(headers.getall(hdrs.HOST, []), headers.getall(hdrs.ORIGIN, []))
        fetch = (headers.get(f"Sec-Fetch-{name}", "") for name in ("Site", "Mode", "Dest"))
        self._guard.check_fetch(*fetch)
        self._guard.check_content(request.method, headers.getall(hdrs.CONTENT_TYPE, []))

    async def _serve_call(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        counts = self._backend.counts
        counts.add(requests=1)
        counts.add(bytes=len(await _body(request)))

        async def answer() -> web.StreamResponse:
            try:
                return await handler(request)
            except ApiError as error:
                return _error(error)

        call = {"/v2/entries:write": WRITE, "/v2/entries:list": LIST}.get(request.path, "")
        return await self._misbehaviour.around(request, call, answer)

    async def _write(self, request: web.Request) -> web.Response:
        refuse = self._misbehaviour.refusals(WRITE)
        return _answer(await self._backend.write(await request.read(), refuse))

    async def _list(self, request: web.Request) -> web.Response:
        return _answer(await self._backend.list_page(await request.read()))

    async def _list_logs(self, request: web.Request) -> web.Response:
        parent = request.match_info["parent"]
        return _answer(await self._backend.list_logs(parent, list(request.query.items())))

    async def _delete_log(self, request: web.Request) -> web.Response:
        # The raw path, because a slash inside the log's ID stays URL-encoded in its name.
        return _answer(await self._backend.delete_log(request.rel_url.raw_path[len("/v2/") :]))


async def _body(request: web.Request) -> bytes:
    """Read and unpack the body, then kept; ApiError if it is too large or broken."""
    too_large = f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes."
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ApiError(too_large) from error
    except web.RequestPayloadError as error:
        msg = f"the request body cannot be unpacked: {error}"
        raise ApiError(msg) from error
    if len(body) > MAX_REQUEST_BYTES:
        raise ApiError(too_large)
    return body


def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _error(error: ApiError) -> web.Response:
    return web.Response(
        status=error.http_status,
        body=error.body(),
        content_type="application/json",
        charset="utf-8",
    )
