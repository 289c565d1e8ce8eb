"""`logging.Handler`'s contract: what an application overrides or patches is in effect."""

from __future__ import annotations

import abc
import copy
import logging
import pickle
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from helpers import check_python

from forklog import CloudLoggingHandler, StructuredLogHandler
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]


def _record(msg: str = "hello", **fields: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "app", "msg": msg, "levelno": 20, **fields})


def _texts(handler: logging.Handler, transport: FakeTransport) -> list[Any]:
    assert handler.flush()  # type: ignore[func-returns-value]
    return [entry.get("textPayload") for entry in transport.entries]


def _shout(record: logging.LogRecord) -> str:
    return record.getMessage().upper()


def test_an_overridden_filter_is_asked(forklog_transport: FakeTransport) -> None:
    """A class that overrides ``filter`` without any filter object decides what is sent."""

    class Choosy(CloudLoggingHandler):
        def filter(self, record: logging.LogRecord) -> bool:
            return "no" not in record.getMessage()

    handler = Choosy(transport=forklog_transport)
    assert not handler.handle(_record("no"))
    assert handler.handle(_record("yes"))
    assert _texts(handler, forklog_transport) == ["yes"]
    handler.close()


@pytest.mark.parametrize("is_used_before", [False, True])
@pytest.mark.parametrize("place", ["instance", "class", "subclass"])
@pytest.mark.parametrize("name", ["emit", "format", "filter", "acquire", "release", "handle"])
def test_a_patch_is_in_effect_with_the_next_record(
    name: str, place: str, *, is_used_before: bool, make_logger: Make
) -> None:
    """`mock.patch.object` on an instance, our class or a subclass counts, and ends with its block.

    Closes the class of faults where a decision made once outlives what it rests on.
    """

    class Sub(CloudLoggingHandler):
        pass

    transport = FakeTransport()
    handler = Sub(transport=transport)
    logger, _ = make_logger(transport)
    logger.handlers[:] = [handler]
    if is_used_before:
        logger.info("before")
    target = {"instance": handler, "class": CloudLoggingHandler, "subclass": Sub}[place]
    with mock.patch.object(target, name, return_value="shown") as patched:
        logger.info("during")
        assert patched.called
    logger.info("after")
    during = {"format": ["shown"], "filter": ["during"], "acquire": ["during"]}
    during["release"] = ["during"]
    wanted = [*["before"] * is_used_before, *during.get(name, []), "after"]
    assert _texts(handler, transport) == wanted
    handler.close()


def test_a_method_may_be_set_on_an_instance(make_logger: Make) -> None:
    """``handler.format = f`` and a formatter set later have their effect, and lose it again."""
    transport = FakeTransport()
    logger, handler = make_logger(transport)
    logger.info("a")
    handler.format = _shout  # type: ignore[method-assign]
    logger.info("b")
    del handler.format  # type: ignore[method-assign]
    logger.info("c")
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    logger.info("d")
    handler.formatter = None
    logger.info("e")
    assert _texts(handler, transport) == ["a", "B", "c", "<d>", "e"]


def test_another_class_set_on_an_instance_counts(make_logger: Make) -> None:
    """``handler.__class__ = Sub`` is in effect with the next record, as any patch."""

    class Loud(CloudLoggingHandler):
        def format(self, record: logging.LogRecord) -> str:
            return _shout(record)

    transport = FakeTransport()
    logger, handler = make_logger(transport)
    logger.info("a")
    handler.__class__ = Loud
    logger.info("b")
    assert _texts(handler, transport) == ["a", "B"]


@pytest.mark.parametrize("kind", [CloudLoggingHandler, StructuredLogHandler])
def test_a_deep_copy_has_filters_of_its_own(kind: Any) -> None:
    """A filter that is added to the copy does not silence the handler."""
    handler = kind()
    twin = copy.deepcopy(handler)
    twin.addFilter(lambda _: False)
    assert handler.filters == []


