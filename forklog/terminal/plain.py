"""A command's screen: takes pieces of text with styles, gives plain lines on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

Piece = tuple[str, str]
"""A text and its style, as ``bold red``; an empty style is the terminal's own."""
_ERASE = "\r\x1b[K"
_WIDTH = 79  # a longer line would wrap, and only its last part be erased


class Screen:
    """Lines, tables and progress in plain text."""

    def __init__(self, stream: TextIO) -> None:
        """Show on a stream."""
        self.stream = stream

    def line(self, *pieces: Piece) -> None:
        """Write one line."""
        self.stream.write("".join(text for text, _ in pieces) + "\n")

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        styles: Sequence[str] = (),
        words: int = 1,
    ) -> None:
        """Write a table.

        Args:
            head: the titles of the columns.
            rows: their cells.
            styles: one for each row.
            words: so many columns hold words and stand at the left; the others hold numbers.
        """
        lines = [head, *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = [_aligned(line, widths, words) for line in lines]
        shown.insert(1, "  ".join("-" * width for width in widths))
        for number, text in enumerate(shown):
            self.line((text, styles[number - 2] if number > 1 and styles else ""))

    def progress(self, total: int | None = None) -> Progress:
        """Return the progress of something that has so many parts; for a `with` block."""
        return Progress(self.stream, total)

    def flush(self) -> None:
        """Have all of it seen."""
        self.stream.flush()


class Progress:
    """Progress on a stream: a live line on a terminal, which is erased at the end.

    Args:
        stream: where it is shown.
        total: how many parts there will be; None if that is not known.

    """

    def __init__(self, stream: TextIO, total: int | None) -> None:
        """Show nothing yet."""
        self._stream = stream
        self._total = total
        self._done = 0
        self._is_live = stream.isatty()

    def update(self, words: str) -> None:
        """Show what is going on; only a terminal sees it."""
        if self._is_live:
            self._write(_ERASE + (self._part(self._done + 1) + words)[:_WIDTH])

    def finish(self, words: str) -> None:
        """Count a part as done; what is not a terminal gets a line."""
        self._done += 1
        if not self._is_live:
            self._write(f"{self._part(self._done)}{words}\n")

    def __enter__(self) -> Progress:  # noqa: PYI034  typing.Self is not in 3.10
        """Return the progress itself; the live line is erased at the end of the block."""
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Erase the live line."""
        self._end()

    def _begin(self) -> None:
        """Show nothing yet."""

    def _end(self) -> None:
        if self._is_live:
            self._write(_ERASE)

    def _part(self, number: int) -> str:
        return f"[{number}/{self._total}] " if self._total else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _aligned(cells: Sequence[str], widths: Sequence[int], words: int) -> str:
    pairs = list(zip(cells, widths, strict=True))
    left = [cell.ljust(width) for cell, width in pairs[:words]]
    return "  ".join(left + [cell.rjust(width) for cell, width in pairs[words:]])
