"""The adopter's side: one orphan holds up no other, and each is claimed once in a process."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import time
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

import orjson
import pytest
from heads import FITS, HEAD, put
from helpers import check_python
from strike import every_alarm

from forklog.spool.adopter import Adopter
from forklog.spool.claims import Claimant, claim, release
from forklog.spool.folder import Folder
from forklog.spool.format import LARGE_BYTES, SEGMENT_BYTES, segment_header, segment_name
from forklog.spool.head import Head, new_name
from forklog.spool.left.adoption import Sums
from forklog.spool.owner import Owner
from forklog.spool.parts.image import image
from forklog.spool.scan import scan
from forklog.transports.base import OTHER_PROJECT, Envelope, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENTRY = b'{"insertId":"%029x","timestamp":"2026-01-01T00:00:00Z","textPayload":"%s"}\n'
_DELIVERED = Verdict(Kind.DELIVERED)


def _orphan(folder: Folder, number: int, *texts: bytes, **changes: object) -> str:
    prefix = f"{number:019x}"
    name = f"forklog-{prefix}-00000000.head"
    put(folder, name, orjson.dumps({**HEAD, **changes}))
    entries = b"".join(_ENTRY % (n, text) for n, text in enumerate(texts))
    content = segment_header(0, SEGMENT_BYTES[0]) + entries
    put(folder, segment_name(prefix, 0), content.ljust(SEGMENT_BYTES[0], b"\0"))
    return name


class _Server:
    """Delivers all but batches that hold a text."""

    def __init__(self, bad: bytes = b"", verdict: Verdict = _DELIVERED) -> None:
        self.bad, self.verdict = bad, verdict
        self.got: list[bytes] = []
        self.sizes: list[int] = []

    def __call__(self, entries: Sequence[bytes], _: Envelope) -> Verdict:
        texts = [orjson.loads(entry)["textPayload"].encode() for entry in entries]
        self.sizes.append(len(texts))
        if self.bad in texts:
            return self.verdict
        self.got += texts
        return _DELIVERED


def _adopter(folder: Folder, lines: list[str] | None = None) -> Adopter:
    said = [] if lines is None else lines
    return Adopter(folder, image(), FITS, 100, 2**20, lambda _, text: said.append(text), Sums())


def _let_pass(adopter: Adopter, seconds: float) -> None:
    """Have all times of an adopter come earlier, as if so many seconds had passed."""
    adopter._retry_at -= seconds
    adopter._last_scan -= seconds
    if adopter._scan_at is not None:
        adopter._scan_at -= seconds
    for adoption in adopter._adoptions:
        adoption.retry_at -= seconds


def _work(adopter: Adopter, server: _Server, passes: int) -> None:
    for _ in range(passes):
        adopter.pass_once(server)
        _let_pass(adopter, adopter.seconds() or 0.0)


_REFUSALS = [
    Verdict(Kind.BLOCKED, "403", answer="403"),
    Verdict(Kind.RETRY, "503", answer="503"),
    Verdict(Kind.RETRY, "no answer"),
]


@pytest.mark.parametrize("refusal", _REFUSALS)
@pytest.mark.parametrize("bad", [1, 2, 3])
def test_a_refused_orphan_holds_up_no_other(folder: Folder, bad: int, refusal: Verdict) -> None:
    """Wherever it stands in the row, the others are delivered, and it stays claimed."""
    for number in (1, 2, 3):
        _orphan(folder, number, b"bad" if number == bad else b"%d" % number)
    adopter, server = _adopter(folder), _Server(b"bad", refusal)
    _work(adopter, server, 12)
    assert sorted(server.got) == sorted(b"%d" % number for number in {1, 2, 3} - {bad})
    assert len(folder.names()) == 2
    server.bad = b""
    _work(adopter, server, 4)
    assert b"bad" in server.got
    assert folder.names() == []


@pytest.mark.parametrize("refusal", _REFUSALS)
@pytest.mark.parametrize("bad", [{0}, {30}, {30, 31, 32}, {38, 39}, {0, 20, 39}])
def test_a_refused_entry_holds_up_no_other(folder: Folder, refusal: Verdict, bad: set[int]) -> None:
    """A batch is split, and what is refused alone is moved behind the others."""
    texts = [b"bad" if number in bad else b"%d" % number for number in range(40)]
    _orphan(folder, 1, *texts)
    said: list[str] = []
    adopter, server = _adopter(folder, said), _Server(b"bad", refusal)
    _work(adopter, server, 150)
    assert sorted(server.got) == sorted(text for text in texts if text != b"bad")
    assert len(said) >= 1
    assert "refuses an entry again and again" in said[0]
    adopter.close()
    other = _adopter(folder)  # what waits is found by another process
    _work(other, server, 20)
    assert server.got.count(b"bad") == 0
    server.bad = b""
    _work(other, server, 12)
    assert sorted(server.got) == sorted(texts)
    assert folder.names() == []
    assert max(server.sizes) <= 100


def test_an_orphan_that_waits_is_passed_over(folder: Folder) -> None:
    """The next one has its turn in the same pass, and nothing is reported."""
    for number in range(3):
        _orphan(folder, number, b"%d" % number)
    lines: list[str] = []
    adopter, server = _adopter(folder, lines), _Server(b"0", Verdict(Kind.RETRY))
    adopter.pass_once(server)
    for waiting in list(adopter._adoptions)[:2]:
        waiting.retry_at = time.monotonic() + 60
    adopter._retry_at = 0.0
    adopter._adoptions[2].retry_at = 0.0
    adopter.pass_once(server)
    assert (len(server.sizes), lines) == (2, []), (server.sizes, lines)


def test_what_is_moved_goes_into_one_segment(folder: Folder) -> None:
    """However many are refused, there is one file more; an unfinished line stays apart."""
    large = b"x" * 100_000
    prefix = f"{1:019x}"
    put(folder, f"forklog-{prefix}-00000000.head", orjson.dumps(HEAD))
    torn = b'{"insertId":"torn'
    for number in (0, 1):
        lines = [_ENTRY % (100 * number + n, b"bad") for n in range(9)]
        content = segment_header(number, SEGMENT_BYTES[2]) + b"".join(lines)
        content += _ENTRY % (99 + number, large) + torn * number
        put(folder, segment_name(prefix, number), content.ljust(SEGMENT_BYTES[2], b"\0"))
    adopter, server = _adopter(folder), _Server(b"bad", _REFUSALS[0])
    _work(adopter, server, 200)
    assert server.got == [large, large]
    assert len(folder.names()) <= 3
    server.bad = b""
    _work(adopter, server, 30)
    assert server.got.count(b"bad") == 18
    assert adopter.sums.torn == 1
    assert folder.names() == []


def test_what_is_moved_keeps_to_the_folders_bound(tmp_path: Path) -> None:
    """In a full folder the bound yields by one large segment, until those left behind are sent."""
    folder = Folder(str(tmp_path / "spool"), 20 * SEGMENT_BYTES[0])
    for number in range(1, 21):
        _orphan(folder, number, b"bad", b"%d" % number)
    adopter, server, most = _adopter(folder), _Server(b"bad", _REFUSALS[0]), 0
    for _ in range(600):
        _work(adopter, server, 1)
        folder.names()
        most = max(most, folder.used_bytes)
    assert most <= 20 * SEGMENT_BYTES[0] + LARGE_BYTES, most
    assert sorted(server.got) == sorted(b"%d" % number for number in range(1, 21))
    adopter.close()
    folder.close()


def test_what_is_moved_finds_no_room_far_beyond_the_bound(tmp_path: Path) -> None:
    """The entry stays where it is, as do those behind it, until there is room."""
    folder = Folder(str(tmp_path / "spool"), 1 << 20)
    _orphan(folder, 1, b"bad", b"1")
    other = put(folder, "other", bytes(2 << 20))
    adopter, server = _adopter(folder), _Server(b"bad", _REFUSALS[0])
    _work(adopter, server, 30)
    assert (server.got, len(folder.names())) == ([], 3)
    other.unlink()
    _work(adopter, server, 30)
    assert server.got == [b"1"]
    adopter.close()
    folder.close()


def test_a_segment_that_vanishes_is_reported_as_that(folder: Folder) -> None:
    """It is not called broken; the rest of its process is sent, and its head goes."""
    _orphan(folder, 1, b"1")
    prefix, lines = f"{1:019x}", list[str]()
    content = Path(folder.path, segment_name(prefix, 0)).read_bytes()
    later = [put(folder, segment_name(prefix, number), content) for number in (1, 2)]
    adopter, server = _adopter(folder, lines), _Server()

    def send(entries: Sequence[bytes], envelope: Envelope) -> Verdict:
        later[0].unlink(missing_ok=True)  # as a tidier does
        return server(entries, envelope)

    for _ in range(3):
        adopter.pass_once(send)
    assert server.got == [b"1", b"1"]
    assert len(lines) == 1
    assert lines[0].startswith("1 segment(s) of a dead process vanished from the spool")
    assert folder.names() == []


def test_a_large_entry_is_moved(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a segment of its size; without room it stays where it is, as do those behind it."""
    large = b"x" * 200_000
    prefix = f"{1:019x}"
    put(folder, f"forklog-{prefix}-00000000.head", orjson.dumps(HEAD))
    content = segment_header(0, SEGMENT_BYTES[2]) + _ENTRY % (1, large) + _ENTRY % (2, b"2")
    put(folder, segment_name(prefix, 0), content.ljust(SEGMENT_BYTES[2], b"\0"))
    adopter, server = _adopter(folder), _Server(large, _REFUSALS[0])

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("forklog.spool.left.refused.os.pwrite", full)
        _work(adopter, server, 30)
    assert server.got == []
    assert len(folder.names()) == 2
    _work(adopter, server, 30)
    assert server.got == [b"2"]
    server.bad = b""
    _work(adopter, server, 8)
    assert server.got == [b"2", large]
    assert folder.names() == []


