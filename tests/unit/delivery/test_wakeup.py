"""The wakeup: wake-ups are kept, and `set` never blocks."""

from __future__ import annotations

import signal
import threading
import time

from forklog.delivery.wakeup import Wakeup


def test_a_wake_up_before_the_wait_is_not_lost() -> None:
    """Who sets first and who waits first does not matter."""
    wakeup = Wakeup()
    wakeup.set()
    assert wakeup.wait(0)


def test_many_wake_ups_are_one() -> None:
    """Wake-ups without a waiter are kept as one."""
    wakeup = Wakeup()
    for _ in range(5):
        wakeup.set()
    assert wakeup.wait(0)
    assert not wakeup.wait(0)


def test_a_wait_ends_at_its_timeout() -> None:
    """Without a `set` the wait is over after its time, with False; a negative time is none."""
    wakeup = Wakeup()
    start = time.monotonic()
    assert not wakeup.wait(0.05)
    assert 0.04 < time.monotonic() - start < 2
    assert not wakeup.wait(-5)


def test_a_wake_up_ends_a_wait_in_another_thread() -> None:
    """A waiter without a timeout is woken by a `set`."""
    wakeup, woken = Wakeup(), threading.Event()

    def sleep() -> None:
        wakeup.wait()
        woken.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    wakeup.set()
    assert woken.wait(5)
    thread.join()


def test_a_signal_handler_may_wake_while_its_own_thread_waits() -> None:
    """The handler that interrupts a wait of the same thread can end it."""
    wakeup = Wakeup()
    before = signal.signal(signal.SIGALRM, lambda *_: wakeup.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert wakeup.wait(10)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_no_wake_up_is_lost_among_many() -> None:
    """Two threads that wake each other in turn never get stuck."""
    here, there = Wakeup(), Wakeup()

    def answer() -> None:
        for _ in range(2000):
            assert here.wait(10)
            there.set()

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in range(2000):
        here.set()
        assert there.wait(10)
    thread.join(10)
    assert not thread.is_alive()
