"""gRPC: google.logging.v2.LoggingServiceV2, with requests taken as bytes and never parsed."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from benchmarks.sink.counts import Counts
from benchmarks.work import MARK

_SERVICE = "google.logging.v2.LoggingServiceV2"


async def start_rpc(counts: Counts) -> tuple[Any, int]:
    """Start a server on a free port; return it and the port."""

    async def write(request: bytes, _context: object) -> bytes:
        counts.add(requests=1, records=request.count(MARK), size=len(request))
        if counts.delay:
            await asyncio.sleep(counts.delay)
        return b""  # an empty WriteLogEntriesResponse

    method = grpc.unary_unary_rpc_method_handler(write)
    handler = grpc.method_handlers_generic_handler(_SERVICE, {"WriteLogEntries": method})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port
