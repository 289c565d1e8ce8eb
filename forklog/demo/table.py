"""The table of the demo: rows as lines of text; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forklog.demo.row import Row


_HEAD = (
    ("uWSGI mode", "handler"),
    ("answered", "hung", "logged", "delivered", "lost", "duplicated", "boot"),
)


def render(rows: Sequence[Row]) -> str:
    """Return the table, and below it a line for each row that is not perfect."""
    lines = [(*_HEAD[0], *_HEAD[1]), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [_aligned(line, widths) for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    text += ["", *(_remark(row) for row in rows if row.faults())]
    return "\n".join(text).rstrip()


def one_line(row: Row) -> str:
    """Return one row as a sentence, for a terminal that shows no live line."""
    tally = row.tally
    return (
        f"{row.mode}, {row.handler}: {tally.delivered} of {tally.logged} records delivered, "
        f"{row.hung} workers hung"
    )


def _cells(row: Row) -> tuple[str, ...]:
    tally, answers = row.tally, row.answers
    numbers = (row.hung, tally.logged, tally.delivered, tally.lost, tally.duplicated)
    return (
        row.mode,
        row.handler,
        f"{answers.answered}/{answers.requests}",
        *map(str, numbers),
        f"{tally.boot_delivered}/{tally.boot_logged}",
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    words = len(_HEAD[0])
    left = [cell.ljust(width) for cell, width in zip(cells, widths[:words], strict=False)]
    right = [cell.rjust(width) for cell, width in zip(cells[words:], widths[words:], strict=True)]
    return "  ".join(left + right)


def _remark(row: Row) -> str:
    return f"{row.mode}, {row.handler}: {'; '.join(row.faults())}"
