"""Each server's file and the doctor know the same processes, by the same names."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import check_python

from forklog.process import server_hooks
from forklog.process.servers import processes

_PYTHON = ["threading._register_atexit", "atexit"]
_DIRTY = "the end of gunicorn's dirty worker"
_FIRING = {
    "celery": {
        "child": ["celery's worker_process_shutdown"],
        "beat": [],
        "main process": _PYTHON,
    },
    "rq": {"work horse": ["the end of RQ's job"], "worker": _PYTHON},
    "gunicorn": {
        "dirty worker": [_DIRTY],
        "child of a dirty worker": [],
        "dirty arbiter": _PYTHON,
        "child of the dirty arbiter": _PYTHON,
        "worker": _PYTHON,
        "child of a worker": _PYTHON,
        "arbiter": _PYTHON,
        "child of the arbiter": _PYTHON,
    },
    "uvicorn": {"server": ["the end of uvicorn's shutdown"]},
    "uwsgi": {
        "master, before its workers": [],
        "first process": ["uwsgi.atexit", *_PYTHON],
        "worker": ["uwsgi.atexit", *_PYTHON],
        "mule": ["uwsgi.atexit", *_PYTHON],
        "spooler": [],
        "child of the master": ["uwsgi.atexit", *_PYTHON],
        "child of uWSGI worker": _PYTHON,
    },
}
"""By server and name: the hooks that fire at the end of such a process."""
_BEGIN = """
    import json, os, sys, types

    def made(kind, **attributes):
        thing = object.__new__(kind)
        vars(thing).update(attributes)
        return thing

    def asked(self=None, *more):
        # What is in charge of a process runs on the stack of its main thread, as self does here.
        if more:
            return asked(*more)
        from forklog.diagnosis.facts import Process
        from forklog.diagnosis.look.exits import exits_of
        from forklog.diagnosis.look.role import role_here
        role = role_here()
        exits = exits_of(Process(pid=1, role=role, python="", has_threads=True), (), (3, 11))
        return role.name, [hook.name for hook in exits.hooks if hook.fires]
"""
_ASK = {
    "celery": """
    import billiard.process
    from celery.worker.worker import WorkController
    found = [asked(made(WorkController, pool_cls=WorkController))]
    billiard.process.current_process()._identity = (1,)
    found.append(asked())
    from celery.beat import _Process
    billiard.process._set_current_process(made(_Process, _identity=(2,), _name="Beat"))
    found.append(asked())
    """,
    "rq": """
    from rq.worker import Worker
    found = [asked(made(Worker, _is_horse=is_horse)) for is_horse in (True, False)]
    """,
    "gunicorn": """
    from gunicorn.arbiter import Arbiter
    from gunicorn.dirty.arbiter import DirtyArbiter
    from gunicorn.dirty.worker import DirtyWorker
    from gunicorn.workers.sync import SyncWorker
    ways = (Arbiter,), (Arbiter, SyncWorker), (Arbiter, DirtyArbiter)
    found = []
    for *parents, last in (*ways, (Arbiter, DirtyArbiter, DirtyWorker)):
        for pid in (os.getpid(), os.getppid()):
            things = [made(kind, pid=os.getppid()) for kind in parents]
            found.append(asked(*things, made(last, pid=pid)))
    """,
    "uvicorn": """
    from uvicorn.server import Server
    found = [asked(made(Server))]
    """,
    "uwsgi": """
    server = sys.modules["uwsgi"] = types.ModuleType("uwsgi")
    server.opt = {}
    here, parent, other = os.getpid(), os.getppid(), 2**30
    found = []
    for master, worker, mule, pid in [
        (here, 0, 0, 0), (0, 0, 0, 0), (parent, 1, 0, here), (parent, 0, 1, 0),
        (parent, 0, 0, 0), (other, 0, 0, 0), (other, 1, 0, parent),
    ]:
        server.masterpid = lambda: master
        server.worker_id = lambda: worker
        server.mule_id = lambda: mule
        server.workers = lambda: [{"pid": pid}]
        found.append(asked())
    """,
}


@pytest.mark.parametrize("server", server_hooks.ALL)
def test_each_name_of_a_process_is_given(server: str) -> None:
    """The names of a server's file are those that its processes get, and decide about their ends.

    Class of fault: a file knows a process by a name that nothing gives, so its rule is never used;
    sibling: `test_gunicorns_dirty_worker`.
    """
    if server == "gunicorn" and not find_spec("gunicorn.dirty"):
        pytest.skip("gunicorn before 25.0 has no dirty workers")
    done = check_python(f"{_BEGIN}{_ASK[server]}\n    print(json.dumps(found))\n")
    expected, seen = _FIRING[server], {}
    for name, firing in json.loads(done.stdout.splitlines()[-1]):
        seen[max((p for p in expected if name.startswith(p)), key=len, default=name)] = firing
    assert seen == expected
    assert set(server_hooks.ALL[server].PROCESSES) == set(expected)


def test_each_file_of_a_server_is_in_the_list() -> None:
    """No server's file is forgotten; the other files of the folder are what these share."""
    folder = Path(processes.__file__).parent
    shared = {"__init__", "processes", "protocol", "uwsgi_exceptions", "wrapping"}
    assert {path.stem for path in folder.glob("*.py")} == server_hooks.ALL.keys() | shared
