"""Descriptors: a daemon that closes them all, files that get their numbers, programs started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import check_python

if TYPE_CHECKING:
    from conftest import Forks


def test_a_daemon_that_closed_all_descriptors(forks: Forks) -> None:
    """Double-forked, in a session of its own and with nothing open, 20 daemons deliver."""
    forks.run("""
        import os
        from pathlib import Path
        from stage import DONE, handler, log, reap, until

        def daemon(said):
            os.setsid()
            if os.fork():
                os._exit(DONE)
            os.closerange(0, 4096)
            for number in range(3):
                os.open(os.devnull, os.O_RDWR)
            log(3)
            Path(said).write_text("sent" if handler.flush() else "unsent")
            os._exit(DONE)

        log()
        assert handler.flush()
        for number in range(20):
            said = f"{os.environ['FORKLOG_TEST_LEDGER']}.{number}"
            child = os.fork()
            if not child:
                daemon(said)
            reap(child)
            until(lambda: Path(said).exists() and Path(said).read_text())
            assert Path(said).read_text() == "sent"
            log()
    """)
    forks.check_every_record_once(processes=21)


@pytest.mark.parametrize("state", few(["idle", "paused"], "paused", mark=pytest.mark.thorough))
def test_files_with_the_numbers_of_inherited_sockets_stay_open(forks: Forks, state: str) -> None:
    """What a child opens under the number of the parent's socket is not closed by forklog."""
    forks.run(f"""
        import gc, os, threading
        from stage import DONE, handler, log, reap, until

        def sockets():
            found = []
            for number in map(int, os.listdir("/proc/self/fd")):
                try:
                    found += [number] * os.readlink(f"/proc/self/fd/{{number}}").startswith("sock")
                except OSError:
                    pass
            return found

        log()
        assert handler.flush()
        ours = sockets()
        assert ours  # the connection to the server is kept
        if {state!r} == "paused":  # as around a fork from Python 3.12 on
            handler._gate.product.before_fork()
            handler._gate.product.worker.thread.ended.wait(10)
        for _ in range(20):
            child = os.fork()
            if not child:
                mine = []
                for number in ours:
                    os.close(number)
                    null = os.open(os.devnull, os.O_RDWR)
                    os.dup2(null, number)
                    mine.append(os.fstat(number).st_rdev)
                log(2)
                ok = handler.flush()
                gc.collect()
                kept = [os.fstat(number).st_rdev for number in ours]
                os._exit(DONE if ok and kept == mine else 2)
            reap(child)
    """)
    forks.check_every_record_once(processes=21)


@pytest.mark.parametrize(
    "end",
    few(["handler.close()", "", "log(); assert handler.flush()"], "", mark=pytest.mark.thorough),
)
def test_files_with_the_numbers_of_own_sockets_stay_open(forks: Forks, end: str) -> None:
    """A process that closes all descriptors and goes on without a fork keeps what it opens next.

    The kept connection to the server is closed by number: by the pool at its end, or by its socket
    when that is collected. Or urllib3 closes it, which takes it for one that the server has closed.
    """
    forks.run(f"""
        import gc, os, time
        import stage
        from stage import handler, log

        log()
        assert handler.flush()
        names = os.listdir("/proc/self/fd")
        ours = {{int(name) for name in names if os.path.exists("/proc/self/fd/" + name)}}
        os.closerange(3, 256)
        mine = [os.open(os.devnull, os.O_RDONLY) for _ in range(60)]
        assert ours - {{0, 1, 2}} <= set(mine)
        {end}
        stage.logger.handlers = []
        del handler, stage.handler
        for _ in range(20):  # a flush thread that ends holds it for a little longer
            time.sleep(0.02)
            gc.collect()
        for number in mine:
            assert os.fstat(number).st_rdev == os.stat(os.devnull).st_rdev
    """)
    forks.check_every_record_once(processes=1)


def test_a_handler_that_was_closed_leaves_no_descriptor(forks: Forks) -> None:
    """Handlers made, used and closed in parent and children leave as many open as before."""
    forks.run("""
        import os
        import stage
        from forklog import CloudLoggingHandler

        def use_and_close():
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                stage.logger.handlers = [CloudLoggingHandler(project="forks", max_latency=0.01)]
                stage.log()
                stage.logger.handlers[0].close()
            stage.logger.handlers = []
            assert len(os.listdir("/proc/self/fd")) == before

        for _ in range(20):
            use_and_close()
            stage.run(use_and_close)
    """)
    forks.check_every_record_once(processes=21)


def test_the_hand_over_reads_no_file_of_others() -> None:
    """Where a child's own files have the numbers of the hand-over's pipe, they are left alone."""
    check_python("""
        import os
        from forklog.process.handover import HandoverToken

        handover = HandoverToken()
        handover.offer(0, 3)
        numbers = handover._reader, handover._writer
        for _ in range(20):
            child = os.fork()
            if not child:
                reader, writer = os.pipe()
                os.write(writer, b"x" * 16)
                for new, old in zip((reader, writer), numbers):
                    os.dup2(new, old)
                ok = handover.claim(3) == []
                handover.offer(0, 3)
                handover.close()
                ok = ok and os.read(numbers[0], 99) == b"x" * 16
                os._exit(DONE if ok else 2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
        assert handover.claim(3) == [(0, 3)]
        handover.close()
    """)
