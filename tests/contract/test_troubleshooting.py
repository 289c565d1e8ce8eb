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
_PRINTED = {
    "say": 1,
    "_say": 1,
    "_send_inline": 0,
    "WireError": 0,
    "NoCredentialsError": 0,
    "Verdict": 1,
}
_PRINTED_TABLES = {"REMEDIES", "_REMEDIES", "_OTHER_REMEDY"}


def _words(text: str) -> str:
    return " ".join(text.replace("`", "").replace("\\", "").split()).lower()


@functools.cache
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
                maker = _maker_of(call.args[place])
                yield from (v for values in _bindings(maker).values() for v in values)
                yield from _returned(maker)
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


def _maker_of(node: ast.expr) -> ast.AST:
    """Return the function of the package that makes a line; an empty module where none does."""
    name = _called(node) if isinstance(node, ast.Call) and "remedy" not in _called(node) else ""
    return _functions().get(name, ast.Module([], []))


def _returned(scope: ast.AST) -> list[ast.expr]:
    nodes = (node for node in ast.walk(scope) if isinstance(node, ast.Return))
    return [node.value for node in nodes if isinstance(node.value, (ast.JoinedStr, ast.Constant))]


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


_ACTION = re.compile(
    r"(?<!\w)(attach|check|close|correct|exclude|forklog recover|give|grant|have|increase|keep"
    r"|log in|log less|look|make|\{remedy\}|name|open|point|raise|remove|renew|replace|report|run"
    r"|send|set|unset|use)(?!\w)"
)
_SUBJECT = re.compile(
    r"\{|\b[a-z]+_[a-z_]+\b|[A-Z]{3,}_[A-Z]+|\b(uWSGI|metadata|flush thread|google-cloud-logging)\b"
)
_NO_SUBJECT = "({})"
"""The kind of an error, or how long something took: it does not say what that was."""
_WITHOUT_ACTION = {
    "log delivery works again": "good news",
    "Google credentials found, delivers logs from now on": "good news",
}
_WRAPPERS = re.compile(
    r"^(cannot deliver logs(?: yet, retrying)?: |a quota delays the logs: )?\{\}( \{\})*$"
    r"|^\{\}: logs are sent by the logging"
)
"""What is a reason alone, or a line around one: the reasons stand here by themselves."""


@functools.cache
def _whole_lines() -> dict[str, str]:
    """Return all lines as wholes, ``{}`` for what a run puts in; and where each stands."""
    found: dict[str, str] = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        name = path.relative_to(_PACKAGE)
        if name.parts[0] not in _TOOLS:
            tree = ast.parse(path.read_text())
            for scope in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
                for call in [n for n in ast.walk(scope) if isinstance(n, ast.Call)]:
                    place = _PRINTED.get(_called(call))
                    if place is not None and len(call.args) > place and not _is_fine(call):
                        line = _whole(call.args[place], scope, call.lineno, tree)
                        found[line] = f"{name}:{call.lineno}"
                        maker = _maker_of(call.args[place])
                        for one in _returned(maker):
                            made = _whole(one, maker, one.lineno, ast.Module([], []))
                            found[made] = f"{name}:{call.lineno}"
    return {line: place for line, place in found.items() if not _WRAPPERS.match(line)}


def _is_fine(call: ast.Call) -> bool:
    """Tell whether it is a verdict of what was delivered or is to be halved: no line on its own."""
    kinds = {"Kind.DELIVERED", "Kind.HALVE"}
    return _called(call) == "Verdict" and ast.unparse(call.args[0]) in kinds


