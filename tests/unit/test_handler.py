"""The handler: how it is configured, and that a log call is safe wherever it is made."""

from __future__ import annotations

import gc
import logging
import logging.config
import os
import signal
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as google_logging
from helpers import check_python, wait_until

import forklog
from forklog.testing import FakeTransport, Hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forklog import CloudLoggingHandler
    from forklog.emulator.process import Emulator

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]


@pytest.fixture
def clean_root() -> Iterator[logging.Logger]:
    """Give the root logger, and put it back as it was."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield root
    for handler in [h for h in root.handlers if h not in handlers]:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def _texts(transport: FakeTransport) -> list[str]:
    return [entry.get("textPayload", "") for entry in transport.entries]


# -- configuration ---------------------------------------------------------------------------


def test_a_handler_shows_log_project_and_state(forklog_transport: FakeTransport) -> None:
    """Its repr names log, project, level and state, and no secret; it works half built, too."""
    secret = AnonymousCredentials()
    handler = forklog.CloudLoggingHandler(
        log_name="web", project="p", level="info", transport=forklog_transport, credentials=secret
    )
    assert repr(handler) == "<CloudLoggingHandler web of project p (INFO), inert>"
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert repr(handler) == "<CloudLoggingHandler web of project p (INFO), running>"
    handler.close()
    assert repr(handler) == "<CloudLoggingHandler web of project p (INFO), closed>"
    other = forklog.CloudLoggingHandler(transport=forklog_transport)
    other.project_id = None
    assert repr(other) == "<CloudLoggingHandler python of no project so far (NOTSET), inert>"
    half = forklog.CloudLoggingHandler.__new__(forklog.CloudLoggingHandler)
    assert repr(half) == "<CloudLoggingHandler, not built>"


def test_a_construction_that_failed_stays_out_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its exception lives logging knows the half-built handler; `shutdown` passes it.

    Closes: a traceback at the exit, and a later dictConfig that raised AttributeError.
    """
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", "h:99999")
    before = list(logging._handlerList)  # type: ignore[attr-defined]
    with pytest.raises(forklog.OptionError, match="LOGGING_EMULATOR_HOST"):
        forklog.CloudLoggingHandler(log_name="half-built")
    logging.shutdown([ref for ref in logging._handlerList if ref not in before])  # type: ignore[attr-defined]
    half = forklog.CloudLoggingHandler.__new__(forklog.CloudLoggingHandler)
    logging.Handler.__init__(half)
    logging.shutdown([weakref.ref(half)])


def test_no_argument_is_needed(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """The zero-argument handler delivers, here to the emulator that the environment names."""
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", emulator.host)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-env")
    handler = forklog.CloudLoggingHandler()
    logger = logging.Logger("zero", logging.DEBUG)  # noqa: LOG001
    logger.addHandler(handler)
    logger.info("hello")
    handler.close()
    (entry,) = emulator.entries()
    assert entry["logName"] == "projects/from-env/logs/python"
    assert entry["textPayload"] == "hello"


@pytest.mark.usefixtures("clean_root")
def test_dict_config_with_plain_values(emulator: Emulator) -> None:
    """The documented dictConfig works with strings, numbers and dicts alone."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "cloud": {
                    "class": "forklog.CloudLoggingHandler",
                    "level": "INFO",
                    "endpoint": emulator.url,
                    "project": "p",
                    "log_name": "web/app",
                    "labels": {"env": "prod"},
                    "resource": {"type": "generic_task", "labels": {"job": "j"}},
                    "max_latency": 0.05,
                    "flush_level": "ERROR",
                }
            },
            "root": {"level": "DEBUG", "handlers": ["cloud"]},
        }
    )
    logging.getLogger("a.b").debug("too low")
    logging.getLogger("a.b").warning("hello")
    (entry,) = emulator.wait_for(bool, 10)
    assert entry["logName"] == "projects/p/logs/web%2Fapp"
    assert entry["labels"] == {"env": "prod", "python_logger": "a.b"}
    assert entry["resource"]["type"] == "generic_task"
    assert entry["severity"] == "WARNING"


@pytest.mark.usefixtures("clean_root")
def test_dict_config_names_the_wrong_option() -> None:
    """What is wrong in a dictConfig is the text of its ValueError's cause."""
    config = {"class": "forklog.CloudLoggingHandler", "max_latency": "fast"}
    with pytest.raises(ValueError, match="cloud") as caught:
        logging.config.dictConfig({"version": 1, "handlers": {"cloud": config}})
    assert "max_latency='fast'" in str(caught.value.__cause__)


