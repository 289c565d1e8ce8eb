"""Which adopters let go of their orphans once the spool that has them is collected."""

from __future__ import annotations

import gc
from typing import Any

from forklog.spool.left.adopting import Adopting
from forklog.spool.left.adoption import Sums


class _Adopter:
    closed = 0

    def close(self) -> None:
        self.closed += 1


class _Interrupted(Adopting):
    """Another thread ends its pass between two statements of `replace`."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "adopter" and value is not None and self.adopter is not None:
            self._close()
        super().__setattr__(name, value)

    adopter: Any = None


def test_a_new_adopter_is_closed_whatever_ends_meanwhile() -> None:
    """What cleans up after the one before leaves the new one to the finalizer."""
    first: Any
    second: Any
    first, second = _Adopter(), _Adopter()
    adopting = _Interrupted(Sums())
    adopting.replace(first)
    adopting.replace(second)
    del adopting
    gc.collect()
    assert (first.closed, second.closed) == (1, 1)
