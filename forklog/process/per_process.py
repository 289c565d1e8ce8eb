"""The fork gate: gives the handler the pipeline of the process that asks; builds it after a fork.

A product carries a `Mark` that is true only in the process that made it. On Linux the mark lies in
a page that the kernel itself wipes in every child (``MADV_WIPEONFORK``, Linux 4.14). It sees any
fork, also those of C code that runs no Python hook, and a PID that comes back does not fool it.
Reading it costs a tenth of a ``getpid`` system call. Elsewhere the mark compares PIDs, and the
at-fork callback covers a PID that comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from forklog.process.base import Mark


class Product(Protocol):
    """What a gate keeps: something that belongs to one process."""

    mark: Mark
    successor: dict[str, object]


P = TypeVar("P", bound=Product)


class PerProcess(Generic[P]):
    """Keep one product for each process: made at construction, and anew after every fork.

    Reading is ``gate.product`` and a look at its mark (the hot path of a log call does just that);
    where the mark is false, `current` makes the successor. No lock is taken, so a fork that left
    every inherited lock held cannot stop it. Several threads that find the same stale product agree
    on one successor. The inherited product is handed to the factory and otherwise never touched.
    """

    def __init__(self, build: Callable[[P | None], P]) -> None:
        """Build the first product; ``build(stale)`` gets None here and the inherited one later."""
        self._build = build
        self.product = build(None)

    def current(self) -> P:
        """Return this process's product; build it if the known one is another's. Never blocks."""
        product = self.product
        while not product.mark[0]:
            # dict.setdefault is one step: of two threads here, both get the same successor.
            product = product.successor.setdefault("product", self._build(product))  # type: ignore[assignment]
            self.product = product
        return product
