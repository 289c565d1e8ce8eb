"""A spool that lacks something of the system at its first record, and has it later."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from heads import HEAD
from helpers import wait_until

from forklog.delivery.buffer import Buffer
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.spool.format import SEGMENT_BYTES, prefix_of_segment, segment_header, segment_name
from forklog.spool.making import Making
from forklog.spool.parts.image import new_prefix
from forklog.spool.segments import Segments
from forklog.spool.spooler import ProcessSpool
from forklog.transports.base import Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lines import Lines

_IDS = InsertIds()
_LACKS = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT]


@pytest.fixture
def buffer() -> Buffer:
    """Return the lanes."""
    return Buffer(2**20)


@pytest.fixture
def spool(path: Path, lines: Lines, buffer: Buffer) -> Iterator[ProcessSpool]:
    """Make a spool that is not open yet."""
    options = Options(project="p", spool=str(path))
    making = Making(options, lambda: ("p", "http://localhost"))
    prefix = new_prefix()
    given = buffer, lambda: None, lines, lambda: prefix, lambda: True
    made = ProcessSpool(options, making, *given)
    yield made
    made.store.take([], 1000, 2**26)
    made.store.settle(0, is_last=True)
    made.leave()


def _offer(spool: ProcessSpool, patch: pytest.MonkeyPatch, where: str, error: int) -> int:
    """Offer entries while the system lacks something; return how often it was asked."""
    genuine, asked = os.open, 0

    def fail(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        nonlocal asked
        if where in path:
            asked += 1
            raise OSError(error, os.strerror(error))
        return genuine(path, flags, mode, dir_fd=dir_fd)

    with patch.context() as patched:
        patched.setattr(os, "open", fail)
        for _ in range(10):
            spool.store.offer(0, _IDS.opening())
    return asked


def test_what_gets_into_the_spool_later_counts_no_more(
    spool: ProcessSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the flush thread starts only after log calls that found no room, and takes it in."""
    spool.store.offer(0, _IDS.opening())
    assert spool.store.is_open
    number = 1
    while spool.numbers()["unspooled"] < 5:
        number += 10
        _offer(spool, monkeypatch, ".log", errno.ENOSPC)

    def are_all_in() -> bool:
        spool.check()
        spool.take_in()
        return spool.store.count_spooled() == number

    wait_until(are_all_in)
    assert spool.numbers()["unspooled"] == 0


