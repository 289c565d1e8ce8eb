"""Turns rows of text into a table, for the terminal and for the pages in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def plain(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns with spaces."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
