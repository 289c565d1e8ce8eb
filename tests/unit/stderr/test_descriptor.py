"""Stderr of every kind: whole lines, none lost while it is read, and never a hang."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import termios
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import DONE, check_python, python_path, wait_until

from forklog.stderr.descriptor import write_lines

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = ("pipe", "fifo", "socket", "datagrams", "terminal")
_WAYS = [(kind, is_blocking) for is_blocking in (True, False) for kind in _KINDS]
_LINES = 2000
_OPEN = Path("/proc/self/fd")
_GENEROUS = 60.0
_LOG = """
    import logging, os, sys
    import forklog
    from forklog.testing import FakeTransport, Fail
    before = os.get_blocking(2)
    handler = forklog.CloudLoggingHandler(
        transport=FakeTransport(Fail(503, times=10**6)), shutdown_timeout=0.2)
    logging.getLogger().addHandler(handler)
    for n in range(1000):
        logging.warning("x" * 1000)
    handler.close()
    assert os.get_blocking(2) is before
    os._exit(DONE)
"""
_WRITE = f"""
    import os
    from forklog.stderr.stream import write_to_stderr
    before = os.get_blocking(2)
    lines = [b'{{"number":%d,"text":"%b"}}\\n' % (n, b"x" * 250) for n in range({_LINES})]
    written = write_to_stderr(b"".join(lines))
    os._exit(DONE if written == len(lines) and os.get_blocking(2) is before else 1)
"""


class _Stderr:
    """Two ends: what a process gets as its stderr, and what the test reads."""

    def __init__(self, kind: str, folder: str, *, is_blocking: bool = True) -> None:
        self.reader, self.writer = _ends(kind, folder)
        os.set_blocking(self.writer, is_blocking)

    def fill(self) -> None:
        """Write until nothing more goes in."""
        is_blocking = os.get_blocking(self.writer)
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(self.writer, b"x" * 128):
                pass
        os.set_blocking(self.writer, is_blocking)

    def run(self, body: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start an interpreter of its own with the one end as stderr."""
        return subprocess.Popen(
            [sys.executable, "-c", f"DONE = {DONE}\n{textwrap.dedent(body)}"],
            stderr=self.writer,
            env={**os.environ, "PYTHONPATH": python_path(), **environ},
        )

    def read_all(self) -> bytes:
        """Read until the last writer has gone; slowly, so that the other side has to wait."""
        os.close(self.writer)
        self.writer = -1
        pause, data = threading.Event(), b""
        with contextlib.suppress(OSError):  # of a terminal: that is its end
            while part := os.read(self.reader, 65_536):
                data += part
                pause.wait(0.001)
        return data

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            if descriptor >= 0:
                os.close(descriptor)


def _ends(kind: str, folder: str) -> tuple[int, int]:
    if kind == "pipe":
        return os.pipe()
    if kind == "fifo":
        path = os.path.join(folder, "fifo")  # noqa: PTH118 - for os.open
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reader, True)
        return reader, os.open(path, os.O_WRONLY)
    if kind == "terminal":
        reader, writer = os.openpty()
        modes = termios.tcgetattr(writer)
        modes[1] &= ~termios.OPOST
        termios.tcsetattr(writer, termios.TCSANOW, modes)
        return reader, writer
    one, two = socket.socketpair(
        type=socket.SOCK_STREAM if kind == "socket" else socket.SOCK_SEQPACKET
    )
    return one.detach(), two.detach()


@pytest.fixture
def stderr(tmp_path: object) -> object:
    """Return a function that makes a `_Stderr` of a kind."""
    made: list[_Stderr] = []

    def make(kind: str, *, is_blocking: bool = True) -> _Stderr:
        made.append(_Stderr(kind, str(tmp_path), is_blocking=is_blocking))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _status(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_GENEROUS)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("kind", "is_blocking"), few(_WAYS, *_WAYS[::2]))
