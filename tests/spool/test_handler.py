"""A handler with a spool: what it leaves, adopts and reports, and what it never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import few, further
from helpers import check_python
from spool_script import SETUP

from forklog import CloudLoggingHandler, OptionError
from forklog.testing import FakeTransport

if TYPE_CHECKING:
    from forklog.emulator import Emulator


def _check(folder: Path, body: str) -> str:
    whole = SETUP.format(folder=str(folder)) + textwrap.dedent(body)
    done = check_python(whole, 60, is_covered=False)
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "made" / "spool"


def test_the_log_of_an_orphan_is_its_own(folder: Path) -> None:
    """Log name, labels and resource come from the dead process, insertId and time as well."""
    _check(
        folder,
        """
        def die():
            log, _ = log_with(FakeTransport(Hang(times=1000)), log_name="theirs", labels={"a": "b"},
                              resource={"type": "global", "labels": {"project_id": "p"}})
            log.error("last words")
        before = time.time()
        killed(die)
        time.sleep(1.1)
        transport = FakeTransport()
        log, handler = log_with(transport, log_name="mine", labels={"c": "d"})
        log.info("mine")
        wait(lambda: len(transport.entries) == 2)
        request = next(request for request in transport.sent if request.envelope)
        assert request.envelope.log_name == "theirs"
        assert request.envelope.labels == {"a": "b"}
        assert request.envelope.resource["type"] == "global"
        entry = request.stored[0]
        assert entry["textPayload"] == "last words" and entry["severity"] == "ERROR"
        begun = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))
        ended = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before + 1))
        assert begun <= entry["timestamp"][:19] <= ended
        wait(lambda: handler.stats().delivered == 2)  # booked after it has arrived
        stats = handler.stats()
        assert (stats.recovered, stats.accepted, stats.delivered) == (1, 2, 2), stats
        """,
    )


@pytest.mark.parametrize("option", ['project="q"', 'endpoint="http://127.0.0.1:1"'])
def test_never_under_another_project_or_endpoint(folder: Path, option: str) -> None:
    """What another project or endpoint would get stays, and is reported once."""
    stderr = _check(
        folder,
        f"""
        killed(lambda: log_with(FakeTransport(Hang(times=1000)), {option})[0].error("theirs"))
        transport = FakeTransport()
        log, handler = log_with(transport)
        for number in range(3):
            log.info("mine")
            handler.flush(10)
            time.sleep(1.1)
        assert texts(transport) == ["mine"] * 3
        handler.close()
        assert len(heads()) == 1
        """,
    )
    assert stderr.count("of another project, endpoint or format") == 1


def test_a_project_that_is_found_later(folder: Path) -> None:
    """The head says it from then on, and the resource: no process of another project adopts."""
    stderr = _check(
        folder,
        """
        import json
        from forklog.transports.base import Origin

        class Found(FakeTransport):
            def __init__(self, project, *script):
                super().__init__(*script)
                self.project = project
            def open(self):
                connection = super().open()
                labels = {"project_id": self.project}
                connection.origin = Origin(self.project, {"type": "global", "labels": labels})
                return connection

        os.environ.pop("GOOGLE_CLOUD_PROJECT", None)
        def die():
            log, handler = log_with(Found("theirs"), project=None)
            log.info("first")
            assert handler.flush(10)
            wait(lambda: json.load(open(f"{FOLDER}/{heads()[0]}"))["project"] == "theirs")
            handler.flush(10)
            pid = os.fork()
            if pid == 0:  # the lock of the new head is held
                log_with(FakeTransport(), project=None)[1].flush(10)
                os._exit(0)
            os.waitpid(pid, 0)
            transport = handler.describe().transport
            transport.then(Hang())
            log.error("last")
        killed(die)
        other = Found("ours")
        log, handler = log_with(other, project=None)
        for number in range(2):
            log.info("ours")
            assert handler.flush(10)
            time.sleep(1.1)
        assert texts(other) == ["ours", "ours"]
        handler.close()
        assert len(heads()) == 1
        same = Found("theirs")
        log, handler = log_with(same, project=None)
        log.info("mine")
        wait(lambda: texts(same) == ["last", "mine"])
        (envelope,) = [request.envelope for request in same.sent if request.envelope]
        assert envelope.resource["labels"] == {"project_id": "theirs"}
        """,
    )
    assert stderr.count("of another project, endpoint or format") == 1


def test_an_end_in_an_outage_leaves_all_in_the_spool(folder: Path) -> None:
    """Nothing is written to stderr but one line; the next process delivers, each entry once."""
    stderr = _check(
        folder,
        """
        transport = FakeTransport()
        pid = os.fork()
        if pid == 0:
            log, handler = log_with(FakeTransport(Hang(times=1000)), shutdown_timeout=0.3)
            for number in range(50):
                log.info("%d", number)
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        log, handler = log_with(transport)
        log.info("next")
        wait(lambda: len(transport.entries) == 51)
        assert texts(transport) == sorted([*map(str, range(50)), "next"])
        assert handler.flush(10)
        handler.close()
        assert os.listdir(FOLDER) == []
        """,
    )
    assert "50 log entries wait in the spool" in stderr
    assert "forklog recover" in stderr
    assert "insertId" not in stderr


def test_a_closed_handler_leaves_and_adopts_its_own(folder: Path) -> None:
    """What a close could not deliver is sent by the next handler of the same process."""
    _check(
        folder,
        """
        log, handler = log_with(FakeTransport(Hang(times=1000)), shutdown_timeout=0.2)
        log.error("first")
        handler.close()
        stats = handler.stats()
        assert stats.pending == 1 and not stats.dropped and not stats.diverted, stats
        transport = FakeTransport()
        log, other = log_with(transport)
        log.error("second")
        wait(lambda: texts(transport) == ["first", "second"])
        """,
    )


def test_an_outage_beyond_memory_waits_in_the_spool(folder: Path) -> None:
    """Many times what memory may hold is delivered when the server is back, the oldest first."""
    _check(
        folder,
        """
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport, max_buffer_bytes=1 << 20)
        for number in range(8000):
            log.info("%d %s", number, "x" * 300)
        stats = handler.stats()
        assert stats.pending > 4000 and not stats.unspooled, stats
        transport.release()
        assert handler.flush(50), handler.stats()
        numbers = [int(entry["textPayload"].split()[0]) for entry in transport.entries]
        assert numbers == list(range(8000))
        stats = handler.stats()
        assert (stats.delivered, stats.dropped) == (8000, {}), stats
        """,
    )


_CHOOSY = """
from forklog.transports.base import Kind, Verdict

