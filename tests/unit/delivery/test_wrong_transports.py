"""A transport that breaks its contract: no busy loop, nothing lost, the flush thread lives on.

The class of faults: what a foreign object returns is used before it is checked, outside of what
guards against its exceptions. Siblings that were tried: each field of a verdict, `open` that
returns no connection, a `WireError` and an ``origin`` that raise when they are read, `send_with`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from helpers import check_python, wait_until

from forklog.delivery.sending.wire import Wire
from forklog.testing import FakeTransport
from forklog.transports.base import Envelope, Kind, Verdict, WireError

if TYPE_CHECKING:
    import logging

    from forklog import CloudLoggingHandler

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

_MOST_ATTEMPTS = 8  # in a second and less, by a backoff that begins with half a second
_ENVELOPE = Envelope("python", {}, None)


class _UnreadableError(WireError):
    """An error that has no text."""

    def __str__(self) -> str:
        raise RuntimeError


def _unreadable() -> Verdict:
    text = "x"
    raise _UnreadableError(text)


class _Wire:
    """A transport, and its connection, that does what it is given until it is repaired."""

    origin: Any = None

    def __init__(self, does: Callable[[], Any], opens: Callable[[], Any] | None = None) -> None:
        self.inner = FakeTransport()
        self.does, self.opens = does, opens
        self.calls = 0
        self.is_wrong = True

    def open(self) -> Any:
        if self.opens is not None and self.is_wrong:
            self.calls += 1
            return self.opens()
        return self

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        if self.is_wrong:
            self.calls += 1
            return self.does()  # type: ignore[no-any-return]
        return self.inner.open().send(entries, timeout)

    def send_with(self, entries: Sequence[bytes], timeout: float, _envelope: Envelope) -> Verdict:
        return self.send(entries, timeout)

    def close(self) -> None:
        """Have nothing open."""


class _OddOrigin(_Wire):
    """One whose ``origin`` cannot be read."""

    @property
    def origin(self) -> Any:  # type: ignore[override]
        """Fail."""
        raise RuntimeError


def _retry(delay: Any) -> Callable[[], Verdict]:
    return lambda: Verdict(Kind.RETRY, "x", delay=delay)


def _odd(**fields: Any) -> Callable[[], Verdict]:
    return lambda: Verdict(**{"kind": Kind.DELIVERED, "reason": "x", **fields})


_WRONG: Mapping[str, Callable[[], Any]] = {
    "no verdict": lambda: None,
    "a text": lambda: "ok",
    "the class": lambda: Verdict,
    "no kind": _odd(kind="delivered"),
    "refused, not sent": _odd(refused={99: "refused"}),
    "refused, negative": _odd(refused={-1: "refused"}),
    "refused, by a text": _odd(refused={"0": "refused"}),
    "refused, no mapping": _odd(refused=[0]),
    "refused for no text": _odd(refused={0: 3}),
    "again, not sent": _odd(again=frozenset({99})),
    "again, a number": _odd(again=0),
    "again and refused": _odd(again=frozenset({0}), refused={0: "refused"}),
    "a reason of bytes": _odd(reason=b"x"),
    "repeats, no number": _odd(repeats="many"),
    "a quota of text": _odd(kind=Kind.RETRY, quota="requests"),
    "an unreadable error": _unreadable,
    "no delay": _retry(0.0),
    "a tiny delay": _retry(1e-9),
    "a negative delay": _retry(-5),
    "no number as delay": _retry(float("nan")),
    "an endless delay": _retry(float("inf")),
    "a delay of text": _retry("5"),
    "a huge delay": _retry(10**400),
}


def test_a_verdict_that_makes_no_sense(make_logger: Make) -> None:
    """Each is tried again at the pace of a failure; all arrives once the transport is repaired."""
    wires: dict[str, Any] = {name: _Wire(does) for name, does in _WRONG.items()}
    wires["opens nothing"] = _Wire(_unreadable, lambda: None)
    wires["opens what cannot send"] = _Wire(_unreadable, object)
    _check(make_logger, wires)


def test_an_origin_that_cannot_be_read(make_logger: Make) -> None:
    """What the connection says of its process is not needed to deliver."""
    wire: Any = _OddOrigin(_unreadable)
    wire.is_wrong = False
    logger, handler = make_logger(wire)
    logger.error("delivered")
    assert handler.flush(10)
    assert Wire(wire, lambda *_, **__: None).origin() is None
    wire.inner.close()


def _check(make_logger: Make, wires: Mapping[str, Any]) -> None:
    made = {name: make_logger(wire, max_latency=0.001) for name, wire in wires.items()}
    for logger, _ in made.values():
        for number in range(3):
            logger.error("%d", number)
    began = time.monotonic()
    wait_until(lambda: all(wire.calls for wire in wires.values()), 60)
    time.sleep(0.7)  # in which a busy loop would make hundreds
    calls = {name: wire.calls for name, wire in wires.items()}
    most = _MOST_ATTEMPTS * max(1.0, time.monotonic() - began)
    assert {name: n for name, n in calls.items() if n > most} == {}
    assert {name: h.stats() for name, (_, h) in made.items() if h.stats().pending != 3} == {}
    for wire in wires.values():
        wire.is_wrong = False
    for name, (_, handler) in made.items():
        assert handler.flush(20), (name, handler.stats())
        assert handler.stats().delivered == 3, name
        handler.close()
        wires[name].inner.close()


@pytest.mark.parametrize("name", _WRONG)
def test_a_verdict_on_what_another_process_left(name: str) -> None:
    """It is a failure that passes, and no exception."""
    wire = Wire(_Wire(_WRONG[name]), lambda *_, **__: None)
    verdict, error = wire.attempt_other([b"{}", b"{}"], _ENVELOPE, 1)
    assert (verdict.kind, error) == (Kind.RETRY, None)
    assert verdict.delay is None or 0 <= verdict.delay <= 3600


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_send_with_that_raises_anything(kind: type[BaseException]) -> None:
    """It is a failure that passes; the error is returned, for a thread that it may have struck."""

    def fail() -> Verdict:
        raise kind

    wire = Wire(_Wire(fail), lambda *_, **__: None)
    verdict, error = wire.attempt_other([b"{}"], _ENVELOPE, 1)
    assert verdict.kind is Kind.RETRY
    assert type(error) is kind


def test_what_is_repaired_is_read_anew_for_another_process_too() -> None:
    """A blocked wire is opened again, as for the process's own entries: credentials are read."""
    wire = Wire(_Wire(lambda: Verdict(Kind.BLOCKED, "no access")), lambda *_, **__: None)
    for _ in range(2):
        verdict, error = wire.attempt_other([b"{}"], _ENVELOPE, 1)
        assert (verdict.kind, error) == (Kind.BLOCKED, None)
        assert wire.connection is None
    other = Wire(_Wire(lambda: Verdict(Kind.RETRY, "later")), lambda *_, **__: None)
    other.attempt_other([b"{}"], _ENVELOPE, 1)
    assert other.connection is not None  # it may serve the next batch


