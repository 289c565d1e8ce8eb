"""An application whose answers fail: when it is called, before its first bytes, after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import forklog
from forklog.middleware import WSGIMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

forklog.setup(access_log=True)


def _body(path: str) -> Iterator[bytes]:
    if path == "/second":
        yield b"first"
    raise ValueError(path)


def _answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/call":
        raise ValueError(path)
    return [b"well"] if path == "/well" else _body(path)


application = WSGIMiddleware(_answer)
