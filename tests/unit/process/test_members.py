"""The weak set of pipelines, which threads add to while a fork or an exit goes through it."""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from forklog.process.members import Members

if TYPE_CHECKING:
    from collections.abc import Iterator


class Thing:
    """Something that can be held weakly."""


@pytest.fixture(autouse=True)
def _quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_threads_add_while_others_look() -> None:
    """No look raises, and each sees at least what was there before it.

    A plain list of the set raises RuntimeError here: it changed size during iteration.
    """
    members: Members[Thing] = Members()
    first = [Thing() for _ in range(500)]
    for thing in first:
        members.add(thing)
    is_over = threading.Event()

    def add() -> None:
        kept: list[Thing] = []
        while not is_over.is_set():
            kept.append(Thing())
            members.add(kept[-1])
            if len(kept) > 1000:
                kept.clear()  # they go while others look, too

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            assert set(members.all()) >= set(first)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_a_member_is_not_kept_alive() -> None:
    """What is gone is in no answer."""
    members: Members[Thing] = Members()
    members.add(Thing())
    gc.collect()
    assert members.all() == []
