"""No loop with a condition stands in a ``try`` or ``with`` block whose end a state rests on.

From CPython 3.12 on the compiler makes such a jump back of two jumps. The second one is in no entry
of the exception table. Signal handlers run there, and what one raises skips the ``except``, the
``finally`` and the ``__exit__`` of the function. So the loop is a function that the block calls: an
exception that comes out of a call is in the block. From 3.14 on ``any`` and ``all`` of a generator
are such loops as well, as comprehensions are from 3.12 on.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from strike import every_alarm

import forklog
from forklog.delivery.free_threaded.buffer import UnlockedBuffer

_ROOT = Path(forklog.__file__).parent
_ROOMS = ("context", "delivery", "encoding", "process", "spool", "stderr", "transports")
_FILES = [*_ROOT.glob("*.py"), *(f for room in _ROOMS for f in (_ROOT / room).rglob("*.py"))]

# Loops that may stay, because what is skipped there changes nothing for the next record:
#
# - `TurnLock.run` and `ProcessSpool.open` jump back only while another frame has the turn, so
#   there is none to give back.
# - `Wakeups.set`, `_write` and `_write_file` skip an ``except`` for errors of their own calls. No
#   state hangs on it, and the descriptor is closed by the function that calls.
# - `_Lines.write` skips the release of a lock on a descriptor that its caller opened; the caller's
#   block closes that, and so releases it.
# - `_flush` skips the end of a wait for the exit's deadline. `flush_at_exit` catches what was
#   raised, cuts the deadline and tries again.
# - `_ends_worker` skips an ``except`` that keeps errors of uWSGI's from the application. The same
#   exception, raised one bytecode after the block, would reach the application too.
_HARMLESS = {
    "turn.py TurnLock.run",
    "spool/spooler.py ProcessSpool.open",
    "delivery/wakeup.py Wakeups.set",
    "delivery/sinks/private_file.py _write",
    "stderr/descriptor.py _write_file",
    "stderr/descriptor.py _Lines.write",
    "process/exit_hooks.py _flush",
    "process/servers/uwsgi_exceptions.py _ends_worker",
}

needs_tables = pytest.mark.skipif(sys.version_info < (3, 12), reason="blocks have no such gaps")


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _uncovered(source: str) -> set[str]:
    """Return the functions with a jump back that is outside of a block around its loop."""
    found = set()
    for code in _codes(compile(source, "source", "exec")):
        steps = {step.offset: step for step in dis.get_instructions(code)}
        handlers = _Handlers(code, steps)
        for step in steps.values():
            # Without a line: made for `await` and `yield from`, where something is thrown in.
            is_back = step.opname == "JUMP_BACKWARD" and _line(step) is not None
            if is_back and handlers.at(step.argval) - handlers.at(step.offset):
                found.add(str(getattr(code, "co_qualname", code.co_name)))
    return found


def _line(step: Any) -> int | None:
    line: int | None = step.positions.lineno
    return line


class _Handlers:
    """The exception table of a function."""

    def __init__(self, code: CodeType, steps: dict[int, Any]) -> None:
        self._steps = steps
        parse: Any = dis._parse_exception_table  # type: ignore[attr-defined]
        self._table = parse(code)

    def at(self, offset: int) -> frozenset[int]:
        """Return the handlers of ``try`` and ``with`` around a bytecode.

        Those of comprehensions and generators are passed through: they only tidy the frame.
        """
        for entry in self._table:
            if entry.start <= offset < entry.end:
                is_written = self._steps[entry.target].opname == "PUSH_EXC_INFO"
                return frozenset({entry.target} if is_written else ()) | self.at(entry.target)
        return frozenset()


@needs_tables
def test_the_scan_sees_a_loop_in_a_block() -> None:
    """It finds a loop with a condition in a block; none in a function that the block calls."""
    loop = "    {}\n        while a:\n            b()\n    finally:\n        c()\n"
    inside = "def f():\n" + loop.format("try:")
    called = "def f():\n    try:\n        g()\n    finally:\n        c()\n"
    listed = "def f():\n    with a:\n        return [b for b in c() if b]\n"
    apart = "def g():\n    return [b for b in c() if b]\n"
    if sys.version_info < (3, 14):
        assert _uncovered(inside) == {"f"}
    if sys.version_info < (3, 15):
        assert _uncovered(listed) == {"f"}
    assert _uncovered(called + apart) == set()


@needs_tables
def test_no_block_rests_on_a_loop() -> None:
    """A loop with a condition in a block is a function of its own, or skips nothing of weight."""
    found = {
        f"{file.relative_to(_ROOT).as_posix()} {one}"
        for file in _FILES
        for one in _uncovered(file.read_text(encoding="utf-8"))
    }
    assert found - _HARMLESS == set()


def test_what_is_harmless_is_there() -> None:
    """The list names functions that exist."""
    for one in _HARMLESS:
        name, _, function = one.partition(" ")
        assert f"def {function.rpartition('.')[2]}(" in (_ROOT / name).read_text(encoding="utf-8")


def test_sums_of_bytes_go_on_after_whatever_strikes() -> None:
    """Real signals while one frame adds up what others left: the turn comes back each time."""
    buffer = UnlockedBuffer(1 << 40)

    def add_up() -> None:
        buffer._changes.extend([1] * 50)
        buffer.count_taken(1)

    for _ in every_alarm(add_up, 300):
        counted = buffer.bytes
        buffer.count_taken(1)
        assert not buffer._changes, "the turn is lost"
        assert buffer.bytes > counted
