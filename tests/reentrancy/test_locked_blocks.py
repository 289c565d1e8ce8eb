"""Blocks that hold a lock: no loop stands in them.

From CPython 3.12 on, the jump back from a condition in a loop is in no entry of the exception
table. An exception of a signal handler that comes there passes the ``with`` around it by, and the
lock stays held: the flush thread waited for the ledger's for ever (4 of 15 tests of `test_timers`
on 3.13). The siblings were looked for in all blocks that hold a lock.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import forklog

_ROOT = Path(forklog.__file__).parent
_ROOMS = ("context", "delivery", "encoding", "process", "spool", "stderr", "transports")
_FILES = [*_ROOT.glob("*.py"), *(f for room in _ROOMS for f in (_ROOT / room).rglob("*.py"))]
_LOOPS = ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp


def _loops_in_locked_blocks(source: str) -> list[int]:
    """Return the lines of loops that stand in a block of ``with ...lock:``."""
    return [
        loop.lineno
        for block in ast.walk(ast.parse(source))
        if isinstance(block, ast.With)
        and any(ast.unparse(item.context_expr).lower().endswith("lock") for item in block.items)
        for statement in block.body
        for loop in ast.walk(statement)
        if isinstance(loop, _LOOPS)
    ]


def test_the_scan_sees_a_loop() -> None:
    """It finds a comprehension under a lock, and none outside."""
    source = "with a.lock:\n    b = [c for c in d if c]\nfor e in f:\n    pass\n"
    assert _loops_in_locked_blocks(source) == [2]


@pytest.mark.parametrize("file", _FILES, ids=lambda file: str(file.relative_to(_ROOT)))
def test_no_loop_holds_a_lock(file: Path) -> None:
    """Any loop with or without a condition belongs in a function that the block calls."""
    assert not _loops_in_locked_blocks(file.read_text(encoding="utf-8"))
