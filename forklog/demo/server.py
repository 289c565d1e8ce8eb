"""Demo step 2, a real uWSGI server: started from an ini file, asked for its workers, ended.

The load of step 3 goes to its `url`. The tests of `tests/servers` start their servers with it too.
What a server is doing is read from what it prints, which is flushed line by line.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

__all__ = ["Server", "ServerError", "is_running", "wait_until"]

_BOUND = re.compile(r"bound to TCP address 127\.0\.0\.1:(\d+)")
_SPAWNED = re.compile(r"spawned uWSGI worker (\d+) .*?pid: (\d+)", re.IGNORECASE)
_RESPAWNED = re.compile(r"Respawned uWSGI worker (\d+) \(new pid: (\d+)\)")
_LOADED = re.compile(r"^WSGI app \d+ .* ready in ", re.MULTILINE)
_POLL_SECONDS = 0.02
_SHOWN_LINES = 15


class ServerError(Exception):
    """The server did not start; the message has the last lines that it printed."""


class Server:
    """A running uWSGI: leader (the master, or worker 1 without one) and workers, one group.

    Args:
        process: the leader, started as the leader of its own session.
        log: the file that all of its processes print to.

    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Take a server just started; `start` makes one."""
        self.pid = process.pid
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls,
        ini: Path,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        timeout: float = 20.0,
    ) -> Server:
        """Start uWSGI on a free port of 127.0.0.1 and wait until the port is bound.

        Args:
            ini: the configuration.
            folder: where the log file is made.
            environ: variables on top of this process's own.
            options: more arguments for uWSGI, such as ``["--max-requests", "5"]``.
            timeout: seconds to wait at most.

        Raises:
            ServerError: uWSGI ended, or bound no port in time.

        """
        command = [sys.executable, _uwsgi_script(), "--http-socket", "127.0.0.1:0"]
        handle, name = tempfile.mkstemp(prefix="uwsgi-", suffix=".log", dir=folder)
        try:
            process = subprocess.Popen(  # noqa: S603  our own arguments
                [*command, "--ini", str(ini), *options],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                env=_environment(environ or {}),
                start_new_session=True,
            )
        finally:
            os.close(handle)
        server = cls(process, Path(name))
        try:
            server._wait_bound(timeout)
        except BaseException:
            server.kill()
            raise
        return server

    @property
    def url(self) -> str:
        """Where it answers, such as ``http://127.0.0.1:40123``."""
        return f"http://127.0.0.1:{self._bound()}"

    def output(self) -> str:
        """Return all that it printed so far."""
        return self.log.read_text(errors="replace")

    def last_lines(self) -> str:
        """Return the end of what it printed."""
        return "\n".join(self.output().splitlines()[-_SHOWN_LINES:])

    def workers(self) -> dict[int, int]:
        """Return the PID of each worker by its number; a respawned one has its new PID."""
        printed = self.output()
        found = _SPAWNED.findall(printed) + _RESPAWNED.findall(printed)
        return {int(number): int(pid) for number, pid in found}

    def wait_ready(self, workers: int, loads: int = 1, timeout: float = 30.0) -> bool:
        """Wait until so many workers were forked and so many processes loaded the application.

        Returns:
            Whether that happened within `timeout` seconds.

        """

        def is_ready() -> bool:
            loaded = len(_LOADED.findall(self.output()))
            return len(self.workers()) >= workers and loaded >= loads

        wait_until(lambda: self.has_ended() or is_ready(), timeout)
        return is_ready() and not self.has_ended()

    def has_ended(self) -> bool:
        """Tell whether the leader has ended; its workers may be there still."""
        return self._process.poll() is not None

    def group(self) -> list[int]:
        """Return the PIDs of its processes that run, leader and workers."""
        self._process.poll()
        return [pid for pid in _group_members(self.pid) if is_running(pid)]

    def end(self, number: signal.Signals = signal.SIGINT, timeout: float = 5.0) -> bool:
        """Ask the server to end, the leader first and then who is left; kill what stays.

        Returns:
            Whether all of its processes ended by themselves within `timeout` seconds.

        """
        deadline = time.monotonic() + timeout
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        wait_until(self.has_ended, timeout)
        if self.has_ended():  # a leader without master leaves the other workers to us
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
        has_ended = wait_until(lambda: not self.group(), max(0.0, deadline - time.monotonic()))
        self.kill()
        return has_ended

    def kill(self) -> None:
        """End all of its processes at once, with SIGKILL; nothing happens if they ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Server:  # noqa: PYI034  typing.Self is not in 3.10
        """Return the server itself; it is killed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the server."""
        self.kill()

    def _wait_bound(self, timeout: float) -> None:
        wait_until(lambda: self.has_ended() or self._bound() > 0, timeout)
        if self.has_ended() or not self._bound():
            raise ServerError(f"uWSGI did not start; it printed:\n{self.last_lines()}")

    def _bound(self) -> int:
        bound = _BOUND.search(self.output())
        return int(bound[1]) if bound else 0


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Poll a condition until it holds; return whether it did within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is no zombie, whose parent has yet to reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _group_members(group: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
            if os.getpgid(int(entry.name)) == group:
                members.append(int(entry.name))
    return members


def _uwsgi_script() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "uwsgi")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Make the server's environment: nothing in it configures uWSGI or leads through a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").exists():  # a checkout, perhaps not installed
        paths = [str(root), *filter(None, [kept.get("PYTHONPATH")])]
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **extra}
