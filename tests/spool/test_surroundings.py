"""Where a process with a spool may find itself: full file systems, namespaces, interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from helpers import DONE, python_path, wait_until
from spool_script import SETUP, need_unshare, run_body

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["small", "full"])
def test_a_small_tmpfs(tmp_path: Path, share: float) -> None:
    """Where it has no room, memory takes the entries; no process dies, and all are delivered."""
    mount = 'mount -t tmpfs -o size=512k,mode=700 tmpfs $0 && exec "$@"'
    before = (*need_unshare("-m"), "sh", "-c", mount, str(tmp_path))
    body = f"""
        with open({str(tmp_path)!r} + "/other", "wb") as other:
            try:
                other.write(bytes(int({share} * (1 << 20))))
                other.flush()
            except OSError:
                other.close()
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport)
        for number in range(3000):
            log.info("%d %s", number, "x" * 200)
        stats = handler.stats()
        assert stats.pending == 3000 and not stats.dropped, stats
        assert stats.unspooled == 3000 if {share} else stats.unspooled > 0, stats
        transport.release()
        assert handler.flush(30), handler.stats()
        assert len(set(texts(transport))) == 3000
        log.info("again")
        assert handler.flush(10)
        os.unlink({str(tmp_path)!r} + "/other")
        def is_on():
            log.info("again")
            return handler.flush(10) and handler.stats().spool == FOLDER
        wait(is_on)
        """
    stderr = run_body(body, *before, folder=tmp_path)
    assert ("the spool has no room yet" in stderr) == bool(share), stderr
    assert "the spool is off" not in stderr


def test_a_system_without_proc(tmp_path: Path) -> None:
    """The handler is made and delivers from memory; one line says why."""
    mount = 'mount -t tmpfs none /proc && exec "$@"'
    body = """
        assert not os.path.exists("/proc/self")
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("x")
        assert handler.flush(10) and texts(transport) == ["x"]
        assert handler.stats().spool.startswith("off: "), handler.stats()
        """
    stderr = run_body(body, *need_unshare("-m"), "sh", "-c", mount, "sh", folder=tmp_path / "spool")
    assert "the spool is off, entries wait in memory alone: a spool needs /proc" in stderr


def test_a_limit_of_a_files_size(tmp_path: Path) -> None:
    """A segment that the limit forbids is not made; smaller ones are, at once or a little later."""
    body = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport)
        for number in range(1000):
            log.info("%d %s", number, "x" * 300)
        stats = handler.stats()
        assert (stats.pending, stats.dropped) == (1000, {}) and stats.unspooled < 100, stats
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        transport.release()
        assert handler.flush(30), handler.stats()
        assert len(set(texts(transport))) == 1000
        """
    run_body(body, folder=tmp_path / "spool")


def test_other_namespaces_of_pids(tmp_path: Path) -> None:
    """A process with PID 1 lives for all others; killed, it is adopted by the next PID 1."""
    before = need_unshare("--pid", "--fork", "--mount-proc", "--kill-child")
    ready = tmp_path / "ready"
    owner = f"""
        assert os.getpid() == 1
        log_with(FakeTransport(Hang(times=1000)))[0].error("first")
        open({str(ready)!r}, "w").close()
        time.sleep(60)
        """
    adopter = """
        transport = FakeTransport()
        log, handler = log_with(transport)
        for number in range(3):
            log.info("second")
            assert handler.flush(10)
            time.sleep(1.1)
        assert (os.getpid() == 1) == (len(sys.argv) == 1)
        assert texts(transport) == {wanted}
        """
    folder = tmp_path / "spool"
    whole = SETUP.format(folder=str(folder)) + textwrap.dedent(owner)
    with subprocess.Popen(
        [*before, sys.executable, "-c", whole],
        env={**os.environ, "PYTHONPATH": python_path()},
    ) as process:
        try:
            wait_until(ready.exists, 30)
            run_body(adopter.format(wanted=["second"] * 3), *before, folder=folder)
        finally:
            process.kill()
    run_body(adopter.format(wanted=["first", *["second"] * 3]), *before, folder=folder)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="orjson refuses sub-interpreters there")
def test_two_interpreters_of_one_process(tmp_path: Path) -> None:
    """Neither opens the other's head, whose lock that would free; both are adopted after a kill."""
    body = """
        import _xxsubinterpreters as interpreters
        inner = '''
        import logging, sys
        sys.path[:] = {path!r}
        import forklog
        from forklog.testing import FakeTransport, Hang
        handler = forklog.CloudLoggingHandler(
            transport=FakeTransport(Hang(times=1000)),
            project="p", spool={folder!r}, max_latency=0.01)
        logger = logging.Logger("inner", logging.DEBUG)
        logger.addHandler(handler)
        logger.info("inner")
        '''
        def work():
            log, _ = log_with(FakeTransport(Hang(times=1000)))
            log.info("outer")
            one = interpreters.create(isolated=False)
            source = "\\n".join(line.strip() for line in inner.splitlines())
            interpreters.run_string(one, source.format(path=sys.path, folder=FOLDER))
            log.info("outer again")
            open(FOLDER + ".ready", "w").close()
            time.sleep(60)
        pid = os.fork()
        if pid == 0:
            work()
        wait(lambda: os.path.exists(FOLDER + ".ready"), "ready")
        assert len(heads()) == 2
        beside = FakeTransport()
        log, handler = log_with(beside)
        log.info("beside")
        time.sleep(1.5)
        assert handler.flush(10) and texts(beside) == ["beside"]
        handler.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("adopter")
        wait(lambda: len(texts(transport)) >= 4, "missing")
        assert texts(transport) == ["adopter", "inner", "outer", "outer again"]
        """
    run_body(body, folder=tmp_path / "spool")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="orjson refuses sub-interpreters there")
def test_one_of_two_interpreters_adopts(tmp_path: Path) -> None:
    """What one of them is about to send, the other leaves alone."""
    body = """
        import _xxsubinterpreters as interpreters
        inner = '''
        import logging, sys, time
        sys.path[:] = {path!r}
        import forklog
        from forklog.testing import FakeTransport
        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(
            transport=transport, project="p", spool={folder!r}, max_latency=0.01)
        logger = logging.Logger("inner", logging.DEBUG)
        logger.addHandler(handler)
        def look():
            logger.info("inner")
            assert handler.flush(30)
            deadline = time.monotonic() + 30
            while handler._gate.product.spooler.seconds() is not None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            with open({folder!r} + ".texts", "w") as file:
                file.write(" ".join(entry["textPayload"] for entry in transport.entries))
        '''
        def die():
            log_with(FakeTransport(Hang(times=1000)))[0].info("orphan")
        killed(die)
        one = interpreters.create(isolated=False)
        transport = FakeTransport(Deliver(), Hang(times=1000))
        log, handler = log_with(transport)
        log.info("outer")
        wait(lambda: len(transport.sent) == 2, "the orphan")
        interpreters.run_string(one, inner.format(path=sys.path, folder=FOLDER))
        interpreters.run_string(one, "look()")
        with open(FOLDER + ".texts") as file:
            found = file.read().split()
        assert found == ["inner"], found
        transport.release()
        wait(lambda: handler.stats().recovered == 1, "the orphan")
        """
    run_body(f"{body}os._exit({DONE})", folder=tmp_path / "spool")
