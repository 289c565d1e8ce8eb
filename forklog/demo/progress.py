"""What the demo says while it runs: a live line on a terminal, else a plain line for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from types import TracebackType


_ERASE = "\r\x1b[K"
_WIDTH = 79  # a longer line would wrap, and only its last part be erased


class Progress:
    """Progress on a stream; leaves nothing behind on a terminal.

    Args:
        stream: where it is shown.
        total: how many rows there will be.

    """

    def __init__(self, stream: TextIO, total: int) -> None:
        """Show nothing yet."""
        self._stream = stream
        self._total = total
        self._done = 0
        self._is_live = stream.isatty()

    def update(self, words: str) -> None:
        """Show what is going on; only a terminal sees it."""
        if self._is_live:
            line = f"[{self._done + 1}/{self._total}] {words}"
            self._write(_ERASE + line[:_WIDTH])

    def finish(self, words: str) -> None:
        """Count a row as done; what is not a terminal gets a line."""
        self._done += 1
        if not self._is_live:
            self._write(f"[{self._done}/{self._total}] {words}\n")

    def __enter__(self) -> Progress:  # noqa: PYI034  typing.Self is not in 3.10
        """Return the progress itself; the live line is erased at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Erase the live line."""
        if self._is_live:
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