class Choosy(FakeTransport):
    def open(self):
        inner = super().open()
        class Connection:
            def send(self, entries, timeout):
                if any(b"poison" in entry for entry in entries):
                    return Verdict(Kind.BLOCKED, "not this")
                return inner.send(entries, timeout)
            def close(self):
                return
        return Connection()

def put_aside(transport, **options):
    '''Return logger and handler after two entries were set aside, and many others delivered.'''
    log, handler = log_with(transport, max_retry_delay=0.05, **options)
    store = handler._gate.product.store
    log.info("poison 1")
    log.error("poison 2")
    number = 0
    def is_aside():
        nonlocal number
        number += 1
        log.info("other %d %s", number, "x" * 5000)
        handler.flush(0.05)
        return store.count_aside() == 2
    wait(is_aside)
    for _ in range(100):
        log.info("other %d %s", number, "x" * 5000)
        number += 1
    wait(lambda: handler.stats().pending == 2, handler.stats())
    return log, handler
"""


def test_what_was_put_aside_outlives_a_kill(folder: Path) -> None:
    """An entry that is refused again and again stands in a segment of its own until it is not."""
    _check(
        folder,
        _CHOOSY
        + textwrap.dedent("""
        killed(lambda: put_aside(Choosy()))
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("adopter")
        wait(lambda: [text for text in texts(transport) if text.startswith("poison")] ==
             ["poison 1", "poison 2"])
        assert handler.flush(10)
        """),
    )


def test_what_was_put_aside_is_left_at_an_end(folder: Path) -> None:
    """So it is at the end of its process; where it is delivered, its segment goes."""
    _check(
        folder,
        _CHOOSY
        + textwrap.dedent("""
        log, handler = put_aside(Choosy(), shutdown_timeout=0.2)
        handler.close()
        stats = handler.stats()
        assert stats.pending == 2 and not stats.dropped and not stats.diverted, stats
        transport = FakeTransport()
        log, other = log_with(transport)
        log.info("adopter")
        wait(lambda: texts(transport) == ["adopter", "poison 1", "poison 2"])
        other.close()
        wait(lambda: os.listdir(FOLDER) == [])  # the thread may be at the end of its pass
        """),
    )


def test_a_full_spool_leaves_the_rest_to_memory(folder: Path) -> None:
    """Entries beyond the bound are held in memory and counted; all of them arrive."""
    _check(
        folder,
        """
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport, spool_max_bytes=1 << 20)
        for number in range(6000):
            log.info("%d %s", number, "x" * 300)
        stats = handler.stats()
        assert stats.unspooled > 1000, stats
        transport.release()
        assert handler.flush(30), handler.stats()
        assert len(set(texts(transport))) == len(texts(transport)) == 6000
        log.info("again")
        assert handler.flush(10) and "again" in texts(transport)
        """,
    )


def test_a_close_in_the_middle_of_an_adoption(folder: Path, tmp_path: Path) -> None:
    """The thread settles what it has sent and removes the files that are empty then.

    It writes to no file that the application opens. Closes: an empty spool that is left.
    """
    _check(
        folder,
        f"""
        killed(lambda: log_with(FakeTransport(Hang(times=1000)))[0].error("dead"))
        transport = FakeTransport(Deliver(), Hang())
        log, handler = log_with(transport, shutdown_timeout=0.2, answer_timeout=30)
        log.info("mine")
        wait(lambda: [request for request in transport.sent if request.outcome == "hang"])
        handler.close()
        own = [open({str(tmp_path)!r} + f"/own{{number}}", "w+b") for number in range(30)]
        for file in own:
            file.write(b"x" * 64)
            file.flush()
        transport.release()
        wait(lambda: "dead" in texts(transport))
        wait(lambda: os.listdir(FOLDER) == [])
        for file in own:
            file.seek(0)
            assert file.read() == b"x" * 64
        assert [os.fstat(file.fileno()) for file in own]
        """,
    )


def test_processes_that_are_all_short(folder: Path) -> None:
    """A process that lives for some milliseconds adopts at its end, own entries first."""
    _check(
        folder,
        """
        transport = FakeTransport()
        killed(lambda: log_with(FakeTransport(Hang(times=1000)))[0].error("dead"))
        pid = os.fork()
        if pid == 0:
            log_with(transport)[0].info("short")
            sys.exit(0)
        os.waitpid(pid, 0)
        assert texts(transport) == ["dead", "short"]
        assert os.listdir(FOLDER) == []
        """,
    )


def test_an_exit_waits_for_the_look_that_the_flush_thread_has_begun(folder: Path) -> None:
    """A thread without a processor finds the orphan after the exit has asked what is due.

    No other look is due for a second, and nothing waits for the thread where multiprocessing, or
    RQ, ends the process after the hook.
    """
    _check(
        folder,
        """
        import multiprocessing, threading
        import forklog.delivery.passes as passes
        import forklog.spool.adopter as adopter
        from forklog.spool.spooler import ProcessSpool
        scan, has_begun, may_end = adopter.scan, threading.Event(), threading.Event()

        def slow(*args):
            has_begun.set()
            may_end.wait(20)
            return scan(*args)

        def asked(spooler, genuine=ProcessSpool.is_adopting):
            answer = genuine(spooler)
            may_end.set()  # only now the look goes on
            return answer

        def work():
            adopter.scan, ProcessSpool.is_adopting = slow, asked
            passes._LAST_ADOPT_SECONDS = 20.0
            log_with(transport, shutdown_timeout=20)[0].info("short")
            assert has_begun.wait(20)

        transport = FakeTransport()
        killed(lambda: log_with(FakeTransport(Hang(times=1000)))[0].error("dead"))
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
        assert sorted(texts(transport)) == ["dead", "short"]
        assert os.listdir(FOLDER) == []
        """,
    )


def test_a_tidier_that_removes_the_files(folder: Path) -> None:
    """Files removed in use: nothing is lost in life, and new files are made within a second."""
    stderr = _check(
        folder,
        """
        transport = FakeTransport()
        log, handler = log_with(transport)
        for number in range(4):
            log.info("%d", number)
            assert handler.flush(10)
            for name in os.listdir(FOLDER):
                os.unlink(os.path.join(FOLDER, name))
            log.info("after %d", number)
            time.sleep(1.1)
        log.info("last")
        assert handler.flush(10)
        wait(heads)
        assert len(set(texts(transport))) == 9
        killed(lambda: log_with(FakeTransport(Hang(times=1000)))[0].info("dead"))
        log.info("more")
        wait(lambda: "dead" in texts(transport))
        """,
    )
    assert "the spool's files were removed" in stderr


def test_a_tidier_that_removes_the_segments_alone(folder: Path) -> None:
    """The head is still there, and locked; new segments are made, and a kill loses nothing."""
    stderr = _check(
        folder,
        """
        import pathlib
        def remove_segments():
            for path in pathlib.Path(FOLDER).glob("*.log"):
                path.unlink()

        def live_and_die():
            log, handler = log_with(FakeTransport(), max_latency=100)
            log.info("before")
            assert handler.flush(10)
            remove_segments()
            def is_seen():
                log.info("calm")
                assert handler.flush(10)
                return list(pathlib.Path(FOLDER).glob("*.log"))
            wait(is_seen)
            for number in range(50):
                log.info("dead %d", number)
        killed(live_and_die)
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("next")
        wait(lambda: {f"dead {number}" for number in range(50)} <= set(texts(transport)))
        handler.close()
        assert os.listdir(FOLDER) == []
        """,
    )
    assert "the spool's files were removed" in stderr


def test_segments_removed_in_an_outage_are_written_anew_at_its_end(folder: Path) -> None:
    """The flush thread hangs in a request and cannot look: what is left is there all the same."""
    stderr = _check(
        folder,
        """
        import pathlib
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport, shutdown_timeout=0.5)
        for number in range(20):
            log.info("%d", number)
        for path in pathlib.Path(FOLDER).glob("*.log"):
            path.unlink()
        log.info("after")
        handler.close()
        assert handler.stats().pending == 21, handler.stats()
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("next")
        wait(lambda: len(set(texts(transport))) == 22, transport.entries)
        """,
    )
    assert "21 log entries wait in the spool" in stderr


def test_a_segment_that_is_ready_may_be_removed_too(folder: Path) -> None:
    """What an end in an outage keeps stands in no segment whose file is gone."""
    _check(
        folder,
        """
        import pathlib
        from forklog.transports.base import WireError
        class Down:
            def open(self):
                raise WireError("down")
        log, handler = log_with(Down(), shutdown_timeout=0.2)
        log.info("big %s", "x" * 45_000)
        segments = lambda: list(pathlib.Path(FOLDER).glob("*.log"))
        wait(lambda: len(segments()) == 2)
        for path in segments():
            path.unlink()
        handler._gate.product.sender.give_up("shutdown")  # before the thread has seen it
        held = b"".join(path.read_bytes() for path in segments())
        assert held.count(b'"textPayload":"big ') == 1, os.listdir(FOLDER)
        os._exit(DONE)
        """,
    )


def test_a_first_record_that_opens_the_spool_while_the_handler_closes(folder: Path) -> None:
    """The pipeline after the closed one sends it, although the server answers: no time was short.

    Closes the class: a log call that takes longer than a close was given up as ``closed``.
    """
    _check(
        folder,
        """
        from forklog.spool import making
        transport = FakeTransport()
        log, handler = log_with(transport)
        end = held_up(making, "boot_id", lambda: log.info("first"))
        pipeline = handler._gate.product
        handler.close()
        end()
        wait(lambda: texts(transport) == ["first"], handler.stats())
        handler.close()
        found = handler.stats()
        assert (found.accepted, found.delivered, found.diverted) == (1, 1, {}), found
        assert pipeline.stats().spool == "off: closed" and os.listdir(FOLDER) == []
        """,
    )


@pytest.mark.parametrize("size", [10, 70_000])
def test_a_log_call_that_makes_a_segment_while_the_handler_closes(folder: Path, size: int) -> None:
    """A disk may be slow: once the call returns, its entry is delivered or counted, never gone."""
    stderr = _check(
        folder,
        f"""
        from forklog.spool.parts import segment
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("one")
        assert handler.flush(10)
        def log_some():
            for number in range(1, 9):
                log.info("%d %s", number, "x" * max({size}, 10_000))
        end = held_up(segment, "_fill", log_some)
        pipeline = handler._gate.product
        handler.close()
        end()
        wait(lambda: pipeline.stats().pending == 0, pipeline.stats())
        found = pipeline.stats()
        assert found.accepted == (
            found.delivered + sum(found.diverted.values()) + sum(found.dropped.values())
        ), found
        assert found.spooled_bytes == 0, found
        handler.close()
        shown = {{text.split()[0] for text in texts(transport)}}
        lost = {{"one", *map(str, range(1, 9))}} - shown
        assert len(lost) <= found.diverted.get("stderr", 0), (lost, found)
        assert not heads()
        """,
    )
    assert "Traceback" not in stderr


@pytest.mark.parametrize("end", few(["handler.close()", ""], ""), ids=["closed", "not closed"])
def test_a_handler_that_is_collected_after_a_daemon_closed_everything(
    folder: Path, end: str
) -> None:
    """Its maps close descriptors by number, which are the application's files by now."""
    for outage in ("", "Hang(times=1000)"):
        _check(
            folder,
            f"""
            import gc
            def descriptors():
                for name in os.listdir("/proc/self/fd"):
                    try:
                        yield int(name), os.readlink("/proc/self/fd/" + name)
                    except OSError:
                        continue  # that of the listing
            transport = FakeTransport({outage})  # stays: it has a file of its own
            log, handler = log_with(transport, shutdown_timeout=0.3)
            log.info("one")
            if {outage!r}:
                wait(lambda: handler.stats().requests)  # and hangs there, with no file in use
            else:
                assert handler.flush(10)
            names = dict(descriptors())
            os.closerange(3, 256)
            files = [os.open("/dev/null", os.O_RDONLY) for _ in range(60)]
            {end}
            log.removeHandler(handler)
            del log, handler
            gc.collect()
            for _ in range(20):  # a flush thread that ends holds it for a little longer
                time.sleep(0.02)
                gc.collect()
            closed = set(files) - dict(descriptors()).keys()
            assert not closed, [(number, names.get(number)) for number in closed]
            """,
        )


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="a map has no descriptor there")
@pytest.mark.parametrize("end", few(["handler.close()", ""], ""), ids=["closed", "not closed"])
def test_files_with_the_numbers_of_maps_alone_stay_open(folder: Path, end: str) -> None:
    """Where only maps have lost their descriptors, no segment closes the application's files."""
    _check(
        folder,
        f"""
        import gc
        from forklog.spool.parts.maps import Map
        def fill():
            for number in range(3000):
                log.info("%d %s", number, "x" * 500)
            assert handler.flush(60)
        transport = FakeTransport()
        log, handler = log_with(transport)
        fill()
        maps = [found for found in gc.get_objects() if type(found) is Map and found.own]
        taken = {{number: os.stat("/dev/null").st_rdev for number, *_ in (m.own for m in maps)}}
        assert taken
        del maps
        for number in taken:
            file = os.open("/dev/null", os.O_RDONLY)
            os.dup2(file, number)
            os.close(file)
        fill()
        fill()
        {end}
        log.removeHandler(handler)
        del log, handler
        for _ in range(20):  # a flush thread that ends holds it for a little longer
            time.sleep(0.02)
            gc.collect()
        assert {{number: os.fstat(number).st_rdev for number in taken}} == taken
        """,
    )


