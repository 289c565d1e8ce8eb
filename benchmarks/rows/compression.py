"""`compression="gzip"`: bytes of an entry on the wire and CPU for it, by level and by request.

The entries are the lines of an access log, with random numbers and identifiers.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
import zlib
from typing import TYPE_CHECKING, Any

import orjson

import forklog
from benchmarks.result import Result
from forklog.transports.base import Connection, Kind, Verdict
from forklog.transports.gzipped import LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bench import Bench

TITLE = "Compression: bytes of an entry on the wire, and CPU of the flush thread for it"
_NUMBERS = (10, 100, 1_000, 10_000)  # entries of a request
_LEVELS = (LEVEL, 4, 6, 9)
_TURNS = 7  # the best of as many, or of more where they are short
_LEAST_SECONDS = 0.05
_LINE = '%s "%s /shop/%s/orders/%d HTTP/1.1" %d %d %.4f %s'
_GZIP = 16 + zlib.MAX_WBITS


class _Kept:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def open(self) -> Connection:
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        del timeout
        self.entries += entries
        return Verdict(Kind.DELIVERED)

    def close(self) -> None:
        """Have nothing to close."""


def entries_of(number: int) -> list[bytes]:
    """Return so many entries, as the handler makes them."""
    kept, chance = _Kept(), random.Random(1)  # noqa: S311 - the same lines in each run
    logger = logging.getLogger("shop.access")
    logger.propagate = False
    handler = forklog.CloudLoggingHandler(project="bench", transport=kept)
    logger.addHandler(handler)
    for _ in range(number):
        logger.warning(_LINE, *_values(chance))
    handler.flush(60.0)
    logger.removeHandler(handler)
    handler.close()
    return kept.entries


def _values(chance: random.Random) -> tuple[Any, ...]:
    return (
        ".".join(str(chance.randrange(256)) for _ in range(4)),
        chance.choice(("GET", "GET", "GET", "POST", "PUT")),
        chance.choice(("books", "tools", "music")),
        chance.randrange(10**6),
        chance.choice((200, 200, 200, 201, 304, 404)),
        chance.randrange(50_000),
        chance.random(),
        uuid.UUID(int=chance.getrandbits(128)),
    )


def _packed(body: bytes, level: int) -> tuple[int, float]:
    """Return the bytes of a packed body, and the seconds of CPU of the best turn."""
    size, took = 0, []
    end = time.thread_time() + _LEAST_SECONDS
    while len(took) < _TURNS or time.thread_time() < end:
        begin = time.thread_time()
        packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
        size = len(packer.compress(body) + packer.flush())
        took.append(time.thread_time() - begin)
    return size, min(took)


def run(bench: Bench) -> Result:
    """Compress requests of some sizes at some levels."""
    del bench
    entries = entries_of(max(_NUMBERS))
    head = orjson.dumps({"logName": "projects/bench/logs/python", "partialSuccess": True})
    figures = []
    for number in _NUMBERS:
        body = head[:-1] + b',"entries":[' + b",".join(entries[:number]) + b"]}"
        packed = [_packed(body, level) for level in _LEVELS]
        cells = [f"{size / number:.0f} B, {1e6 * took / number:.1f} µs" for size, took in packed]
        figures.append([f"{number:,}", f"{len(body) / number:.0f} B", *cells])
    levels = [f"level {level}" + ", used" * (level == LEVEL) for level in _LEVELS]
    return Result(TITLE, [], ["entries in a request", "plain", *levels], figures)
