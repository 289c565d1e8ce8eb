"""Text of a server, made fit for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from forklog.stderr.printable import printable


@given(st.text(), st.integers(10, 50))
def test_any_text_becomes_one_printable_line(text: str, limit: int) -> None:
    """Whatever a server sends, a line has no control characters and is not longer than allowed."""
    line = printable(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert "  " not in line


def test_what_is_printable_stays() -> None:
    """Words stay as they are; what is cut says so; what is no text is nothing."""
    assert printable("Größe 5 > 4") == "Größe 5 > 4"
    assert printable("a\x1b]0;title\x07\r\n\u2028b\u202ec") == "a ]0;title b c"
    assert printable("x" * 65_536, 10) == "xxxxxxx..."
    assert printable("\x00" * 65_536 + "x", 10) == "..."
    assert printable(None) == printable(5) == printable(["x"]) == ""
