"""What a record in a web request costs beside a plain one: trace, span, sampling, request."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import figure, ratios
from benchmarks.result import Line, Result
from forklog.middleware import WSGIMiddleware

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Request: records of one web request, behind WSGIMiddleware"
_WARM = 50
_KINDS = ("plain", "request")
_ENVIRON = {
    "REQUEST_METHOD": "GET",
    "wsgi.url_scheme": "https",
    "HTTP_HOST": "shop.example",
    "PATH_INFO": "/orders/17",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "HTTP_TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


def measure(room: Room, number: int, bursts: int) -> dict[str, Any]:
    """In the subject's process: nanoseconds of a call, plain and in a request, in turns."""
    room.start()
    log = room.subject.variant("plain")
    log(_WARM)
    took: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for _ in range(bursts):
        took["plain"].append(_burst(log, number))
        took["request"].append(_in_request(lambda: _burst(log, number)))
    room.settle(_WARM + 2 * number * bursts)
    return took


def _burst(log: Callable[[int], None], number: int) -> float:
    begin = time.perf_counter_ns()
    log(number)
    return (time.perf_counter_ns() - begin) / number


def _in_request(burst: Callable[[], float]) -> float:
    """Run a burst as the application of one request."""
    took: list[float] = []

    def app(_environ: object, _start_response: object) -> list[bytes]:
        took.append(burst())
        return [b""]

    body: Any = WSGIMiddleware(app)(dict(_ENVIRON), lambda *_: None)
    body.close()
    return took[0]


def run(bench: Bench) -> Result:
    """Measure both kinds in the same process; judge their ratio."""
    pace = bench.pace(bench.rounds(12, 3), 8)
    samples = bench.turns(("forklog",), pace, "request", number=150, bursts=12)["forklog"]
    wall = {kind: [statistics.median(s[kind]) for s in samples] for kind in _KINDS}
    ratio = ratios(wall["request"], wall["plain"])
    line = Line(
        "caller, in a request", "<= 1.25 x plain", f"{ratio.text()} x", ratio.median <= 1.25
    )
    figures = [[kind, figure([value / 1000 for value in wall[kind]]).text()] for kind in _KINDS]
    return Result(TITLE, [line], ["call", "wall, µs"], figures, {"samples": samples})