def test_a_server_that_refuses_all_is_asked_rarely(folder: Folder) -> None:
    """Many orphans make few requests: one a second at most, and each orphan ever more rarely."""
    for number in range(1, 6):
        _orphan(folder, number, b"bad")
    adopter, server = _adopter(folder), _Server(b"bad", _REFUSALS[0])
    seconds = 0.0
    while seconds < 300:
        adopter.pass_once(server)
        wait = adopter.seconds()
        assert wait is not None
        _let_pass(adopter, wait)
        seconds += wait
    assert 20 < len(server.sizes) < 100
    adopter.close()


def test_two_adopters_of_a_process_share_nothing(folder: Folder) -> None:
    """Two handlers with one spool: each orphan is sent by one of them, and stays locked."""
    _orphan(folder, 1, b"1", b"2", b"3")
    one, other = _adopter(folder), _adopter(folder)
    server, late = _Server(), _Server()

    def send(entries: Sequence[bytes], envelope: Envelope) -> Verdict:
        other.pass_once(late)
        check_python(
            f"""
            from forklog.spool.folder import Folder
            from forklog.spool.head import Fits
            from forklog.spool.scan import scan
            found = scan(Folder({folder.path!r}, 2**30), "22222222", set(), Fits("p", None))
            assert (found.orphans, found.living, len(found.adopted)) == ([], 0, 1), found
            """
        )
        return server(entries, envelope)

    one.pass_once(send)
    assert (server.got, late.got) == ([b"1", b"2", b"3"], [])
    assert (one.sums.recovered, other.sums.recovered) == (3, 0)
    assert folder.names() == []


