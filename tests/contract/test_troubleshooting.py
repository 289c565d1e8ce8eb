"""The page of troubleshooting has an entry for each line that the handler prints."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import forklog

_PACKAGE = Path(forklog.__file__).parent
_PAGE = (_PACKAGE.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
_TOOLS = {"emulator", "demo", "diagnosis", "tail", "terminal", "testing"}
_PRINTED = {"say": 1, "WireError": 0, "NoCredentialsError": 0, "Verdict": 1}
_PRINTED_TABLES = {"_REMEDIES", "_OTHER_REMEDY"}


def _words(text: str) -> str:
    return " ".join(text.replace("`", "").replace("\\", "").split()).lower()


def _texts() -> dict[str, str]:
    """Return the literal parts of all lines, and where each stands."""
    found: dict[str, str] = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        name = path.relative_to(_PACKAGE)
        if name.parts[0] not in _TOOLS:
            for node in _printed(ast.parse(path.read_text())):
                for part in _literals(node):
                    found[part] = f"{name}:{node.lineno}"
    return found


def _printed(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the expressions of which lines are made; a name stands for what it is bound to."""
    scopes: list[ast.AST] = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    for scope in scopes:
        bound = _bindings(scope) | _bindings(tree, 1)
        for call in ast.walk(scope):
            if not isinstance(call, ast.Call):
                continue
            place = _PRINTED.get(_called(call))
            if place is not None and len(call.args) > place:
                for node in ast.walk(call.args[place]):
                    if isinstance(node, ast.Name):
                        yield from bound.get(node.id, [])
                yield call.args[place]
        yield from _raised_texts(scope)
    for name, values in _bindings(tree, 1).items():
        if name in _PRINTED_TABLES:
            yield from (v for value in values for v in getattr(value, "values", [value]))


def _raised_texts(scope: ast.FunctionDef) -> Iterator[ast.expr]:
    """Yield the texts of an `OptionError` that the function prints as ``str(error)``."""
    for tried in (node for node in ast.walk(scope) if isinstance(node, ast.Try)):
        for handler in tried.handlers:
            kind = ast.unparse(handler.type) if handler.type else ""
            if kind == "OptionError" and _prints(handler, f"str({handler.name})"):
                yield from _options_refused_by(ast.Module(tried.body, []), set())


def _prints(handler: ast.ExceptHandler, text: str) -> bool:
    return any(
        _called(call) in _PRINTED and text in map(ast.unparse, call.args)
        for call in ast.walk(handler)
        if isinstance(call, ast.Call)
    )


def _options_refused_by(tree: ast.AST, seen: set[str]) -> Iterator[ast.expr]:
    """Yield rules and remedies of what the functions raise that are called in it."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = _called(call)
        if name == "OptionError":
            bound = _bindings(tree)
            for one in call.args[2:]:
                yield from bound.get(one.id, []) if isinstance(one, ast.Name) else [one]
        elif name in _functions() and name not in seen:
            seen.add(name)
            yield from _options_refused_by(_functions()[name], seen)


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


@functools.cache
def _functions() -> dict[str, ast.FunctionDef]:
    """Return the functions of the package's modules by their names."""
    trees = (ast.parse(path.read_text()) for path in _PACKAGE.rglob("*.py"))
    nodes = (node for tree in trees for node in tree.body)
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def _bindings(scope: ast.AST, depth: int = 99) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    nodes = ast.walk(scope) if depth > 1 else ast.iter_child_nodes(scope)
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for one, value in pairs:
                    if isinstance(one, ast.Name):
                        found.setdefault(one.id, []).append(value)
    return found


def _literals(node: ast.expr) -> Iterator[str]:
    """Yield the longest literal part of a text, if it has a word to look for."""
    pieces = [
        piece
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
        for piece in re.split(r"\{[^}]*\}", one.value)
    ]
    longest = max(pieces, key=len, default="")
    if len(longest.split()) > 1:
        yield _words(longest).strip(" :;,('\"")


_TEXTS = _texts()


@pytest.mark.parametrize("text", sorted(_TEXTS))
def test_a_line_has_an_entry(text: str) -> None:
    """The words of a line that the handler may print stand on the page."""
    assert text in _words(_PAGE), _TEXTS[text]


def test_lines_are_found() -> None:
    """The search finds lines of each kind; else the test above would hold nothing."""
    assert len(_TEXTS) > 25
    for known in (
        "delivers logs again",
        "no connection to the server",
        "on_drop raised",
    ):
        assert known in _TEXTS
    assert "must be host:port or an http(s) url without query and user" in _TEXTS


def test_each_reason_for_a_drop_has_an_entry() -> None:
    """The page has each reason that `stats()` counts under ``dropped``."""
    delivery = (_PACKAGE.parent / "docs" / "delivery.md").read_text(encoding="utf-8")
    table = delivery.partition("| reason for a drop |")[2].partition("\n\n")[0]
    reasons = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert len(reasons) >= 6
    assert not [reason for reason in reasons if f"### {reason}" not in _PAGE]