@pytest.mark.parametrize("error", _LACKS)
@pytest.mark.parametrize("where", ["spool", ".new", ".log"])
def test_what_the_system_lacks_at_first(
    spool: ProcessSpool, lines: Lines, where: str, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log calls ask once a second at most; then the spool comes on, with what came before."""
    assert _offer(spool, monkeypatch, where, error) < 5
    assert not spool.store.is_open
    assert [os.strerror(error) in line and "is off" not in line for line in lines] == [True]
    assert spool.numbers()["spool"] == f"off: not yet: {os.strerror(error)}"

    def is_on() -> bool:
        spool.check()
        return spool.store.is_open

    wait_until(is_on)
    assert spool.store.count_spooled() == 10
    assert spool.numbers()["spool"].endswith("/spool")
    assert not spool.store.unspooled


def test_a_log_call_that_opens_it_late(
    spool: ProcessSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves to the thread that runs passes what that one may be taking."""
    assert _offer(spool, monkeypatch, ".new", errno.EMFILE)

    def is_on() -> bool:
        spool.store.offer(0, _IDS.opening())
        return spool.store.is_open

    wait_until(is_on)
    assert spool.store.count_spooled() == 1
    assert spool.store.unspooled == len(spool.store) - 1
    entries = len(spool.store)
    spool.check()
    assert spool.store.count_spooled() == len(spool.store) == entries
    assert not spool.store.unspooled
    spool.store.stop()
    spool.store.offer(0, _IDS.opening())
    assert not spool.store.unspooled, "it is off by now"


def test_what_is_in_flight_when_it_is_opened(
    spool: ProcessSpool, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in memory alone, and counted; what another process has counted does not count.

    Closes the class: an entry that a kill would lose, and that no number of `stats()` has.
    """
    assert _offer(spool, monkeypatch, ".new", errno.EMFILE)
    assert spool.store.unspooled == 10
    in_flight: list[bytes] = []
    spool.store.take(in_flight, 4, 2**20)
    others = InsertIds()
    buffer.adopt(0, deque(others.opening() for _ in range(3)))

    def is_on() -> bool:
        spool.check()
        return spool.store.is_open

    wait_until(is_on)
    assert spool.store.count_spooled() == 9
    assert spool.store.unspooled == len(in_flight) == 4


def test_an_entry_of_a_finalizer_while_it_is_opened(
    spool: ProcessSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory takes it, and the spool at once."""
    genuine = os.open
    logged: list[bytes] = []

    def log(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not logged:
            logged.append(_IDS.opening())
            spool.store.offer(0, logged[0])
            assert spool.store.unspooled == 1
        return genuine(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", log)
    spool.store.offer(0, _IDS.opening())
    assert spool.store.count_spooled() == 2
    assert not spool.store.unspooled


@pytest.mark.parametrize("where", ["spool", ".new", ".log"])
def test_what_the_system_lacks_after_an_interrupted_try(
    spool: ProcessSpool, path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that a signal handler's exception has left are removed by the try that succeeds."""

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Segments, "activate", strike)
        with pytest.raises(KeyboardInterrupt):
            spool.store.offer(0, _IDS.opening())
    assert len(list(path.iterdir())) == 2
    assert _offer(spool, monkeypatch, where, errno.EMFILE)

    def is_on() -> bool:
        spool.check()
        return spool.store.is_open

    wait_until(is_on)
    assert spool.store.count_spooled() == 10
    spool.store.tidy()
    prefixes = {prefix_of_segment(file.name) for file in path.glob("*.log")}
    assert prefixes == {spool._prefix()}
    assert len(list(path.glob("*.head"))) == 1


def test_what_is_adopted_while_it_is_opened(
    spool: ProcessSpool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass claims a dead process's head before the open fails: it is let go, and found again."""
    path.mkdir(mode=0o700)
    head = {**HEAD, "endpoint": "http://localhost"}
    file = path / f"forklog-{1:019x}-00000000.head"
    file.write_bytes(orjson.dumps(head))
    file.chmod(0o600)
    content = segment_header(0, SEGMENT_BYTES[0]) + _IDS.opening() + b'","timestamp":""}\n'
    log = path / segment_name(f"{1:019x}", 0)
    log.write_bytes(content.ljust(SEGMENT_BYTES[0], b"\0"))
    log.chmod(0o600)
    genuine = os.open

    def fail(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT and ".log" in path:
            spool.adopt(lambda *_: Verdict(Kind.RETRY, "503"))
            assert _opened(file) == 1
            raise OSError(errno.ENOSPC, "full")
        return genuine(path, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        spool.store.offer(0, _IDS.opening())
    assert not _opened(file)
    assert not _opened(path)

    def is_on() -> bool:
        spool.check()
        return spool.store.is_open

    wait_until(is_on)
    assert spool.adopt(lambda *_: Verdict(Kind.DELIVERED)) == {"delivered": 1, "refused": 0}


def _opened(path: Path) -> int:
    """Return how many descriptors of a file this process has."""
    files = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the look itself
            files.append(file.readlink())
    return files.count(path)


def test_a_close_before_it_could_be_opened(
    spool: ProcessSpool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later record makes files."""
    assert _offer(spool, monkeypatch, ".new", errno.EMFILE)
    spool.leave()
    spool._open_at = 1.0
    spool.store.offer(0, b"late")
    spool.check()
    assert spool.store.unspooled == 10
    assert not list(path.iterdir())
    assert spool.numbers()["spool"] == "off: closed"


def test_what_does_not_pass(
    spool: ProcessSpool, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool that cannot be written here is off for good."""
    assert _offer(spool, monkeypatch, ".new", errno.EROFS) == 1
    assert "is off" in lines[0]
    assert spool.numbers()["spool"].startswith("off: ")
    assert not spool.store.unspooled
