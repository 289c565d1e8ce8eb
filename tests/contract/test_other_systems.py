"""What the README says of Windows and macOS, on a Linux that lacks what those systems lack.

A `sitecustomize` takes the names away before anything of ours is imported, in child processes too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import check_python

_LACKING = """
import asyncio, errno, logging, multiprocessing, os, random, select, selectors, signal, stat
import subprocess, sys, tempfile

def _refuse(*_):
    raise NotImplementedError

def _no_such_advice(*_):
    raise OSError(errno.EINVAL, "no such advice")

def _sockets_alone(read, write, *rest, _real=select.select):
    for descriptor in [*read, *write]:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(errno.ENOTSOCK, "select is for sockets")
    return _real(read, write, *rest)

_ON = {
    "windows": {
        os: "O_CLOEXEC O_NONBLOCK O_NOFOLLOW O_NOCTTY O_PATH O_DIRECTORY RWF_NOWAIT fchmod fork "
            "forkpty geteuid getuid getgid killpg pidfd_open pread preadv pwrite pwritev "
            "register_at_fork",
        select: "PIPE_BUF poll epoll",
        signal: "pthread_sigmask SIGKILL SIGHUP SIGPIPE sigpending sigwait",
    },
    "macos": {os: "O_PATH RWF_NOWAIT pidfd_open pwritev", select: "epoll"},
}
_system = os.environ["FORKLOG_TEST_SYSTEM"]
for _module, _names in _ON[_system].items():
    for _name in _names.split():
        delattr(_module, _name)
subprocess._CAN_USE_PIDFD_OPEN = False  # decided when it was imported
import mmap
mmap.mmap = type("mmap", (mmap.mmap,), {"madvise": _no_such_advice})
if _system == "windows":
    subprocess.Popen.kill = lambda process: process.send_signal(9)  # there it needs no SIGKILL
    sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = None
    del mmap.MAP_ANONYMOUS, mmap.MAP_PRIVATE
    select.select = _sockets_alone
    selectors.DefaultSelector, _real = selectors.SelectSelector, selectors.DefaultSelector
    selectors._can_use = None
    asyncio.SelectorEventLoop.add_signal_handler = _refuse
    asyncio.SelectorEventLoop.add_reader = _refuse
    asyncio.selector_events.selectors = type(sys)("selectors")
    vars(asyncio.selector_events.selectors).update(vars(selectors), DefaultSelector=_real)
"""


@pytest.fixture(params=["windows", "macos"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return the environment of an interpreter that lacks what the system lacks."""
    (tmp_path / "sitecustomize.py").write_text(_LACKING)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])])
    return {"PYTHONPATH": path, "FORKLOG_TEST_SYSTEM": request.param}


def test_what_the_system_lacks_is_gone(other: dict[str, str]) -> None:
    """The other tests of this file are about such an interpreter."""
    check_python(
        """
        import os, select, sys
        assert hasattr(os, "O_PATH") is False
        assert ("fork" in dir(os)) == (os.environ["FORKLOG_TEST_SYSTEM"] != "windows")
        """,
        env=other,
        is_covered=False,
    )


def test_the_fake_transport_and_the_handler(other: dict[str, str]) -> None:
    """`forklog.testing` is imported, a handler delivers to it, is flushed, closed, and examined."""
    check_python(
        """
        import logging
        import forklog
        from forklog.testing import FakeTransport

        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(project="p", transport=transport)
        logging.getLogger().addHandler(handler)
        logging.getLogger().error("%s is here", "it")
        assert handler.flush(10)
        assert [entry["textPayload"] for entry in transport.entries] == ["it is here"]
        assert len(transport.sent) == 1
        logging.getLogger().error("and the last one")
        handler.close()
        assert len(transport.entries) == 2
        transport.close()
        """,
        env=other,
        is_covered=False,
    )


def test_lines_on_stderr(other: dict[str, str], tmp_path: Path) -> None:
    """Lines for people and entries of the last resort are written to a piped stderr, and a file."""
    done = check_python(
        f"""
        import logging, os, sys
        import forklog
        from forklog.testing import Fail, FakeTransport

        # Not before: the standard library would import modules that only the other system has.
        sys.platform = {{"windows": "win32", "macos": "darwin"}}[os.environ["FORKLOG_TEST_SYSTEM"]]
        for place in ("stderr", {str(tmp_path / "rest.jsonl")!r}):
            transport = FakeTransport(*[Fail(503)] * 100)
            handler = forklog.CloudLoggingHandler(
                project="p", transport=transport, shutdown_timeout=0.2, last_resort=place)
            logging.getLogger().addHandler(handler)
            logging.getLogger().error("nobody takes %s", "it")
            handler.close()
            logging.getLogger().removeHandler(handler)
            transport.close()
        """,
        env=other,
        is_covered=False,
    )
    assert "nobody takes it" in done.stderr
    assert "forklog[" in done.stderr
    assert "nobody takes it" in (tmp_path / "rest.jsonl").read_text()


def test_the_emulator(other: dict[str, str], tmp_path: Path) -> None:
    """It starts, keeps entries in memory or a file, and ends with its handle."""
    check_python(
        f"""
        import logging
        from pathlib import Path
        import forklog
        from forklog.emulator.process import Emulator

        for database in (None, Path({str(tmp_path / "entries.sqlite3")!r})):
            with Emulator.start(db=database) as emulator:
                process = emulator._process
                handler = forklog.CloudLoggingHandler(project="p", endpoint=emulator.url)
                logging.getLogger().addHandler(handler)
                logging.getLogger().error("hello")
                assert handler.flush(20), handler.stats()
                assert [e["textPayload"] for e in emulator.entries()] == ["hello"]
                handler.close()
                logging.getLogger().removeHandler(handler)
            assert process.wait(10) is not None
        """,
        timeout=60,
        env=other,
        is_covered=False,
    )
