"""Flushes all handlers of a process, and gives their numbers, as snapshots or for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from forklog.clock import monotonic
from forklog.contract import known_handlers
from forklog.drops import REMEDIES
from forklog.snapshot import Stats

GAUGES = frozenset({"pending", "pending_bytes", "request_gap", "spooled_bytes"})
_OF_THE_LONGEST = frozenset({"request_gap"})  # not added up: each handler has its own gap
_LABEL_OF = {"dropped": "reason", "diverted": "place"}
_NO_SERIES = frozenset({"pid", "state", "spool"})


def flush(timeout: float | None = None) -> bool:
    """Wait until every record logged before this call is settled, in all handlers of the process.

    The handlers send side by side and share one deadline. Blocks; not for signal handlers.

    Args:
        timeout: seconds to wait at most; the longest ``shutdown_timeout`` of them if None.

    Returns:
        Whether all of them are settled; True where there is no handler.
    """
    pipelines = list(_pipelines().values())
    if timeout is None:
        timeout = max((each.shutdown_timeout for each in pipelines), default=0.0)
    deadline = monotonic() + timeout
    for each in pipelines:
        each.hurry()
    settled = [each.flush(max(0.0, deadline - monotonic())) for each in pipelines]
    return all(settled)


def stats() -> tuple[Stats, ...]:
    """Return the counters and gauges of each handler of this process. Not for signal handlers."""
    return tuple(each.stats() for each in _pipelines().values())


def metrics() -> str:
    """Return this process's counters and gauges in Prometheus' text form (version 0.0.4).

    The series have the labels ``log`` and ``pid``; handlers of one log are added up, but of
    ``request_gap`` it is the longest. A server of several worker processes has as many sets of
    numbers: see docs/setup.md. Does not block for the network; not for signal handlers.
    """
    sums: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for handler, each in _pipelines().items():
        numbers = each.stats()
        own = (("log", handler.describe().options.log_name), ("pid", str(numbers.pid)))
        for name, more, value in _series(numbers):
            series, labels = sums.setdefault(name, {}), (*own, *more)
            before = series.get(labels, 0)
            series[labels] = max(before, value) if name in _OF_THE_LONGEST else before + value
    return "".join(_text(name, series) for name, series in sums.items())


def _pipelines() -> dict[Any, Any]:
    """Return the pipelines of this process by handler; copies of one share its pipeline."""
    found: dict[Any, Any] = {}
    for handler in known_handlers():
        if hasattr(handler, "_gate"):  # else its construction is under way, or has failed
            pipeline = handler._known()  # noqa: SLF001 - of our own class
            if all(pipeline is not other for other in found.values()):
                found[handler] = pipeline
    return found


def _series(numbers: Stats) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    for name, value in numbers.as_dict().items():
        if name in _NO_SERIES:
            continue
        if not isinstance(value, Mapping):
            yield name, (), value if isinstance(value, float) else int(value)
            continue
        # Each reason has a series from the first scrape on, so that an alert sees the first drop.
        expected = dict.fromkeys(REMEDIES, 0) if name == "dropped" else {}
        for key, count in {**expected, **value}.items():
            yield name, ((_LABEL_OF.get(name, "kind"), key),), count


def _text(name: str, series: Mapping[tuple[tuple[str, str], ...], float]) -> str:
    kind, full = ("gauge", name) if name in GAUGES else ("counter", f"{name}_total")
    lines = [f"# TYPE forklog_{full} {kind}\n"]
    for labels, value in series.items():
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        lines.append(f"forklog_{full}{{{inner}}} {value}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
