"""The scope of a unit of work: what is known in it, what is bound to it, and when it ends."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest
from helpers import check_python
from opentelemetry import trace
from records import EncoderBench, record_of

import forklog
from forklog import OptionError
from forklog.context.base import CURRENT, LogContext, RequestFields, Scope
from forklog.context.headers import Headers, carried, parse_headers, trace_of
from forklog.context.scope import begin, end, pause, resume

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
KNOWN = LogContext(TRACE, SPAN, sampled=True, http_request=RequestFields(requestMethod="GET"))


@pytest.fixture(autouse=True)
def _own_context() -> Any:
    """Leave no scope behind, whatever a test does."""
    token = CURRENT.set(None)
    yield
    CURRENT.reset(token)


def _payload(bench: EncoderBench, record: logging.LogRecord) -> Any:
    entry = bench.one(record)
    return entry.get("jsonPayload", entry.get("textPayload"))


def test_a_plain_record_of_a_scope_takes_the_fast_path() -> None:
    """Its entry is that of the lenient encoder, and what the request adds is encoded once."""
    bench = EncoderBench()
    scope = begin(KNOWN, is_request=True)
    for _ in range(3):
        fast, lenient = bench.both(record_of())
        assert fast == lenient
    assert fast["trace"] == f"projects/p/traces/{TRACE}"
    assert fast["spanId"] == SPAN
    assert fast["traceSampled"] is True
    assert fast["httpRequest"] == {"requestMethod": "GET"}
    assert len(scope.tails) == 1


def test_each_span_of_a_scope_is_known() -> None:
    """OpenTelemetry's live span wins over the scope's trace; the request stays."""
    bench = EncoderBench()
    begin(KNOWN, is_request=True)
    for number in (1, 2, 1):
        live = trace.SpanContext(0xAB, number, is_remote=False, trace_flags=trace.TraceFlags(0))
        with trace.use_span(trace.NonRecordingSpan(live)):
            fast, lenient = bench.both(record_of())
        assert fast == lenient
        assert fast["spanId"] == f"{number:016x}"
        assert fast["httpRequest"] == {"requestMethod": "GET"}
    assert bench.one(record_of())["spanId"] == SPAN


def test_a_scope_keeps_the_bytes_of_few_spans() -> None:
    """A scope that lives long, such as that of a websocket, has any number of spans.

    Closes: the bytes of each span were kept until the scope was gone.
    """
    bench, scope = EncoderBench(), begin(KNOWN, is_request=True)
    for number in range(1, 101):
        live = trace.SpanContext(0xAB, number, is_remote=False, trace_flags=trace.TraceFlags(0))
        with trace.use_span(trace.NonRecordingSpan(live)):
            assert bench.one(record_of())["spanId"] == f"{number:016x}"
        assert len(scope.tails) <= 16


def test_the_trace_has_the_project_as_soon_as_it_is_known() -> None:
    """What was encoded before the project was known is not used afterwards."""
    project: list[str | None] = [None]
    bench = EncoderBench()
    bench.encoder = type(bench.encoder)(logging.Handler().format, {}, lambda: project[0])
    begin(KNOWN)
    assert bench.one(record_of())["trace"] == TRACE
    project[0] = "late"
    assert bench.one(record_of())["trace"] == f"projects/late/traces/{TRACE}"


@pytest.mark.parametrize("extra", [{}, {"labels": {"a": "b"}}, {"msg": '{"a": 1}'}], ids=str)
def test_the_worst_severity_is_known(extra: dict[str, Any]) -> None:
    """Every encoder takes note of the severity of the records of a scope."""
    bench, scope = EncoderBench(), begin(KNOWN)
    for level, rank in ((logging.INFO, 2), (logging.ERROR, 5), (logging.DEBUG, 5)):
        bench.raw(record_of(**{"levelno": level, **extra}))
        assert scope.worst == rank


def test_a_scope_that_ends_gives_back_what_was_before() -> None:
    """Nested scopes end in turn; one that is over, or was never closed, does not come back."""
    outer = begin(KNOWN)
    inner = begin(LogContext("1" * 32))
    end(inner)
    assert CURRENT.get() is outer
    begin(KNOWN, is_request=True)  # its server never closes it
    second = begin(KNOWN, is_request=True)
    end(second)
    assert CURRENT.get() is None


def test_a_request_that_another_task_runs_never_comes_back() -> None:
    """A server begins the next request of a connection in a task that inherits the one before.

    Class of fault: a background task of the one before still runs; siblings: the next request
    raises, gives way, or ends, and those of a whole connection hold each other.
    """

    async def next_request(how: str) -> Scope | None:
        scope = begin(KNOWN, is_request=True)
        resume(scope)
        if how == "gives way":
            pause(scope)
        else:
            end(scope, is_kept=how == "raises")
        assert scope.outer is None or how == "gives way"
        found = CURRENT.get()
        return None if found is scope else found

    async def connection(how: str) -> tuple[Scope, Scope | None]:
        first = begin(KNOWN, is_request=True)
        resume(first)  # and its background task goes on
        if how == "ends late":
            task = asyncio.create_task(next_request("ends"))
            end(first)
            return first, await task
        return first, await asyncio.create_task(next_request(how))

    assert asyncio.run(connection("raises"))[1] is None
    assert asyncio.run(connection("gives way"))[1] is None
    assert asyncio.run(connection("ends late"))[1] is None
    first, found = asyncio.run(connection("ends"))  # a task of the request's own has it again
    assert found is first


def test_a_child_that_serves_requests_has_none_of_its_parents() -> None:
    """A server that is forked in a request begins each of its own anew."""
    check_python(
        """
        import os
        from forklog.context.base import CURRENT, NOTHING
        from forklog.context.scope import begin, end, resume

        resume(begin(NOTHING, is_request=True))
        child = os.fork()
        if not child:
            end(begin(NOTHING, is_request=True))
            os._exit(DONE if CURRENT.get() is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
        """
    )


def test_fields_are_bound_to_the_whole_scope() -> None:
    """What a child task or another thread binds is seen by all of it, until it is unbound."""
    bench = EncoderBench()
    begin(KNOWN)

    async def dependency() -> None:
        forklog.bind(user=7)

    async def main() -> None:
        await asyncio.create_task(dependency())

    asyncio.run(main())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.copy_context().run, forklog.bind, order="x").result()
    assert _payload(bench, record_of()) == {"user": 7, "order": "x", "message": "hello"}
    forklog.unbind("user", "unknown")
    assert _payload(bench, record_of()) == {"order": "x", "message": "hello"}
    forklog.unbind_all()
    assert _payload(bench, record_of()) == "hello"


def test_fields_that_threads_bind_at_once() -> None:
    """What another thread binds within a call of `bind` or `unbind` stays bound.

    Closes: of two fields that threads of a request bound at once, one could be lost.
    """
    scope, others = begin(KNOWN), []

    def bind_another(frame: Any, _event: str, _arg: object) -> Any:
        if frame.f_code.co_filename != begin.__code__.co_filename:
            return None
        others.append(f"other_{len(others)}")
        forklog.bind(**{others[-1]: 1})
        return bind_another

    before = sys.gettrace()
    sys.settrace(bind_another)  # it is called at each line, and not within itself
    try:
        forklog.bind(user=7, order=1)
        forklog.unbind("order")
    finally:
        sys.settrace(before)
    assert set(scope.fields) == {"user", *others}
    assert len(others) > 8


def test_fields_outside_of_work_are_of_their_task() -> None:
    """Where no request is known, what a task or thread binds and unbinds is its own.

    Closes: after a `bind` of the main thread the fields of each task were on all records.
    """
    bench, seen = EncoderBench(), []
    forklog.bind(app="shop", user=None)

    async def job(user: str, *, is_last: bool) -> None:
        forklog.bind(user=user)
        await asyncio.sleep(0)
        seen.append(_payload(bench, record_of()))
        with forklog.bound(part=1):
            forklog.unbind_all()
            forklog.bind(last=is_last)
            await asyncio.sleep(0)
            seen.append(_payload(bench, record_of()))
        seen.append(_payload(bench, record_of()))

    async def main() -> None:
        await asyncio.gather(job("ann", is_last=False), job("bob", is_last=True))

    asyncio.run(main())
    first = [{"app": "shop", "user": user, "message": "hello"} for user in ("ann", "bob")]
    second = [{"last": last, "part": 1, "message": "hello"} for last in (False, True)]
    third = [{"last": last, "message": "hello"} for last in (False, True)]
    key = str
    assert sorted(seen, key=key) == sorted([*first, *second, *third], key=key)
    assert _payload(bench, record_of()) == {"app": "shop", "user": None, "message": "hello"}
    forklog.unbind("app", "user")
    assert CURRENT.get() is None  # and the fast path is open again


def test_what_a_block_binds_stays_after_it() -> None:
    """`bind` within a block concerns the records after it too, in a request and outside."""
    bench = EncoderBench()
    for begun in (None, KNOWN):
        if begun:
            forklog.unbind_all()
            begin(begun)
        with forklog.bound(item=1):
            forklog.bind(user=7)
            assert _payload(bench, record_of()) == {"user": 7, "item": 1, "message": "hello"}
        assert _payload(bench, record_of()) == {"user": 7, "message": "hello"}


def test_a_block_without_fields_hides_no_later_bind() -> None:
    """The bytes of a scope are not kept for a block, whose unit of work may change."""
    bench = EncoderBench()
    begin(KNOWN)
    with forklog.bound():
        assert _payload(bench, record_of()) == "hello"
        forklog.bind(user=7)
        assert _payload(bench, record_of()) == {"user": 7, "message": "hello"}


def _parts(*numbers: int) -> Iterator[int]:
    with forklog.bound(part=numbers[0], **{f"own_{numbers[0]}": True}):
        yield from numbers


async def _async_parts(*numbers: int) -> AsyncIterator[int]:
    with forklog.bound(part=numbers[0], **{f"own_{numbers[0]}": True}):
        for number in numbers:
            yield number


@pytest.mark.parametrize("before", [{}, {"app": "shop"}], ids=str)
@pytest.mark.parametrize("context", [None, KNOWN], ids=["outside", "request"])
def test_blocks_of_generators_that_take_turns(
    context: LogContext | None, before: dict[str, Any]
) -> None:
    """The block that ends takes its own fields along, whichever is the inner one.

    Closes: the fields of the first generator stayed on all later records of the thread.
    """
    bench = EncoderBench()
    if context:
        begin(context)
    if before:
        forklog.bind(**before)
    outside = {**before, "message": "hello"} if before else "hello"
    first, second = _parts(1, 2), _parts(3, 4)
    next(first)
    next(second)
    first.close()  # type: ignore[attr-defined]
    rest = {**before, "part": 3, "own_3": True, "message": "hello"}
    assert _payload(bench, record_of()) == rest
    second.close()  # type: ignore[attr-defined]
    assert _payload(bench, record_of()) == outside
    for _ in zip(_parts(1, 2), _parts(3, 4), strict=True):
        pass
    assert _payload(bench, record_of()) == outside

    async def main() -> None:
        one, other = _async_parts(1, 2), _async_parts(3, 4)
        await anext(one)
        await anext(other)
        assert [number async for number in one] == [2]
        assert _payload(bench, record_of()) == rest
        assert [number async for number in other] == [4]
        assert _payload(bench, record_of()) == outside

    asyncio.run(main())


def test_a_block_that_another_context_ends() -> None:
    """An abandoned generator that a thread, or the event loop, closes takes its fields along."""
    bench, left = EncoderBench(), _parts(1, 2)
    next(left)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(left.close).result()  # type: ignore[attr-defined]
    assert _payload(bench, record_of()) == "hello"
    with forklog.bound(item=1):
        assert _payload(bench, record_of()) == {"item": 1, "message": "hello"}
    assert _payload(bench, record_of()) == "hello"

    async def main() -> None:
        async for _ in _async_parts(1, 2):
            break
        deadline = time.monotonic() + 30
        while _payload(bench, record_of()) != "hello":  # until the loop has closed it
            assert time.monotonic() < deadline
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_task_keeps_the_block_it_was_started_in() -> None:
    """A child task has the fields of the block also after its parent has left it."""
    bench = EncoderBench()

    async def child() -> Any:
        await asyncio.sleep(0)
        with forklog.bound(own=1):
            pass
        return _payload(bench, record_of())

    async def main() -> Any:
        with forklog.bound(item=3):
            task = asyncio.create_task(child())
        assert _payload(bench, record_of()) == "hello"
        return await task

    assert asyncio.run(main()) == {"item": 3, "message": "hello"}


def test_fields_of_a_block_are_of_its_task() -> None:
    """``with bound()`` concerns its own task; blocks nest, and the inner one wins."""
    bench, seen = EncoderBench(), []
    begin(KNOWN)

    async def task(item: int) -> None:
        with forklog.bound(item=item, depth=1), forklog.bound(depth=2):
            await asyncio.sleep(0)
            seen.append(_payload(bench, record_of()))
        assert _payload(bench, record_of()) == "hello"

    async def main() -> None:
        await asyncio.gather(*(task(item) for item in range(3)))

    asyncio.run(main())
    assert seen == [{"item": n, "depth": 2, "message": "hello"} for n in range(3)]


def test_extra_wins_over_a_block_and_a_block_over_bind() -> None:
    """The nearest of the fields of one name counts; the message is always the record's."""
    bench = EncoderBench()
    forklog.bind(a="bind", b="bind", c="bind")
    with forklog.bound(b="bound", c="bound"):
        record = record_of("text", json_fields={"c": "extra"})
        expected = {"a": "bind", "b": "bound", "c": "extra", "message": "text"}
        assert _payload(bench, record) == expected
        mapping = record_of({"b": "mapping"})
        assert _payload(bench, mapping) == {"a": "bind", "b": "mapping", "c": "bound"}


def test_bound_fields_are_the_same_in_all_encoders() -> None:
    """The strict and the lenient encoder make the same entry of a record with bound fields."""
    bench = EncoderBench()
    begin(KNOWN)
    forklog.bind(user=7, nested={"a": [1, 2]})
    fast, lenient = bench.both(record_of(json_fields={"own": 1}, labels={"l": "1"}))
    assert fast == lenient


@pytest.mark.parametrize("name", ["message", "name", "levelname", "trace", "labels", "json_fields"])
def test_names_that_are_taken_are_refused(name: str) -> None:
    """A field cannot have a name that logging or forklog uses; its value is not shown."""
    with pytest.raises(OptionError, match="forklog or logging uses") as caught:
        forklog.bind(**{name: "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(OptionError), forklog.bound(**{name: 1}):
        pass


def test_bind_after_the_bytes_were_made() -> None:
    """A field that is bound in the middle of a request is in its next record."""
    bench = EncoderBench()
    begin(KNOWN)
    assert _payload(bench, record_of()) == "hello"
    forklog.bind(user=7)
    assert _payload(bench, record_of()) == {"user": 7, "message": "hello"}


def test_fields_do_not_hide_what_a_framework_knows() -> None:
    """Where only fields are bound, the request that Flask knows is on the record as well.

    Closes: no trace in a Flask request without a middleware, or in an RQ job, after a `bind`.
    """
    bench, app = EncoderBench(), flask.Flask("app")
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    forklog.bind(order=1)
    for path, bound in (("/a", 2), ("/b", 3)):
        with app.test_request_context(path, headers=headers), forklog.bound(item=bound):
            fast, lenient = bench.both(record_of())
        assert fast == lenient
        assert fast["trace"].endswith(TRACE)
        assert fast["httpRequest"]["requestUrl"] == f"http://localhost{path}"
        assert fast["jsonPayload"] == {"order": 1, "item": bound, "message": "hello"}
    forklog.unbind_all()
    for path in ("/a", "/b"):
        with app.test_request_context(path, headers=headers):
            assert bench.one(record_of())["httpRequest"]["requestUrl"] == f"http://localhost{path}"
    assert "httpRequest" not in bench.one(record_of())


B3 = [
    (Headers(b3=f"{TRACE}-{SPAN}-1"), (TRACE, SPAN, True)),
    (Headers(b3=f"{TRACE}-{SPAN}-d-{SPAN}"), (TRACE, SPAN, True)),
    (Headers(b3=f"{TRACE}-{SPAN}-0"), (TRACE, SPAN, False)),
    (Headers(b3=f"{TRACE}-{SPAN}"), (TRACE, SPAN, False)),
    (Headers(b3=f"{SPAN}-{SPAN}-1"), ("0" * 16 + SPAN, SPAN, True)),
    (Headers(b3="0"), (None, None, False)),
    (Headers(b3=f"{TRACE}-{SPAN}-2"), (None, None, False)),
    (Headers(b3=f"{'0' * 32}-{SPAN}-1"), (None, None, False)),
    (Headers(b3=f"{TRACE}-{'0' * 16}-1"), (None, None, False)),
    (Headers(b3=f"{TRACE}-{SPAN}-1 <script>"), (None, None, False)),
    (Headers(b3_trace=TRACE, b3_span=SPAN, b3_sampled="1"), (TRACE, SPAN, True)),
    (Headers(b3_trace=TRACE.upper(), b3_span=SPAN, b3_flags="1"), (TRACE, SPAN, True)),
    (Headers(b3_trace=TRACE, b3_span=SPAN), (TRACE, SPAN, False)),
    (Headers(b3_trace=TRACE), (None, None, False)),
    (Headers(b3_trace=TRACE, b3_span="-"), (None, None, False)),
    (Headers(traceparent=f"00-{TRACE}-{SPAN}-00", b3=f"{SPAN}-{SPAN}-1"), (TRACE, SPAN, False)),
]


@pytest.mark.parametrize(("headers", "expected"), B3)
def test_b3(headers: Headers, expected: tuple[Any, ...]) -> None:
    """B3 is read, single before multi, after the W3C's and Google's headers, and strictly."""
    assert trace_of(headers) == expected


@pytest.mark.parametrize("span", [SPAN, None])
@pytest.mark.parametrize("sampled", [True, False])
def test_a_trace_is_carried(span: str | None, *, sampled: bool) -> None:
    """What goes to another process is read there as it was."""
    context = LogContext(TRACE, span, sampled)
    assert parse_headers(None, carried(context)) == (TRACE, span, sampled)


@pytest.mark.parametrize("wrong", [None, "x", "0" * 32])
def test_no_trace_is_not_carried(wrong: str | None) -> None:
    """A scope without a well-formed trace sends none."""
    assert carried(LogContext(wrong)) is None


def test_carry_threads() -> None:
    """A thread, and a call of a pool, know who started them; a pool's thread keeps nothing."""
    done = check_python("""
        import json, threading
        from concurrent.futures import ThreadPoolExecutor
        import forklog
        from forklog.context.base import CURRENT
        forklog.carry_threads()
        forklog.carry_threads()
        seen = []
        def look():
            scope = CURRENT.get()
            seen.append(scope and scope.known().fields)
        class Own(threading.Thread):
            def run(self):
                look()
        def start(thread):
            thread.start()
            thread.join()
        with ThreadPoolExecutor(1) as pool:
            with forklog.bound(n=1):
                start(threading.Thread(target=look))
                start(Own())
                start(threading.Timer(0, look))
                pool.submit(look).result()
            pool.submit(look).result()
            start(Own())
        print(json.dumps(seen))
    """)
    assert json.loads(done.stdout) == [{"n": 1}] * 4 + [None] * 2
