"""Sets on a record what the stock handler's filter would, while a subclass's own ``emit`` runs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forklog.encoding.encoder import Encoder


@contextlib.contextmanager
def as_filtered(record: logging.LogRecord, encoder: Encoder) -> Iterator[None]:
    """Set the attributes that google's filter sets, and take back those that were not there."""
    given = getattr(record, "__dict__", {})
    filtered = encoder.as_filtered(record).items()
    added = {name: value for name, value in filtered if name not in given}
    try:
        given.update(added)
        yield
    finally:
        for name in added:
            given.pop(name, None)
