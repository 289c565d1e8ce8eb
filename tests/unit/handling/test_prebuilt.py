"""The prebuilt pipeline: what a child's first record needs is built before the fork."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from helpers import check_python

from forklog import CloudLoggingHandler
from forklog.handling.prebuilt import Prebuilt
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    import pytest


def _prebuilt() -> tuple[Prebuilt[object], list[object]]:
    built: list[object] = []

    def build() -> object:
        built.append(object())
        return built[-1]

    prebuilt = Prebuilt(build)
    prebuilt.renew()
    return prebuilt, built


def test_a_set_is_taken_once() -> None:
    """What was built ahead is taken by one; who comes next waits for his own."""
    prebuilt, built = _prebuilt()
    assert len(built) == 1
    assert prebuilt.take() is built[0]
    assert prebuilt.take() is built[1]
    prebuilt.renew()
    prebuilt.renew()
    assert len(built) == 3
    assert prebuilt.take() is built[2]


def test_locks_of_another_kind_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that was built before gevent patched the locks is no use afterwards."""
    prebuilt, built = _prebuilt()
    monkeypatch.setattr(threading, "Lock", threading.RLock)
    assert prebuilt.take() is built[1]


def test_a_first_record_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain record that finds the pipeline of another process stays on the fast path."""
    handler = CloudLoggingHandler(transport=FakeTransport())
    stale = handler._gate.product
    stale.mark[0] = 0
    monkeypatch.setattr(handler._encoder, "encode_lenient", None)
    handler.handle(logging.makeLogRecord({"msg": "first", "name": "app", "created": time.time()}))
    assert handler._gate.product is not stale
    assert handler.stats().accepted == 1
    handler.close()


def test_a_first_record_builds_nothing() -> None:
    """The logging thread of a child builds no pipeline, nor does that of its child."""
    check_python(
        """
        import logging, os, threading
        from forklog import CloudLoggingHandler
        from forklog.delivery.pipeline import Pipeline
        from forklog.testing import FakeTransport

        def counted(self, *args, **options):
            builders.append(threading.get_ident())
            build(self, *args, **options)

        def generation(left):
            before = builders.count(threading.get_ident())
            logger.info("%d are left", left)
            assert builders.count(threading.get_ident()) == before
            assert handler.flush(10) and handler.stats().accepted == 1
            if left:
                fork(left - 1)

        def fork(left):
            child = os.fork()
            if not child:
                try:
                    generation(left)
                except BaseException as error:
                    os._exit(print(repr(error)) or 1)
                os._exit(47)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 47

        builders, build, Pipeline.__init__ = [], Pipeline.__init__, counted
        handler = CloudLoggingHandler(transport=FakeTransport(), max_latency=0.01)
        logger = logging.getLogger("app")
        logger.addHandler(handler)
        logger.setLevel("INFO")
        logger.info("the parent")
        for _ in range(20):
            fork(3)
    """,
        is_covered=False,
    )
