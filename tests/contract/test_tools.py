"""The tools, which ship with the package, know no more of it than a user's code may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import forklog
from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport
from forklog.transports.http import HttpTransport

_PACKAGE = Path(forklog.__file__).parent
_TOOLS = ("emulator", "demo", "diagnosis", "recovery", "tail", "terminal", "testing")
_FILES = [path for tool in _TOOLS for path in sorted((_PACKAGE / tool).rglob("*.py"))]

# Private names of others: Python's, and billiard's where it has no public one.
_FOREIGN = {"os._exit", "logging._handlerList", "sys._current_frames", "process._identity"}


def _private_names(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that the file uses and does not define itself."""
    own = {"_make", "_replace", "_asdict"}  # of a NamedTuple; they are public
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls"):
            own.add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own:
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forklog"):
            yield from (alias.name for alias in node.names if _is_private(alias.name))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_a_tool_uses_no_private_name() -> None:
    """A tool reads no private attribute of another object, and imports no private name."""
    used = {path: set(_private_names(ast.parse(path.read_text()))) - _FOREIGN for path in _FILES}
    assert {path: names for path, names in used.items() if names} == {}


def test_private_names_are_found() -> None:
    """An attribute, a chain and an import are seen; the file's own and special names are none."""
    code = (
        "from forklog.handler import _gate, __doc__\n"
        "handler._gate.product.sender._wire\nself._own\nother._own\nthing.__class__\n"
    )
    found = {"handler._gate", "handler._gate.product.sender._wire", "_gate"}
    assert set(_private_names(ast.parse(code))) == found


def test_a_handler_describes_itself(forklog_transport: FakeTransport) -> None:
    """Options, wire and numbers are those of this process; nothing starts."""
    handler = CloudLoggingHandler(transport=forklog_transport, project="p", log_name="web")
    found = handler.describe()
    assert found.options.log_name == "web"
    assert found.transport is forklog_transport
    assert found.stats == handler.stats()
    assert found.stats.state == "inert"
    assert not found.has_lost_thread
    handler.close()
    assert handler.describe().stats.state == "closed"


def test_the_wire_of_forklog_is_shown() -> None:
    """Without a transport of the user's the description names the HTTP wire."""
    handler = CloudLoggingHandler(project="p", endpoint="http://127.0.0.1:9")
    assert isinstance(handler.describe().transport, HttpTransport)
    handler.close()