def test_no_exit_hangs_where_the_reader_stopped(
    stderr: Callable[..., _Stderr], kind: str, *, is_blocking: bool
) -> None:
    """A full stderr of any kind holds no process, and its flags stay as they were.

    Class of fault: an exit that waits for ever for a reader of stderr; siblings:
    `test_a_terminal_that_was_stopped_holds_no_exit`,
    `test_a_process_that_changed_its_user_does_not_hang_either`,
    `test_a_stuck_reader_of_stderr_does_not_stop_the_exit`,
    `test_five_handlers_wait_for_stderr_once`.
    """
    end = stderr(kind, is_blocking=is_blocking)
    end.fill()
    assert _status(end.run(_LOG)) == DONE


def test_a_terminal_that_was_stopped_holds_no_exit(stderr: Callable[..., _Stderr]) -> None:
    """Ctrl-S stops the terminal, with all its room left; the process ends all the same."""
    end = stderr("terminal")
    termios.tcflow(end.writer, termios.TCOOFF)
    assert _status(end.run(_LOG)) == DONE


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_a_process_that_changed_its_user_does_not_hang_either(
    stderr: Callable[..., _Stderr], kind: str
) -> None:
    """Where the pipe cannot be opened again it gets what it has room for, piece by piece."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    end = stderr(kind)
    os.fchmod(end.writer, 0o600)
    end.fill()
    body = _LOG.replace("before =", "os.setuid(12345)\n    before =", 1)
    assert _status(end.run(body)) == DONE


@pytest.mark.parametrize(("kind", "is_blocking"), few(_WAYS, *_WAYS[::2]))
def test_no_line_is_lost_while_it_is_read(
    stderr: Callable[..., _Stderr], kind: str, *, is_blocking: bool
) -> None:
    """A slow reader gets all lines, whole and in order, whatever stderr is.

    Class of fault: EAGAIN of a non-blocking stderr that ends the writing; siblings:
    `test_a_process_that_changed_its_user_loses_no_line`, `test_a_slow_reader_gets_whole_lines`.
    """
    end = stderr(kind, is_blocking=is_blocking)
    process = end.run(_WRITE)
    data = end.read_all()
    assert _status(process) == DONE
    assert [json.loads(line)["number"] for line in data.splitlines()] == list(range(_LINES))


def test_a_process_that_changed_its_user_loses_no_line(stderr: Callable[..., _Stderr]) -> None:
    """The same where the pipe cannot be opened again."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    end = stderr("pipe")
    process = end.run(_WRITE.replace("before =", "os.setuid(12345)\n    before =", 1))
    data = end.read_all()
    assert _status(process) == DONE
    assert len(data.splitlines()) == _LINES


@pytest.mark.parametrize("kind", few(["pipe", "fifo", "terminal"], "pipe"))
def test_long_lines_of_several_processes_do_not_mix(
    stderr: Callable[..., _Stderr], kind: str
) -> None:
    """Workers that share stderr take turns, line by line, where a line is longer than one piece."""
    end = stderr(kind)
    body = """
        import os
        from forklog.stderr.stream import write_to_stderr
        letter = os.environ["LETTER"].encode()
        lines = [b'{"text":"%b"}\\n' % (letter * (9000 if n % 2 else 90)) for n in range(16)]
        os._exit(DONE if write_to_stderr(b"".join(lines)) == 16 else 1)
    """
    processes = [end.run(body, LETTER=letter) for letter in "abcd"]
    data = end.read_all()
    assert [_status(process) for process in processes] == [DONE] * 4
    texts = [json.loads(line)["text"] for line in data.splitlines()]
    assert len(texts) == 64
    assert all(len(set(text)) == 1 for text in texts)


