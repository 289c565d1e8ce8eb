"""The words of the prose: pages, docstrings and comments speak plain technical English."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_BANNED = re.compile(
    r"\b(said|told|somebody|nobody|roads?|weather|mend(?:s|ed|ing)?|heirs?|estates?|unheard)\b",
    re.IGNORECASE,
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

# Files that still have banned words. The list only shrinks: no file may be added to it.
_PENDING = frozenset(
    [
        "forklog/delivery/adoption.py",
        "forklog/delivery/losses.py",
        "forklog/delivery/prebuilt.py",
        "forklog/emulator/command.py",
        "forklog/emulator/faults/misbehave.py",
        "forklog/emulator/process.py",
    ]
)


def _files() -> list[str]:
    pages = [*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")]
    modules = (_ROOT / "forklog").rglob("*.py")
    return sorted(path.relative_to(_ROOT).as_posix() for path in [*pages, *modules])


def _banned_words(name: str) -> list[str]:
    text = (_ROOT / name).read_text(encoding="utf-8")
    pieces = _prose_of_module(text) if name.endswith(".py") else [_FENCED.sub("", text)]
    return sorted({word.lower() for piece in pieces for word in _BANNED.findall(piece)})


def _prose_of_module(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        # A bare string is prose: the docstring of a module, class, function or attribute.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@pytest.mark.parametrize("name", sorted(set(_files()) - _PENDING))
def test_a_file_has_no_banned_word(name: str) -> None:
    """No page, docstring or comment has a banned word, unless its file is listed as pending."""
    assert _banned_words(name) == []


def test_the_list_of_pending_files_only_shrinks() -> None:
    """A listed file that exists still has a banned word; one without leaves the list."""
    rewritten = [name for name in _PENDING & set(_files()) if not _banned_words(name)]
    assert sorted(rewritten) == [], "remove these files from _PENDING"


def test_code_and_program_output_are_not_prose() -> None:
    """Names, other strings and fenced code may have any word; prose is read in every place."""
    own = 'class A:\n    """Road."""\n    b = 1\n    """Heir."""\n'
    module = '"""Said."""\ntold = "nobody"  # mend\n' + own
    found = {word for piece in _prose_of_module(module) for word in _BANNED.findall(piece)}
    assert found == {"Said", "mend", "Road", "Heir"}
    assert not _BANNED.search(_FENCED.sub("", "a\n```\nsaid\n```\nb"))
