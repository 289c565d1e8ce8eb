"""A record that another thread, another task or an earlier request made has no context of here."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from logging.handlers import MemoryHandler
from typing import TYPE_CHECKING, Any

import flask
import pytest
from records import EncoderBench, record_of

import forklog
from forklog.context.base import CURRENT, LogContext, RequestFields
from forklog.context.origin import leave_behind
from forklog.context.scope import begin, end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog import CloudLoggingHandler
    from forklog.testing import FakeTransport

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

KINDS: list[dict[str, Any]] = [{}, {"labels": {"a": "b"}}, {"msg": '{"a": 1}'}]
_OF_A_REQUEST = {"trace", "spanId", "httpRequest"}


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    token = CURRENT.set(None)
    yield
    CURRENT.reset(token)


def _known(path: str) -> LogContext:
    return LogContext(path[1] * 32, "1" * 16, http_request=RequestFields(requestUrl=path))


def _fields_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: entry["jsonPayload"][name] for name in entry.get("jsonPayload", {})}


def _check_has_nothing(bench: EncoderBench, record: logging.LogRecord) -> None:
    entry = bench.one(record)
    assert not _OF_A_REQUEST & entry.keys()
    assert "user" not in _fields_of(entry)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_record_of_before_the_request_is_not_of_it(kind: dict[str, Any]) -> None:
    """Every encoder leaves the context out, and the request does not take its severity."""
    bench, record = EncoderBench(), record_of(**{"levelno": logging.ERROR, **kind})
    scope = begin(_known("/bob"), is_request=True)
    forklog.bind(user="bob")
    record.created = scope.begun - 1e-3
    _check_has_nothing(bench, record)
    assert scope.worst == 0
    record.created = scope.begun  # in frozen time all have the same
    assert bench.one(record).keys() >= _OF_A_REQUEST
    assert scope.worst == 5


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_record_of_another_thread_is_not_of_the_request_here(kind: dict[str, Any]) -> None:
    """Requests that run side by side in threads have their own records, whichever began first."""
    bench, made = EncoderBench(), list[logging.LogRecord]()
    begin(_known("/bob"), is_request=True)
    forklog.bind(user="bob")
    thread = threading.Thread(target=lambda: made.append(record_of(**kind)))
    thread.start()
    thread.join()
    _check_has_nothing(bench, made[0])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="logging names no task before Python 3.12")
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_record_of_another_task_is_not_of_the_request_here(kind: dict[str, Any]) -> None:
    """Requests that run side by side in one event loop have their own records."""
    bench = EncoderBench()

    async def make() -> logging.LogRecord:
        return record_of(**kind)

    async def main() -> None:
        begin(_known("/bob"), is_request=True)
        forklog.bind(user="bob")
        own, other = await make(), await asyncio.create_task(make())
        assert bench.one(own).keys() >= _OF_A_REQUEST
        _check_has_nothing(bench, other)
        asyncio.get_running_loop().call_soon(_check_has_nothing, bench, own)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_name_of_a_task_that_a_filter_has_set_takes_no_context_away() -> None:
    """Filters give a name where there is no task, for formats that show one."""
    begin(_known("/bob"), is_request=True)
    assert EncoderBench().one(record_of(taskName="-"))["trace"]
    assert EncoderBench().one(record_of(thread=None))["trace"]  # logging.logThreads is false


def test_a_record_of_before_a_block_has_none_of_its_fields() -> None:
    """It keeps those of the blocks, and of the work, in which it was made."""
    bench = EncoderBench()
    scope = begin(_known("/bob"), is_request=True)
    scope.begun -= 10
    with forklog.bound(outer=1), forklog.bound(inner=2):
        outer, inner = CURRENT.get().blocks  # type: ignore[union-attr]
        outer.begun -= 5
        entry = bench.one(record_of(created=inner.begun - 1))
        assert _fields_of(entry) == {"outer": 1, "message": "hello"}
        assert entry.keys() >= _OF_A_REQUEST
        assert _fields_of(bench.one(record_of()))["inner"] == 2


def test_a_memory_handler_gives_no_record_to_the_next_request(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """What it held back of one request arrives without the request that has it flushed.

    Closes: an INFO record of /alice had the trace, the URL and the bound user of /bob.
    """
    logger, handler = make_logger()
    logger.handlers = [MemoryHandler(100, flushLevel=logging.ERROR, target=handler)]
    for path, level in (("/alice", logging.INFO), ("/bob", logging.ERROR)):
        scope = begin(_known(path), is_request=True)
        forklog.bind(user=path)
        logger.log(level, "record of %s", path)
        end(scope)
    handler.flush()
    held, direct = forklog_transport.entries
    assert held["textPayload"] == "record of /alice"
    assert not _OF_A_REQUEST & held.keys()
    assert direct["jsonPayload"] == {"user": "/bob", "message": "record of /bob"}
    assert direct["httpRequest"]["requestUrl"] == "/bob"


def test_a_filter_that_binds_outside_of_a_request_takes_no_trace_away(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """What Flask knows stays on each record; a field that a filter binds is on later records."""
    logger, handler = make_logger()

    def bind(_record: logging.LogRecord) -> bool:
        forklog.bind(user="ann")
        return True

    logger.addFilter(bind)
    headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    with flask.Flask("shop").test_request_context("/orders", headers=headers):
        for _ in range(3):
            logger.info("order")
    handler.flush()
    assert [entry["trace"][-1] for entry in forklog_transport.entries] == ["a"] * 3
    found = [_fields_of(entry).get("user") for entry in forklog_transport.entries]
    assert found == [None, "ann", "ann"]


def test_a_traceback_that_was_held_leaves_the_severity_of_the_next_request(
    make_logger: Make,
) -> None:
    """It has the request that its exception has left; the one that flushes it is no worse."""
    logger, handler = make_logger()
    logger.handlers = [memory := MemoryHandler(100, flushLevel=60, target=handler)]
    scope, error = begin(_known("/alice"), is_request=True), ValueError("alice fails")
    leave_behind(error, scope)
    end(scope)
    logger.error("500", exc_info=error)
    scope = begin(_known("/bob"), is_request=True)
    memory.flush()
    assert scope.worst == 0
