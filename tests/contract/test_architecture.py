"""The map: rooms, what each may import, and what stands in one file alone."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers import check_python
from imports import imported, modules, run_nodes

import forklog

_PACKAGE = Path(forklog.__file__).parent
_ROOT = _PACKAGE.parent
_ROOMS = {"encoding", "context", "delivery", "process", "spool", "transports"}
_TOOLS = {"emulator", "demo", "diagnosis", "recovery", "tail", "terminal", "testing"}
_FACE = {"__init__", "__main__", "cli", "handler", "contract", "surface", "compat", "structured"}


_ASSEMBLERS = {"handler", "structured", "handling.gate"}
"""The modules that put rooms together."""
_SHOWN = {
    "__init__": {"context.scope", "context.threads"},
    "middleware.__init__": {"context.aiohttp", "context.asgi", "context.django", "context.wsgi"},
    "contract": {"encoding.payload", "process.per_process"},
    "compat": {"process.signals", "transports.google.resource"},
    "surface": {
        "delivery.lifecycle",
        "encoding.payload",
        "transports.google.access",
        "transports.google.metadata",
        "transports.google.resource",
    },
    "handling.agent_lines": {"encoding.builder"},
    "handling.identity": {"process.servers.uwsgi"},
    "handling.known_loggers": {
        "context.connections",
        "process.server_hooks",
        "process.servers.celery",
    },
    "handling.request_log": {
        "context.requests",
        "encoding.extra",
        "transports.google.resource",
    },
    "setting_up.outputs": {"transports.google.resource"},
    "setting_up.structlog": {"context.scope"},
}
"""What the rest of the public face takes of a room, beside its `base`: values and functions that it
shows to users, or asks for. No entry is added for what an assembler can hand in."""


_ALL = modules()
_MODULES = {name: path for name, path in _ALL.items() if name.partition(".")[0] not in _TOOLS}
_FACE |= {name for name in _MODULES if name.startswith(("middleware.", "handling.", "setting_up."))}


@functools.cache
def _parsed(path: Path) -> ast.Module:
    """Return a file as a tree, which no test changes."""
    return ast.parse(path.read_text())


@functools.cache
def _imports(name: str, *, is_run: bool = False) -> frozenset[str]:
    """Return the modules of forklog that a module imports, by their names below the package.

    Args:
        name: the module.
        is_run: without the imports that only a type checker sees.
    """
    tree = _parsed(_ALL[name])
    return frozenset(imported(run_nodes(tree) if is_run else ast.walk(tree), _ALL))


def test_each_form_of_import_is_read() -> None:
    """A package counts as its `__init__`; a name of no module, and a relative import, fail."""
    found = {
        "import forklog": {"__init__"},
        "import forklog as f, os": {"__init__"},
        "import forklog.delivery.worker": {"delivery.worker"},
        "from forklog import stats": {"__init__"},
        "from forklog import turn": {"turn"},
        "from forklog.delivery import worker, base as b": {"delivery.worker", "delivery.base"},
        "from forklog.delivery.worker import Worker": {"delivery.worker"},
        "from forklog.transports.google import ClientTransport": {"transports.google.__init__"},
        "from forklog.transports import google": {"transports.google.__init__"},
        "import os, forklogs": set(),
        "from forklogs import turn": set(),
    }
    assert {code: set(imported(ast.walk(ast.parse(code)), _ALL)) for code in found} == found
    for code, error in {
        "import forklog.nothing": KeyError,
        "from forklog.nothing import some": KeyError,
        "from .turn import TURN": ValueError,
    }.items():
        with pytest.raises(error):
            list(imported(ast.walk(ast.parse(code)), _ALL))


def _room(name: str) -> str:
    head = name.partition(".")[0]
    return head if head in _ROOMS else ""


def test_a_room_imports_itself_what_all_share_and_the_base_of_others() -> None:
    """A room imports its own files, the shared values, and of another room only its `base`."""
    wrong = {
        f"{name} imports {other}"
        for name in _MODULES.keys() - _FACE
        for other in _imports(name)
        if other in _FACE
        or (_room(other) not in ("", _room(name)) and other != f"{_room(other)}.base")
    }
    assert wrong == set()


def test_the_public_face_takes_of_a_room_what_is_listed() -> None:
    """Rooms are put together in three modules; the others import what they show, no more."""
    for name in sorted(_FACE - _ASSEMBLERS):
        others = {other for other in _imports(name, is_run=True) if _room(other)}
        inner = {other for other in others if other != f"{_room(other)}.base"}
        assert inner == _SHOWN.get(name, set()), name


def test_handlers_are_made_without_what_sets_logging_up() -> None:
    """Setting up imports the handlers; they know nothing of it."""
    made = {"contract", "handler", "structured", "surface"}
    made |= {name for name in _FACE if name.startswith("handling.")}
    others = {other for name in made for other in _imports(name)}
    assert not {other for other in others if other.startswith("setting_up.")}


def test_no_circle_and_no_long_path() -> None:
    """No chain of imports comes back to its start; without the tools it has ten modules at most."""

    @functools.cache
    def path(name: str, known: frozenset[str], above: frozenset[str]) -> tuple[str, ...]:
        assert name not in above, f"{name} imports itself, by way of {sorted(above)}"
        others = _imports(name, is_run=True) & known
        return (name, *max((path(o, known, above | {name}) for o in others), key=len, default=()))

    everything, without_tools = frozenset(_ALL), frozenset(_MODULES)
    assert all(path(name, everything, frozenset()) for name in everything)
    longest = max((path(name, without_tools, frozenset()) for name in without_tools), key=len)
    assert len(longest) <= 10, longest


def test_no_circle_of_folders() -> None:
    """The modules and sub-folders of a folder, the root too, import each other in no circle."""
    for folder in sorted({name.rpartition(".")[0] for name in _ALL}):
        head = f"{folder}." if folder else ""
        within = {name for name in _ALL if name.startswith(head)}
        found: dict[str, set[str]] = {}
        for name in within:
            others = _imports(name, is_run=True) & within
            places = {other.removeprefix(head).partition(".")[0] for other in others}
            place = name.removeprefix(head).partition(".")[0]
            found.setdefault(place, set()).update(places - {place})
        TopologicalSorter(found).prepare()  # raises CycleError, which names the circle


def test_no_module_imports_a_private_name_of_another() -> None:
    """What another file needs has a public name; dunder modules such as `__about__` are no case."""
    private = re.compile(r"_(?!_)")
    assert not {
        f"{name} imports {node.module}.{alias.name}"
        for name, path in _ALL.items()
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("forklog")
        for alias in node.names
        if any(map(private.match, (*str(node.module).split("."), alias.name)))
    }


def test_each_folder_is_seen_at_one_look() -> None:
    """The root holds at most 18 modules, each folder at most 14, those of the tools as well."""
    sizes = Counter(name.rpartition(".")[0] for name in _ALL if not name.endswith("__init__"))
    assert sizes.pop("") <= 18
    assert max(sizes.values()) <= 14, sizes.most_common(3)


def test_no_module_has_the_name_of_a_public_function() -> None:
    """Importing such a module would bind it over the function."""
    names = {"doctor", "setup", "flush", "stats", "metrics", "bind", "bound", "unbind"}
    names |= {"carry_threads", "structlog_processor", "unbind_all"}
    tops = {path.stem for path in _PACKAGE.iterdir()}
    assert not names & tops
    assert names >= {name for name in forklog.__all__ if name.islower() and name[0] != "_"}


def test_the_way_of_a_record_needs_no_tools() -> None:
    """Nothing on the way of a record imports the emulator, the demo, or what tests use."""
    found = {(name, other) for name in _MODULES.keys() - _FACE for other in _imports(name)}
    assert not {(name, other) for name, other in found if other.partition(".")[0] in _TOOLS}


def _who_says(pattern: str) -> set[str]:
    return {name for name, path in _MODULES.items() if re.search(pattern, _code(path))}


@functools.cache
def _code(path: Path) -> str:
    """Return a file without its docstrings and comments."""
    return ast.unparse(_Strip().visit(ast.parse(path.read_text())))


class _Strip(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.copy_location(ast.Pass(), node) if is_text else node


def test_one_file_makes_threads() -> None:
    """Threads are started in thread.py alone."""
    assert _who_says(r"\bThread\(|start_new_thread|ThreadPool\w*\(|Timer\(") == {"process.thread"}


def test_few_files_hold_locks() -> None:
    """Locks and conditions are made where threads meet, and nowhere else."""
    made = r"\b(_?allocate_lock|R?Lock|TurnLock|Condition|(Bounded)?Semaphore)\("
    assert _who_says(made) == {
        "contract",
        "delivery.leaving",
        "delivery.ledger",
        "delivery.wakeup",
        "process.thread",
        "turn",
    }


def test_few_files_know_of_processes() -> None:
    """PIDs and at-fork callbacks are asked for in process/base.py, uWSGI in its own file."""
    wanted = {"process.base", "process.servers.uwsgi"}
    assert _who_says(r"os\.(getpid|getppid|register_at_fork)") == wanted
    assert not [
        name
        for name in set(_MODULES) - {"process.servers.uwsgi"}
        for node in ast.walk(_parsed(_MODULES[name]))
        if (isinstance(node, ast.Import) and "uwsgi" in {alias.name for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module == "uwsgi")
    ]


def test_nothing_logs_through_logging() -> None:
    """The pipeline never makes a record of its own; setting up is about loggers."""
    found = _who_says(r"getLogger\(|logging\.(debug|info|warning|error|exception)\(")
    about_loggers = {name for name in found if name.startswith("setting_up.")}
    assert found - about_loggers == {"handling.known_loggers"}


def test_only_the_ends_write_to_stderr() -> None:
    """Stderr is written in one file, beside the commands."""
    assert _who_says(r"sys\.stderr|print\(") == {"stderr.stream", "cli"}


def test_files_are_of_one_thought() -> None:
    """No file is longer than 250 lines, no function longer than 40."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        assert len(path.read_text().splitlines()) <= 250, path
        for node in ast.walk(_parsed(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 40, f"{path}: {node.name} has {length} lines"


def test_the_public_names_are_these() -> None:
    """What users import from the package is fixed, sorted and there."""
    assert forklog.__all__ == [
        "CloudLoggingHandler",
        "ForklogError",
        "OptionError",
        "Setup",
        "Stats",
        "StructuredLogHandler",
        "__version__",
        "bind",
        "bound",
        "carry_threads",
        "doctor",
        "flush",
        "metrics",
        "setup",
        "stats",
        "structlog_processor",
        "unbind",
        "unbind_all",
    ]
    assert all(hasattr(forklog, name) for name in forklog.__all__)
    assert (_PACKAGE / "py.typed").exists()


def test_only_public_packages_list_their_names() -> None:
    """``__all__`` stands where users import from, and nowhere else, tools and tests included."""
    public = {"__init__", "testing/__init__", "middleware/__init__", "transports/base"}
    public |= {"transports/google/__init__", "diagnosis/__init__", "emulator/__init__"}
    listing = {
        path.relative_to(_ROOT).with_suffix("").as_posix()
        for folder in (_PACKAGE, *(_ROOT / name for name in ("benchmarks", "examples", "tests")))
        for path in folder.rglob("*.py")
        if re.search(r"^__all__\b", path.read_text(), re.MULTILINE)
    }
    assert listing == {f"forklog/{name}" for name in public}


def test_no_module_is_a_numbered_step() -> None:
    """A module is called by what it does, not by its place in an order."""
    tools = [path for tool in _TOOLS for path in (_PACKAGE / tool).rglob("*.py")]
    heads = {path: ast.get_docstring(_parsed(path)) for path in [*_MODULES.values(), *tools]}
    numbered = re.compile(r"\bstep \d", re.IGNORECASE)
    assert not [path for path, head in heads.items() if numbered.search(head or "")]


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
    outside = tuple(f"forklog.{name}" for name in _TOOLS)
    assert not [name for name in loaded if name.startswith(outside)]


def _writes_elsewhere(name: str) -> set[str]:
    """Return the attributes that a module sets or deletes on what is not ``self``."""
    nodes = list(ast.walk(_parsed(_ALL[name])))
    targets = [one for node in nodes for one in _targets(node)]
    found = {ast.unparse(one) for one in targets if ast.unparse(one.value) != "self"}
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _SETTERS:
            owner, attribute = map(ast.unparse, node.args[:2])
            found |= {f"{owner}: {attribute}"} if owner != "self" else set()
    return found


_SETTERS = {"setattr", "delattr", "object.__setattr__", "object.__delattr__"}


def _targets(node: ast.AST) -> Iterator[ast.Attribute]:
    """Yield the attributes that are bound or deleted right in a node."""
    targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
    if isinstance(node, ast.withitem):
        targets.append(node.optional_vars)
    for target in targets:
        yield from (
            one
            for one in ast.walk(target or ast.Pass())
            if isinstance(one, ast.Attribute) and not isinstance(one.ctx, ast.Load)
        )


_OWN = {
    "context.base": {"whole.worst"},
    "context.origin": {"_of_thread.mark"},
    "encoding.jsonable": {"copy.missing"},
    "contract": {"lock.is_real"},
    "emulator.faults.armed": {"fault.left"},
    "emulator.fields": {"wrong.where"},
    "emulator.process": {"emulator._process"},
    "handler": {"copy._encoder", "copy.filters"},
    "handling.gate": {"copies.on_end"},
    "process.deadlines": {"_of_call[key].is_shared"},
    "process.signals": {"_of_thread.mask"},
    "process.thread_end": {"_local.last"},
    "spool.scan": {"found.error", "self.found.living"},
    "structured": {"copy.filters"},
    "transports.google.client": {"bound._on_project", "bound._options"},
}
"""Written by the file that has the class, or the thread's storage."""
_FOREIGN = {
    "cli": {"sys.stderr"},
    # aiohttp finds its mark of a middleware on the function. A writer's own method is put back.
    "context.aiohttp": {"aiohttp_middleware.__middleware_version__", "writer.write_headers"},
    "context.celery": {"request.forklog_scope", "task.request.forklog_scope"},
    "context.django": {"response.streaming_content"},
    # The exception takes along the scope in which it was raised, however far it goes.
    "context.origin": {"error: _LEFT_BEHIND"},
    "context.rq": {"job.create", "job.meta", "owner.perform_job"},
    # Methods of the standard library and of servers, and the mark on what was put there.
    "context.threads": {"function: _MARK", "owner: name"},
    "context.wsgi": {"body.close"},
    "diagnosis.bounded": {"logging.raiseExceptions"},
    "emulator.page.live": {"response.content_type"},
    "emulator.server.tail": {"response.charset", "response.content_type"},
    "encoding.strict": {"record.exc_text"},
    "handling.gate": {"weakref.finalize(handler, self._look).atexit"},
    "handling.known_loggers": {"logging.getLogger(name).propagate"},
    "process.servers.gunicorn": {"module.DirtyWorker: name"},
    "process.servers.rq": {"owner: name"},
    "process.servers.uvicorn": {"module.Server: name"},
    "process.servers.uwsgi": {"_uwsgi: name", "hook.forklog_callback"},
    "process.servers.uwsgi_exceptions": {"hook.forklog_callback", "sys.excepthook"},
    "recovery.command": {"parser.epilog"},
    "setting_up.uncaught": {"hook: _MARK", "sys.excepthook", "threading.excepthook"},
    "tail.source": {"answer.raw", "self._session.trust_env"},
    "spool.left.adopting": {"weakref.finalize(self, _close_collected, self._collected).atexit"},
    "spool.parts.taking": {"weakref.finalize(self, _leave_collected, self._left).atexit"},
    "testing.journal": {"self.close.atexit"},
    "transports.google.metadata": {"session.trust_env"},
    "transports.google.signing": {"tokens.trust_env"},
    "transports.http": {"request.body"},
    "transports.pools": {
        "manager.pool_classes_by_scheme",
        "self.poolmanager.pool_classes_by_scheme",
    },
    "transports.tokens": {"answer.raw", "session.auth", "session.max_redirects"},
    "transports.untouched": {"made.__kwdefaults__"},
}
"""Objects of Python, of libraries and of applications, which offer no method for it."""
_SHARED = {
    # No call may come there: even one more frame may be too many.
    "handler": {"pipeline.buffer.unencoded"},
    # In each log call of the handler that prints: one call less.
    "structured": {"lock.is_real"},
    # The encoder keeps the bytes of a request in the place that `RequestFields` has for them.
    "encoding.strict": {"request.encoded"},
    # `scope` alone makes scopes and blocks; `base` has the classes, which all rooms read.
    "context.scope": {
        "block.is_over",
        "own.fields",
        "scope.is_over",
        "scope.is_running",
        "scope.is_within",
        "scope.outer",
        "scope.paused",
        "whole.tails",
        "within.blocks",
        "within.parent",
    },
}
"""The exceptions: objects of forklog that another file writes, for a reason."""


def test_no_object_sets_the_attributes_of_another() -> None:
    """It calls a method instead, so that an attribute is written by its class and bases alone."""
    for name in sorted(_ALL):
        listed = set().union(*(table.get(name, set()) for table in (_OWN, _FOREIGN, _SHARED)))
        found = _writes_elsewhere(name)
        assert found <= listed, name
        assert listed <= found, f"{name}: remove what is written no more"