@pytest.mark.usefixtures("clean_root")
def test_file_config(tmp_path: Path, emulator: Emulator) -> None:
    """An ini file of fileConfig works."""
    path = tmp_path / "logging.ini"
    path.write_text(f"""
[loggers]
keys=root
[handlers]
keys=cloud
[formatters]
keys=
[logger_root]
level=INFO
handlers=cloud
[handler_cloud]
class=forklog.CloudLoggingHandler
args=()
kwargs={{"endpoint": "{emulator.url}", "project": "p", "max_latency": 0.05}}
""")
    logging.config.fileConfig(path, disable_existing_loggers=False)
    logging.getLogger("ini").info("hello")
    assert emulator.wait_for(bool, 10)[0]["textPayload"] == "hello"


def test_a_client_of_google_is_taken(emulator: Emulator) -> None:
    """``client=`` gives project and endpoint, and its log arrives; its own connection is unused."""
    client = google_logging.Client(  # type: ignore[no-untyped-call]
        project="from-client",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": emulator.url},
        _use_grpc=False,
    )
    handler = forklog.CloudLoggingHandler(client, name="web")
    logger = logging.Logger("client", logging.DEBUG)  # noqa: LOG001
    logger.addHandler(handler)
    logger.info("hello")
    handler.close()
    (entry,) = emulator.entries()
    assert entry["logName"] == "projects/from-client/logs/web"
    assert emulator.stats()["connections"] is not None
    client._http.close()


def test_construction_touches_no_network() -> None:
    """With an endpoint where nothing listens the constructor returns at once, without a thread."""
    before = threading.active_count()
    start = time.monotonic()
    handler = forklog.CloudLoggingHandler(endpoint="http://127.0.0.1:1", project="p")
    assert time.monotonic() - start < 0.5
    assert threading.active_count() == before
    handler.close()


# -- the log call ----------------------------------------------------------------------------


