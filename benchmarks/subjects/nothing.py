"""Handlers that do nothing, as the floor of the table: what `logging` itself costs."""

from __future__ import annotations

import logging

from benchmarks.subjects.subject import Subject


class _NothingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        pass


class Nothing(Subject):
    """A handler with an empty `emit`: what `logging` does for every handler, and no more."""

    def build(self, port: int) -> logging.Handler:  # noqa: ARG002 - nothing is sent
        """Return it."""
        return _NothingHandler()


class Null(Subject):
    """`logging.NullHandler`, whose `handle` is empty too: no filter, no lock."""

    def build(self, port: int) -> logging.Handler:  # noqa: ARG002 - nothing is sent
        """Return it."""
        return logging.NullHandler()