def test_a_child_writes_to_no_inherited_file(folder: Path) -> None:
    """Forks in the middle of logging: each process has files of its own, nothing is twice."""
    _check(
        folder,
        """
        transport = FakeTransport()
        log, handler = log_with(transport)
        for number in range(30):
            log.info("parent %d", number)
            pid = os.fork()
            if pid == 0:
                log.info("child %d", number)
                handler.flush(10)
                os._exit(0)
            os.waitpid(pid, 0)
        assert handler.flush(10)
        seen = collections.Counter(texts(transport))
        assert len(seen) == 60 and max(seen.values()) == 1, seen
        """,
    )


@pytest.mark.parametrize("step", ["next", "activate"])
def test_a_fork_while_a_log_call_begins_a_segment(folder: Path, step: str) -> None:
    """As of a signal handler: the child that returns there leaves the parent's segments alone."""
    _check(
        folder,
        f"""
        from forklog.spool.segments import Segments
        log, handler = log_with(FakeTransport(Hang(times=1000)), shutdown_timeout=0.3)
        log.info("one")
        genuine, children = Segments.{step}, []
        def forking(self, given):
            found = genuine(self, given) if {step!r} == "next" else None
            if not children:
                children.append(os.fork())
            return found if {step!r} == "next" else genuine(self, given)
        Segments.{step} = forking
        while not children:
            log.info("%s", "x" * 1000)
        if children == [0]:
            os._exit(0)
        os.waitpid(children[0], 0)
        log.info("two")
        used = {{segment.name for segment in handler._gate.product.spooler.store._segments.used}}
        assert len(used) > 1 and not used - set(os.listdir(FOLDER)), (used, os.listdir(FOLDER))
        handler.close()
        """,
    )


