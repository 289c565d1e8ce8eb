"""ASGI: the scope of a request, from the call of the application to its return."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

from forklog.context.base import MIDDLEWARES
from forklog.context.connections import connect
from forklog.context.headers import TRACE_HEADERS, Headers
from forklog.context.requests import FAILED, Request, context_of, peer_of, size_of

_REQUEST = "forklog.request"
_Message = dict[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]


class ASGIMiddleware:
    """Give every record of a request its trace and its request, in any ASGI application.

    FastAPI and Starlette: ``app.add_middleware(ASGIMiddleware)``, added last. Records of
    dependencies, of endpoints in threads, of background tasks and of a streaming body belong to the
    request. So does the traceback that the server logs after a 500. A request without a trace
    header has a trace of its own. The records of a websocket have the request that opened it.

    Args:
        app: the ASGI application.
        forwarded: whether ``remoteIp`` is the first address of ``X-Forwarded-For``. Only a proxy
            of yours makes that true; without it, anybody can send the header.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, forwarded: bool = False) -> None:
        """Keep the application."""
        self.app = app
        MIDDLEWARES.add("asgi")
        self.forwarded = forwarded

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request, or pass on what is none."""
        if scope.get("type") not in ("http", "websocket") or _REQUEST in scope:
            connect()  # at the start of the server, which has configured its loggers by now
            await self.app(scope, receive, send)
            return
        request = _request_of(scope, forwarded=self.forwarded)
        if scope["type"] != "http":
            request.leave_out()
        is_gone = False

        async def receive_noted() -> Any:
            nonlocal is_gone
            message = await receive()
            is_gone = is_gone or _is_end(message)
            return message

        async def send_noted(message: _Message) -> None:
            await send(message)
            _note(request, message)

        try:
            request.resume()
            await self.app(scope, receive_noted, send_noted)
        except BaseException as error:
            # The scope stays for those outside of us in this task, who send the 500 and log why.
            request.fail(error)
            request.finish(is_kept=True)
            raise
        if not request.status and not is_gone:
            request.note_status(FAILED)  # the server says so where an application answers nothing
        request.finish()


def _request_of(scope: _Message, *, forwarded: bool) -> Request:
    headers = _headers_of(scope)
    get = headers.get
    context = context_of(
        Headers(*map(get, TRACE_HEADERS)),
        scope.get("method", "GET"),
        _url_of(scope, get("host")),
        get("user-agent"),
        f"HTTP/{scope.get('http_version', '1.1')}",
    )
    client = scope.get("client")
    more = {
        "requestSize": size_of(get("content-length")),
        "remoteIp": peer_of(
            client[0] if client else None, get("x-forwarded-for") if forwarded else None
        ),
        "referer": get("referer"),
    }
    query = scope.get("query_string", b"")
    request = Request(context, query.decode("latin-1") if isinstance(query, bytes) else "", more)
    scope[_REQUEST] = request
    return request


def _headers_of(scope: _Message) -> dict[str, str]:
    pairs: Iterable[tuple[bytes, bytes]] = scope.get("headers") or ()
    try:
        return {name.decode("latin-1"): item.decode("latin-1") for name, item in pairs}
    except Exception:  # noqa: BLE001 - of a server that does not keep to the specification
        return {}


def _url_of(scope: _Message, host: str | None) -> str | None:
    """Return the URL without its query string; None where the scope has not enough."""
    try:
        scheme = scope.get("scheme", "http")
        if not host:
            name, port = scope["server"]
            is_usual = (scheme, port) in (("http", 80), ("https", 443))
            host = name if is_usual or port is None else f"{name}:{port}"
        # The server gives the path as it was sent, root path included; some give only the decoded.
        raw = scope.get("raw_path")
        path = raw.decode("latin-1") if raw else quote(scope["path"], safe="/;=,:@!$&+")
        return f"{scheme}://{host}{path.partition('?')[0]}"
    except Exception:  # noqa: BLE001 - as above
        return None


def _note(request: Request, message: _Message) -> None:
    """Take note of what was sent; what an application gives may be anything."""
    with contextlib.suppress(Exception):
        if message["type"] == "http.response.start":
            request.note_status(int(message["status"]))
            request.note_begun()
            named = (item for name, item in message.get("headers", ()) if name.lower() == _LENGTH)
            request.note_size(size_of(next(named, None)))
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            request.mark_sent()


_LENGTH = b"content-length"


def _is_end(message: Any) -> bool:
    """Tell whether a message says that the client has gone."""
    return isinstance(message, dict) and message.get("type") == "http.disconnect"
