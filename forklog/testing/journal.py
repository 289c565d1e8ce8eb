"""Writes what each process sent, a line a request, to a file that forked children share."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from forklog.descriptors.above import open_above
from forklog.process.base import pid
from forklog.transports.base import Envelope


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a process has made."""

    pid: int
    """Process that sent it."""
    outcome: str
    """What it met: ``deliver``, ``fail``, ``refuse``, ``hang`` or ``disconnect``."""
    lines: list[bytes]
    """The entries as they were sent, each one JSON object."""
    kept: list[int]
    """Indexes of the entries that the server has stored."""
    envelope: Envelope | None = None
    """Log, labels and resource, where they are not those of the handler's options."""

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries, parsed."""
        return [orjson.loads(line) for line in self.lines]

    @property
    def stored(self) -> list[dict[str, Any]]:
        """Those of the entries that the server has stored, parsed."""
        return [orjson.loads(self.lines[index]) for index in self.kept]


class Journal:
    """An unlinked file, written with O_APPEND, so that lines of several processes do not mix."""

    def __init__(self) -> None:
        """Make the file; it is gone when the last process that has it open ends."""
        descriptor, path = tempfile.mkstemp(prefix="forklog-testing-")
        os.close(descriptor)
        flags = os.O_RDWR | os.O_APPEND
        for name in ("O_CLOEXEC", "O_BINARY", "O_TEMPORARY"):
            flags |= getattr(os, name, 0)
        self._file = open_above(path, flags)
        if not hasattr(os, "O_TEMPORARY"):  # Windows removes it with the last descriptor
            Path(path).unlink()
        self._identity = _identity(self._file)
        self._known: tuple[int, list[Request]] = 0, []  # up to which byte, and what is before it
        self.close = weakref.finalize(self, os.close, self._file)
        self.close.atexit = False

    def write(
        self,
        outcome: str,
        entries: Sequence[bytes],
        kept: list[int],
        envelope: Envelope | None = None,
    ) -> None:
        """Record a request of this process. Never raises."""
        lines = [entry.decode() for entry in entries]
        given = None if envelope is None else asdict(envelope)
        request = {"pid": pid(), "outcome": outcome, "lines": lines, "kept": kept}
        line = orjson.dumps({**request, "envelope": given})
        with contextlib.suppress(OSError):
            # A daemon may have closed all descriptors, and have got this number for another file.
            if _identity(self._file) == self._identity:
                os.write(self._file, b"\n%b\n" % line)  # a kill may have cut off the line before

    def read(self) -> list[Request]:
        """Return the requests of all processes, in the order in which they were made."""
        start, known = self._known
        data = _read(self._file, os.fstat(self._file).st_size - start, start)
        whole = data[: data.rfind(b"\n") + 1]
        found = known + [request for line in whole.splitlines() if (request := _request(line))]
        self._known = start + len(whole), found  # a test that waits for many asks again and again
        return found.copy()


def _read(descriptor: int, size: int, start: int) -> bytes:
    """Return all bytes from a position on; one call of the system gives 2 GiB at most."""
    pieces = []
    while size > 0 and (piece := _piece(descriptor, size, start)):
        pieces.append(piece)
        size, start = size - len(piece), start + len(piece)
    return b"".join(pieces)


def _piece(descriptor: int, size: int, start: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, start)
    os.lseek(descriptor, start, os.SEEK_SET)  # on Windows, where one thread at a time may ask
    return os.read(descriptor, size)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _request(content: bytes) -> Request | None:
    try:
        line: dict[str, Any] = orjson.loads(content)
    except ValueError:  # empty, or of a process that was killed in the middle
        return None
    lines = [text.encode() for text in line["lines"]]
    envelope = Envelope(**line["envelope"]) if line["envelope"] else None
    return Request(line["pid"], line["outcome"], lines, line["kept"], envelope)