def test_what_is_logged_while_the_files_are_made(folder: Path) -> None:
    """A finalizer's or signal handler's records in the middle of the opening call are kept too."""
    _check(
        folder,
        """
        from forklog.spool import making
        transport, boot_id = FakeTransport(), making.boot_id
        hung, _ = log_with(FakeTransport(Hang(times=100)))
        def interrupted():
            for number in range(3):
                hung.info("inner %d", number)
            return boot_id()
        def work():
            making.boot_id = interrupted
            hung.info("outer")
        killed(work)
        log, handler = log_with(transport)
        log.info("adopter")
        wait(lambda: len(texts(transport)) == 5, "missing")
        assert texts(transport) == ["adopter", "inner 0", "inner 1", "inner 2", "outer"]
        """,
    )


def test_a_program_that_replaces_itself(folder: Path, tmp_path: Path) -> None:
    """After an exec the same PID has another image: what it left is adopted by itself."""
    script = tmp_path / "script.py"
    script.write_text(
        SETUP.format(folder=str(folder))
        + """
if "again" not in sys.argv:
    log, handler = log_with(FakeTransport(Hang(times=1000)))
    log.error("before")
    os.execv(sys.executable, [sys.executable, __file__, "again"])
transport = FakeTransport()
log, handler = log_with(transport)
log.error("after")
wait(lambda: texts(transport) == ["after", "before"])
"""
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_stopped_owner_lives(folder: Path) -> None:
    """A process that SIGSTOP holds is alive: no process adopts what it has."""
    _check(
        folder,
        """
        pid = os.fork()
        if pid == 0:
            log_with(FakeTransport(Hang(times=1000)))[0].error("stopped")
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        os.waitpid(pid, os.WUNTRACED)
        transport = FakeTransport()
        log, handler = log_with(transport)
        for number in range(3):
            log.info("mine")
            handler.flush(10)
            time.sleep(1.1)
        assert texts(transport) == ["mine"] * 3
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        log.info("mine")
        wait(lambda: "stopped" in texts(transport))
        """,
    )


def test_an_idle_process_sleeps(folder: Path) -> None:
    """After the look that follows its last request, the flush thread has no timeout."""
    _check(
        folder,
        """
        import resource
        log, handler = log_with(FakeTransport())
        log.info("one")
        assert handler.flush(10)
        time.sleep(3)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        begun = time.monotonic()
        time.sleep(3)
        woken = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
        assert woken <= 3, woken  # this sleep is one of them
        """,
    )


@pytest.mark.parametrize("mode", [0o755, None])
def test_an_unfit_folder_turns_the_spool_off(tmp_path: Path, mode: int | None) -> None:
    """One line says why, stats() says it too, and everything is delivered from memory."""
    path = tmp_path / "spool"
    if mode is None:
        path.write_text("a file")
    else:
        path.mkdir()
        path.chmod(mode)
    stderr = _check(
        path,
        """
        transport = FakeTransport()
        log, handler = log_with(transport)
        for number in range(3):
            log.info("%d", number)
        assert handler.flush(10)
        assert texts(transport) == ["0", "1", "2"]
        assert handler.stats().spool.startswith("off: the folder"), handler.stats()
        """,
    )
    assert stderr.count("the spool is off") == 1


@pytest.mark.parametrize("value", ["shm", "", 7, True, b"/x", "x/y"])
def test_a_wrong_option_is_refused(value: object) -> None:
    """The error names the option, the rule and what to do."""
    with pytest.raises(OptionError, match=r"spool.*auto.*absolute path"):
        CloudLoggingHandler(transport=FakeTransport(), spool=value)  # type: ignore[arg-type]


def test_options_of_a_dict_config(tmp_path: Path) -> None:
    """Strings and numbers do, as always; a path object as well."""
    handler = CloudLoggingHandler(
        transport=FakeTransport(),
        spool=tmp_path,
        spool_max_bytes=1 << 20,  # type: ignore[arg-type]
    )
    assert handler.stats().spool == "off: no record yet"
    handler.close()


def _recover(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "forklog", "recover", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_recover_sends_all(folder: Path, emulator: Emulator) -> None:
    """A dry run lists and sends nothing; the real one sends, says so, and leaves no file."""
    _check(
        folder,
        f"""
        for number in range(3):
            def die():
                hung = FakeTransport(Hang(times=1000))
                log, _ = log_with(hung, endpoint={emulator.url!r}, log_name="dead")
                for i in range(100):
                    log.info("%d/%d", number, i)
            killed(die)
        """,
    )
    call = str(folder), "--project", "p", "--endpoint", emulator.url
    dry = _recover(*call, "--dry-run")
    assert dry.returncode == 1, dry.stderr
    assert "would send 300 log entries" in dry.stdout
    assert emulator.entries() == []
    real = _recover(*call, "--json")
    assert real.returncode == 0, real.stdout + real.stderr
    assert json.loads(real.stdout)["sent"] == 300
    entries = emulator.entries()
    assert {entry["logName"] for entry in entries} == {"projects/p/logs/dead"}
    assert len({entry["textPayload"] for entry in entries}) == 300
    assert list(folder.iterdir()) == []
    assert _recover(*call).returncode == 0


def test_recover_without_a_server_leaves_all(folder: Path) -> None:
    """Exit status 1, the reason in a line, and everything is still there."""
    _check(
        folder,
        """
        killed(lambda: log_with(FakeTransport(Hang(times=1000)), endpoint="http://127.0.0.1:1")[0].info("x"))
        """,
    )
    done = _recover(str(folder), "--project", "p", "--endpoint", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "1 log entry left" in done.stdout
    assert "no connection to the server" in done.stdout
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "arguments", [["/no/such/folder"], *further(["x", "--project", "My Project!"], [])]
)
def test_recover_refuses_a_wrong_call(arguments: list[str]) -> None:
    """Exit status 2, and one line on stderr but no stack."""
    done = _recover(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "recover" in done.stderr


def test_many_processes_end_with_os_exit(folder: Path) -> None:
    """Where no hook runs, the next process delivers: os._exit loses nothing."""
    check_python(
        SETUP.format(folder=str(folder))
        + """
transport = FakeTransport()
log, handler = log_with(transport, max_latency=60)
log.info("parent")
for number in range(10):
    pid = os.fork()
    if pid == 0:
        log.info("child %d", number)
        os._exit(0)
    os.waitpid(pid, 0)
log.error("parent again")
wait(lambda: len(texts(transport)) >= 12, texts(transport))
assert len(set(texts(transport))) == 12
""",
        60,
        is_covered=False,
    )
