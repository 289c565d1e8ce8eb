"""A command's screen with rich: takes pieces of text with styles, gives colours on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import rich.box
import rich.console
import rich.progress
import rich.table
import rich.text

from forklog.terminal.plain import Piece, Progress, Screen


class _Console(rich.console.Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command what the end of its reader means; rich would exit."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error


class StyledScreen(Screen):
    """Lines, tables and progress with colour. Text is never markup."""

    def __init__(self, stream: TextIO) -> None:
        """Show on a stream, which gets colours whatever it is."""
        super().__init__(stream)
        self._console = _Console(
            file=stream,
            force_terminal=True,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )

    def line(self, *pieces: Piece) -> None:
        """Write one line; the terminal wraps it."""
        self._console.print(rich.text.Text.assemble(*pieces), soft_wrap=True)

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        styles: Sequence[str] = (),
        words: int = 1,
    ) -> None:
        """Write a table; where it is too wide lines wrap, and no cell is cut."""
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        if sum(widths) + len(widths) > self._console.width:
            super().table(head, rows, styles, words)
            return
        table = rich.table.Table(
            box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0)
        )
        for number, title in enumerate(head):
            justify = "left" if number < words else "right"
            table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type,unused-ignore]
        for number, row in enumerate(rows):
            cells = [rich.text.Text(cell) for cell in row]
            table.add_row(*cells, style=styles[number] if styles else None)
        self._console.print(table)

    def progress(self, total: int | None = None) -> Progress:
        """Return the progress of something that has so many parts."""
        return _Bar(self.stream, total, self._console)


class _Bar(Progress):
    def __init__(self, stream: TextIO, total: int | None, console: rich.console.Console) -> None:
        super().__init__(stream, total)
        columns: list[rich.progress.ProgressColumn] = [
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}", markup=False),
        ]
        if total:
            columns += [rich.progress.BarColumn(20), rich.progress.MofNCompleteColumn()]
        columns.append(rich.progress.TimeElapsedColumn())
        self._bar = rich.progress.Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("", total=total)

    def update(self, words: str) -> None:
        self._bar.update(self._task, description=words)

    def finish(self, words: str) -> None:
        self._bar.update(self._task, description=words, advance=1)

    def _begin(self) -> None:
        self._bar.start()

    def _end(self) -> None:
        self._bar.stop()
