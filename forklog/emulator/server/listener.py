"""The listening socket and the connections it accepted; the server asks it for an outage."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from forklog.emulator.server.preface import Preface, Warnings

if TYPE_CHECKING:
    from aiohttp import web

_BACKLOG: Final = 1024
_RETRY_SECONDS: Final = 0.02


class Listener:
    """Accept connections for an aiohttp server, and stop as a crashed server would.

    Args:
        server: makes the protocol of each connection and knows which are open.
        host: the address to bind.
        port: the port to bind; 0 is any free one, then kept through outages.

    """

    def __init__(self, server: web.Server, host: str, port: int) -> None:
        """Keep the address; nothing listens yet."""
        self._server = server
        self._host = host
        self.port = port
        self._control: set[object] = set()
        self._accepting: asyncio.Server | None = None
        self._total = 0
        self._warnings = Warnings()

    async def start(self) -> None:
        """Listen; OSError if the address cannot be had."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.create_server((self._host, self.port), family=family, backlog=_BACKLOG)
        self.port = bound.getsockname()[1]
        self._accepting = await loop.create_server(self._accept, sock=bound)

    def stop(self) -> None:
        """Refuse new connections from now on."""
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None

    async def outage(self, seconds: float) -> None:
        """Stop, break every connection, and listen again on the same port after the time."""
        self.stop()
        for protocol in self._server.connections:
            if protocol.transport is not None:
                protocol.transport.abort()
        await asyncio.sleep(seconds)
        while not await self._could_start():  # noqa: ASYNC110  a free port is not an event
            await asyncio.sleep(_RETRY_SECONDS)

    def leave_out(self, protocol: object) -> None:
        """Count this connection no more: it carries the control calls, not the service's."""
        if protocol not in self._control:
            self._control.add(protocol)
            self._total -= 1

    def counted(self) -> dict[str, int]:
        """Return how many connections are open now and were accepted in all, control left out."""
        here = {one for one in self._server.connections if one.transport is not None}
        self._control.intersection_update(here)
        return {"open": len(here - self._control), "total": self._total}

    def reset(self) -> None:
        """Count connections from zero again, the open ones included."""
        self._total = self.counted()["open"]

    async def _could_start(self) -> bool:
        try:
            await self.start()
        except OSError:
            return False
        return True

    def _accept(self) -> asyncio.BaseProtocol:
        self._total += 1
        return Preface(self._server(), self._warn)

    def _warn(self, language: str) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._warnings.warn(language, f"http://{host}:{self.port}")