def test_another_processs_line_is_waited_for_though_it_takes_long(
    stderr: Callable[..., _Stderr], tmp_path: Path
) -> None:
    """A slow reader, or a busy machine: the other process may need more than the patience."""
    end = stderr("pipe")
    other = os.open(f"/proc/self/fd/{end.writer}", os.O_WRONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    os.write(other, b"half of a ")
    body = """
        import os, pathlib
        from forklog.stderr import descriptor
        from forklog.stderr.stream import write_to_stderr
        descriptor._MAX_SECONDS = descriptor._LOCK_SECONDS = 60.0  # for a busy machine
        pathlib.Path(os.environ["BEGUN"]).touch()
        os._exit(DONE if write_to_stderr(b"whole\\n") == 1 else 1)
    """
    process = end.run(body, BEGUN=str(tmp_path / "begun"))
    wait_until((tmp_path / "begun").exists, 20, "the other process")
    time.sleep(1.2)  # more than the patience
    os.write(other, b"line\n")
    os.close(other)
    assert _status(process) == DONE
    assert end.read_all().splitlines() == [b"half of a line", b"whole"]


def test_a_line_that_was_torn_is_ended(stderr: Callable[..., _Stderr]) -> None:
    """After a line that found no room for its end, the next one begins on a line of its own."""
    end = stderr("pipe")
    body = """
        import os
        from forklog.stderr.stream import write
        assert write("one\\n" + "x" * 100_000 + "\\n", 0.1) == 1
        os.read(os.open(os.environ["READ"], os.O_RDONLY), 65_536)
        assert write("last\\n", 0.1) == 1
        os._exit(DONE)
    """
    process = end.run(body, READ=f"/proc/{os.getpid()}/fd/{end.reader}")
    assert _status(process) == DONE
    assert end.read_all().splitlines()[-1] == b"last"


def test_a_closed_stderr_is_borne() -> None:
    """Without descriptor 2 nothing is written, nothing raised, and no other file gets it."""
    check_python("""
        import os
        from forklog.stderr.stream import write
        os.close(2)
        assert write("lost\\n") == 0
    """)


def test_a_high_number_is_no_obstacle() -> None:
    """A descriptor beyond 1,024, which select does not take, has the same bounds."""
    check_python("""
        import os, resource, time
        from forklog.stderr.descriptor import write_lines
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        reader, writer = os.pipe()
        os.dup2(writer, 2000)
        assert write_lines(2000, b"line\\n" * 100_000, 0.1) == 65_536 // 4095 * 4095
        assert os.read(reader, 5) == b"line\\n"
    """)


def test_no_descriptor_stays_open(stderr: Callable[..., _Stderr]) -> None:
    """Whatever is opened for the writing is closed again."""
    before = len(list(_OPEN.iterdir()))
    for kind in _KINDS:
        end = stderr(kind)
        for _ in range(3):
            assert write_lines(end.writer, b"line\n", 1) == 5
    assert len(list(_OPEN.iterdir())) == before + 2 * len(_KINDS)


def test_a_default_timeout_of_sockets_leaves_the_flags_alone(
    stderr: Callable[..., _Stderr],
) -> None:
    """`socket.setdefaulttimeout` makes a new socket object set O_NONBLOCK; ours does not."""
    end = stderr("socket")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5)
    try:
        assert write_lines(end.writer, b"line\n", 1) == 5
    finally:
        socket.setdefaulttimeout(before)
    assert os.get_blocking(end.writer)


def test_a_pipe_is_written_without_what_windows_lacks() -> None:
    """Without PIPE_BUF, poll, fcntl and /proc, and with a select for sockets only, lines arrive.

    Closes: what a platform lacks silences forklog.
    """
    check_python("""
        import os, select, sys
        sys.modules["fcntl"] = None
        for name in ("PIPE_BUF", "poll"):
            delattr(select, name)
        def refuse(*_arguments):
            raise OSError(10038, "not a socket")
        select.select = refuse
        for name in ("pwritev", "RWF_NOWAIT"):
            delattr(os, name)
        from forklog.stderr.reporter import StderrReporter
        platform, sys.platform = sys.platform, "win32"
        reader, writer = os.pipe()
        os.dup2(writer, 2)
        StderrReporter().say("key", "a line")
        assert os.read(reader, 1000).endswith(b": a line\\n")
        sys.platform = platform
    """)
