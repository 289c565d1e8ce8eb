"""The pages of the frameworks: each program on them runs as it stands, and its entries arrive."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import few
from helpers import wait_until
from packages import need_uwsgi
from pages import DOCS, Entry, Program, blocks_of, get
from redis_server import redis_server

from forklog.emulator.process import Emulator

FOLDER = DOCS / "frameworks"
SERVERS = {
    "django": 2,
    "flask": 1,
    "fastapi": 1,
    "aiohttp": 2,
    "uvicorn": 2,
    "gunicorn": 3,
    "uwsgi": 1,
}
"""By page: how many commands it has, each of which runs a server."""
_NEEDS = {"django": "django", "fastapi": "fastapi", "flask": "flask"}
_CASES = [(name, number) for name, count in SERVERS.items() for number in range(count)]
_FIRST = [(name, 0) for name in SERVERS if name not in {"flask", "gunicorn"}]
_PATIENCE = 60
_OF_REQUESTS = 'textPayload:"order" OR log_id("shop-requests")'


def _need(name: str) -> None:
    if name in _NEEDS and importlib.util.find_spec(_NEEDS[name]) is None:
        pytest.skip(f"{name} is not installed; the extra `test` has it")
    if name == "uwsgi":
        need_uwsgi()


@pytest.mark.parametrize(("name", "number"), few(_CASES, *_FIRST), ids=str)
def test_a_server(emulator: Emulator, tmp_path: Path, name: str, number: int) -> None:
    """The records of each request have its trace, and so has the request; all name the worker."""
    _need(name)
    program = Program(FOLDER / f"{name}.md", tmp_path, emulator)
    assert len(program.commands) == SERVERS[name]
    command = program.commands[number]
    has_requests = "plain:app" not in command
    wanted = 6 if has_requests else 2
    with program.serving(command) as url:
        for order in (17, 18):
            get(f"{url}/orders/{order}")
        wait_until(lambda: len(emulator.entries(_OF_REQUESTS)) >= wanted, _PATIENCE, "entries")
    parents = emulator.entries('log_id("shop-requests")')
    if not has_requests:
        assert len(emulator.entries('textPayload:"is read"')) == 2
        assert emulator.entries('labels.python_logger="gunicorn.error"')
        assert len(emulator.entries('labels.python_logger="gunicorn.access"')) == 2
        return
    assert [_number(p["httpRequest"]["requestUrl"]) for p in parents] == ["17", "18"]
    for parent in parents:
        _check_children(emulator, parent)
    assert not emulator.duplicates()
    if name == "uwsgi":
        assert len(emulator.entries('textPayload="the application is loaded"')) == 1
        assert {p["labels"]["uwsgi_worker_id"] for p in parents} <= {"1", "2"}


def _check_children(emulator: Emulator, parent: Entry) -> None:
    assert parent["httpRequest"]["status"] == 200
    assert parent["severity"] == "WARNING"
    order = _number(parent["httpRequest"]["requestUrl"])
    children = emulator.entries(f'trace="{parent["trace"]}" AND labels.python_logger="shop"')
    texts = [f"order {order} is read", f"order {order} has no address"]
    assert [child["textPayload"] for child in children] == texts
    workers = {child["labels"]["process_id"] for child in children}
    assert workers == {parent["labels"]["process_id"]}


def _number(url: str) -> str:
    return str(url).rpartition("/")[2]


@pytest.mark.long  # test_queues.py has more
def test_celery(emulator: Emulator, tmp_path: Path) -> None:
    """The records of tasks arrive from the pool, with the task's labels and a trace each."""
    program = Program(FOLDER / "celery.md", tmp_path, emulator)
    worker, send = program.commands
    program.run(send)
    with program.running(worker):
        wait_until(lambda: len(emulator.entries(_OF_TASKS)) >= 6, _PATIENCE, "the tasks")
    _check_tasks(emulator.entries(_OF_TASKS), "celery_task", "tasks.pack")
    assert emulator.entries('labels.python_logger="celery.worker.strategy"')


_OF_TASKS = 'textPayload:"is packed" OR textPayload:"has no address"'


def _check_tasks(entries: list[Entry], prefix: str, name: str) -> None:
    assert sorted(e["textPayload"] for e in entries) == sorted(
        f"order {n} {words}" for n in range(3) for words in ("is packed", "has no address")
    )
    assert {e["labels"][f"{prefix}_name"] for e in entries} == {name}
    assert len({e["labels"][f"{prefix}_id"] for e in entries}) == 3
    assert len({e["trace"] for e in entries}) == 3
    assert all(int(e["labels"]["process_id"]) > 1 for e in entries)


@pytest.fixture
def redis_port() -> Iterator[int]:
    """Run a Redis of this test's own; return its port."""
    with redis_server() as port:
        yield port


def test_rq(emulator: Emulator, tmp_path: Path, redis_port: int) -> None:
    """The records of jobs arrive from the work horses, and RQ's own from the worker."""
    program = Program(FOLDER / "rq.md", tmp_path, emulator)
    # fakeredis answers CLIENT INFO in a way that redis-py does not understand.
    site = tmp_path / "sitecustomize.py"
    site.write_text(
        "import redis\nredis.Redis.client_info = lambda self, **_: {'addr': '127.0.0.1'}\n"
    )
    program.environ["PYTHONPATH"] += f":{tmp_path}"
    sender = tmp_path / "send.py"
    sender.write_text(sender.read_text().replace("6379", str(redis_port)))
    for command in program.commands:
        program.run(command.replace("6379", str(redis_port)))
    _check_tasks(emulator.entries(_OF_TASKS), "rq_job", "jobs.pack")
    assert emulator.entries('labels.python_logger="rq.worker" AND textPayload:"Listening on"')


@pytest.mark.parametrize("name", ["structlog", "loguru"])
def test_a_logging_library(emulator: Emulator, tmp_path: Path, name: str) -> None:
    """Bound fields are keys of the payload."""
    pytest.importorskip(name, reason="the extra `test` has it")
    program = Program(FOLDER / f"{name}.md", tmp_path, emulator)
    for command in program.commands:
        program.run(command)
    packed, warned = emulator.entries('log_id("shop")')
    parcels = {"parcels": 2}
    fields = [parcels, {}] if name == "structlog" else [{}, parcels]
    assert packed["jsonPayload"] == {"message": "order is packed", "order": 17, **fields[0]}
    assert warned["jsonPayload"] == {"message": "order has no address", "order": 17, **fields[1]}
    assert (packed["severity"], warned["severity"]) == ("INFO", "WARNING")
    assert (warned["labels"].get("team") == "post") == (name == "structlog")


def test_each_page_is_run() -> None:
    """A page has a test above; each of its blocks is a file with a title, or a command."""
    names = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert names == {*SERVERS, "celery", "rq", "structlog", "loguru"}
    for name in names:
        page = (FOLDER / f"{name}.md").read_text()
        for title in ("Settings", "Loggers", "Trace", "Workers", "How it ends"):
            assert f"\n## {title}\n" in page, name
        blocks = blocks_of(FOLDER / f"{name}.md")
        assert len(blocks) == page.count("\n```") / 2, f"{name}: a block without a language"
        assert all(bool(block.title) != (block.language == "sh") for block in blocks), name
