"""aiohttp: the scope of a request, from the middleware to the next request of the connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from forklog.context.base import MIDDLEWARES
from forklog.context.headers import TRACE_HEADERS, Headers
from forklog.context.requests import Request, context_of, peer_of, size_of

_Handler = Callable[[Any], Awaitable[Any]]


async def aiohttp_middleware(request: Any, handler: _Handler) -> Any:
    """Give every record of an aiohttp request its trace and its request.

    ``web.Application(middlewares=[aiohttp_middleware, ...])``, first in the list. The scope stays
    for the server's own records of the request, its access log and the traceback of a 500; the next
    request of the connection begins its own. A request without a trace header has a trace of its
    own. ``remoteIp`` is ``request.remote``.
    """
    MIDDLEWARES.add("aiohttp")
    begun = _begun(request)
    try:
        response = await handler(request)
    except BaseException as error:
        if hasattr(error, "__http_exception__"):  # an answer that is raised, as aiohttp allows
            begun.status = getattr(error, "status", 0)
        begun.fail(error)
        raise
    else:
        begun.status = getattr(response, "status", 0)
        begun.size = getattr(response, "content_length", None)
        return response
    finally:
        begun.finish(is_kept=True)


aiohttp_middleware.__middleware_version__ = 1  # type: ignore[attr-defined] # as web.middleware has it


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
