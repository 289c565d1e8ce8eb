"""Answers GET / and the files of the page, with the headers that keep foreign content out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from forklog.emulator.errors import NOT_FOUND, ApiError
from forklog.emulator.help import HELP

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
SAFE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of everything that is made for the page: no other site may embed or keep it."""

_PAGE: Final[Mapping[str, str]] = {
    **SAFE,
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": hdrs.ACCEPT,
    "X-Frame-Options": "DENY",
}


class Files:
    """Serve the files of the folder `static`, which are read once."""

    def __init__(self) -> None:
        """Read them."""
        self._files = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [
            web.get("/", self._index),
            web.get("/emulator/help", self._help),
            web.get("/page/{name}", self._file),
        ]

    async def _index(self, request: web.Request) -> web.Response:
        """Answer a browser with the page, and any other client with the text of help."""
        if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
            return await self._help(request)
        return web.Response(
            body=self._files["index.html"],
            content_type="text/html",
            charset="utf-8",
            headers=_PAGE,
        )

    async def _help(self, request: web.Request) -> web.Response:
        return web.Response(text=HELP.format(host=request.host), headers={"Vary": hdrs.ACCEPT})

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in self._files:
            msg = f"the page has no file {name[:100]!r}"
            raise ApiError(msg, NOT_FOUND)
        return web.Response(
            body=self._files[name], content_type=kind, charset="utf-8", headers=SAFE
        )
