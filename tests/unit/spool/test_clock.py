"""A clock that was set back or ahead costs no entry, and removes nothing too early."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
from heads import FITS, HEAD, put

from forklog.spool.adopter import Adopter
from forklog.spool.format import SEGMENT_BYTES, segment_header, segment_name
from forklog.spool.head import Head, new_name
from forklog.spool.left.adoption import Sums
from forklog.spool.owner import Owner
from forklog.spool.parts.image import image, new_prefix
from forklog.spool.scan import scan
from forklog.transports.base import Kind, Verdict

if TYPE_CHECKING:
    import pytest

    from forklog.spool.folder import Folder

_ENTRY = b'{"insertId":"%029x","timestamp":"2026-01-01T00:00:00Z","textPayload":"x"}' % 1


def test_a_clock_that_was_set_back(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is of the future is not old: it waits for its time; and what is left is sent at once."""
    made = put(folder, new_name(f"{1:019x}"), b"")
    bad = put(folder, f"forklog-{2:019x}-00000000.head.bad", b"")
    prefix = f"{3:019x}"
    put(folder, f"forklog-{prefix}-00000000.head", orjson.dumps(HEAD))
    content = segment_header(0, SEGMENT_BYTES[0]) + _ENTRY + b"\n"
    put(folder, segment_name(prefix, 0), content.ljust(SEGMENT_BYTES[0], b"\0"))
    before, hour, week = new_prefix(), 3600.0, 7 * 24 * 3600.0
    genuine = time.time

    def set_by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: genuine() + seconds)
        monkeypatch.setattr(
            "forklog.spool.parts.image.realtime_ns", lambda: int((genuine() + seconds) * 1e9)
        )

    set_by(-hour)
    beside = Owner(folder, new_prefix(), Head(**HEAD))  # type: ignore[arg-type]
    (orphan,) = scan(folder, image(), set(), FITS).orphans
    assert orphan.age == 0
    orphan.close()
    adopter = Adopter(folder, image(), FITS, 1000, 10**6, print, Sums())
    got: list[bytes] = []
    adopter.pass_once(lambda batch, _: got.extend(batch) or Verdict(Kind.DELIVERED))
    assert got == [_ENTRY]
    adopter.close()
    assert new_prefix() < before
    assert made.exists()
    set_by(61.0)
    scan(folder, image(), set(), FITS)
    assert (made.exists(), bad.exists()) == (False, True)
    set_by(week + 60.0)
    scan(folder, image(), set(), FITS)
    assert not bad.exists()
    beside.remove()
    assert folder.names() == []


def test_prefixes_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back to a moment of before gives no name twice."""
    monkeypatch.setattr("forklog.spool.parts.image.realtime_ns", lambda: 1_700_000_000_000_000_000)
    assert len({new_prefix() for _ in range(100)}) == 100
