"""aiohttp: the scope of a request, from the middleware to the next request of the connection."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from forklog.context.base import MIDDLEWARES
from forklog.context.headers import TRACE_HEADERS, Headers
from forklog.context.requests import FAILED, Request, context_of, peer_of, size_of

_REQUEST = "forklog.request"
_UPGRADED, _TIMED_OUT = 101, 504
_Handler = Callable[[Any], Awaitable[Any]]


async def aiohttp_middleware(request: Any, handler: _Handler) -> Any:
    """Give every record of an aiohttp request its trace and its request.

    ``web.Application(middlewares=[aiohttp_middleware, ...])``, first in the list. The scope stays
    for the server's own records of the request: its access log and the traceback of a 500. The next
    request of the connection begins its own. A request without a trace header has a trace of its
    own. ``remoteIp`` is ``request.remote``.
    """
    MIDDLEWARES.add("aiohttp")
    if _REQUEST in request:  # of an application outside, whose sub-application this one is
        return await handler(request)
    begun = request[_REQUEST] = _begun(request)
    _note_status(request, begun)
    try:
        begun.resume()
        response = await handler(request)
    except BaseException as error:
        begun.note_begun(is_begun=_has_sent(request))
        if not hasattr(error, "__http_exception__"):
            # Not imported here: an application without aiohttp has no use for it.
            is_late = isinstance(error, sys.modules["asyncio"].TimeoutError)
            begun.fail(error, _TIMED_OUT if is_late else FAILED)
        elif not begun.is_begun:  # an answer that is raised, as aiohttp allows
            begun.note_status(getattr(error, "status", 0))
        raise
    else:
        begun.note_status(getattr(response, "status", FAILED))  # aiohttp's answer to what is none
        begun.note_size(getattr(response, "content_length", None))
        return response
    finally:
        if begun.status == _UPGRADED:
            begun.leave_out()
        begun.finish(is_kept=True)


aiohttp_middleware.__middleware_version__ = 1  # type: ignore[attr-defined] # as web.middleware has it


def _note_status(request: Any, begun: Request) -> None:
    """Have the request know the status of an answer that a handler begins before it fails."""
    writer = request.writer

    async def write_headers(status_line: str, headers: Any) -> None:
        with contextlib.suppress(Exception):
            begun.note_status(int(status_line.split(" ", 2)[1]))
            del writer.write_headers  # its own again, and no circle is left
        await writer.write_headers(status_line, headers)

    with contextlib.suppress(Exception):  # a writer that takes no attribute
        writer.write_headers = write_headers


def _has_sent(request: Any) -> bool:
    """Tell whether any bytes of an answer are sent; aiohttp answers a failure before them."""
    return bool(getattr(request.writer, "output_size", 0))


def _begun(request: Any) -> Request:
    get = request.headers.get
    url = request.url
    context = context_of(
        Headers(*map(get, TRACE_HEADERS)),
        request.method,
        str(url.with_query(None).with_fragment(None)),
        get("User-Agent"),
        f"HTTP/{request.version.major}.{request.version.minor}",
    )
    more = {
        "requestSize": size_of(get("Content-Length")),
        "remoteIp": peer_of(request.remote, None),
        "referer": get("Referer"),
    }
    return Request(context, url.raw_query_string, more)
