"""The flush thread and the signals of the process it lives in."""

from __future__ import annotations

import signal

import pytest
from cases import few
from helpers import check_python, run_python

BODY = """
    import logging, os, signal, sys, threading
    {before}
    import forklog
    from forklog.testing import FakeTransport

    class Transport(FakeTransport):
        def open(self):
            {in_thread}
            return super().open()

    handler = forklog.CloudLoggingHandler(transport=Transport(), max_latency=0.01)
    log = logging.getLogger("signals"); log.addHandler(handler); log.setLevel(20)
    log.info("starts the thread")
    assert handler.flush(10)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), "blocked in the main thread"
    {after}
    handler.close()
"""
GREEN = "import gevent.monkey; gevent.monkey.patch_all()"


def body(before: str = "", in_thread: str = "pass", after: str = "") -> str:
    """Return a program that has had its flush thread run; what it does besides is given."""
    return BODY.format(before=before, in_thread=in_thread, after=after)


def test_a_signal_that_the_application_blocks_waits() -> None:
    """It neither kills the process by way of our thread, nor gets lost."""
    check_python(
        body(
            after="""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.sigpending() == {signal.SIGTERM}
    assert signal.sigtimedwait({signal.SIGTERM}, 10).si_signo == signal.SIGTERM
    """
        )
    )


@pytest.mark.parametrize("after", ["", GREEN], ids=["early", "late"])
def test_greenlets_leave_the_signals_of_their_thread(after: str) -> None:
    """Where the flush thread is a greenlet, or others are, the main thread gets its signals."""
    before = "" if after else GREEN
    check_python(
        body(before, after=f"{after}\n    log.info('again'); assert handler.flush(10)")
        + """
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), "blocked in the main thread"
    """
    )


def test_the_application_s_small_stacks_are_not_for_the_flush_thread() -> None:
    """`threading.stack_size` counts for the threads that the application starts."""
    check_python("""
        import logging, threading, time
        import forklog
        from forklog.testing import FakeTransport

        def deep(levels):  # through C, which takes the thread's own stack
            return levels and max([levels - 1], key=deep)

        class Deep(FakeTransport):
            def open(self):
                connection = super().open()
                send = connection.send
                def send_deeply(*args):
                    assert threading.current_thread() is not threading.main_thread()
                    deep(300)
                    return send(*args)
                connection.send = send_deeply
                return connection

        size = 32 * 1024
        try:
            threading.stack_size(size)
        except ValueError:  # 3.14 asks for more
            size = 64 * 1024
            threading.stack_size(size)
        handler = forklog.CloudLoggingHandler(transport=Deep())
        logger = logging.getLogger("small")
        logger.addHandler(handler)
        logger.error("delivered")
        deadline = time.monotonic() + 20
        # It is put back by the thread that starts the flush thread, which may be late.
        while not handler.stats().delivered or threading.stack_size() != size:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        """)


@pytest.mark.parametrize("size", [0, 32 * 1024 * 1024])
def test_the_application_s_stacks_stay_as_it_chose_them(size: int) -> None:
    """`threading.stack_size()` reads the size, and sets the system's; the start puts it back."""
    check_python(f"""
        import logging, threading
        import forklog
        from forklog.testing import FakeTransport
        threading.stack_size({size})
        handler = forklog.CloudLoggingHandler(transport=FakeTransport())
        logger = logging.getLogger("stacks")
        logger.addHandler(handler)
        logger.error("delivered")
        assert handler.flush()
        assert threading.stack_size() == {size}
        """)


_SMALL_STACKS = """
        import logging, os, threading, time
        import forklog
        from forklog.testing import FakeTransport

        size = 256 * 1024  # enough for a log call, and less than the flush thread has
        threading.stack_size(size)
        change = threading.stack_size  # a look at the size changes it

        def logger_of(number):
            handler = forklog.CloudLoggingHandler(transport=FakeTransport(), max_latency=0.01)
            logger = logging.Logger(str(number))
            logger.addHandler(handler)
            return logger

        def check(logger):
            logger.error("delivered")
            assert logger.handlers[0].flush(20), logger.handlers[0].stats()
            deadline = time.monotonic() + 20
            while thread._chosen and time.monotonic() < deadline:
                time.sleep(0.01)
            assert change() == size
            change(size)

        from forklog.process import thread
"""


def test_threads_that_start_at_once_leave_the_application_its_stacks() -> None:
    """Eight handlers start their threads together, each of which takes its time.

    Closes: a size that one start has set for a moment, taken for the application's by another.
    """
    check_python(
        _SMALL_STACKS
        + """
        start = threading.Thread.start

        def slowly(self):
            if self.name.startswith("forklog-flush"):
                time.sleep(0.05)
            start(self)

        threading.Thread.start = slowly
        loggers = [logger_of(number) for number in range(8)]
        for logger in loggers:
            logger.error("together")
        for logger in loggers:
            assert logger.handlers[0].flush(20), logger.handlers[0].stats()
        check(logger_of("last"))
        """,
        is_covered=False,
    )


