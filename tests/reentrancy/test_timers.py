"""Real signals at random points of thousands of log calls, with handlers that raise.

The class of faults is that of `test_struck`, which strikes at each point in turn by tracing. Here
the kernel chooses the points, so that one which no trace reaches would show.
"""

from __future__ import annotations

import pytest
from helpers import check_python

SECONDS = 4


@pytest.mark.thorough
@pytest.mark.parametrize("error", ["KeyboardInterrupt", "RuntimeError", "MemoryError"])
def test_signal_handlers_that_raise_while_records_are_logged(error: str) -> None:
    """What returned is delivered or counted, what was struck comes at most once; it goes on.

    Class of fault: an exception of a signal handler at a point that no trace reaches; siblings:
    `test_a_turn_lock_is_free_after_whatever_strikes`,
    `test_sums_of_bytes_go_on_after_whatever_strikes`, `test_where_cpython_runs_signal_handlers`.
    """
    done = check_python(
        f"""
        import logging, random, signal, sys, time
        import forklog
        from forklog.testing import FakeTransport
        dice = random.Random(1)
        struck, is_on = 0, False
        def strike(_, frame):
            global struck
            # Not where the loop below has caught one, and has not said so yet.
            if is_on and not (frame.f_code.co_name == "<module>" and sys.exc_info()[0]):
                struck += 1
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0002, 0.003))
                raise {error}
        signal.signal(signal.SIGALRM, strike)
        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(transport=transport, max_latency=0.005)
        log = logging.Logger("timers"); log.addHandler(handler)
        kept, number, until = set(), 0, time.monotonic() + {SECONDS}
        while time.monotonic() < until or struck <= 100:
            number += 1
            try:
                is_on = True
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0002, 0.003))
                for part in range(20):
                    log.info("%d.%d", number, part)
                    kept.add(f"{{number}}.{{part}}")
                if number % 10 == 0:
                    handler.flush(0.01)
                is_on = False
            except {error}:
                is_on = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        log.error("the next record")
        # False for once if the encoder has dropped a record since the last flush.
        is_exception = issubclass({error}, Exception)
        assert handler.flush(20) or is_exception and handler.flush(20), handler.stats()
        # A RuntimeError at the start of the thread has the main thread send: struck between answer
        # and booking, a batch is sent once more, with its insertIds, and shown once.
        entries = transport.entries
        if {error} is RuntimeError:
            entries = list({{entry["insertId"]: entry for entry in entries}}.values())
        texts = [entry["textPayload"] for entry in entries if "textPayload" in entry]
        assert struck > 100, struck
        assert "the next record" in texts
        assert len(texts) == len(set(texts)), "one came twice"
        stats = handler.stats()
        dropped = sum(stats.dropped.values())
        if is_exception:  # in the encoder it counts as its own: another text,
            assert len(kept) <= len(texts) + dropped, stats  # or a drop that is reported
        else:
            assert kept <= set(texts) and not dropped, stats
        assert stats.accepted == stats.delivered + dropped, stats
        assert stats.delivered == len(entries) and stats.pending == 0, stats
        print(struck, number, len(texts))
        """,
        timeout=60,
        is_covered=False,  # coverage's own code is struck as well, and slows the flush thread
    )
    print(done.stdout)  # noqa: T201 - with -s
