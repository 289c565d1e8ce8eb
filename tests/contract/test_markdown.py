"""The form of the pages: short lines, and each sentence on a line of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_MAX_COLUMNS = 100
# Code, program output between two marks, and comments are no prose.
_NO_PROSE = re.compile(
    r"^ *```.*?^ *```|<!-- (?P<mark>[a-z]+) -->.*?<!-- /(?P=mark) -->|<!-- .*? -->|^---\n.*?^---\n",
    re.MULTILINE | re.DOTALL,
)
_LIST_MARK = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\.\.)[.!?][)\"*]? (?=[A-Z`(\[\"*])")
_URL = re.compile(r"https?://\S+|\]\([^)]*\)")


def _pages() -> list[str]:
    folders = (_ROOT / "docs", _ROOT / "examples", _ROOT / ".github")
    found = [*_ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    return sorted(page.relative_to(_ROOT).as_posix() for page in found)


def _faults(text: str) -> Iterator[str]:
    prose = _NO_PROSE.sub(lambda found: "\n" * found.group(0).count("\n"), text)
    for number, line in enumerate(prose.splitlines(), 1):
        words = _LIST_MARK.sub("", line).strip()
        if words.startswith(("|", "#")):
            continue
        if len(_URL.sub("", line)) > _MAX_COLUMNS:
            yield f"line {number} has {len(line)} columns"
        if _SENTENCE_END.search(_URL.sub("", words)):
            yield f"line {number} has two sentences: {line.strip()}"


@pytest.mark.parametrize("name", _pages())
def test_a_line_is_short_and_has_one_sentence(name: str) -> None:
    """A line has at most 100 columns, URLs aside, and no sentence begins inside of one."""
    assert list(_faults((_ROOT / name).read_text(encoding="utf-8"))) == []


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
