"""How many records a second each subject delivers to the sink, and the CPU time of each."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

from benchmarks.ratio import Figure, figure, ratios
from benchmarks.result import Line, Result
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.worker import Room

TITLE = "Delivery: CPU of the whole process, and records a second, one process at full speed"
_CALLS = {
    "nothing": 20_000,
    "stock-grpc": 4_000,
    "stock-http": 4_000,
    "otel": 12_000,
    "loguru": 8_000,
    "logstash": 12_000,
    "bare": 200_000,
    "forklog": 200_000,
}
_WIRES = ("gRPC", "HTTP")
# A caller that is faster than the wire waits for room, so nothing is dropped.
_OPTIONS = {name: {"block_timeout": 30.0} if name == "forklog" else {} for name in _CALLS}


def measure(room: Room, number: int, options: dict[str, Any]) -> dict[str, Any]:
    """In the subject's process: log as fast as it goes until all has arrived."""
    log = room.start(**options).variant("plain")
    before = room.door.counts() if room.door else {}
    busy, begin = _cpu(), time.monotonic()
    log(number)
    logged = time.monotonic() - begin
    counts = room.settle(number)
    busy = _cpu() - busy
    seconds = counts["last_at"] - begin if counts else logged
    answer = {"seconds": seconds, "logged": logged, "cpu": busy, "records": number}
    for key in ("requests", "records", "bytes", "cpu"):
        if counts:
            answer["sink_" + key] = counts[key] - before[key]
    return answer


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(bench: Bench) -> Result:
    """Measure all that deliver, in turns; judge both numbers."""
    number = {name: n // bench.rounds(1, 4) for name, n in _CALLS.items()}
    samples = bench.fresh_turns(
        tuple(_CALLS),
        bench.pace(bench.rounds(6, 2), 60),
        "delivery",
        number=number,
        options=_OPTIONS,
    )
    cost = {n: [1e6 * s["cpu"] / s["records"] for s in samples[n]] for n in _CALLS}
    rate = {n: [s["records"] / s["seconds"] for s in samples[n]] for n in _CALLS}
    lines = [
        _at_most(ratios(cost["forklog"], cost["stock-grpc"]), 22, "stock by gRPC"),
        _at_most(ratios(cost["forklog"], cost["stock-http"]), 15, "stock by HTTP"),
        _at_most(ratios(cost["forklog"], cost["otel"]), 5, "OpenTelemetry"),
    ]
    leads = {wire: ratios(rate["forklog"], rate[f"stock-{wire.lower()}"]) for wire in _WIRES}
    for wire, lead in leads.items():
        target, said = f">= 20 x stock by {wire}", f"{lead.text('.1f')} x"
        lines.append(Line("records/s, sustained", target, said, lead.median >= 20))
    ours = figure(rate["forklog"])
    lines.append(
        Line("records/s, sustained", ">= 100,000/s", ours.text(",.0f"), ours.median >= 100_000)
    )
    heads = [
        "subject",
        "CPU a record, µs",
        "records/s",
        "records a request",
        "bytes a record",
        "the sink's CPU, % of one",
    ]
    figures = [_figures(name, samples[name], cost[name], rate[name]) for name in _CALLS]
    part = 1 / ratios(cost["forklog"], cost["stock-grpc"]).median
    telling = (
        f"A delivered record costs the whole process 1/{part:.0f} of the CPU time that the stock "
        f"handler takes.\nOne process delivers {ours.median:,.0f} records/s.\n"
        f"That is {leads['gRPC'].median:.0f} times the stock handler's rate by gRPC, its default, "
        f"and {leads['HTTP'].median:.0f} times by HTTP."
    )
    return Result(TITLE, lines, heads, figures, {"samples": samples}, telling=telling)


def _at_most(ratio: Figure, part: int, whom: str) -> Line:
    inverse = f"1/{1 / ratio.median:.1f} (1/{1 / ratio.high:.1f}-1/{1 / ratio.low:.1f})"
    target = f"<= 1/{part} of {whom}"
    return Line("CPU a delivered record", target, inverse, ratio.median <= 1 / part)


def _figures(
    name: str, samples: list[dict[str, Any]], cost: list[float], rate: list[float]
) -> list[str]:
    cells = [LABELS[name], figure(cost).text(), figure(rate).text(",.0f")]
    if "sink_records" not in samples[0]:
        return [*cells, "-", "-", "-"]
    share = figure([100 * s["sink_cpu"] / s["seconds"] for s in samples]).median
    last = samples[-1]
    batch = f"{last['sink_records'] / last['sink_requests']:,.0f}" if last["sink_requests"] else "-"
    size = f"{last['sink_bytes'] / last['sink_records']:,.0f}"
    return [*cells, batch, size, f"{share:.0f}"]
