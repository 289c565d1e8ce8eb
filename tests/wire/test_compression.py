"""The option compression: what a server gets, and that time and size are bounded as without it."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import os
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from wire import OK, RawServer, answer, read_request

from forklog import CloudLoggingHandler, OptionError
from forklog.delivery.buffer import Buffer
from forklog.delivery.schedule import SendResult
from forklog.delivery.sending.sender import Sender
from forklog.options import Options
from forklog.stderr.reporter import StderrReporter
from forklog.transports.base import WireError
from forklog.transports.http import HttpTransport

if TYPE_CHECKING:
    from forklog.emulator import Emulator

_ENTRIES = [b'{"insertId":"%d","textPayload":"order %d is paid"}' % (n, n) for n in range(500)]
_LIMIT = 10 * 1024 * 1024  # of Cloud Logging, for the body before compression
_RESOURCE = {"type": "global", "labels": {}}


def _options(endpoint: str, **options: Any) -> Options:
    return Options(project="p", endpoint=endpoint, resource=_RESOURCE, **options)


def _transport(options: Options) -> HttpTransport:
    return HttpTransport(options, lambda _project: None)


def _received(**options: Any) -> tuple[str, bytes]:
    """Return head and body of a request with our entries."""
    found: list[tuple[str, bytes]] = []

    def act(connection: socket.socket) -> None:
        found.append(read_request(connection))
        connection.sendall(OK)

    with RawServer(act) as server:
        connection = _transport(_options(server.url, **options)).open()
        connection.send(_ENTRIES, 10)
        connection.close()
    return found[0]


def test_the_server_gets_the_same_body_packed() -> None:
    """Unpacked it is byte for byte what is sent without the option; a tenth of it travels."""
    _, plain = _received()
    head, packed = _received(compression="gzip")
    assert "\r\ncontent-encoding: gzip\r\n" in head.lower()
    assert f"\r\ncontent-length: {len(packed)}" in head.lower()
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 6


def test_without_the_option_nothing_is_packed() -> None:
    """No header says so, and the body is JSON."""
    head, plain = _received()
    assert "content-encoding" not in head.lower()
    assert len(json.loads(plain)["entries"]) == len(_ENTRIES)


def test_a_handler_delivers_packed_entries(emulator: Emulator) -> None:
    """The emulator unpacks them, and counts the bytes before compression, as the quotas do."""
    emulator.reset()
    handler = CloudLoggingHandler(project="p", endpoint=emulator.url, compression="gzip")
    logger = logging.getLogger("packed")
    logger.addHandler(handler)
    for number in range(1_000):
        logger.warning("order %d is paid", number)
    assert handler.flush(20)
    logger.removeHandler(handler)
    handler.close()
    texts = [entry["textPayload"] for entry in emulator.entries(project="p")]
    assert texts == [f"order {number} is paid" for number in range(1_000)]
    assert emulator.stats()["bytes"] > 1_000 * 100


def test_a_request_is_bounded_before_compression(emulator: Emulator) -> None:
    """Entries that pack well fill no request beyond the server's limit, which counts them so."""
    emulator.reset()
    handler = CloudLoggingHandler(
        project="p", endpoint=emulator.url, compression="gzip", max_batch_bytes=9 * 1024 * 1024
    )
    logger = logging.getLogger("packed")
    logger.addHandler(handler)
    for _ in range(150):
        logger.warning("x" * 150_000)
    assert handler.flush(30)
    counts, stats = emulator.stats(), handler.stats()
    logger.removeHandler(handler)
    handler.close()
    assert (stats.delivered, stats.retries) == (150, 0)
    assert counts["bytes"] / counts["requests"] < _LIMIT
    assert counts["bytes"] > 150 * 150_000


def test_a_packed_request_that_is_too_large_is_split() -> None:
    """413 above three entries and 400 for one: the halves are packed anew, the rest delivered."""
    delivered: list[str] = []

    def act(connection: socket.socket) -> None:
        while True:
            _, body = read_request(connection)
            if not body:
                return
            content = gzip.decompress(body).decode()
            ids = re.findall(r'"insertId":"(\d+)"', content)
            if len(ids) > 3:
                answer(connection, 413)
            elif "7" in ids:
                answer(connection, 400)
            else:
                delivered.extend(ids)
                connection.sendall(OK)

    with RawServer(act) as server:
        options = _options(server.url, compression="gzip")
        buffer = Buffer(options.max_buffer_bytes, lambda: None)
        for number in range(10):
            buffer.offer(2, b'{"insertId":"%d","textPayload":"x"}' % number)
        report = StderrReporter(lambda _line: None)
        sender = Sender(options, buffer, _transport(options), report)
        while sender.send_once() is SendResult.SENT:
            pass
        sender.close()
    assert delivered == [str(number) for number in range(10) if number != 7]
    assert sender.ledger.account.dropped == {"refused": 1}


@pytest.mark.parametrize("way", ["takes nothing", "never answers"])
def test_the_deadline_holds_for_a_packed_request(way: str) -> None:
    """Packing, sending and waiting share one timeout."""
    noise = base64.b64encode(os.urandom(6_000_000))
    entries = [b'{"insertId":"1","textPayload":"%b"}' % noise]

    def act(connection: socket.socket) -> None:
        if way == "never answers":
            read_request(connection)
        server.over.wait(60)

    with RawServer(act) as server:
        connection = _transport(_options(server.url, compression="gzip")).open()
        start = time.monotonic()
        with pytest.raises(WireError, match="did not answer in time"):
            connection.send(entries, 0.8)
        took = time.monotonic() - start
        connection.close()
    assert 0.7 < took < 50.0  # the server would hold it up for 60


@pytest.mark.parametrize("value", ["zstd", "GZIP", "", True, 1, b"gzip"])
def test_another_compression_is_refused(value: object) -> None:
    """The option is None or "gzip"."""
    with pytest.raises(OptionError, match=r'compression=.*must be None or "gzip"'):
        Options(compression=value)  # type: ignore[arg-type]
