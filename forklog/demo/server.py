"""Starts a real uWSGI server from an ini file for the demo, asks for its workers, stops it.

The load goes to its `url`. The tests of `tests/servers` start their servers with it too.
What a server is doing is read from what it prints, which is flushed line by line.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from forklog.demo.processes import group_members, is_running, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_BOUND = " bound to TCP address "
_IN_USE = "Address already in use"
_SPAWNED = re.compile(r"spawned uWSGI worker (\d+) .*?pid: (\d+)", re.IGNORECASE)  # or Respawned
_LOADED = re.compile(r"^WSGI app \d+ .* ready in ", re.MULTILINE)
_SHOWN_LINES = 15
_PORTS_TRIED = 5


class ServerError(Exception):
    """The server did not start; the message has the last lines that it printed."""


class Server(AbstractContextManager["Server"]):
    """A running uWSGI: leader (the master, or worker 1 without one) and workers, one group.

    Args:
        process: the leader, started as the leader of its own session.
        address: host and port where it answers.
        log: the file that all of its processes print to.

    """

    def __init__(self, process: subprocess.Popen[bytes], address: str, log: Path) -> None:
        """Take a server just started; `start` makes one."""
        self.pid = process.pid
        self.url = f"http://{address}"
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
            ServerError: uWSGI is not installed, ended, or bound no port in time.

        """
        for _ in range(_PORTS_TRIED):
            server = cls._launch(ini, folder, environ or {}, options)
            try:
                if _has_bound(server, timeout):
                    return server
            except BaseException:
                server.kill()
                raise
            server.kill()
            if _IN_USE not in server.output():
                break
        raise _not_started(server)

    def output(self) -> str:
        """Return all that it printed so far."""
        return self.log.read_text(errors="replace")

    def workers(self) -> dict[int, int]:
        """Return the PID of each worker by its number; a respawned one has its new PID."""
        return {int(number): int(pid) for number, pid in _SPAWNED.findall(self.output())}

    def wait_ready(self, workers: int, loads: int = 1, timeout: float = 30.0) -> bool:
        """Wait until so many workers were forked and so many processes loaded the application.

        A worker may still be on its way to its first request then, and uWSGI loses signals that
        come so early. Have every worker answer before telling the server to end or to reload.

        Returns:
            Whether that happened within `timeout` seconds.

        Raises:
            ServerError: the server ended instead.

        """

        def is_ready() -> bool:
            loaded = len(_LOADED.findall(self.output()))
            return len(self.workers()) >= workers and loaded >= loads

        wait_until(lambda: self.has_ended() or is_ready(), timeout)
        if self.has_ended():
            raise _not_started(self)
        return is_ready()

    def has_ended(self) -> bool:
        """Tell whether the leader has ended; its workers may be there still."""
        return self._process.poll() is not None

    def group(self) -> list[int]:
        """Return the PIDs of its processes that run, leader and workers."""
        self._process.poll()
        return [pid for pid in group_members(self.pid) if is_running(pid)]

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

    def __exit__(self, *_: object) -> None:
        """Kill the server."""
        self.kill()

    @classmethod
    def _launch(
        cls, ini: Path, folder: Path, environ: Mapping[str, str], options: Sequence[str]
    ) -> Server:
        # Not port 0: with it uWSGI takes another port at each reload.
        address = f"127.0.0.1:{_free_port()}"
        command = [sys.executable, _uwsgi_script(), "--http-socket", address, "--ini", str(ini)]
        command += ["--binary-path", sys.executable]  # else a reload leaves the virtualenv
        handle, name = tempfile.mkstemp(prefix="uwsgi-", suffix=".log", dir=folder)
        try:
            process = subprocess.Popen(  # noqa: S603  our own arguments
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                env=_environment(environ),
                start_new_session=True,
            )
        finally:
            os.close(handle)
        return cls(process, address, Path(name))


def _has_bound(server: Server, timeout: float) -> bool:
    wait_until(lambda: server.has_ended() or _BOUND in server.output(), timeout)
    return _BOUND in server.output() and not server.has_ended()


def _not_started(server: Server) -> ServerError:
    lines = server.output().splitlines()[-_SHOWN_LINES:]
    return ServerError("uWSGI did not start; it printed:\n" + "\n".join(lines))


def _free_port() -> int:
    """Find a port that is free now; another process may take it before uWSGI does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _uwsgi_script() -> str:
    """Find the console script; run by path, since uWSGI starts itself again on SIGHUP."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("pyuwsgi") or ():
            if file.name == "uwsgi":
                return str(Path(str(file.locate())).resolve())
    raise ServerError("pyuwsgi is not installed: install forklog with its extra demo")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Make the server's environment: nothing in it configures uWSGI or leads through a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").exists():  # a checkout, perhaps not installed
        paths = [str(root), *filter(None, [kept.get("PYTHONPATH")])]
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **extra}