def test_what_one_adopter_lets_go_another_takes(folder: Folder) -> None:
    """A handler that is closed leaves its orphans to the other handlers of the process, too."""
    _orphan(folder, 1, b"1")
    one, other = _adopter(folder), _adopter(folder)
    server = _Server(b"1", Verdict(Kind.RETRY))
    _work(one, server, 1)
    one.close()
    _work(other, _Server(), 1)
    assert other.sums.recovered == 1


def test_a_claim_ends_with_who_has_it() -> None:
    """What an exception has struck between claiming and closing holds up no other for ever."""
    one, other = Claimant(), Claimant()
    assert [claim((1, 2), one), claim((1, 2), one), claim((1, 2), other)] == [True, True, False]
    release((1, 2), other)
    assert not claim((1, 2), other)
    del one
    assert claim((1, 2), other)
    assert not claim((1, 2), Claimant())
    release((1, 2), other)
    assert claim((1, 2), Claimant())


def test_a_file_is_free_after_whatever_strikes() -> None:
    """Real signals, at random points between the claim and its end."""
    identity = (3, 4)

    def work() -> None:
        claimant = Claimant()
        try:
            claim(identity, claimant)
        finally:
            release(identity, claimant)

    for _ in every_alarm(work, 500):
        claimant = Claimant()
        assert claim(identity, claimant)
        release(identity, claimant)


