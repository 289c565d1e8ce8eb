"""Forks while other threads log, hold locks, or wait for a slow server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Forks


@pytest.mark.thorough
def test_while_the_server_keeps_the_parent_waiting(forks: Forks) -> None:
    """The parent's request hangs, its queue is full: children deliver theirs, it keeps its own."""
    forks.emulator.fault("hang", count=1, on="write")
    forks.run("""
        import os
        from stage import handler, log, logger, run, until_hung
        from urllib.request import Request, urlopen

        log()
        until_hung()
        log(200, padding="x" * 2000)
        before = handler.stats()
        for _ in range(20):
            run(log, 2)
        assert handler.stats().pending == before.pending == 201
        url = f"http://{os.environ['LOGGING_EMULATOR_HOST']}/emulator/faults"
        urlopen(Request(url, method="DELETE")).close()
        assert handler.flush()
        assert not handler.stats().dropped
    """)
    forks.check_every_record_once(processes=21)


def test_while_the_parents_queue_overflows(forks: Forks) -> None:
    """Children of a parent whose buffer overflows deliver all; the parent counts its loss."""
    forks.emulator.fault("hang", count=1, on="write")
    done = forks.run("""
        import logging, os
        import stage
        from forklog import CloudLoggingHandler
        from urllib.request import Request, urlopen

        stage.logger.removeHandler(stage.handler)
        stage.handler = CloudLoggingHandler(
            project="forks", max_latency=0.05, max_buffer_bytes=1024 * 1024
        )
        stage.logger.addHandler(stage.handler)
        stage.log()
        stage.until_hung()
        for number in range(1000):
            stage.logger.info("parent %d %s", number, "x" * 2000)
        for _ in range(20):
            stage.run(stage.log, 2)
        url = f"http://{os.environ['LOGGING_EMULATOR_HOST']}/emulator/faults"
        urlopen(Request(url, method="DELETE")).close()
        assert not stage.handler.flush(), "some were dropped"
        stage.until(lambda: not stage.handler.stats().pending)  # nor the notice of that
        stats = stage.handler.stats()
        assert stats.accepted >= 1001
        assert stats.accepted == stats.delivered + sum(stats.dropped.values())
        print(stats.dropped["buffer_full"])
    """)
    logged = set(forks.logged())
    assert len(logged) == 41
    wait_until(lambda: logged <= set(forks.arrived()), 10, "the records of the children")
    parents = forks.emulator.entries('textPayload:"parent "')
    assert len(parents) == 1000 - int(done.stdout)
    assert forks.emulator.stats()["duplicates"] == 0


LOCKS = {
    "logging's": "logging._lock",
    "the import": "ImportLock()",
    "the handler's": "handler.lock",
    "the ledger's": "Taken(handler._gate.product.sender.ledger.lock._turn)",
    "the pass's": "Taken(handler._gate.product.sender._sending)",
    "the starter's": "Taken(handler._gate.product._start_turn)",
}
# os.fork itself waits for the first two.
HELD = [(fork, lock) for fork in ("os.fork", "c_fork") for lock in LOCKS][2:]


@pytest.mark.parametrize(
    ("fork", "lock"), few(HELD, *HELD[:4:2], *HELD[5::2], mark=pytest.mark.thorough)
)
def test_while_another_thread_holds_a_lock(forks: Forks, fork: str, lock: str) -> None:
    """No lock that stays held for ever in the child keeps it from logging and delivering."""
    forks.run(f"""
        import _imp, ctypes, logging, os, threading, time
        from stage import DONE, handler, log, quiet, reap

        class ImportLock:
            def __enter__(self):
                _imp.acquire_lock()
            def __exit__(self, *_):
                _imp.release_lock()

        class Taken:
            def __init__(self, turn):
                self.turn = turn
            def __enter__(self):
                while self.turn.setdefault(0, self) is not self:
                    time.sleep(0.001)
            def __exit__(self, *_):
                del self.turn[0]

        c_fork = ctypes.PyDLL(None).fork  # keeps the GIL, runs no callback of Python's
        log()  # the pipeline runs, and the logger remembers its level
        assert handler.flush()
        held, over = threading.Event(), threading.Event()

        def hold():
            with {LOCKS[lock]}:
                held.set()
                over.wait(60)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(10)
        for _ in range(20):
            if {fork} is c_fork:
                quiet()  # not for os.fork: a thread that waits for a turn looks again and again
            child = {fork}()
            if not child:
                log(2)
                os._exit(DONE if handler.flush() else 2)
            reap(child)
        over.set()
        thread.join()
        log()
    """)
    forks.check_every_record_once(processes=21)
