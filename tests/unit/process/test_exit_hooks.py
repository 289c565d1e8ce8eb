"""How processes end: what is pending is delivered by a hook that really runs."""

from __future__ import annotations

import json
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import DONE, check_python, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from forklog.emulator.process import Emulator

_LOG = """
import forklog, logging, os, sys
handler = forklog.CloudLoggingHandler(endpoint={url!r}, project="p", max_latency=30)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel("INFO")
"""

_ENDS = {
    "falls off the end": "logging.info('last')",
    "sys.exit": "logging.info('last'); sys.exit(DONE)",
    "an exception": "logging.info('last')\nsys.excepthook = lambda *_: None\nraise ValueError",
    "without logging's hook": (
        "import atexit; atexit.unregister(logging.shutdown); logging.info('last')"
    ),
    "a non-daemon thread logs last": (
        "import threading, time\n"
        "logging.info('first')\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), logging.info('last'))).start()"
    ),
    "an atexit callback logs": (
        "import atexit; logging.info('first'); atexit.register(lambda: logging.info('last'))"
    ),
    "the first record of all in an atexit callback": (
        "import atexit; atexit.register(lambda: logging.info('last'))"
    ),
    "os.fork and sys.exit": (
        "pid = os.fork()\n"
        "if not pid:\n    logging.info('last'); sys.exit(DONE)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE"
    ),
    "multiprocessing": (
        "import multiprocessing\n"
        "process = multiprocessing.get_context('fork').Process("
        "target=logging.info, args=('last',))\n"
        "process.start(); process.join()"
    ),
}


@pytest.mark.parametrize("end", few(_ENDS, *list(_ENDS)[::2], mark=pytest.mark.thorough))
def test_the_last_record_arrives(emulator: Emulator, end: str) -> None:
    """Although max_latency is far away, what was logged last is delivered at the exit, once."""
    done = run_python(_LOG.format(url=emulator.url) + _ENDS[end], 40)
    assert done.returncode == (1 if end == "an exception" else DONE), done.stderr
    texts = [entry["textPayload"] for entry in emulator.entries()]
    assert texts.count("last") == 1, (texts, done.stderr)
    assert "Traceback" not in done.stderr


def test_an_exit_is_bounded_and_loses_nothing_silently(emulator: Emulator, tmp_path: Path) -> None:
    """With a server that hangs the exit takes shutdown_timeout + 1 s; the entries are in a file."""
    emulator.fault("hang")
    lost = tmp_path / "lost"
    start = time.monotonic()
    done = check_python(f"""
        import forklog, logging, time
        start = time.monotonic()
        handler = forklog.CloudLoggingHandler(
            endpoint={emulator.url!r}, project="p", shutdown_timeout=1, last_resort={str(lost)!r})
        logging.getLogger().addHandler(handler)
        for n in range(3):
            logging.warning("n%d", n)
        print(time.monotonic() - start, flush=True)
    """)
    emulator.clear_faults()
    # The request alone would wait for a minute; the rest is for a machine that is busy.
    assert time.monotonic() - start < 20
    texts = [json.loads(line)["textPayload"] for line in lost.read_text().splitlines()]
    assert texts == ["n0", "n1", "n2"]
    assert "wrote 3 undelivered log entries to the last resort" in done.stderr


@pytest.mark.parametrize("is_released", [True, False])
def test_an_exit_waits_for_a_daemon_thread_that_is_in_close(
    tmp_path: Path, *, is_released: bool
) -> None:
    """What another thread was closing is delivered, or in the last resort, when the process ends.

    Closes the class: a thread that delivers and that the end of the process freezes unawaited.
    """
    lost = tmp_path / "lost"
    done = check_python(f"""
        import atexit
        atexit.register(lambda: print(len(transport.entries), handler.stats().pending))  # the last
        import logging, threading, time
        from forklog import CloudLoggingHandler
        from forklog.testing import FakeTransport, Hang
        transport = FakeTransport(Hang())
        handler = CloudLoggingHandler(
            transport=transport, shutdown_timeout=20 if {is_released} else 1,
            last_resort={str(lost)!r})
        logging.getLogger().addHandler(handler)
        logging.warning("old")
        transport.wait_until(lambda: transport.sent, 20)

        def release():
            time.sleep(1.0)
            transport.release()

        threading.Thread(target=handler.close, daemon=True).start()
        while not handler._gate.product.is_closing:
            time.sleep(0.01)
        if {is_released}:
            threading.Thread(target=release, daemon=True).start()
        atexit.unregister(logging.shutdown)  # up to 3.12 it flushes, and waits so
    """)
    assert done.stdout.split() == ["1" if is_released else "0", "0"], done.stderr
    assert lost.exists() is not is_released
    if not is_released:
        assert [json.loads(line)["textPayload"] for line in lost.read_text().splitlines()] == [
            "old"
        ]


