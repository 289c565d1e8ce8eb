"""Turns: one frame at a time, and none after an exception has thrown that frame out."""

from __future__ import annotations

import signal
import sys
import threading

import pytest
from helpers import DONE, run_python

from forklog.turn import TURN, EndEvent, Turn, TurnLock, alone


def _leave(turn: dict[int, object], taker: object) -> None:
    """Take a turn as a frame does that is thrown out before it can give it back."""
    assert turn.setdefault(TURN, taker) is taker


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="no signal comes before a finally there")
def test_a_turn_whose_frame_was_thrown_out_is_free() -> None:
    """Two handlers that raise in direct succession: after the ``setdefault``, in the ``finally``.

    On Python 3.10 alone CPython runs a handler at the entry of a ``finally``. The class of fault: a
    turn, or a lock made of one, that stays taken for ever.
    """
    turn, lock, done = Turn(), TurnLock(), []
    _leave(turn, object())
    alone(turn, lambda: done.append(1))
    _leave(lock._turn, [threading.get_ident()])
    other = threading.Thread(target=lock.run, args=(done.append, 2), daemon=True)
    other.start()
    other.join(20)
    _leave(lock._turn, [threading.get_ident()])
    lock.run(done.append, 3)
    assert done == [1, 2, 3]
    assert TURN not in turn
    assert lock.is_free()


def test_one_frame_has_the_turn() -> None:
    """Another one does nothing meanwhile, in the same thread or in a signal handler."""
    turn, done = Turn(), []
    signal.signal(signal.SIGUSR1, lambda *_: alone(turn, lambda: done.append("handler")))
    try:
        alone(
            turn,
            lambda: (
                alone(turn, lambda: done.append("inner")),
                signal.raise_signal(signal.SIGUSR1),
            ),
        )
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert done == ["handler"]


def test_a_lock_lets_one_thread_in() -> None:
    """Each of many threads adds in two steps, and none is lost; a thread may come in twice."""
    lock, sums = TurnLock(), [0]

    def add() -> None:
        before = sums[0]
        lock.run(lambda: None)
        sums[0] = before + 1

    def work() -> None:
        for _ in range(300):
            lock.run(add)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sums == [1200]
    assert lock.is_free()


def test_a_turn_that_a_frozen_thread_keeps_is_taken_over_at_the_end() -> None:
    """As the interpreter ends it freezes the daemon threads; what a ``__del__`` logs must not wait.

    The class of fault: an exit that hangs for ever.
    """
    done = run_python(
        """
        import os, threading, time
        from forklog.turn import TurnLock

        lock = TurnLock()

        class Late:
            def __init__(self):
                self.lock, self.write = lock, os.write
            def __del__(self):
                self.write(1, self.lock.run(lambda: b"late"))

        late = Late()
        threading.Thread(target=lock.run, args=(time.sleep, 999), daemon=True).start()
        while lock.is_free():
            time.sleep(0.01)
        """,
        timeout=10,
    )
    assert (done.returncode, done.stdout) == (DONE, "late"), done


class _Deep:
    """A lock whose release is one call too deep, the first time."""

    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1
        if self.released == 1:
            raise RecursionError
        raise RuntimeError("release unlocked lock")


def test_a_recursion_error_is_no_sign_of_an_end_that_was_set_before() -> None:
    """It is a RuntimeError, as that of a lock that is free; who waits was not woken."""
    end, lock = EndEvent(), _Deep()
    end._lock = lock  # type: ignore[assignment]
    with pytest.raises(RecursionError):
        end.set()
    end.set()
    assert lock.released == 2
    assert end.is_set()
