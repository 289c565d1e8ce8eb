"""WSGI: the scope of a request, from the call of the application to the `close` of the body."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

from forklog.context.base import MIDDLEWARES
from forklog.context.headers import TRACE_HEADERS, Headers
from forklog.context.requests import FAILED, Request, context_of, peer_of, size_of

_REQUEST = "forklog.request"
_HEADERS = tuple("HTTP_" + name.upper().replace("-", "_") for name in TRACE_HEADERS)
_StartResponse = Callable[..., Any]
_END = object()


class WSGIMiddleware:
    """Give every record of a request its trace and its request, in any WSGI application.

    The scope ends when the server closes the body, so records of a streaming body and of the
    server's access log belong to the request. A request without a trace header has a trace of its
    own, by which Cloud Logging groups its records. Blocks no more than the application does.

    Args:
        app: the WSGI application.
        forwarded: whether ``remoteIp`` is the first address of ``X-Forwarded-For``. Only a proxy
            of yours makes that true; without it, anybody can send the header.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], *, forwarded: bool = False) -> None:
        """Keep the application."""
        self.app = app
        MIDDLEWARES.add("wsgi")
        self.forwarded = forwarded

    def __call__(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if _REQUEST in environ:  # by another one of ours, outside
            return self.app(environ, start_response)
        request = request_of(
            environ, _url_of(environ), environ.get("SERVER_PROTOCOL"), forwarded=self.forwarded
        )

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            write = start_response(status, headers, *rest)  # raises where a status was sent before
            note_status(request, status, headers)
            request.note_begun(is_begun=keeps_status(environ))
            return partial(_write, request, write) if callable(write) else write

        try:
            request.resume()
            body = self.app(environ, start)
            request.pause()
        except BaseException as error:
            request.fail(error)
            request.finish()
            raise
        return _wrapped(body, request, environ.get("wsgi.file_wrapper"))


def keeps_status(environ: dict[str, Any]) -> bool:
    """Tell whether the server answers a failure with the status that was begun with: uWSGI does."""
    return "uwsgi.version" in environ


def _write(request: Request, write: Callable[[bytes], object], data: bytes) -> object:
    """Call what the server's ``start_response`` has returned: the first bytes bring the status."""
    if data:
        request.note_begun()
    return write(data)


def request_of(
    environ: dict[str, Any], url: str | None, protocol: object, *, forwarded: bool
) -> Request:
    """Begin the request of a WSGI environment, which keeps it."""
    get = environ.get
    context = context_of(
        Headers(*map(get, _HEADERS)),
        get("REQUEST_METHOD"),
        url,
        get("HTTP_USER_AGENT"),
        protocol,
    )
    more = {
        "requestSize": size_of(get("CONTENT_LENGTH")),
        "remoteIp": peer_of(get("REMOTE_ADDR"), get("HTTP_X_FORWARDED_FOR") if forwarded else None),
        "referer": get("HTTP_REFERER"),
    }
    request = environ[_REQUEST] = Request(context, str(get("QUERY_STRING") or ""), more)
    return request


def is_known(environ: dict[str, Any]) -> bool:
    """Tell whether a middleware outside has begun the request already."""
    return _REQUEST in environ


def note_status(request: Request, status: str, headers: Iterable[tuple[str, str]]) -> None:
    """Take note of a status line and its headers; what an application gives may be anything."""
    with contextlib.suppress(Exception):
        request.note_status(int(status[:3]))
        sizes = (size_of(item) for name, item in headers if name.lower() == "content-length")
        request.note_size(next(sizes, None))


def _url_of(environ: dict[str, Any]) -> str | None:
    path = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
    return url_of(environ, environ.get("wsgi.url_scheme", "http"), path, "latin-1")


def url_of(environ: dict[str, Any], scheme: str, path: str, encoding: str) -> str | None:
    """Return the URL without its query string; None where the environment has not enough."""
    try:
        host = environ.get("HTTP_HOST")
        if not host:
            port = environ["SERVER_PORT"]
            is_usual = (scheme, port) in (("http", "80"), ("https", "443"))
            host = environ["SERVER_NAME"] + ("" if is_usual else f":{port}")
        return f"{scheme}://{host}{quote(path, safe='/;=,:@!$&+', encoding=encoding)}"
    except Exception:  # noqa: BLE001 - of a server that does not keep to PEP 3333
        return None


def _wrapped(body: Iterable[bytes], request: Request, wrapper: Any) -> Iterable[bytes]:
    """Return the body with a `close` that ends the request."""
    if isinstance(wrapper, type) and isinstance(body, wrapper):
        end_at_close(body, request)  # and as it is: the server knows it, and sends the file
        return body
    return _SizedBody(body, request) if hasattr(body, "__len__") else _Body(body, request)


def end_at_close(body: Any, request: Request) -> Any:
    """Have the `close` of an object end the request; where it cannot be set, end it now."""
    close = getattr(body, "close", None)

    def close_and_end() -> None:
        try:
            request.resume()
            if close is not None:
                close()
        finally:
            request.finish()

    try:
        body.close = close_and_end
    except Exception:  # noqa: BLE001 - a type of the server's, made in C
        request.finish()
    return body


def noted(body: Iterable[bytes], request: Request) -> Iterator[bytes]:
    """Yield a body's parts, and take note of the first bytes, of a failure, and of the end.

    A server sends the status with the first bytes; a failure before them is a 500.
    """
    try:
        yield from _watched(body, request)
    except BaseException as error:
        if not isinstance(error, GeneratorExit):
            request.fail(error)
        raise
    _note_unanswered(request)
    request.mark_sent()


def _watched(body: Iterable[bytes], request: Request) -> Iterator[bytes]:
    parts = iter(body)
    while (part := _next(parts, request)) is not _END:
        request.note_begun(is_begun=bool(part))
        if part:
            _note_unanswered(request)
        yield part


def _next(parts: Iterator[bytes], request: Request) -> Any:
    """Return the next part, which code of the application makes."""
    request.resume()
    try:
        return next(parts, _END)
    finally:
        request.pause()


def _note_unanswered(request: Request) -> None:
    """Take note of a server's 500, where an application gives a body without a status."""
    if not request.status:
        request.note_status(FAILED)


class _Body:
    """The body of an answer, which ends the request when the server closes it."""

    def __init__(self, body: Iterable[bytes], request: Request) -> None:
        self._body, self._request = body, request

    def __iter__(self) -> Iterator[bytes]:
        return noted(self._body, self._request)

    def close(self) -> None:
        """Close the application's body, end the request."""
        try:
            self._request.resume()
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._request.finish()


class _SizedBody(_Body):
    """One whose length servers ask for: a list of one item has its size in Content-Length."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]