def test_patches_of_logging_before_the_first_record_count() -> None:
    """An agent's ``LogRecord.getMessage`` and ``Handler.format`` are used by later handlers."""
    check_python("""
        import functools, logging, forklog
        from forklog.testing import FakeTransport
        def decorated(original, mark):
            @functools.wraps(original)
            def method(self, *args):
                return original(self, *args) + mark
            return method
        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(transport=transport)
        logging.LogRecord.getMessage = decorated(logging.LogRecord.getMessage, " [trace=1]")
        logger = logging.getLogger("app")
        logger.addHandler(handler)
        logger.warning("a %s", 1)
        logging.Handler.format = decorated(logging.Handler.format, "!")
        second = forklog.CloudLoggingHandler(transport=transport)
        logger.handlers[:] = [second]
        logger.warning("b")
        assert handler.flush() and second.flush()
        assert sorted(e["textPayload"] for e in transport.entries) == [
            "a 1 [trace=1]", "b [trace=1]!"], transport.entries
        handler.close(); second.close()
    """)


@pytest.mark.parametrize("extra", [{}, {"labels": {"a": "b"}}])
def test_a_records_own_get_message_is_asked(extra: dict[str, Any], make_logger: Make) -> None:
    """A record that an agent decorated, or of a class of a factory, makes its own message."""
    transport = FakeTransport()
    _, handler = make_logger(transport)
    record = _record("hello %s", args=("you",), **extra)
    record.getMessage = lambda: "decorated"  # type: ignore[method-assign]
    handler.handle(record)

    class Own(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - logging's name
            return super().getMessage() + "!"

    own = Own("app", 20, "f", 1, "hello %s", ("you",), None)
    own.__dict__.update(extra)
    handler.handle(own)
    assert _texts(handler, transport) == ["decorated", "hello you!"]


def test_an_overridden_emit_runs_one_thread_at_a_time(forklog_transport: FakeTransport) -> None:
    """While one thread is in a subclass's ``emit``, another one waits for the lock."""
    entered, go, inside = threading.Event(), threading.Event(), []

    class Counting(CloudLoggingHandler):
        def emit(self, record: logging.LogRecord) -> None:
            inside.append(record.msg)
            entered.set()
            assert go.wait(20)
            super().emit(record)

    handler = Counting(transport=forklog_transport)
    threads = [threading.Thread(target=handler.handle, args=(_record(n),)) for n in "ab"]
    for thread in threads:
        thread.start()
    assert entered.wait(20)
    lock: Any = handler.lock
    assert not lock.acquire(blocking=False)
    assert not lock.acquire(timeout=0.05)
    assert len(inside) == 1
    go.set()
    for thread in threads:
        thread.join(20)
    assert lock.acquire(blocking=True, timeout=5)
    lock.release()
    assert sorted(_texts(handler, forklog_transport)) == ["a", "b"]
    handler.close()


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_the_lock_is_new_after_any_fork(fork: str) -> None:
    """A child forked while another thread is in ``emit`` logs; its lock is not the inherited one.

    Closes the class of faults where a child waits for a lock whose holder it does not have.
    """
    check_python(
        f"""
        import ctypes, logging, os, threading, forklog
        from forklog.testing import FakeTransport
        entered, go = threading.Event(), threading.Event()
        class Slow(forklog.CloudLoggingHandler):
            def emit(self, record):
                entered.set()
                if record.msg == "slow":
                    go.wait(60)
                super().emit(record)
        handler = Slow(transport=FakeTransport())
        thread = threading.Thread(target=handler.handle, daemon=True,
                                  args=(logging.makeLogRecord({{"msg": "slow"}}),))
        thread.start()
        assert entered.wait(30)
        child = {fork}()
        if child == 0:
            handler.handle(logging.makeLogRecord({{"msg": "child"}}))
            os._exit(DONE if handler.flush(20) else 3)
        status = os.waitpid(child, 0)[1]
        go.set()
        thread.join(30)
        handler.close()
        assert os.waitstatus_to_exitcode(status) == DONE, status
        """,
        timeout=60,
    )


def test_a_lock_of_a_subclass_is_left_alone(forklog_transport: FakeTransport) -> None:
    """A subclass that makes its own lock in ``createLock`` has it taken around its ``emit``."""
    held = []

    class Own(CloudLoggingHandler):
        def createLock(self) -> None:  # noqa: N802 - logging's name
            self.lock = threading.RLock()

        def emit(self, record: logging.LogRecord) -> None:
            held.append(self.lock._is_owned())  # type: ignore[union-attr,attr-defined]
            super().emit(record)

    handler = Own(transport=forklog_transport)
    handler.handle(_record())
    assert held == [True]
    assert _texts(handler, forklog_transport) == ["hello"]
    handler.close()


def test_a_deep_copy_delivers_and_a_pickle_is_refused(forklog_transport: FakeTransport) -> None:
    """`copy.deepcopy` shares the pipeline; `pickle` is refused by a text that names the remedy."""
    handler = CloudLoggingHandler(project="p", transport=forklog_transport)
    twin = copy.deepcopy({"handlers": [handler]})["handlers"][0]
    assert twin is not handler
    twin.handle(_record("by the copy"))
    assert _texts(handler, forklog_transport) == ["by the copy"]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"cannot be pickled.*pass the logger"):
            pickle.dumps(handler, protocol)
    logger = logging.getLogger("pickled")
    logger.addHandler(handler)
    assert pickle.loads(pickle.dumps(logger)) is logger  # noqa: S301 - ours
    logger.removeHandler(handler)
    handler.close()


