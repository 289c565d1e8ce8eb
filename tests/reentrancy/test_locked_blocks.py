"""No ``with lock:`` stands where a signal handler may raise.

From CPython 3.14 on the handler's exception may come between ``__enter__`` and the block, and the
lock stays held. In an empty block 1,150 of 2,900 exceptions came there, and the flush thread waited
for the ledger's lock for ever. On 3.12 and 3.13 it may come at the jump back from a condition in a
loop of the block. That jump is in no entry of the exception table. So locks are turns; see
`forklog.turn`.
"""

from __future__ import annotations

import ast
from pathlib import Path

from strike import every_alarm

import forklog
from forklog.turn import TurnLock

_ROOT = Path(forklog.__file__).parent
_ROOMS = ("context", "delivery", "encoding", "process", "spool", "stderr", "transports")
_FILES = [*_ROOT.glob("*.py"), *(f for room in _ROOMS for f in (_ROOT / room).rglob("*.py"))]


def _locked_blocks(source: str) -> list[int]:
    """Return the lines of ``with ...lock:``."""
    return [
        block.lineno
        for block in ast.walk(ast.parse(source))
        if isinstance(block, ast.With)
        and any(ast.unparse(item.context_expr).lower().endswith("lock") for item in block.items)
    ]


def test_the_scan_sees_a_block() -> None:
    """It finds the block of a lock, and no other."""
    assert _locked_blocks("with a.b_lock:\n    pass\nwith open(c):\n    pass\n") == [1]


def test_no_block_holds_a_lock() -> None:
    """What needs a lock is a function that `TurnLock.run` calls."""
    found = {file: _locked_blocks(file.read_text(encoding="utf-8")) for file in _FILES}
    assert {file: lines for file, lines in found.items() if lines} == {}


def test_a_turn_lock_is_free_after_whatever_strikes() -> None:
    """Real signals, at random points of thousands of calls, nested ones too."""
    lock = TurnLock()

    def work() -> list[int]:
        return lock.run(lambda: [number for number in range(9) if number % 2])

    for _ in every_alarm(lambda: lock.run(work), 1500):
        assert lock.is_free()
