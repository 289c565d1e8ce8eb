"""Progress is live on a terminal and plain elsewhere."""

from __future__ import annotations

import io

from forklog.demo.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_file_gets_one_plain_line_for_each_row() -> None:
    """Updates are not written where they could not be erased."""
    stream = io.StringIO()
    with Progress(stream, 2) as progress:
        progress.update("starting")
        progress.finish("first row")
        progress.update("starting")
        progress.finish("second row")
    assert stream.getvalue() == "[1/2] first row\n[2/2] second row\n"


def test_a_terminal_gets_a_live_line_that_is_erased() -> None:
    """Each update replaces the one before, and at the end nothing is left."""
    stream = Terminal()
    with Progress(stream, 2) as progress:
        progress.update("starting")
        progress.finish("first row")
        progress.update("x" * 200)
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[1] == "[1/2] starting"
    assert shown[2].startswith("[2/2] xxx")
    assert len(shown[2]) == 79
    assert shown[3] == ""
