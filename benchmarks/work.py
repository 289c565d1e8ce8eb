"""The log calls that every subject makes, and the mark by which the sink knows a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

MESSAGE = "user %s did %d things in %.3f s"
MARK = b" things in "  # once in every record, on every wire; in no stack trace
FIELDS = {"order": 4711, "cart": "full", "total": 41.5, "express": True}
LABELS = {"shelf": "7", "tenant": "acme"}
EXTRA = {"json_fields": FIELDS, "labels": LABELS}


def plain(logger: logging.Logger, number: int) -> None:
    """Log sentences."""
    for i in range(number):
        logger.info(MESSAGE, "alice", i, 0.25)


def fields(logger: logging.Logger, number: int, extra: dict[str, Any]) -> None:
    """Log sentences with structured fields and labels."""
    for i in range(number):
        logger.info(MESSAGE, "alice", i, 0.25, extra=extra)


def exception(logger: logging.Logger, number: int) -> None:
    """Raise, catch and log so many exceptions."""
    for i in range(number):
        try:
            fail(3)
        except ValueError:
            logger.exception(MESSAGE, "alice", i, 0.25)


def fail(depth: int) -> None:
    """Raise from a few calls down."""
    if depth:
        fail(depth - 1)
    else:
        raise ValueError(depth)
