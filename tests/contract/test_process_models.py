"""docs/process-models.md: a table that the tests hold to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = _ROOT / "docs" / "process-models.md"
_NAMED = re.compile(r"`([\w/]+\.py)?::(test_\w+)`")


_WITHOUT_A_TEST: frozenset[str] = frozenset({"the same"})  # as the row above


def _rows() -> list[list[str]]:
    models = _PAGE.read_text().partition("\n## ")[0]
    lines = [line for line in models.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_each_row_is_whole() -> None:
    """The first table is one of models; each row says something in every column, and is tested."""
    head, _, *rows = _rows()
    assert len(rows) > 5
    for row in rows:
        assert len(row) == len(head), row[0]
        assert all(row), row[0]
        assert _NAMED.search(row[-1]) or row[-1] in _WITHOUT_A_TEST, row[0]


def _functions(file: str) -> set[str]:
    (path,) = (_ROOT / "tests").rglob(file.removeprefix("tests/"))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_tests_that_it_names_exist() -> None:
    """Each `file::test` of the page exists; a file is named once for all that follow it."""
    found = 0
    for line in _PAGE.read_text(encoding="utf-8").splitlines():
        file = ""
        for named, test in _NAMED.findall(line):
            file, found = named or file, found + 1
            assert test in _functions(file), f"{file}::{test}"
    assert found > 100