def test_filters_of_the_handler_apply(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """A filter that says no stops the record; one that returns another record replaces it."""
    logger, handler = make_logger()

    def pick(record: logging.LogRecord) -> bool:
        record.msg = str(record.msg).upper()
        return "NO" not in record.msg

    handler.addFilter(pick)
    logger.info("no")
    logger.info("yes")
    assert handler.flush()
    assert _texts(forklog_transport) == ["YES"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters replace records from 3.12 on")
def test_a_filter_may_replace_the_record(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """What a filter returns in place of the record is what is sent."""
    logger, handler = make_logger()
    other = logging.makeLogRecord({"msg": "other", "levelno": 20})
    handler.addFilter(lambda _record: other)  # type: ignore[arg-type,return-value,unused-ignore]
    logger.info("this")
    assert handler.flush()
    assert _texts(forklog_transport) == ["other"]


def test_no_lock_is_waited_for(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """With the handler's lock taken by a thread that is gone, records and shutdown still go."""
    logger, handler = make_logger()
    holder = threading.Thread(target=handler.acquire)
    holder.start()
    holder.join()

    def work() -> None:
        logger.info("hello")
        logging.shutdown([weakref.ref(handler)])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert _texts(forklog_transport) == ["hello"]


def test_a_signal_handler_may_log_in_the_middle_of_a_log_call(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Thousands of log calls interrupted by handlers that log: every record arrives once."""
    logger, handler = make_logger()
    count = {"signal": 0, "main": 0}

    def interrupt(*_: object) -> None:
        count["signal"] += 1
        logger.error("signal %d", count["signal"])

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        while count["signal"] < 300:
            count["main"] += 1
            logger.info("main %d", count["main"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handler.flush(30)
    texts = _texts(forklog_transport)
    assert len(texts) == len(set(texts)) == count["signal"] + count["main"]


def test_a_signal_at_any_line_of_the_first_record(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """A log call interrupted at each of its lines by another one, as it starts the pipeline."""
    for step in range(1, 400, 2):
        logger, handler = make_logger(max_latency=0)
        left = [step]

        def trace(
            frame: Any, event: str, _arg: object, left: list[int] = left, logger: Any = logger
        ) -> Any:
            inside = f"{os.sep}forklog{os.sep}" in frame.f_code.co_filename
            if inside and event == "line":
                left[0] -= 1
                if left[0] == 0:
                    sys.settrace(None)
                    logger.warning("inner")
            return trace

        had = len(forklog_transport.entries)
        outer = sys.gettrace()
        sys.settrace(trace)
        try:
            logger.info("outer")
        finally:
            sys.settrace(outer)
        assert handler.flush(10)
        wanted = 2 if left[0] <= 0 else 1
        assert len(forklog_transport.entries) == had + wanted, f"at line {step}"
        handler.close()
        if wanted == 1:
            break
    assert step > 50, "the lines were not found"


def test_finalizers_may_log(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """``__del__`` and weak callbacks that log, run by the collector inside log calls, deliver."""
    logger, handler = make_logger()

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            logger.error("del")

    class Dying:
        pass

    refs = []
    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(200):
            Cycle()
            dying = Dying()
            refs.append(weakref.ref(dying, lambda _: logger.error("weak")))
            del dying
            logger.info("main")
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert handler.flush(20)
    texts = _texts(forklog_transport)
    assert [texts.count(word) for word in ("main", "del", "weak")] == [200, 200, 200]


def test_a_message_that_logs_while_it_is_formatted(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """An argument whose ``__str__`` logs is no deadlock: both records arrive."""
    logger, handler = make_logger()

    class Chatty:
        def __str__(self) -> str:
            logger.info("inner")
            return "chatty"

    logger.info("outer %s", Chatty())
    assert handler.flush()
    texts = _texts(forklog_transport)
    assert "inner" in texts
    assert "outer chatty" in texts


def test_records_of_our_own_work_are_swallowed(emulator: Emulator) -> None:
    """With the root logger at DEBUG our requests' own log records are counted and not sent."""
    check_python(f"""
        import logging, forklog
        handler = forklog.CloudLoggingHandler(endpoint={emulator.url!r}, project="p")
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.DEBUG)
        for n in range(5):
            logging.info("n%d", n)
            assert handler.flush()
        logging.getLogger("urllib3.connectionpool").info("mine")
        assert handler.flush()
        assert handler.stats().swallowed > 0, handler.stats()
        assert handler.stats().accepted == 6, handler.stats()
    """)
    assert [e["textPayload"] for e in emulator.entries()] == [*(f"n{n}" for n in range(5)), "mine"]


def test_a_log_call_never_raises(
    make_logger: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that breaks even the full encoder is counted and printed by logging's own rules."""
    logger, handler = make_logger()
    monkeypatch.setattr(logging, "raiseExceptions", True)

    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise KeyboardInterrupt if record.msg == "stop" else ValueError("broken formatter")

    handler.setFormatter(Broken())
    logger.info("x")
    assert handler.flush()
    stats = handler.stats()
    is_reported = (
        stats.dropped.get("encode", 0) == 1 and "broken formatter" in capsys.readouterr().err
    )
    assert stats.delivered == 1 or is_reported
    with pytest.raises(KeyboardInterrupt):
        logger.info("stop")


# -- ends ------------------------------------------------------------------------------------


def test_a_collected_handler_delivers_and_leaves_no_thread(
    forklog_transport: FakeTransport,
) -> None:
    """A handler without references: its records arrive, its thread ends by itself."""
    handler = forklog.CloudLoggingHandler(transport=forklog_transport, max_latency=0.05)
    handler.handle(logging.makeLogRecord({"msg": "last words", "levelno": 20}))
    gone = weakref.ref(handler)
    del handler
    gc.collect()
    assert gone() is None
    forklog_transport.wait_for(1)
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("forklog")])


def test_a_collected_handler_that_never_logged(forklog_transport: FakeTransport) -> None:
    """Handlers that come and go without a record leave nothing."""
    before = threading.active_count()
    for _ in range(50):
        forklog.CloudLoggingHandler(transport=forklog_transport)
    gc.collect()
    assert threading.active_count() == before


@pytest.mark.usefixtures("clean_root")
def test_logging_shutdown_delivers(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """``logging.shutdown`` flushes and closes; it may be called twice."""
    logger, handler = make_logger(max_latency=30)
    logger.info("a")
    reference = [weakref.ref(handler)]
    logging.shutdown(reference)
    logging.shutdown(reference)
    assert _texts(forklog_transport) == ["a"]


def test_a_failed_construction_can_be_closed() -> None:
    """What logging keeps of a handler with a wrong option does not raise at shutdown."""
    with pytest.raises(forklog.OptionError):
        forklog.CloudLoggingHandler(max_latency=-1)
    handler = forklog.CloudLoggingHandler.__new__(forklog.CloudLoggingHandler)
    logging.Handler.__init__(handler)
    handler.close()


def test_two_handlers_do_not_disturb_each_other(make_logger: Make) -> None:
    """Each handler has its own pipeline and thread: one that hangs does not delay the other."""
    slow_wire, fast_wire = FakeTransport(Hang()), FakeTransport()
    slow, _ = make_logger(slow_wire)
    fast, handler = make_logger(fast_wire)
    slow.info("slow")
    fast.info("fast")
    assert handler.flush(5)
    assert _texts(fast_wire) == ["fast"]
    slow_wire.release()
    slow_wire.wait_for(1)


def test_a_subclass_may_format_itself() -> None:
    """A handler whose class overrides format() has it called for plain records too."""

    class Shouting(forklog.CloudLoggingHandler):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(record).upper()

    transport = FakeTransport()
    handler = Shouting(transport=transport)
    handler.handle(logging.makeLogRecord({"name": "quiet", "msg": "hello", "levelno": 20}))
    assert handler.flush(5)
    assert [entry["textPayload"] for entry in transport.entries] == ["HELLO"]
    handler.close()


def test_a_wrong_project_of_the_environment_blocks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that is no project id raises nothing: entries wait, one line names it."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "My Project!")
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", "127.0.0.1:9")
    handler = forklog.CloudLoggingHandler(last_resort="none", max_latency=0, shutdown_timeout=0.2)
    handler.handle(logging.makeLogRecord({"msg": "waits", "levelno": logging.INFO}))
    wait_until(lambda: handler.stats().requests)
    assert not handler.flush(0.1)
    assert handler.stats().pending == 1
    handler.close()
    err = capsys.readouterr().err
    assert "the variable GOOGLE_CLOUD_PROJECT is no project id: 'My Project!'" in err


class _OfNoThread(logging.LogRecord):
    """A record of which the attribute `thread` raises, as a property of an agent's may."""

    @property
    def thread(self) -> Any:
        raise ValueError("no thread")

    @thread.setter
    def thread(self, value: Any) -> None:
        pass


@pytest.mark.parametrize("name", ["shop", "urllib3.connectionpool"])
def test_a_record_whose_thread_raises_is_delivered(
    forklog_transport: FakeTransport, name: str
) -> None:
    """Nothing is raised into the application; the calling thread stands in."""
    handler = forklog.CloudLoggingHandler(transport=forklog_transport, max_latency=0.01)
    record = _OfNoThread(name, logging.INFO, "p", 1, "hello %s", ("you",), None)
    handler.handle(record)
    handler.emit(record)
    assert handler.flush(10)
    assert [entry["textPayload"] for entry in forklog_transport.entries] == ["hello you"] * 2
    handler.close()
