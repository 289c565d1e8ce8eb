"""What every subject can do; those that are handlers of `logging` share all of it."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks import work

if TYPE_CHECKING:
    from collections.abc import Callable

_TRACE_ID, _SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


class Subject:
    """A way to log: a handler on a logger that has no other."""

    wire: ClassVar[str | None] = None
    """How it reaches the sink; None if it delivers nothing."""
    extra: ClassVar[dict[str, Any] | None] = None
    """The ``extra=`` that makes it deliver the fields and labels; None if nothing does."""
    carries_trace: ClassVar[bool] = False
    """Whether it delivers the trace of the current span."""

    def __init__(self, **options: Any) -> None:
        """Take options for the handler, beyond its defaults."""
        self.options = options

    def start(self, port: int) -> None:
        """Build the handler and attach it."""
        self.handler = self.build(port)
        self.logger = logging.getLogger("shop.orders")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        self.logger.addHandler(self.handler)

    def build(self, port: int) -> logging.Handler:
        """Return the handler, pointed at a port of the sink."""
        raise NotImplementedError

    def hurry(self) -> None:
        """Have what is queued sent now; may return before it is."""

    def dropped(self) -> int:
        """Return how many records it says that it has dropped."""
        return 0

    def plain(self, number: int) -> None:
        """Log sentences."""
        work.plain(self.logger, number)

    def fields(self, number: int) -> None:
        """Log sentences with fields and labels."""
        work.fields(self.logger, number, self.extra or work.EXTRA)

    def exception(self, number: int) -> None:
        """Log exceptions."""
        work.exception(self.logger, number)

    def sized(self, number: int, size: int) -> None:
        """Log messages of so many characters."""
        text = (work.MESSAGE % ("alice", 7, 0.25)).ljust(size - 10, "x")
        for i in range(number):
            self.logger.info(f"{i:9d} {text}")  # noqa: G004 - each text its own

    def variant(self, name: str) -> Callable[[int], None]:
        """Return the loop of a variant: plain, fields, exception or trace."""
        if name == "trace":
            self._enter_span()
            return self.plain
        self._leave_span()
        loop: Callable[[int], None] = getattr(self, name)
        return loop

    _span: contextlib.ExitStack | None = None

    def _enter_span(self) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - only a process with a trace has it loaded

        context = trace.SpanContext(_TRACE_ID, _SPAN_ID, False, trace.TraceFlags(1))  # noqa: FBT003
        self._span = contextlib.ExitStack()
        self._span.enter_context(trace.use_span(trace.NonRecordingSpan(context)))

    def _leave_span(self) -> None:
        if self._span is not None:
            self._span.close()
            self._span = None