def test_the_line_names_the_transport(make_logger: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the line knows whose mistake it is."""
    wire: Any = _Wire(lambda: None)
    _logger, handler = make_logger(wire, max_latency=0.001)
    _logger.error("x")
    wait_until(lambda: "_Wire" in capfd.readouterr().err, 20)
    wire.is_wrong = False
    assert handler.flush(20)
    wire.inner.close()


def test_a_flush_thread_that_crashes_again_and_again() -> None:
    """The next one waits, for longer each time; a close does not, and all arrives in the end.

    No line of ours is known to raise there: the application's trace function does.
    """
    check_python(
        """
        import logging, os, sys, threading, time
        states = []
        os.register_at_fork(before=lambda: states.append(handler.stats().state))  # after forklog's
        import forklog
        from forklog.testing import FakeTransport
        crashes = []
        def trace(frame, event, arg):
            if frame.f_code.co_name == "_loop" and "forklog" in frame.f_code.co_filename:
                crashes.append(time.monotonic())
                raise SystemExit
        threading.settrace(trace)
        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(
            transport=transport, max_latency=0.001, max_retry_delay=1, last_resort="none")
        log = logging.Logger("crashes")
        log.addHandler(handler)
        until = time.monotonic() + 60
        while len(crashes) < 3 and time.monotonic() < until:
            log.error("x")
            time.sleep(0.001)
        gaps = [later - earlier for earlier, later in zip(crashes, crashes[1:])]
        assert len(gaps) == 2 and min(gaps) > 0.4, gaps
        assert handler.stats().pending == handler.stats().accepted
        assert os.fork() or os._exit(0) is None
        # From 3.12 on the thread, which waits, ends before the fork.
        assert states == ["inert" if sys.version_info >= (3, 12) else "running"], states
        threading.settrace(None)
        assert handler.flush(10)
        handler.close()
        assert handler.stats().delivered == len(transport.entries) > 100
        """,
        is_covered=False,
    )
