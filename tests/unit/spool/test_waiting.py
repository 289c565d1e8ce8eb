"""A spool whose files were removed, where the folder has no room for all that they held."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import wait_until

from forklog.delivery.buffer import Buffer
from forklog.options import Options
from forklog.spool.folder import Folder
from forklog.spool.format import SEGMENT_BYTES
from forklog.spool.making import Making
from forklog.spool.parts.image import new_prefix
from forklog.spool.spooler import ProcessSpool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lines import Lines

_BOUND = 3 << 20
_ENTRIES = [b"%06d " % number + b"x" * 500 for number in range(2000)]


@pytest.fixture
def spool(path: Path, lines: Lines) -> Iterator[ProcessSpool]:
    """Open a spool with entries in several segments."""
    options = Options(project="p", spool=str(path), spool_max_folder_bytes=_BOUND)
    making = Making(options, lambda: ("p", "http://localhost"))
    prefix = new_prefix()
    given = Buffer(2**20), lambda: None, lines, lambda: prefix, lambda: True
    made = ProcessSpool(options, making, *given)
    assert made.open()
    for entry in _ENTRIES:
        made.store.offer(0, entry)
    assert not made.store.unspooled
    yield made
    made.leave()


def _look(spool: ProcessSpool) -> None:
    """Look after the files, as if a second had passed."""
    spool._checked_at = 0.0
    spool.check()


def _names(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def _saved(path: Path) -> set[bytes]:
    """Return the entries that would outlive a kill."""
    heads = {file.name[:27] for file in path.glob("*.head")}
    found = [file.read_bytes() for file in path.glob("*.log") if file.name[:27] in heads]
    return {line for content in found for line in content[64:].replace(b"\0", b"").split(b"\n")}


def _lose_the_largest(path: Path, room: int) -> None:
    """Remove the largest segment; leave so much room in the folder."""
    largest = max(path.glob("*.log"), key=lambda file: file.stat().st_size)
    largest.unlink()
    used = sum(file.stat().st_size for file in path.iterdir())
    (path / "other").write_bytes(bytes(_BOUND - used - room))


def test_a_lost_segment_waits_for_room(spool: ProcessSpool, path: Path) -> None:
    """However long it waits, no file is made, and none of the others is left to an adopter."""
    _lose_the_largest(path, SEGMENT_BYTES[0] + 1000)
    _look(spool)
    before = _names(path)
    for _ in range(20):
        _look(spool)
    assert _names(path) == before
    assert not list(path.glob("*-00000000.head"))
    assert not spool.adopt(lambda *_: pytest.fail("an orphan"))
    (path / "other").unlink()
    assert not set(_ENTRIES) <= _saved(path)

    def is_saved() -> bool:
        _look(spool)
        return set(_ENTRIES) <= _saved(path)

    wait_until(is_saved)
    assert spool.store.count_spooled() == len(_ENTRIES)
    assert len([name for name in _names(path) if name.endswith(".head")]) <= 2
    into: list[bytes] = []
    spool.store.take(into, len(_ENTRIES) + 1, 2**30)
    assert into == _ENTRIES


def test_removals_without_room(
    spool: ProcessSpool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many times all files go, one owner before keeps its descriptors.

    What they held waits in memory for room, and is saved once there is some.
    """

    def has_room(_: Folder, _size: int, *, is_first: bool = False, **_excess: int) -> bool:
        return is_first

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "has_room", has_room)
        for number in range(9):
            for file in path.iterdir():
                file.unlink()
            _look(spool)
            spool.store.offer(0, b"%06d later" % number)
        assert len(_opened(path, ".head")) <= 2
        assert not set(_ENTRIES) <= _saved(path)

    def is_saved() -> bool:
        _look(spool)
        return set(_ENTRIES) <= _saved(path)

    wait_until(is_saved)
    assert spool.store.count_spooled() == len(_ENTRIES) + 9


def _opened(path: Path, text: str) -> list[str]:
    """Return the files of a folder with this text in their names that are open here."""
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the look itself
            name = str(file.readlink())
            found += [name] if name.startswith(f"{path}/") and text in name else []
    return found


def _put_aside(spool: ProcessSpool) -> list[bytes]:
    """Put entries aside that were taken before the others."""
    spool.store.take(into := [], len(_ENTRIES), 2**30)
    for entry in into[:3]:
        spool.store.put_aside(0, [entry])
    spool.store.settle(0, is_last=True)
    return into[:3]


@pytest.mark.parametrize("suffix", [".head", ".log"])
def test_what_was_put_aside_gets_into_the_new_files(
    spool: ProcessSpool, path: Path, suffix: str
) -> None:
    """At once, and not only when the server refuses it again, which may take an hour."""
    aside = _put_aside(spool)
    for file in path.glob(f"*{suffix}"):
        file.unlink()
    _look(spool)
    assert set(aside) <= _saved(path)
    assert len(list(path.glob("*.log"))) <= 3
