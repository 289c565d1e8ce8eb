"""The fork gate: every process has its own product, however it was forked."""

from __future__ import annotations

import os
import threading

import pytest
from helpers import check_python

from forklog.process.base import Mark, PidMark, new_mark, pid
from forklog.process.per_process import PerProcess

# From Python 3.15 on the lane that runs the test has a thread of its own.
pytestmark = pytest.mark.filterwarnings("ignore:.*is multi-threaded:DeprecationWarning")


class _Product:
    def __init__(self, inherited: _Product | None, mark: Mark) -> None:
        self.inherited = inherited
        self.mark = mark
        self.successor: dict[str, object] = {}


@pytest.fixture(params=[new_mark, PidMark])
def gate(request: pytest.FixtureRequest) -> PerProcess[_Product]:
    """Return a gate, once with the mark of this platform, once with the portable one."""
    return PerProcess(lambda inherited: _Product(inherited, request.param()))


def _in_child(check: object) -> int:
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 47 if check() else 2  # type: ignore[operator]
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_one_process_keeps_its_product(gate: PerProcess[_Product]) -> None:
    """Without a fork nothing is built anew."""
    assert gate.current() is gate.product is gate.current()


def test_a_child_builds_its_own_once(gate: PerProcess[_Product]) -> None:
    """The child's product is new, knows the inherited one, and stays; the parent's stays too."""
    parents = gate.product

    def check() -> bool:
        own = gate.current()
        return own is not parents and own.inherited is parents and gate.current() is own

    for _ in range(20):
        assert _in_child(check) == 47
    assert gate.current() is parents


def test_a_grandchild_builds_from_its_parent(gate: PerProcess[_Product]) -> None:
    """Five forks deep every process has its own product."""

    def check(depth: int = 5) -> bool:
        own = gate.current()
        if not depth:
            return True
        inner = _in_child(lambda: gate.current() is not own and check(depth - 1))
        return inner == 47

    assert check()


def test_threads_agree_on_one_successor() -> None:
    """Four threads that all are inside the factory at once leave with the same product."""
    barrier = threading.Barrier(4)

    def build(inherited: _Product | None) -> _Product:
        if inherited is not None:
            barrier.wait(10)
        return _Product(inherited, new_mark())

    gate = PerProcess(build)
    for _ in range(20):
        gate.product.mark[0] = 0
        got: list[_Product] = []
        threads = [
            threading.Thread(target=lambda got=got: got.append(gate.current())) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(got) == 4
        assert len(set(map(id, got))) == 1


def test_a_revoked_mark_is_succeeded(gate: PerProcess[_Product]) -> None:
    """A product whose mark was taken away (a closed handler) is replaced at the next look."""
    first = gate.product
    first.mark[0] = 0
    assert gate.current() is not first
    assert gate.current().inherited is first


def test_no_inherited_lock_can_stop_a_child() -> None:
    """Forked while another thread is inside the factory, the child still gets its product."""
    check_python("""
        import os, threading
        from forklog.process.per_process import PerProcess
        from forklog.process.base import new_mark

        class Product:
            def __init__(self):
                self.mark, self.successor = new_mark(), {}

        inside, go = threading.Event(), threading.Event()

        def build(inherited):
            if inherited is not None and threading.current_thread().name == "slow":
                inside.set()
                go.wait(10)
            return Product()

        gate = PerProcess(build)
        gate.product.mark[0] = 0
        thread = threading.Thread(target=gate.current, name="slow")
        thread.start()
        assert inside.wait(10)
        child = os.fork()
        if not child:
            os._exit(47 if gate.current().mark[0] else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 47
        go.set()
        thread.join()
    """)


def test_a_fork_without_hooks_is_seen() -> None:
    """A fork made by C code, which runs no at-fork callback of Python, is seen as well."""
    check_python("""
        import ctypes, os
        from forklog.process.base import new_mark
        mark = new_mark()
        fork = ctypes.PyDLL(None).fork  # keeps the GIL, runs no hooks
        for _ in range(20):
            child = fork()
            if not child:
                os._exit(47 if not mark[0] else 2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 47
            assert mark[0]
    """)


def test_pid_is_never_remembered() -> None:
    """The PID of a child is the child's."""
    parent = pid()
    assert parent == os.getpid()
    assert _in_child(lambda: pid() != parent) == 47
