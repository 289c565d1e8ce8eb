"""The client side: starts the emulator as a process and asks it; standard library only."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0
_CALL_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_SHOWN_ENTRIES: Final = 10

Entry = dict[str, Any]


class EmulatorError(Exception):
    """The emulator did not start, or refused a control call; the message is its own."""


class Emulator(AbstractContextManager["Emulator"]):
    """A running emulator.

    A handle may be used in forked children: every call opens its own connection, and only the
    process that started the emulator can stop it.

    Args:
        url: where it listens, such as ``http://127.0.0.1:8085``.

    """

    def __init__(self, url: str) -> None:
        """Take an emulator that runs already; `start` makes one."""
        self.url = url
        self.host = url.removeprefix("http://")
        self._process: subprocess.Popen[str] | None = None
        self._owner = os.getpid()

    @classmethod
    def start(cls, *, db: Path | None = None, port: int = 0) -> Emulator:
        """Start an emulator and wait until it listens.

        It is its own process group and ends with this process, however that ends.

        Args:
            db: its SQLite file; in memory by default.
            port: where it listens on 127.0.0.1; 0 picks a free port.

        Raises:
            EmulatorError: it did not listen within 20 s; the text holds its stderr.

        """
        with tempfile.TemporaryFile("w+") as errors:
            process = _spawn(db, port, errors)
            try:
                url = _listening(process, time.monotonic() + _START_SECONDS)
            except BaseException:
                _end(process)
                raise
            if not url:
                _end(process)
                errors.seek(0)
                msg = f"the emulator did not start: {errors.read().strip() or 'it printed nothing'}"
                raise EmulatorError(msg)
        emulator = cls(url)
        emulator._process = process
        return emulator

    def entries(self, filter: str = "", project: str | None = None) -> list[Entry]:  # noqa: A002
        """Return all entries that match a filter, oldest first; armed faults do not hit this.

        Args:
            filter: in the Logging query language.
            project: only of this project; by default of every parent that was written to.

        """
        found: list[Entry] = []
        asked: dict[str, Any] = {"filter": filter, "pageSize": 1000}
        if project is not None:
            asked["resourceNames"] = [f"projects/{project}"]
        while True:
            page = self._call("POST", "/emulator/entries:list", asked)
            found += page.get("entries", [])
            if not (token := page.get("nextPageToken")):
                return found
            asked["pageToken"] = token

    def duplicates(self) -> list[Entry]:
        """Return logName, timestampNanos, insertId and copies of what was stored repeatedly."""
        return list(self._call("GET", "/emulator/duplicates")["entries"])

    def stats(self) -> dict[str, Any]:
        """Return what the emulator counted since its start or the last `reset`."""
        return self._call("GET", "/emulator/stats")

    def fault(self, kind: str, **options: Any) -> None:
        """Arm a fault; ``GET /`` of the emulator lists the kinds and their options."""
        self._call("POST", "/emulator/faults", {"kind": kind, **options})

    def faults(self) -> list[dict[str, Any]]:
        """Return the armed faults and what is left of their counts."""
        return list(self._call("GET", "/emulator/faults")["faults"])

    def clear_faults(self) -> None:
        """Disarm all faults and let hanging calls go on."""
        self._call("DELETE", "/emulator/faults")

    def reset(self) -> None:
        """Remove all entries and count from zero; armed faults stay."""
        self._call("DELETE", "/emulator/entries")

    def wait_for(
        self,
        predicate: Callable[[list[Entry]], bool],
        timeout: float,
        filter: str = "",  # noqa: A002
        project: str | None = None,
    ) -> list[Entry]:
        """Poll `entries` until they satisfy the predicate, and return them.

        An emulator in an outage is polled on.

        Raises:
            TimeoutError: they did not within `timeout` seconds; shows the last ones seen.

        """
        deadline = time.monotonic() + timeout
        found: list[Entry] = []
        while True:
            try:
                found = self.entries(filter, project)
                if predicate(found):
                    return found
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() >= deadline:
                    raise TimeoutError(str(error)) from error
            if time.monotonic() >= deadline:
                raise TimeoutError(_unmet(found, timeout))
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End the process and wait for it; nothing happens in a process that did not start it."""
        process, self._process = self._process, None
        if process is not None and os.getpid() == self._owner:
            _end(process)

    def __exit__(self, *_: object) -> None:
        """Stop the emulator."""
        self.stop()

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.host, timeout=_CALL_SECONDS)
        try:
            raw = None if body is None else json.dumps(body)
            headers = {"Connection": "close", "Content-Type": "application/json"}
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise EmulatorError(answer["error"]["message"])
        return answer


def _spawn(db: Path | None, port: int, errors: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "forklog.emulator", "--port", str(port)]
    command += ["--quiet", "--with-parent", *(["--db", str(db)] if db else [])]
    here = str(Path(__file__).resolve().parents[2])
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(  # noqa: S603  our own module, run by this interpreter
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def _listening(process: subprocess.Popen[str], deadline: float) -> str:
    """Return the address the process says it listens on, "" if it ends or says nothing."""
    if process.stdout is None:
        return ""
    left = max(0.0, deadline - time.monotonic())
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(left):
                return ""
    except OSError:  # Windows waits for sockets alone
        return _listening_by_timer(process, process.stdout, left)
    return process.stdout.readline().strip().rpartition(" ")[2]


def _listening_by_timer(process: subprocess.Popen[str], stdout: IO[str], seconds: float) -> str:
    """Read the line with its address; a process that prints none in time is killed."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        return stdout.readline().strip().rpartition(" ")[2]
    finally:
        timer.cancel()
        timer.join()


def _end(process: subprocess.Popen[str]) -> None:
    for end in (process.terminate, process.kill):
        end()
        try:
            process.wait(_STOP_SECONDS)
            break
        except subprocess.TimeoutExpired:
            continue
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _unmet(found: list[Entry], timeout: float) -> str:
    shown = "\n".join(json.dumps(entry) for entry in found[-_SHOWN_ENTRIES:])
    return f"not met within {timeout} s; {len(found)} entries, the last of them:\n{shown}"
