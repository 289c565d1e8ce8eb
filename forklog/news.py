"""Step 5, beside the flusher: what is said of its batches, on stderr and to ``on_drop``.

Called with no lock held, since stderr and callbacks may be slow, and a callback may do anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from forklog.options import Options
from forklog.report import Report
from forklog.retry import Kind, Verdict

__all__ = ["News"]

_HICCUPS = 2  # so many failures of one batch are no news


class News:
    """Say what became of batches and of dropped entries."""

    def __init__(self, options: Options, report: Report) -> None:
        """Say nothing yet."""
        self._on_drop = options.on_drop
        self._report = report
        self._is_trouble_said = False
        self.is_calling = False
        """``on_drop`` runs."""

    def of_attempt(self, attempts: int, verdict: Verdict) -> None:
        """Say that nothing can be delivered, and, if that was said, that it can again."""
        if verdict.kind is Kind.BLOCKED:
            text = f"cannot deliver logs: {verdict.reason}"
            self._is_trouble_said |= self._report.say("blocked", text)
        elif verdict.kind is Kind.RETRY or verdict.again:
            if attempts > _HICCUPS:
                text = f"cannot deliver logs yet, retrying: {verdict.reason}"
                self._is_trouble_said |= self._report.say("retry", text)
        elif verdict.kind is Kind.DELIVERED and self._is_trouble_said:
            self._is_trouble_said = not self._report.say("again", "delivers logs again")

    def of_drop(
        self, reason: str, number: int, entries: Sequence[bytes] = (), why: str = ""
    ) -> None:
        """Say that entries were dropped, and hand them to the application."""
        self._report.drop(reason, number, why)
        if self._on_drop is None or not entries:
            return
        self.is_calling = True
        try:
            self._on_drop(list(entries), reason)
        except Exception as error:  # noqa: BLE001 - the application's callback, our thread
            self._report.say("on_drop", f"on_drop raised {type(error).__name__}")
        finally:
            self.is_calling = False
