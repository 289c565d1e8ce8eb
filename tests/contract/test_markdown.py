"""The form of the pages: short lines and sentences, each on a line of its own, and short cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sentences import CODE_AND_COMMENTS, LIST_MARK, MAX_WORDS, SENTENCE_END, plain, sentences

_ROOT = Path(__file__).resolve().parents[2]
_MAX_COLUMNS = 100
# Code, program output between two marks, and comments are no prose.
_NO_PROSE = re.compile(
    r"^ *```.*?^ *```|<!-- (?P<mark>[a-z]+) -->.*?<!-- /(?P=mark) -->|<!-- .*? -->|^---\n.*?^---\n",
    re.MULTILINE | re.DOTALL,
)
_URL = re.compile(r"https?://\S+|\]\([^)]*\)")

_MAX_CELL_WORDS = 20
_MAX_CELL_COLUMNS = 300


def _pages() -> list[str]:
    folders = (_ROOT / "docs", _ROOT / "examples", _ROOT / ".github")
    found = [*_ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    return sorted(page.relative_to(_ROOT).as_posix() for page in found)


def _faults(text: str) -> Iterator[str]:
    prose = _NO_PROSE.sub(lambda found: "\n" * found.group(0).count("\n"), text)
    for number, line in enumerate(prose.splitlines(), 1):
        words = LIST_MARK.sub("", line).strip()
        if words.startswith(("|", "#")):
            continue
        if len(_URL.sub("", line)) > _MAX_COLUMNS:
            yield f"line {number} has {len(line)} columns"
        if SENTENCE_END.search(_URL.sub("", words)):
            yield f"line {number} has two sentences: {line.strip()}"


def _text(name: str) -> str:
    return (_ROOT / name).read_text(encoding="utf-8")


def _long_cells(text: str) -> Iterator[str]:
    for line in CODE_AND_COMMENTS.sub("\n", text).splitlines():
        if line.lstrip().startswith("|"):
            for cell in re.split(r"(?<!\\)\|", line):
                words = len(plain(cell).split())
                if words > _MAX_CELL_WORDS or len(cell.strip()) > _MAX_CELL_COLUMNS:
                    yield f"{words} words, {len(cell)} columns: {cell.strip()}"


def test_a_sentence_is_short() -> None:
    """A sentence has at most 25 words."""
    every = [(name, one) for name in _pages() for one in sentences(_text(name))]
    assert [(name, one) for name, one in every if len(one.split()) > MAX_WORDS] == []


def test_a_cell_is_a_phrase() -> None:
    """A cell of a table has at most 20 words and 300 columns; what is longer is a section."""
    assert [(name, cell) for name in _pages() for cell in _long_cells(_text(name))] == []


def test_long_cells_are_found() -> None:
    """Words and columns count; a code span is one word."""
    rows = ("| " + "a " * 21 + "| b |", "| `" + "a " * 21 + "` | b |", f"| `{'a' * 300}` |")
    assert [len(list(_long_cells(row))) for row in rows] == [1, 0, 1]


def test_a_line_is_short_and_has_one_sentence() -> None:
    """A line has at most 100 columns, URLs aside, and no sentence begins inside of one."""
    texts = {name: _text(name) for name in _pages()}
    assert [(name, fault) for name, text in texts.items() for fault in _faults(text)] == []


def test_faults_are_found() -> None:
    """Two sentences and a long line are faults; tables, code, lists and URLs are none."""
    assert len(list(_faults("One. Two.\n"))) == 1
    assert len(list(_faults("x" * 101 + "\n"))) == 1
    assert len(list(_faults("`a`. `b` is code.\n1. One. Two.\n"))) == 2
    fine = (
        "1. One.\n- Two.\n| a. B. | c |\n   | d. E. |\n```\nx. Y.\n```\n[x](https://"
        + "y" * 120
        + ")\n"
    )
    assert list(_faults(fine)) == []


def test_the_readme_fits_on_a_page() -> None:
    """The README has less than 150 lines."""
    assert len((_ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