def _whole(  # noqa: PLR0911 - one for each kind of node
    node: ast.expr, scope: ast.AST, before: int, module: ast.Module
) -> str:
    """Return a text as the code makes it; a name stands for what was bound to it last."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_whole(part, scope, before, module) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _whole(node.value, scope, before, module)
    if isinstance(node, ast.Call) and "remedy" in _called(node):
        return "{remedy}"
    if isinstance(node, ast.IfExp):
        either = (_whole(one, scope, before, module) for one in (node.body, node.orelse))
        return " ".join(either).strip()
    if isinstance(node, ast.Name):
        binding = [one for one in ast.walk(scope) if isinstance(one, (ast.Assign, ast.AugAssign))]
        earlier = [one for one in binding if one.lineno < before and node.id in _bound_by(one)]
        if earlier:
            last = max(earlier, key=lambda one: one.lineno)
            first = isinstance(last, ast.AugAssign) and _whole(node, scope, last.lineno, module)
            return (first or "") + _whole(last.value, scope, last.lineno, module)
        for constant in _bindings(module, 1).get(node.id, []):
            if isinstance(constant, (ast.Constant, ast.JoinedStr)):
                return _whole(constant, scope, 0, module)
    return "{}"


def _bound_by(one: ast.Assign | ast.AugAssign) -> list[str]:
    targets = one.targets if isinstance(one, ast.Assign) else [one.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _remedies() -> Iterator[str]:
    """Yield what the functions and tables of remedies hold."""
    for path in _PACKAGE.rglob("*.py"):
        if path.relative_to(_PACKAGE).parts[0] in _TOOLS:
            continue
        tree = ast.parse(path.read_text())
        for name, values in _bindings(tree, 1).items():
            if "REMED" in name:
                for value in (v for one in values for v in getattr(one, "values", [one])):
                    yield ast.literal_eval(value)
        for scope in [n for n in tree.body if isinstance(n, ast.FunctionDef)]:
            if scope.name.endswith("_remedy"):
                texts = [n.value for n in ast.walk(scope) if isinstance(n, ast.Return)]
                yield from (
                    _whole(n, scope, 10**6, tree) for n in texts if isinstance(n, ast.JoinedStr)
                )


def _has_subject(line: str) -> bool:
    return bool(_SUBJECT.search(line.replace(_NO_SUBJECT, "")))


def test_each_remedy_is_an_action() -> None:
    """What a line takes from elsewhere says what to do as well."""
    remedies = list(_remedies())
    assert len(remedies) > 12
    assert [text for text in remedies if not _ACTION.search(text)] == []


def test_a_line_has_a_subject_and_an_action() -> None:
    """It names what it is about, and what the person who reads it is to do."""
    lines = {line: place for line, place in _whole_lines().items() if line not in _WITHOUT_ACTION}
    assert {line: place for line, place in lines.items() if not _has_subject(line)} == {}
    assert {line: place for line, place in lines.items() if not _ACTION.search(line)} == {}


def test_the_lines_without_an_action_are_known() -> None:
    """Each of them is printed still, so that the list of them cannot grow old."""
    assert set(_WITHOUT_ACTION) <= set(_whole_lines())
    assert len(_whole_lines()) > 30


@pytest.mark.parametrize(
    "line",
    [
        "no connection to the server ({})",
        "wrote {} entries to stderr ({})",
        "it went wrong",
        "the credentials file cannot be used; check that it exists and what is in it",
        "the credentials could not be refreshed; renew or replace them",
    ],
)
def test_the_rule_can_fail(line: str) -> None:
    """Lines as they once were have no action, or no subject."""
    assert not (_has_subject(line) and _ACTION.search(line))


def test_a_line_that_stands_elsewhere_is_found() -> None:
    """A name of the module, or a function of the package, in place of the text hides no line."""
    lines = list(_whole_lines())
    for start in (
        "no Google credentials found, so",
        "the answer to the client of google-cloud",
        "the credentials file is missing: {};",
    ):
        assert [line for line in lines if line.startswith(start)]


def test_a_line_has_an_entry() -> None:
    """The words of a line that the handler may print stand on the page."""
    page = _words(_PAGE)
    assert {text: place for text, place in _texts().items() if text not in page} == {}


def test_lines_are_found() -> None:
    """The search finds lines of each kind; else the test above would hold nothing."""
    texts = _texts()
    assert len(texts) > 25
    for known in (
        "log delivery works again",
        "no connection to the server",
        "and did not take",
        "cannot read the spool",
    ):
        assert known in texts
    assert "must be host:port or an http(s) url without query and user" in texts


def test_each_reason_for_a_drop_has_an_entry() -> None:
    """The page has each reason that `stats()` counts under ``dropped``."""
    delivery = (_PACKAGE.parent / "docs" / "delivery.md").read_text(encoding="utf-8")
    table = delivery.partition("| reason for a drop |")[2].partition("\n\n")[0]
    reasons = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert len(reasons) >= 6
    assert not [reason for reason in reasons if f"### {reason}" not in _PAGE]
