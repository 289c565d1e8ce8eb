"""The spare parts: what a child's first record needs is built before the fork."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from helpers import wait_until

from forklog import CloudLoggingHandler
from forklog.parts import Parts, Spare
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def _spare() -> tuple[Spare, list[Parts]]:
    built: list[Parts] = []

    def build() -> Parts:
        built.append(object())  # type: ignore[arg-type] - nobody looks into it
        return built[-1]

    return Spare(build), built


def test_a_set_is_taken_once() -> None:
    """What was built ahead is taken by one; who comes next waits for his own."""
    spare, built = _spare()
    assert len(built) == 1
    assert spare.take() is built[0]
    assert spare.take() is built[1]
    spare.renew()
    spare.renew()
    assert len(built) == 3
    assert spare.take() is built[2]


def test_locks_of_another_kind_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that was built before gevent patched the locks is no use afterwards."""
    spare, built = _spare()
    monkeypatch.setattr(threading, "Lock", threading.RLock)
    assert spare.take() is built[1]


def _count_builds(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    builds: list[int] = []
    original = Parts.__init__

    def counted(self: Parts, *args: object) -> None:
        builds.append(threading.get_ident())
        original(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Parts, "__init__", counted)
    return lambda: builds.count(threading.get_ident())


def test_a_first_record_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logging thread of a child builds no parts; nor does that of its child, after a pause."""
    own_builds = _count_builds(monkeypatch)
    handler = CloudLoggingHandler(transport=FakeTransport(), max_latency=0.01)
    logger = logging.getLogger("test_parts")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.info("the parent")
    assert handler.flush(10)

    def descend(generation: int) -> int:
        before = own_builds()
        logger.info("generation %d", generation)
        if own_builds() != before or not handler.flush(10) or handler.stats().accepted != 1:
            return 1
        spare = handler._gate.product.driver.on_idle.__self__  # type: ignore[attr-defined]
        wait_until(lambda: spare._ready, 10, "the flush thread at rest")
        return 0 if generation == 3 else _in_child(lambda: descend(generation + 1))

    for _ in range(20):
        assert _in_child(lambda: descend(1)) == 0
    logger.removeHandler(handler)
    handler.close()


def _in_child(check: Callable[[], int]) -> int:
    child = os.fork()
    if not child:
        status = 99
        try:
            status = check()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
