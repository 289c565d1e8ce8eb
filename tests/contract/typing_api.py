"""Every public name as a user would write it; checked by mypy, never run."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Sequence
from typing import Any

import forklog
from forklog import CloudLoggingHandler, ForklogError, OptionError, Stats, StructuredLogHandler
from forklog.diagnosis import Finding, Report, Severity
from forklog.middleware import (
    ASGIMiddleware,
    DjangoMiddleware,
    WSGIMiddleware,
    aiohttp_middleware,
)
from forklog.testing import Deliver, Disconnect, Fail, FakeTransport, Hang, Outcome, Refuse, Request
from forklog.testing.plugin import CloudLog
from forklog.transports.google import ClientTransport

version: str = forklog.__version__


def configure() -> None:
    """Build handlers, with and without options."""
    lost: list[bytes] = []

    def on_drop(entries: Sequence[bytes], reason: str) -> None:
        lost.extend(entries)
        lost.append(reason.encode())

    root = logging.getLogger()
    root.addHandler(CloudLoggingHandler())
    root.addHandler(
        CloudLoggingHandler(level="INFO", log_name="web", max_latency=1, on_drop=on_drop)
    )
    root.addHandler(CloudLoggingHandler(name="web", transport=FakeTransport(), level=logging.INFO))
    root.addHandler(CloudLoggingHandler(transport=ClientTransport(object)))
    root.addHandler(StructuredLogHandler(labels={"a": "b"}, project_id="p", level="INFO"))
    logging.config.dictConfig({"handlers": {"c": {"class": "forklog.CloudLoggingHandler"}}})


def observe(handler: CloudLoggingHandler) -> dict[str, int]:
    """Use what a handler offers."""
    settled: bool = handler.flush()
    settled = handler.flush(timeout=2.5) or settled
    stats: Stats = handler.stats()
    numbers = [stats.pid, stats.accepted, stats.delivered, stats.adopted, stats.requests]
    numbers += [stats.retries, stats.swallowed, stats.pending, stats.pending_bytes]
    plain: dict[str, int | str | dict[str, int]] = stats.as_dict()
    handler.close()
    return {stats.state: sum(numbers) + len(plain), **stats.dropped}


def fail() -> str:
    """Catch what construction raises."""
    try:
        CloudLoggingHandler(max_latency=-1)
    except OptionError as error:
        return error.option
    except ForklogError as error:
        return str(error)
    return ""


def examine() -> list[str]:
    """Use what the doctor returns."""
    report: Report = forklog.doctor()
    report = forklog.doctor(timeout=2, accept=["harakiri"], project="p", endpoint="https://e")
    findings: tuple[Finding, ...] = report.findings
    bad = [f for f in findings if f.severity is Severity.PROBLEM]
    healthy: bool = report.is_healthy
    plain: dict[str, Any] = report.as_dict()
    texts = [f"{f.code}: {f.text} -> {f.remedy}" for f in bad]
    return [*texts, str(report), str(healthy), *plain]


def set_up() -> forklog.Setup:
    """Set up a process, and ask for all of its handlers."""
    done = forklog.setup(level="INFO", output="api", replace=True, uncaught=True, log_name="web")
    forklog.carry_threads()
    forklog.bind(user=7)
    with forklog.bound(item="x"):
        forklog.unbind("user")
    forklog.unbind_all()
    settled: bool = forklog.flush(timeout=1.5)
    numbers: tuple[Stats, ...] = forklog.stats()
    text: str = forklog.metrics()
    arguments: dict[str, Any] = forklog.structlog_processor(None, "info", {"event": text})
    assert settled == bool(numbers) == bool(arguments)
    return done


def wrap(app: Any) -> list[object]:
    """Use the middlewares."""
    web = WSGIMiddleware(app, forwarded=True)
    return [web, ASGIMiddleware(app, forwarded=False), DjangoMiddleware(app), aiohttp_middleware]


def use_fixtures(cloud_logging: CloudLog, forklog_transport: FakeTransport) -> None:
    """Use the fixtures and the fake."""
    script: list[Outcome] = [Deliver(2), Fail(503, seconds=1.5), Refuse(3), Hang(), Disconnect()]
    transport = FakeTransport(*script)
    transport.then(Fail(status=429, times=2, retry_after=0.5))
    transport.release()
    entries: list[dict[str, Any]] = transport.wait_for(3, timeout=1.0)
    entries += transport.entries + transport.entries_of(1) + cloud_logging.entries
    requests: list[Request] = forklog_transport.sent
    lines: list[bytes] = requests[0].lines
    transport.wait_until(lambda: bool(lines))
    messages: list[str] = cloud_logging.messages
    same: FakeTransport = cloud_logging.transport
    assert entries[0]["textPayload"] == messages[0] == requests[0].outcome
    assert len(requests[0].stored) == requests[0].pid
    assert same.entries
    assert cloud_logging.handler.flush()
