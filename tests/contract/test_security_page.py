"""docs/security.md: each protection that it promises has a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_ROWS = re.findall(r"^\| (.+) \| (`.+) \|$", (_ROOT / "docs/security.md").read_text(), re.MULTILINE)
_NAMED = re.compile(r"`(tests/[\w/]+\.py)?::(test_\w+)`")


def test_each_protection_names_a_test_that_exists() -> None:
    """Each row names one test or several; a file is named once for all that follow it."""
    assert len(_ROWS) > 20
    for protection, cell in _ROWS:
        file = ""
        assert cell == ", ".join(match[0] for match in _NAMED.finditer(cell)), protection
        for named, test in _NAMED.findall(cell):
            file = named or file
            tree = ast.parse((_ROOT / file).read_text(encoding="utf-8"))
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert test in functions, f"{file}::{test}"


def test_all_tests_of_tokens_are_named() -> None:
    """A new test of whom a token reaches belongs to the page."""
    file = "tests/wire/test_tokens.py"
    found = re.findall(r"^def (test_\w+)", (_ROOT / file).read_text(), re.MULTILINE)
    named = {test for _, cell in _ROWS for _, test in _NAMED.findall(cell)}
    assert set(found) <= named
