"""Handlers come and go: what they leave behind is nothing. And other interpreters of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import check_python

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

SETUP = """
import atexit, gc, logging, logging.config, os, threading, time, weakref
import forklog
from forklog.delivery import pipeline
from forklog.process import exit_hooks as exits
from forklog.process import base as fork
from forklog.process import fork_hooks as forking
from forklog.process.servers import uwsgi

log = logging.getLogger()

def configure(**more):
    cloud = {{"class": "forklog.CloudLoggingHandler", "project": "p", "endpoint": {url!r},
             "max_latency": 0.01, **more}}
    logging.config.dictConfig({{
        "version": 1, "disable_existing_loggers": False,
        "handlers": {{"cloud": cloud}}, "root": {{"level": "INFO", "handlers": ["cloud"]}},
    }})

def drop():
    log.handlers[0].close()
    log.handlers.clear()

def left():
    for _ in range(3):
        gc.collect()  # a handler, then what its finalizer let go
    return {{
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "pipelines": sum(isinstance(o, pipeline.Pipeline) for o in gc.get_objects()),
        "marks": sum(type(o) is type(fork.new_mark()) for o in gc.get_objects()),
        "members": len(exits._live),
        "forkers": len(forking._live),
        "kept": len(fork._kept),
        "finalizers": len(weakref.finalize._registry),
        "atexit": atexit._ncallbacks(),
        "threading": len(getattr(threading, "_threading_atexits", ())),
        "uwsgi": len(uwsgi._after_fork) + len(uwsgi._after_request),
        "handlers": len(logging._handlerList),
    }}

configure()
log.info("first")
assert log.handlers[0].flush(10)
drop()
deadline = time.monotonic() + 10
while (before := left())["pipelines"] or before["threads"] > 1:
    assert time.monotonic() < deadline, before
    time.sleep(0.005)
"""


def check(emulator: Emulator, body: str) -> list[str]:
    """Run a body, check that nothing is left, and return the texts that arrived."""
    end = """
deadline = time.monotonic() + 10
while (now := left()) != before:  # a thread whose handler was collected has yet to end
    assert time.monotonic() < deadline, (before, now)
    time.sleep(0.005)
"""
    check_python(SETUP.format(url=emulator.url) + body + end, 60)
    return [entry["textPayload"] for entry in emulator.entries()]


def test_dict_config_fifty_times(emulator: Emulator) -> None:
    """Each configuration closes the handler before it; every record arrives; nothing piles up."""
    texts = check(
        emulator,
        """
for number in range(50):
    configure()
    log.info("%d", number)
    assert sum(t.name.startswith("forklog") for t in threading.enumerate()) <= 1
drop()
""",
    )
    assert texts == ["first", *map(str, range(50))]


@pytest.mark.thorough
def test_dict_config_twice_without_a_record_between(emulator: Emulator) -> None:
    """A handler that never logged has nothing to leave, and starts nothing when it is closed."""
    texts = check(emulator, "for _ in range(20): configure()\ndrop()\n")
    assert texts == ["first"]


def test_handlers_that_are_dropped_without_a_close(emulator: Emulator) -> None:
    """A handler that is collected delivers what it has, then its thread ends and all is freed."""
    texts = check(
        emulator,
        """
for number in range(20):
    log.addHandler(forklog.CloudLoggingHandler(
        project="p", endpoint=os.environ.get("URL") or before_url, max_latency=0.01))
    log.info("%d", number)
    log.handlers.clear()
""".replace('os.environ.get("URL") or before_url', repr(emulator.url)),
    )
    assert sorted(texts) == sorted(["first", *map(str, range(20))])


@pytest.mark.thorough
def test_logging_shutdown_and_close_as_often_as_one_likes(emulator: Emulator) -> None:
    """After logging.shutdown a record starts the handler again; the next shutdown ends it again."""
    texts = check(
        emulator,
        """
configure()
for number in range(20):
    log.info("%d", number)
    logging.shutdown()
    logging.shutdown()
    log.handlers[0].close()
log.handlers.clear()
""",
    )
    assert texts == ["first", *map(str, range(20))]


@pytest.mark.thorough
def test_handlers_that_their_own_options_hold(emulator: Emulator) -> None:
    """A callback that refers to its handler keeps it in memory until close(), and no longer."""
    texts = check(
        emulator,
        """
def make():
    handler = forklog.CloudLoggingHandler(
        project="p", endpoint=URL, max_latency=0.01, on_drop=lambda *_: handler.stats())
    return handler

for number in range(20):
    log.addHandler(make())
    log.info("%d", number)
    drop()
    log.addHandler(make())
    log.info("%d again", number)
    log.handlers[0].close()
    log.info("%d at last", number)
    drop()
    make()  # and one that never had a record nor a thread
""".replace("URL", repr(emulator.url)),
    )
    stories = ("{0}", "{0} again", "{0} at last")
    assert texts == ["first", *(s.format(number) for number in range(20) for s in stories)]


@pytest.mark.thorough
def test_handlers_that_had_no_thread(emulator: Emulator) -> None:
    """Where no thread can be started, a handler that is closed leaves as little behind."""
    texts = check(
        emulator,
        """
def refuse(*_):
    raise RuntimeError("can't start new thread")

from forklog.process import thread
start, thread._start_new_thread = thread._start_new_thread, refuse
for number in range(20):
    configure()
    log.error("%d", number)
    assert log.handlers[0].stats().state == "inline"
    drop()
thread._start_new_thread = start
""",
    )
    assert texts == ["first", *map(str, range(20))]


def test_children_of_a_closed_handler(emulator: Emulator) -> None:
    """A child forked after close() has nothing to run; it logs through the handler as ever."""
    texts = check(
        emulator,
        """
configure()
handler = log.handlers[0]
log.info("parent")
handler.close()
for number in range(20):
    child = os.fork()
    if not child:
        assert threading.active_count() == 1
        log.info("%d", number)
        os._exit(DONE if handler.flush(10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
del handler
drop()
""",
    )
    assert sorted(texts) == sorted(["first", "parent", *map(str, range(20))])


def test_an_import_in_another_interpreter() -> None:
    """In a sub-interpreter the import works or is refused by ImportError; nothing crashes."""
    done = check_python(
        """
        try:
            import _interpreters as interpreters  # 3.13
        except ImportError:
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                print("none here")
                raise SystemExit(DONE)
        import forklog
        code = chr(10).join([
            "import sys",
            "try:",
            "    import forklog",
            "    forklog.CloudLoggingHandler(project='p')",
            "    said = 'imported'",
            "except ImportError as error:",
            "    said = f'refused: {error}'",
            "sys.stdout.write(said + chr(10))",
            "sys.stdout.flush()",
        ])
        for _ in range(3):
            other = interpreters.create()
            wrong = interpreters.run_string(other, code)
            assert wrong is None, wrong
            interpreters.destroy(other)
        forklog.CloudLoggingHandler(project="p").close()  # this one is none the worse
    """,
        is_covered=False,
    )
    lines = set(done.stdout.splitlines())
    assert lines, done.stderr
    for line in lines:
        assert line.startswith(("imported", "refused", "none here")), line
    if "none here" in lines:
        pytest.skip("this Python cannot make interpreters")
    print(lines)  # noqa: T201 - with -s
