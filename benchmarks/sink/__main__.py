"""Run the sink until its standard input ends; prints the port where it is controlled.

Control is a line of JSON for a line of JSON: ``{"open": WIRE, "delay": S}`` makes a port,
``{"counts": PORT}`` reads it, ``{"wait": PORT, "records": N, "timeout": S}`` reads it once that
many records have arrived, ``{"close": PORT}`` forgets it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from benchmarks.sink.counts import Counts
from benchmarks.sink.stream import HttpProtocol, TcpProtocol


class Sink:
    """All ports of the sink."""

    def __init__(self) -> None:
        """Start without any."""
        self._ports: dict[int, tuple[Any, Counts]] = {}

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one control connection."""
        while line := await reader.readline():
            writer.write(json.dumps(await self._answer(json.loads(line))).encode() + b"\n")
        writer.close()

    async def _answer(self, order: dict[str, Any]) -> dict[str, Any]:
        if "open" in order:
            return {"port": await self._open(order["open"], order.get("delay", 0.0))}
        if "wait" in order:
            counts = self._ports[order["wait"]][1]
            await counts.wait(order["records"], order["timeout"])
            return counts.snapshot()
        if "close" in order:
            server, counts = self._ports.pop(order["close"])
            stopped = server.stop(0) if hasattr(server, "stop") else None
            if stopped is None:
                server.close()
            else:
                await stopped
            return counts.snapshot()
        return self._ports[order["counts"]][1].snapshot()

    async def _open(self, wire: str, delay: float) -> int:
        counts = Counts(delay)
        server: Any
        if wire == "grpc":
            from benchmarks.sink.rpc import start_rpc  # noqa: PLC0415 - its threads start with it

            server, port = await start_rpc(counts)
        else:
            protocol = HttpProtocol if wire == "http" else TcpProtocol
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: protocol(counts), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
        self._ports[port] = server, counts
        return port


async def _main() -> None:
    control = await asyncio.start_server(Sink().control, "127.0.0.1", 0)
    print(control.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)  # the connections that are still open are not waited for


asyncio.run(_main())