def test_a_copy_works_and_has_its_own_formatter(forklog_transport: FakeTransport) -> None:
    """`copy.copy` gives a handler that delivers, by its own formatter and patches."""
    handler = CloudLoggingHandler(transport=forklog_transport)
    handler.handle(_record("a"))
    twin = copy.copy(handler)
    twin.setFormatter(logging.Formatter("<%(message)s>"))
    twin.handle(_record("b"))
    handler.handle(_record("c"))
    with mock.patch.object(CloudLoggingHandler, "emit") as emit:
        twin.handle(_record("d"))
    assert emit.called
    assert _texts(twin, forklog_transport) == ["a", "<b>", "c"]
    handler.close()


def test_an_abstract_class_may_stand_beside_the_handler(forklog_transport: FakeTransport) -> None:
    """A subclass may derive from an abstract class too."""

    class Named(abc.ABC):
        @abc.abstractmethod
        def label(self) -> str: ...

    class Both(CloudLoggingHandler, Named):
        def label(self) -> str:
            return "both"

    handler = Both(transport=forklog_transport)
    handler.handle(_record(handler.label()))
    assert _texts(handler, forklog_transport) == ["both"]
    handler.close()


def test_an_emit_like_the_stock_handlers_finds_its_attributes(make_logger: Make) -> None:
    """What google's filter sets is on the record while ``emit`` runs, and not afterwards."""

    class Stock(CloudLoggingHandler):
        def emit(self, record: Any) -> None:
            self.transport.send(
                record,
                self.format(record),
                resource=record._resource,
                labels=record._labels,
                trace=record._trace,
                span_id=record._span_id,
                trace_sampled=record._trace_sampled,
                http_request=record._http_request,
                source_location=record._source_location,
            )
            super().emit(record)

    transport = FakeTransport()
    _, plain = make_logger(transport)
    handler = Stock(project="p", transport=transport)
    given = {"labels": {"a": "b"}, "trace": "t", "http_request": {"status": 200}, "span_id": "s",
             "trace_sampled": True, "resource": {"type": "global", "labels": {}}}  # fmt: skip
    for extra in ({}, given):
        record = _record(**extra)
        handler.handle(record)
        assert not [name for name in vars(record) if name.startswith("_")]
        plain.handle(record)
    assert handler.flush()
    assert plain.flush()
    handler.close()
    entries = [{**e, "insertId": ""} for e in transport.entries]
    entries.sort(key=lambda entry: len(str(entry)))
    assert entries[0] == entries[1] == entries[2]
    assert entries[3] == entries[4] == entries[5]
    assert entries[3]["labels"] == {"python_logger": "app", "a": "b"}