def test_a_child_claims_what_its_parent_had(folder: Folder) -> None:
    """Claims are a process's own: a forked child begins without any."""
    _orphan(folder, 1, b"1")
    check_python(
        f"""
        import os
        from forklog.spool.folder import Folder
        from forklog.spool.head import Fits
        from forklog.spool.scan import scan
        folder = Folder({folder.path!r}, 2**30)
        look = lambda: scan(folder, "22222222", set(), Fits("p", None))
        (orphan,) = look().orphans
        assert not look().orphans and not look().living and not look().adopted
        seen, see = os.pipe()
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            found = look()  # the lock is the parent's
            assert (found.orphans, found.living, len(found.adopted)) == ([], 0, 1), found
            os.write(see, b"x")
            os.read(ready, 1)
            (orphan,) = look().orphans
            os._exit(42)
        os.close(see)
        assert os.read(seen, 1) == b"x"
        orphan.close()
        os.write(go, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
        """
    )


def test_a_left_head_is_claimed_after_it_was_closed(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another handler that looks between the renaming and the closing would lose its lock."""
    head = Head(**{**HEAD, "log_name": "x"})  # type: ignore[arg-type]
    owner = Owner(folder, f"{1:019x}", head)
    genuine, found = os.rename, []

    def renamed(*given: object, **named: object) -> None:
        genuine(*given, **named)  # type: ignore[arg-type]
        found.append(scan(folder, image(), set(), FITS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", renamed)
        owner.leave()
    assert [look.orphans for look in found] == [[]]
    (orphan,) = scan(folder, image(), set(), FITS).orphans
    orphan.close()


@pytest.mark.parametrize("age", [0.0, 3600.0])
def test_a_head_that_is_being_made_stays_locked(
    folder: Folder, age: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another handler of the process looks at the folder: also where the clock was set since."""
    head = Head(**HEAD)  # type: ignore[arg-type]
    genuine = os.rename

    def renamed(*given: object, **named: object) -> None:
        made = Path(folder.path, new_name(f"{1:019x}"))
        os.utime(made, (time.time() - age, time.time() - age))
        scan(folder, image(), set(), FITS)
        genuine(*given, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", renamed)
        owner = Owner(folder, f"{1:019x}", head)
        owner.renew(head)
    check_python(
        f"""
        from forklog.spool.folder import Folder
        from forklog.spool.head import Fits
        from forklog.spool.scan import scan
        found = scan(Folder({folder.path!r}, 2**30), "22222222", set(), Fits("p", None))
        assert (len(found.orphans), found.living) == (0, 1), found
        """
    )
    owner.remove()


def test_what_was_never_finished_is_removed(folder: Folder) -> None:
    """A head of a process that was killed while it made it, once it is a minute old."""
    made = put(folder, new_name(f"{1:019x}"), b"")
    scan(folder, image(), set(), FITS)
    assert made.exists()
    os.utime(made, (time.time() - 61, time.time() - 61))
    scan(folder, image(), set(), FITS)
    assert not made.exists()


@pytest.mark.parametrize(
    "change",
    [{"log_name": "no spaces"}, {"log_name": ""}, {"log_name": "x" * 600},
     {"labels": {"a": "b" * 70_000}}, {"labels": {str(n): "" for n in range(65)}},
     {"resource": {}}, {"resource": {"type": 1}}, {"resource": {"type": "x", "labels": ["x"]}}],
)  # fmt: skip
def test_a_head_is_checked_as_options_are(folder: Folder, change: dict[str, object]) -> None:
    """The server would refuse every request with such a value: it is reported, and stays."""
    name = _orphan(folder, 1, b"1", **change)
    _orphan(folder, 2, b"2")
    lines: list[str] = []
    adopter, server = _adopter(folder, lines), _Server()
    _work(adopter, server, 4)
    assert server.got == [b"2"]
    path = folder.path
    reported = f"left 1 broken spool(s) in {path}; list them: forklog recover --dry-run {path}"
    assert lines == [reported]
    assert sorted(folder.names()) == sorted([name, segment_name(f"{1:019x}", 0)])


def _as_system(call: FunctionType) -> FunctionType:
    """Return a function that raises as a system call does: no frame of another file is seen."""
    return FunctionType(
        call.__code__,
        {**call.__globals__, "__name__": "forklog.test"},
        closure=call.__closure__,
    )


def _failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("call", ["scandir", "pread", "fstat"])
def test_a_failing_system_call_is_reported_and_tried_again(
    folder: Folder, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call raises: a line for each kind of error, no busy loop, nothing claimed for ever."""
    _orphan(folder, 1, b"1")
    lines: list[str] = []
    adopter, server = _adopter(folder, lines), _Server()

    def fail(*_: object, **__: object) -> None:
        raise _failing(errno.EIO)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, _as_system(fail))
        for _ in range(3):
            assert adopter.pass_once(server) == 0
            assert (adopter.seconds() or 0.0) > 0.5
            _let_pass(adopter, adopter.seconds() or 0.0)
    (line,) = lines
    assert line.startswith(f"cannot read the spool {folder.path}, retrying: Input/output error; ")
    _work(adopter, server, 3)
    assert server.got == [b"1"]


def test_a_failing_head_holds_up_no_other(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fails at one head of two."""
    _orphan(folder, 1, b"1")
    inode = Path(folder.path, _orphan(folder, 2, b"2")).stat().st_ino
    adopter, server = _adopter(folder), _Server()
    genuine = os.pread

    def fail(file: int, size: int, at: int) -> bytes:
        if os.fstat(file).st_ino == inode:
            raise _failing(errno.EIO)
        return genuine(file, size, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", _as_system(fail))
        _work(adopter, server, 3)
    assert server.got == [b"1"]
    _work(adopter, server, 3)
    assert server.got == [b"1", b"2"]


def test_a_failing_segment_holds_up_no_other(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segments behind it are sent; it stays, and is not read again and again."""
    _orphan(folder, 1, b"1")
    first = Path(folder.path, segment_name(f"{1:019x}", 0))
    second = put(folder, segment_name(f"{1:019x}", 1), first.read_bytes().replace(b'"1"', b'"2"'))
    lines: list[str] = []
    adopter, server, reads = _adopter(folder, lines), _Server(), []
    inode, genuine = first.stat().st_ino, os.pread

    def fail(file: int, size: int, at: int) -> bytes:
        if os.fstat(file).st_ino == inode:
            reads.append(at)
            raise _failing(errno.EIO)
        return genuine(file, size, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", _as_system(fail))
        _work(adopter, server, 5)
    assert server.got == [b"2"]
    assert len(reads) == 1
    assert first.exists()
    assert not second.exists()
    (line,) = lines
    assert line.startswith(f"cannot read the spool {folder.path}, retrying: Input/output error; ")


def test_a_signal_handlers_exception_goes_on(folder: Folder) -> None:
    """It is the application's, whatever its type is; the orphan is let go of at the close."""
    _orphan(folder, 1, b"1")
    adopter = _adopter(folder)

    def strike(*_: object) -> Verdict:
        raise TimeoutError("of the application")

    with pytest.raises(TimeoutError, match="of the application"):
        adopter.pass_once(strike)
    adopter.close()
    (orphan,) = scan(folder, image(), set(), FITS).orphans
    orphan.close()


def test_numbers_that_are_other_files_by_now(folder: Folder, tmp_path: Path) -> None:
    """A daemon has closed all descriptors, and the application opened its own: none is touched."""
    _orphan(folder, 1, b"1", b"2")
    adopter, server = _adopter(folder), _Server(b"1", Verdict(Kind.RETRY))
    _work(adopter, server, 1)
    orphan = adopter._adoptions[0].orphan
    assert orphan.batch(1, 1)  # as during a request
    files = [orphan._file, orphan._open[0] if orphan._open else -1]
    mine = tmp_path / "mine"
    mine.write_bytes(b"x" * 100)
    other = os.open(mine, os.O_RDWR)
    for file in files:
        os.dup2(other, file)
    orphan.settle(1)
    server.bad = b""
    adopter.pass_once(server)
    adopter.close()
    assert server.got == []
    assert mine.read_bytes() == b"x" * 100
    for file in (*files, other):
        assert os.fstat(file).st_size == 100
        os.close(file)


def test_a_folder_that_was_closed_is_left_to_the_owner(tmp_path: Path) -> None:
    """It begins anew with the next record; until then there is no line, and no waking up."""
    folder = Folder(str(tmp_path / "spool"), 2**30)
    lines: list[str] = []
    adopter = _adopter(folder, lines)
    folder.close()
    assert adopter.pass_once(_Server()) == 0
    assert (adopter.seconds(), lines) == (None, [])


def test_a_folder_that_was_removed_is_left_to_the_owner(tmp_path: Path) -> None:
    """A look at it finds nothing, and a second one is the last."""
    folder = Folder(str(tmp_path / "spool"), 2**30)
    lines: list[str] = []
    adopter = _adopter(folder, lines)
    Path(folder.path).rmdir()
    _work(adopter, _Server(), 2)
    assert (adopter.seconds(), lines) == (None, [])
    folder.close()


def test_a_batch_that_is_too_large_is_halved_at_once(folder: Folder) -> None:
    """The entry that the server will never take is counted, and all others are delivered."""
    texts = [b"%d" % number for number in range(20)]
    _orphan(folder, 1, *texts[:7], b"bad", *texts[7:])
    adopter, server = _adopter(folder), _Server(b"bad", Verdict(Kind.HALVE, answer="400"))
    _work(adopter, server, 30)
    assert server.got == texts
    assert (adopter.sums.recovered, adopter.sums.refused) == (20, 1)
    assert folder.names() == []


def test_what_the_connection_calls_anothers_is_left(folder: Folder) -> None:
    """It is reported once, and not looked at again; the next orphan is sent."""
    name = _orphan(folder, 1, b"bad")
    _orphan(folder, 2, b"2")
    lines: list[str] = []
    adopter = _adopter(folder, lines)
    server = _Server(b"bad", Verdict(Kind.BLOCKED, OTHER_PROJECT))
    _work(adopter, server, 4)
    adopter.after_pass()
    _work(adopter, server, 4)
    assert server.got == [b"2"]
    assert len(server.sizes) == 2
    assert len(lines) == 1
    assert name in folder.names()


def test_an_empty_orphan_is_removed(folder: Folder) -> None:
    """Its process was killed before it had written anything."""
    _orphan(folder, 1)
    adopter, server = _adopter(folder), _Server()
    _work(adopter, server, 2)
    assert (server.sizes, folder.names()) == ([], [])


def test_a_look_that_is_struck_lets_go(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had claimed by then is unlocked, and free for the next look."""
    _orphan(folder, 1, b"1")
    old = put(folder, segment_name(f"{9:019x}", 0), b"")
    os.utime(old, (0, 0))  # it is removed after all heads were looked at

    def strike(*_: object, **__: object) -> None:
        raise RuntimeError("of the application")

    adopter, server = _adopter(folder), _Server()
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", strike)
        with pytest.raises(RuntimeError, match="of the application"):
            adopter.pass_once(server)
    adopter.after_pass()
    _work(adopter, server, 3)
    assert server.got == [b"1"]


def test_an_old_segment_without_a_head_is_removed(folder: Folder) -> None:
    """Its owner was killed while it removed its files; a week later none needs it."""
    old, new = (put(folder, segment_name(f"{n:019x}", 0), b"") for n in (1, 2))
    week = 7 * 24 * 3600
    os.utime(old, (time.time() - week - 60, time.time() - week - 60))
    scan(folder, image(), set(), FITS)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_mistake_in_a_pass_lets_go_of_its_orphan(folder: Folder) -> None:
    """It is reported by its type, and the orphan is found again later."""
    _orphan(folder, 1, b"1")
    lines: list[str] = []
    adopter, server = _adopter(folder, lines), _Server()

    def fail(*_: object) -> Verdict:
        raise KeyError

    assert adopter.pass_once(_as_system(fail)) == 0  # type: ignore[arg-type]
    (line,) = lines
    assert line.startswith(f"cannot read the spool {folder.path}, retrying: KeyError; ")
    _let_pass(adopter, adopter.seconds() or 0.0)
    _work(adopter, server, 3)
    assert server.got == [b"1"]


def test_in_an_outage_no_orphan_is_held_in_memory(folder: Folder) -> None:
    """Each of 64 may have a MiB: it is read again when it is due, and torn pieces count once."""
    for number in (1, 2, 3):
        _orphan(folder, number, b"bad", b"%d" % number)
        path = Path(folder.path, segment_name(f"{number:019x}", 0))
        path.write_bytes(path.read_bytes().rstrip(b"\0").ljust(1000, b"\0") + b'{"insertId":"')
    adopter = _adopter(folder)
    server = _Server(b"bad", Verdict(Kind.RETRY, "no answer", is_of_content=False))
    _work(adopter, server, 12)
    assert len(server.sizes) >= 6
    opened = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this very look
            opened.append(str(file.readlink()))
    assert [name for name in opened if name.startswith(folder.path) and name.endswith(".log")] == []
    assert [adoption.orphan._pieces for adoption in adopter._adoptions] == [[]] * 3
    server.bad = b""
    _work(adopter, server, 8)
    assert (len(server.got), adopter.sums.torn) == (6, 3)
    assert folder.names() == []


def test_a_wire_that_raises_what_ends_a_program(folder: Folder) -> None:
    """It comes out, since it may be a signal handler's; the orphan waits before it is tried again.

    Else a logging thread that sends itself would meet it at each of its records.
    """
    _orphan(folder, 1, b"kept")
    adopter = _adopter(folder)

    def interrupt(_entries: Sequence[bytes], _: Envelope) -> Verdict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adopter.pass_once(interrupt)
    assert (adopter.seconds() or 0.0) > 0.5
    server = _Server()
    _work(adopter, server, 3)
    assert server.got == [b"kept"]
    adopter.close()


def test_a_folder_is_listed_once_for_all_its_orphans(tmp_path: Path) -> None:
    """After a bad night there are thousands: a list for each would take time by their square."""

    class Counted(Folder):
        lists = 0

        def names(self, *, is_measured: bool = True) -> list[str]:
            self.lists += 1
            return super().names(is_measured=is_measured)

    folder = Counted(str(tmp_path / "spool"), 2**30)
    for number in range(1, 31):
        _orphan(folder, number, b"%d" % number)
    found = scan(folder, image(), set(), FITS)
    for number, orphan in enumerate(found.orphans, 1):
        [entry] = orphan.batch(10, 2**20)
        assert orjson.loads(entry)["textPayload"] == str(number)
        orphan.settle(1)
        assert orphan.is_empty()
        orphan.remove()
    assert folder.lists == 2
    assert folder.names() == []
    folder.close()


@pytest.mark.parametrize(("stuck", "good"), [(1, 199), (70, 6)])
def test_many_orphans_behind_stuck_ones(folder: Folder, stuck: int, good: int) -> None:
    """All of them are sent by a process that logs nothing, however many are refused before."""
    for number in range(stuck + good):
        _orphan(folder, number, b"bad" if number < stuck else b"%d" % number)
    adopter, server = _adopter(folder), _Server(b"bad", _REFUSALS[0])
    _work(adopter, server, 800)
    assert sorted(server.got) == sorted(b"%d" % number for number in range(stuck, stuck + good))
    adopter.close()


def test_in_an_outage_few_orphans_are_claimed(folder: Folder) -> None:
    """Each holds a descriptor, and none can be sent."""
    for number in range(70):
        _orphan(folder, number, b"bad")
    adopter, server = _adopter(folder), _Server(b"bad", _REFUSALS[2])
    _work(adopter, server, 100)
    assert len(adopter._adoptions) <= 65
    adopter.close()


@pytest.mark.parametrize(("limit", "most"), [(1024, 128), (256, 64), (8192, 256)])
def test_orphans_that_all_wait_leave_descriptors_to_the_application(limit: int, most: int) -> None:
    """At most an eighth of what the process may open is theirs, and 64 in any case."""
    most_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most_allowed not in {resource.RLIM_INFINITY, max(limit, most_allowed)}:
        pytest.skip(f"this user may open {most_allowed} files at most")
    check_python(
        f"""
        import resource
        from forklog.spool.adopter import _most_waiting
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, hard))
        assert _most_waiting() == {most}, _most_waiting()
        """
    )
