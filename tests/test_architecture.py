"""The shape of the package: who may import whom, who may touch threads and processes."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from helpers import check_python

import forklog

_PACKAGE = Path(forklog.__file__).parent
_OUTSIDE = ("emulator", "demo", "diagnosis", "testing")

# The road, from the ground up: a module imports only from rows above its own.
_ROWS = (
    (
        "__about__",
        "errors",
        "clock",
        "bell",
        "stats",
        "handover",
        "fork",
        "green",
        "limits",
        "logging_lock",
        "foreign",
        "private_file",
        "frameworks",
        "hand",
        "ledger",
        "traceback_text",
        "turn",
        "uwsgi",
    ),
    ("descriptor",),
    ("stderr", "deadlines", "signals", "thread_end"),
    (
        "report",
        "thread",
        "exits",
        "insert_id",
        "clean",
        "context",
        "transports.base",
        "transports.pools",
    ),
    ("forking", "labels", "buffer", "retry", "transports.deadline"),
    ("metadata",),
    ("repair", "resource", "transports.machine"),
    ("payload", "options", "draft"),
    ("aside", "last_resort", "news", "transports.access", "stock"),
    ("transports.stderr", "transports.signing", "wire"),
    ("boot", "flusher", "transports.http"),
    ("full", "sheds"),
    ("site",),
    ("usual",),
    ("entry",),
    ("driver", "contract"),
    ("ending", "accounts"),
    ("leaving",),
    ("parts",),
    ("pipeline", "surface"),
    ("own_records",),
    ("handler",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
_HEIGHT = {name: height for height, row in enumerate(_ROWS) for name in row}


def _modules() -> dict[str, Path]:
    """Return the modules of the road by their names below the package."""
    found = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        parts = path.relative_to(_PACKAGE).with_suffix("").parts
        if parts[0] not in _OUTSIDE and parts != ("transports", "__init__"):
            found[".".join(parts)] = path
    return found


def _imports(path: Path) -> set[str]:
    """Return the modules of forklog that a file imports, by their names below the package."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    below = {name.removeprefix("forklog.") for name in names if name.startswith("forklog.")}
    return {name for name in below if name in _modules()}


def test_every_module_has_its_row() -> None:
    """The table knows each module, and no others."""
    assert set(_modules()) - set(_HEIGHT) == set()
    assert set(_HEIGHT) - set(_modules()) <= {"full"}


@pytest.mark.parametrize("name", sorted(_modules()))
def test_imports_go_down_only(name: str) -> None:
    """What a module imports of forklog stands in a row above its own; so there is no cycle."""
    for imported in _imports(_modules()[name]):
        assert _HEIGHT[imported] < _HEIGHT[name], f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(set(_modules()) - {"cli", "__main__", "__init__"}))
def test_the_road_needs_no_tools(name: str) -> None:
    """Nothing on the road of a record imports the emulator, the demo, or what tests use."""
    text = _modules()[name].read_text()
    assert not re.search(rf"(from|import) forklog\.({'|'.join(_OUTSIDE)})\b", text)


def _who_says(pattern: str) -> set[str]:
    return {name for name, path in _modules().items() if re.search(pattern, _code(path))}


def _code(path: Path) -> str:
    """Return a file without its docstrings and comments."""
    return ast.unparse(_Strip().visit(ast.parse(path.read_text())))


class _Strip(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.copy_location(ast.Pass(), node) if is_text else node


def test_one_file_makes_threads() -> None:
    """Threads are started in thread.py alone."""
    assert _who_says(r"\bThread\(|start_new_thread|ThreadPool|Timer\(") == {"thread"}


def test_few_files_hold_locks() -> None:
    """Locks and conditions are made where threads meet, and nowhere else."""
    assert _who_says(r"\bR?Lock\(|Condition\(|Semaphore\(") <= {
        "bell",
        "contract",
        "driver",
        "ledger",
    }


def test_two_files_know_of_processes() -> None:
    """PIDs, at-fork callbacks and uWSGI are asked for in fork.py and uwsgi.py alone."""
    assert _who_says(r"os\.(getpid|getppid|register_at_fork)") == {"fork", "uwsgi"}
    assert "uwsgi" not in {
        alias.name
        for name in set(_modules()) - {"uwsgi"}
        for node in ast.walk(ast.parse(_modules()[name].read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }


def test_nothing_logs_through_logging() -> None:
    """The pipeline never makes a record of its own."""
    assert _who_says(r"getLogger\(|logging\.(debug|info|warning|error|exception)\(") == set()


def test_only_the_ends_write_to_stderr() -> None:
    """Stderr is written by the report and the last resort."""
    assert _who_says(r"sys\.stderr|print\(") <= {"stderr", "cli", "__main__"}


@pytest.mark.parametrize("path", sorted(_PACKAGE.rglob("*.py")), ids=lambda p: p.name)
def test_files_are_of_one_thought(path: Path) -> None:
    """No file is longer than 250 lines, no function longer than 40."""
    text = path.read_text()
    assert len(text.splitlines()) <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno
            assert length <= 40, f"{node.name} has {length} lines"


def test_the_public_names_are_these() -> None:
    """What users import from the package is fixed, sorted and there."""
    assert forklog.__all__ == [
        "CloudLoggingHandler",
        "ForklogError",
        "OptionError",
        "Stats",
        "__version__",
        "doctor",
    ]
    assert all(hasattr(forklog, name) for name in forklog.__all__)
    assert (_PACKAGE / "py.typed").exists()


def test_an_import_costs_nothing_that_is_not_used() -> None:
    """Importing forklog loads neither Google's logging library nor a server; no thread starts."""
    done = check_python("""
        import json, sys, threading
        before = threading.active_count()
        import forklog
        assert threading.active_count() == before
        print(json.dumps(sorted(sys.modules)))
    """)
    loaded = set(json.loads(done.stdout))
    heavy = {"google.cloud.logging", "grpc", "aiohttp", "pytest", "flask", "celery"}
    assert loaded & heavy == set()
    outside = tuple(f"forklog.{name}" for name in _OUTSIDE)
    assert not [name for name in loaded if name.startswith(outside)]
