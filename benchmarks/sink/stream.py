"""HTTP and bare TCP, read as a stream: bodies are searched for the mark and never kept."""

from __future__ import annotations

import asyncio
import re

from benchmarks.sink.counts import Counts
from benchmarks.work import MARK

_CHUNK_BYTES = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_JSON_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_OTLP_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
)


class TcpProtocol(asyncio.BufferedProtocol):
    """Count what comes over one connection."""

    def __init__(self, counts: Counts) -> None:
        """Share the counts of the port."""
        self._counts = counts
        self._buffer = bytearray(_CHUNK_BYTES)
        self._tail = b""

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        """Return the one buffer that everything is read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Count what was read."""
        self._count(bytes(memoryview(self._buffer)[:nbytes]))

    def _count(self, chunk: bytes) -> None:
        """Count the marks; one that is cut in two by a read counts with its second part."""
        text = self._tail + chunk
        self._tail = text[-len(MARK) + 1 :]
        self._counts.add(records=text.count(MARK), size=len(chunk))


class HttpProtocol(TcpProtocol):
    """Count POST requests of one connection, and answer them."""

    def __init__(self, counts: Counts) -> None:
        """Start before a head."""
        super().__init__(counts)
        self._head = b""
        self._left = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport  # type: ignore[assignment]

    def buffer_updated(self, nbytes: int) -> None:
        """Take heads and bodies in turn."""
        data = bytes(memoryview(self._buffer)[:nbytes])
        while data:
            data = self._take_body(data) if self._left else self._take_head(data)

    def _take_head(self, data: bytes) -> bytes:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._head, self._tail = b"", b""
        self._is_otlp = b"/v1/logs" in head.split(b"\r\n", 1)[0]
        length = _LENGTH.search(head)
        self._left = int(length[1]) if length else 0
        if not self._left:
            self._answer()
        return rest

    def _take_body(self, data: bytes) -> bytes:
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self._count(body)
        if not self._left:
            self._answer()
        return rest

    def _answer(self) -> None:
        self._counts.add(requests=1)
        answer = _OTLP_ANSWER if self._is_otlp else _JSON_ANSWER
        if self._counts.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(self._counts.delay, self._transport.write, answer)
        else:
            self._transport.write(answer)
