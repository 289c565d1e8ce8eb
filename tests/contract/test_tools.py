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
_FILES = {
    path.relative_to(_PACKAGE).as_posix(): path
    for tool in _TOOLS
    for path in sorted((_PACKAGE / tool).rglob("*.py"))
}

_USED = {
    "diagnosis/bounded.py": {"os._exit"},
    "diagnosis/look/process.py": {"os._exit"},
    "diagnosis/look/role.py": {"sys._current_frames"},
    "diagnosis/look/routes.py": {"logging._handlerList"},
    "emulator/process.py": {"emulator._process"},  # of its own class, in a class method
}
"""The private names that a tool uses: Python's, and those of its own class by another name."""


def _private_names(tree: ast.AST) -> Iterator[str]:
    """Yield the private names that the file uses, but those of ``self`` and ``cls``."""
    public = {"_make", "_replace", "_asdict"}  # of a NamedTuple
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in public:
            if ast.unparse(node.value) not in ("self", "cls"):
                yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forklog"):
            yield from (alias.name for alias in node.names if _is_private(alias.name))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_a_tool_uses_no_private_name() -> None:
    """A tool reads no private attribute of another object, and imports no private name."""
    used = {name: set(_private_names(ast.parse(path.read_text()))) for name, path in _FILES.items()}
    assert {name: names for name, names in used.items() if names} == _USED


def test_private_names_are_found() -> None:
    """An attribute, a chain and an import are seen; those of `self` and special names are none."""
    code = (
        "from forklog.handler import _gate, __doc__\n"
        "handler._gate.product.sender._wire\nself._own\nother._own\nthing.__class__\n"
    )
    found = {"handler._gate", "handler._gate.product.sender._wire", "_gate", "other._own"}
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