@pytest.mark.parametrize(
    ("call", "is_after"), [(2, False), (2, True), (3, True)], ids=["looked at", "changed", "back"]
)
def test_a_fork_under_a_start_leaves_the_child_its_stacks(call: int, *, is_after: bool) -> None:
    """A process forks right after each of the three lines that change the size.

    The child starts a thread of its own, and the application's threads have the size that it chose.
    Closes: a lock, or a size, that a fork has copied in the middle of a start.
    """
    check_python(
        _SMALL_STACKS
        + f"""
        import warnings
        warnings.simplefilter("ignore")
        calls, children = [], []

        def forking(*given):
            calls.append(given)
            found = change(*given) if {is_after} else None
            if len(calls) == {call}:
                children.append(os.fork())
                if not children[0]:
                    threading.stack_size = change
                    try:
                        check(logger_of("child"))
                    finally:
                        os._exit(DONE if size == change() else 1)
            return found if {is_after} else change(*given)

        threading.stack_size = forking
        logger = logger_of("parent")
        logger.error("in the parent")
        assert logger.handlers[0].flush(30), logger.handlers[0].stats()
        deadline = time.monotonic() + 20
        while not children and time.monotonic() < deadline:  # by the thread that starts ours
            time.sleep(0.01)
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == DONE
        threading.stack_size = change
        check(logger)
        """,
        is_covered=False,
    )


def test_what_a_fork_from_c_has_copied_of_a_start_is_put_right_by_the_next() -> None:
    """No hook of Python runs there: the child has its parent's held lock, and the size for ours."""
    check_python(
        _SMALL_STACKS
        + """
        held = thread._allocate_lock()
        held.acquire()
        thread._locks["the parent"] = held
        thread._chosen.append(size)
        change(thread._STACK_BYTES)
        check(logger_of("child"))
        """,
        is_covered=False,
    )


def test_a_descendant_with_the_pid_of_its_ancestor_does_not_wait_for_its_lock() -> None:
    """A fork copies the lock of a start that is under way, and the PID may come back.

    Closes the class: what belongs to a process, found by its PID.
    """
    check_python(
        _SMALL_STACKS
        + """
        from forklog.process.base import home
        held = thread._allocate_lock()
        held.acquire()
        same = os.getpid()
        os.getpid = lambda: same
        thread._locks[same] = thread._locks[home()] = held
        thread._START_SECONDS = 300.0
        child = os.fork()
        if not child:
            logger = logger_of("child")
            logger.error("in the child")
            os._exit(DONE if logger.handlers[0].flush(60) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DONE
        """,
        timeout=120,
        is_covered=False,
    )


def test_a_crash_in_the_flush_thread_is_shown() -> None:
    """A fault is the thread's own, so that faulthandler prints where it was."""
    in_thread = "signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)"
    done = run_python(body("faulthandler.enable()", in_thread))
    assert done.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert "in open" in done.stderr


def test_a_broken_pipe_in_the_flush_thread_kills_no_process() -> None:
    """Although the application has the signal kill it, as programs in pipes do."""
    in_thread = "r, w = os.pipe(); os.close(r); os.write(w, b'x')"
    before = "signal.signal(signal.SIGPIPE, signal.SIG_DFL)"
    check_python(body(before, f"try: {in_thread}\n            except OSError: pass"))


CHILDREN = {
    "subprocess": "subprocess.run([sys.executable, '-c', SHOW], check=True)",
    "os.posix_spawn": (
        "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', SHOW], os.environ), 0)"
    ),
    "os.fork": "os.fork() or (exec(SHOW), os._exit(0)); os.wait()",
}


@pytest.mark.parametrize("start", CHILDREN.values(), ids=list(CHILDREN))
@pytest.mark.parametrize(
    "masked",
    few(["", "SIGUSR2"], "SIGUSR2", mark=pytest.mark.thorough),
    ids=["nothing masked", "SIGUSR2 masked"],
)
def test_a_child_started_in_on_drop_has_the_signals_that_it_would_have(
    start: str, masked: str
) -> None:
    """Its mask is that of the thread that logged first, so SIGTERM ends it; ours is blocked again.

    Class of fault: code of the application inherits what our thread has set for itself; siblings:
    `test_children_of_an_own_transport_have_the_usual_mask`,
    `test_children_of_a_client_s_factory_have_the_usual_mask`,
    `test_children_of_the_application_s_credentials_have_the_usual_mask`,
    `test_the_application_s_stacks_stay_as_it_chose_them`.
    """
    done = check_python(f"""
        import logging, os, signal, subprocess, sys, threading
        from pathlib import Path
        import forklog
        from forklog.testing import FakeTransport, Refuse
        SHOW = ("import os, signal; mask = signal.pthread_sigmask(0, [])\\n"
                "os.write(1, str(sorted(map(int, mask))).encode() + b'|')")
        signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, n) for n in {masked!r}.split()])
        def dropped(entries, reason):
            {start}
            raise ValueError
        handler = forklog.CloudLoggingHandler(
            transport=FakeTransport(Refuse(0), Refuse(0)), max_latency=0.01, on_drop=dropped)
        log = logging.getLogger("signals"); log.addHandler(handler); log.setLevel(20)
        for _ in range(2):
            log.info("is refused")
            handler.flush(10)  # False where it was refused
        (thread,) = {{t for t in threading.enumerate()}} - {{threading.main_thread()}}
        status = Path(f"/proc/self/task/{{thread.native_id}}/status").read_text()
        blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
        assert blocked >> (signal.SIGTERM - 1) & 1, status
        handler.close()
    """)
    wanted = f"[{int(signal.SIGUSR2)}]" if masked else "[]"
    assert done.stdout == 2 * f"{wanted}|"
