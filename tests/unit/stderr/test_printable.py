"""Text of servers and records, made fit for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forklog.stderr.printable import escaped, lines_of, printable


@given(st.text(), st.integers(10, 50))
def test_any_text_becomes_one_printable_line(text: str, limit: int) -> None:
    """Whatever a server sends, a line has no control characters and is not longer than allowed.

    Class of fault: control characters of a foreign text reach a terminal; siblings:
    `test_a_character_that_controls_a_terminal_is_escaped`,
    `test_a_reason_of_a_foreign_transport_controls_no_terminal`,
    `test_the_servers_words_are_one_printable_line`.
    """
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


_CONTROLS = [chr(n) for n in (*range(32), *range(127, 160), 0x202E, 0x2028, 0xAD, 0xD800)]


@pytest.mark.parametrize("character", _CONTROLS, ids=ascii)
def test_a_character_that_controls_a_terminal_is_escaped(character: str) -> None:
    """No unprintable character is left, and the text around it stays."""
    for line in lines_of(f"a{character}é"):
        assert line.isprintable(), line
        assert line[0] in "aé"


def test_lines_and_tabs_stay() -> None:
    """A line feed ends a line, a tab is spaces, and other text is as it was."""
    assert lines_of("a\tb\r\nc\n") == ["a    b", "c", ""]
    assert escaped("naïve 漢字 ✓") == "naïve 漢字 ✓"
    assert escaped("\x1b]0;title\x07") == r"\x1b]0;title\x07"