def test_a_hook_in_a_life_that_goes_on_gives_up_nothing_of_a_close_under_way() -> None:
    """A hook of uvicorn's, or of a worker's reload, may come while a thread is in a longer `close`.

    Closes the class: an end that counts for the process, called where the process goes on.
    """
    check_python("""
        import logging, threading, time
        from forklog import CloudLoggingHandler
        from forklog.process import exit_hooks
        from forklog.testing import FakeTransport, Hang
        transport = FakeTransport(Hang())
        handler = CloudLoggingHandler(
            transport=transport, shutdown_timeout=0.2, last_resort="none", answer_timeout=60)
        logging.getLogger().addHandler(handler)
        logging.warning("old")
        transport.wait_until(lambda: transport.sent, 20)
        pipeline = handler._gate.product
        closing = threading.Thread(target=pipeline.close, args=(60,))
        closing.start()
        while not pipeline.is_closing:
            time.sleep(0.01)
        exit_hooks._on_possible_exit()
        transport.release()
        closing.join(60)
        stats = pipeline.stats()
        assert stats.delivered == 1 and not stats.dropped, stats
    """)


def test_several_hooks_share_one_deadline() -> None:
    """What runs at the exit again and again does not wait its full time again and again."""
    check_python("""
        import logging, time
        from forklog import CloudLoggingHandler
        from forklog.testing import FakeTransport, Hang
        from forklog.process.exit_hooks import _on_exit
        transport = FakeTransport(Hang(times=99))
        handler = CloudLoggingHandler(
            transport=transport, shutdown_timeout=0.5, last_resort="none")
        logging.getLogger().addHandler(handler)
        start = time.monotonic()
        for _ in range(3):
            logging.warning("x")
            _on_exit()
        assert time.monotonic() - start < 2.0, time.monotonic() - start
        transport.release()
    """)


_SERVERS = {
    "fast": ("FakeTransport()", 30),
    "slow": ("Slow()", 30),
    "an outage": ("FakeTransport(Fail(seconds=2))", 30),
}
"""A transport, and fewer requests than a record each would be."""
_EXECUTOR = "from concurrent.futures import ThreadPoolExecutor"
_STARTS = {
    "a thread": ("", "threading.Thread(target=work).start()"),
    # The executor's hook and ours are of one list, which Python goes through from its end.
    "an executor imported before": (_EXECUTOR, "ThreadPoolExecutor().submit(work)"),
    "an executor imported after": ("", f"{_EXECUTOR}\nThreadPoolExecutor().submit(work)"),
}
"""What is imported first, and what starts the thread that goes on."""


@pytest.mark.parametrize(
    ("server", "start"),
    [(server, "a thread") for server in _SERVERS]
    + [("slow", start) for start in _STARTS if start != "a thread"],
)
def test_the_end_of_the_main_thread_is_no_end_while_others_live(server: str, start: str) -> None:
    """Another thread logs on after the main thread has returned: batches as before, no loss.

    It is a thread of the application's, or of an executor that was never shut down.

    The slow server's answer and the outage take longer than the shutdown_timeout.

    Class of fault: a hook that fires while the process lives on is taken for its end; siblings:
    `test_a_program_that_goes_on_after_ctrl_c`,
    `test_a_hook_in_a_life_that_goes_on_gives_up_nothing_of_a_close_under_way`,
    `test_an_exception_that_ends_no_worker_waits_for_nothing`.
    """
    transport, most = _SERVERS[server]
    before, begin = _STARTS[start]
    done = run_python(
        f"""
        {before}
        import atexit, logging, threading, time
        atexit.register(lambda: print(len(transport.sent), len(transport.entries), given_up()))
        from forklog import CloudLoggingHandler
        from forklog.testing import Fail, FakeTransport

        class Slow(FakeTransport):
            def open(self):
                self.connection = super().open()
                return self
            def send(self, entries, timeout):
                time.sleep(0.6)
                return self.connection.send(entries, timeout)
            def close(self):
                self.connection.close()

        transport = {transport}
        handler = CloudLoggingHandler(
            transport=transport, max_latency=0.3, max_retry_delay=1, shutdown_timeout=0.5)
        log = logging.getLogger("on")
        log.addHandler(handler)
        log.setLevel("INFO")
        def given_up():
            stats = handler.stats()
            return sum(stats.dropped.values()) + sum(stats.diverted.values())
        log.info("first")
        def work():
            while not threading._SHUTTING_DOWN:  # the main thread has returned
                time.sleep(0.01)
            for n in range(100):
                log.info("n%d", n)
                time.sleep(0.01)
            deadline = time.monotonic() + 30
            while handler.stats().pending and time.monotonic() < deadline:
                time.sleep(0.01)
        {textwrap.indent(begin, " " * 8).lstrip()}
        """,
        60,
    )
    assert done.returncode == DONE, done.stderr
    requests, entries, given_up = map(int, done.stdout.split())
    assert (entries, given_up) == (101, 0)
    assert requests < most, "a record each, with a hook that has begun the end"
