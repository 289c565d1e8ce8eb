"""Held entries of a process that forks its workers: in a spool, claimed once, whoever is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import check_python

if TYPE_CHECKING:
    from pathlib import Path

_BODY = """
import json, os, signal, time
from forklog.delivery.adoption import HeldEntries
from forklog.delivery.buffer import Buffer
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.handover import HandoverToken
from forklog.spool.held import Held
from forklog.spool.making import Making
from forklog.spool.parts.image import new_prefix
from forklog.stderr.reporter import StderrReporter

make = Making(Options(project="p", spool={folder!r}), lambda: ("p", "e"))

class Spooler:
    '''The two things that held entries ask of a spool; dies where it would take entries in.'''
    def __init__(self, lanes, room, is_killed):
        self.held = Held(lambda: make.owner(new_prefix()), 1 << 20, StderrReporter())
        self.lanes, self.room, self.is_killed = lanes, room, is_killed
    def take_in(self, new=()):
        if self.is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        for rank, entry in self.lanes.snapshot()[:self.room]:
            self.lanes.forget(rank, entry)

def entry(ids):
    return ids.opening() + b'","timestamp":"2026-11-28T10:00:00Z","textPayload":"boot"}}'

class Process:
    def __init__(self, parent=None, is_killed=False, room=1000):
        self.ids, self.buffer = InsertIds(), Buffer(1 << 20)
        inheritance = parent.held.inheritance() if parent else None
        given = inheritance, HandoverToken, Spooler(self.buffer, room if parent else 0, is_killed)
        self.held = HeldEntries(self.buffer, *given)
        self.spooler = given[-1]

def child(adopter, report):
    '''Have a child adopt; return how it ended.'''
    pid = os.fork()
    if pid == 0:
        os._exit(100 + adopter().held.adopt() if report else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def files(end):
    return [name for name in os.listdir({folder!r}) if name.endswith(end)]

master = Process()
for _ in range(3):
    master.buffer.offer(2, entry(master.ids))
master.held.hold()
assert (len(files(".head")), len(files(".log"))) == (1, 1)
"""


def test_a_worker_killed_right_after_its_claim(tmp_path: Path) -> None:
    """The worker in its place takes over what it had claimed; the one after that nothing."""
    body = """
def dying():
    return Process(master, is_killed=True)
assert child(dying, True) == -signal.SIGKILL
assert child(lambda: Process(master), True) == 103
assert child(lambda: Process(master), True) == 100
master.buffer.offer(2, entry(master.ids))
master.held.hold()
assert child(lambda: Process(master), True) == 101
master.held.stop_holding()
assert len(master.buffer) == 0
assert os.listdir({folder!r}) == []
"""
    check_python((_BODY + body).format(folder=str(tmp_path / "spool")))


def test_a_master_that_ends_takes_back_what_a_killed_worker_had_claimed(tmp_path: Path) -> None:
    """What no living process has is the master's own again, and its files go."""
    body = """
assert child(lambda: Process(master, is_killed=True), True) == -signal.SIGKILL
master.held.stop_holding()
assert len(master.buffer) == 3
assert os.listdir({folder!r}) == []
"""
    check_python((_BODY + body).format(folder=str(tmp_path / "spool")))


def test_workers_that_are_born_at_once(tmp_path: Path) -> None:
    """Of many that claim at the same time one gets each entry."""
    body = """
pids = []
for number in range(6):
    pid = os.fork()
    if pid == 0:
        os._exit(100 + Process(master).held.adopt())
    pids.append(pid)
statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
assert sorted(statuses) == [100] * 5 + [103], statuses
"""
    check_python((_BODY + body).format(folder=str(tmp_path / "spool")))


def test_a_worker_without_room_in_its_own_spool(tmp_path: Path) -> None:
    """What it has in memory alone stays where the master has written it down, should it be killed.

    Found as siblings: a worker whose spool is off, and one whose room ends halfway.
    """
    body = """
def killed(room):
    def adopt():
        process = Process(master, room=room)
        assert process.held.adopt() == 3
        os.kill(os.getpid(), signal.SIGKILL)
    assert child(adopt, True) == -signal.SIGKILL
killed(room=0)
killed(room=2)
assert child(lambda: Process(master), True) == 101
assert child(lambda: Process(master), True) == 100
"""
    check_python((_BODY + body).format(folder=str(tmp_path / "spool")))


_COPIES = """
def copies():
    return [entry for segment in master.spooler.held._used() for entry in segment.unsettled()]
"""


def test_copies_that_find_no_room(tmp_path: Path) -> None:
    """They are counted, reported once, and written once there is room, but for what overflowed."""
    body = """
import contextlib, io
from forklog.spool.folder import Folder
real, said = Folder.has_room, io.StringIO()
Folder.has_room = lambda *_args, **_options: False
large = []
with contextlib.redirect_stderr(said):
    for _ in range(4):
        large.append(master.ids.opening() + b'","timestamp":"2026-11-28T10:00:00Z","textPayload":"')
        large[-1] += b"x" * 30_000 + b'"}}'
        master.buffer.offer(2, large[-1])
        master.held.hold()
assert said.getvalue().count("has no copy of some entries") == 1, said.getvalue()
assert len(copies()) == 5, len(copies())
assert master.spooler.held.unspooled == 2
while master.buffer.oldest() != large[3]:
    assert master.buffer._drop_one()
Folder.has_room = real
deadline = time.monotonic() + 30
while not (master.spooler.held.is_ready() and master.spooler.held._may_make):
    assert time.monotonic() < deadline
    time.sleep(0.01)
master.held.hold()
assert copies()[5:] == large[3:]
assert master.spooler.held.unspooled == 2
"""
    check_python((_BODY + _COPIES + body).format(folder=str(tmp_path / "spool")))


def test_a_head_that_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    """As on a full disk; where the folder itself is unfit, the numbers have the reason."""
    body = """
import errno
from forklog.spool.folder import UnfitError
failures = [OSError(errno.ENOSPC, "No space left on device")]
second = Process()
held = second.spooler.held
make_one, held._new_owner = held._new_owner, lambda: exec("raise failures[0]")
second.buffer.offer(2, entry(second.ids))
second.held.hold()
assert (held.unspooled, held.why_off) == (1, "")
held._new_owner, held._full_at = make_one, 0
second.held.hold()
assert len(held._used()) == 1 and held.unspooled == 1

third = Process()
held = third.spooler.held
failures[0] = UnfitError("the folder has mode 0755")
held._new_owner = lambda: exec("raise failures[0]")
third.buffer.offer(2, entry(third.ids))
third.held.hold()
assert (held.unspooled, held.why_off) == (0, "the folder has mode 0755")
assert not held.is_ready()
"""
    check_python((_BODY + body).format(folder=str(tmp_path / "spool")))


def test_an_offer_that_a_later_number_has_overtaken(tmp_path: Path) -> None:
    """It is held and copied as well; no mark moves past it by who was forked before it came."""
    body = """
a, b = entry(master.ids), entry(master.ids)
master.buffer.offer(2, b)
master.held.hold()
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(reader, 1)
    os._exit(100 + Process(master).held.adopt())
master.buffer.offer(2, a)
assert master.held.has_unheld()
master.held.hold()
assert not master.held.has_unheld()
assert copies()[-2:] == [b, a]
os.write(writer, b"x")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 104
assert copies() == [a]
assert child(lambda: Process(master), True) == 102  # what is newer as well: shown once
assert copies() == []
"""
    check_python((_BODY + _COPIES + body).format(folder=str(tmp_path / "spool")))


@pytest.mark.parametrize("removed", ["", ".head", ".log"], ids=["all", "head", "segment"])
def test_a_tidier_that_removes_the_masters_files(tmp_path: Path, removed: str) -> None:
    """The master's next record makes new ones: a worker that is killed at birth loses none."""
    body = """
before = files("")
for name in files({removed!r}):
    os.unlink(os.path.join({folder!r}, name))
held = master.spooler.held
held._looked_at = 0
master.buffer.offer(2, entry(master.ids))
master.held.hold()
assert len(copies()) == 4 and not held.unspooled
assert (len(files(".head")), not set(before) & set(files(""))) == (1, True), files("")
assert child(lambda: Process(master, is_killed=True), True) == -signal.SIGKILL
assert child(lambda: Process(master), True) == 104
assert child(lambda: Process(master), True) == 100
master.held.stop_holding()
assert files("") == []
"""
    check_python((_BODY + _COPIES + body).format(folder=str(tmp_path / "spool"), removed=removed))


def test_a_tidier_where_there_is_no_room_for_new_files(tmp_path: Path) -> None:
    """What memory alone has meanwhile is counted, and copied once there is room."""
    body = """
import errno
for name in files(""):
    os.unlink(os.path.join({folder!r}, name))
held = master.spooler.held
make_one, held._new_owner = held._new_owner, lambda: exec("raise OSError(errno.ENOSPC, 'full')")
held._looked_at = 0
for number in (1, 2):
    master.buffer.offer(2, entry(master.ids))
    master.held.hold()
    assert held.unspooled == number
held._new_owner, held._looked_at, held._full_at = make_one, 0, 0
master.held.hold()
assert len(copies()) == 5 and held.unspooled == 2
assert len(files(".head")) == 1
"""
    check_python((_BODY + _COPIES + body).format(folder=str(tmp_path / "spool")))


def test_a_daemon_that_closes_all_descriptors(tmp_path: Path) -> None:
    """The master begins new files once, and the next look finds them intact."""
    body = """
held = master.spooler.held
os.closerange(held.owner.folder.descriptor, 256)  # the next one gets this number
held._looked_at = 0
master.buffer.offer(2, entry(master.ids))
master.held.hold()
assert held.owner.is_intact()
begun = held.owner
for _ in range(3):
    held._looked_at = 0
    assert held.is_ready() and held.owner is begun
assert len(copies()) == 4
"""
    check_python((_BODY + _COPIES + body).format(folder=str(tmp_path / "spool")))


def test_removed_files_that_find_room_in_part(tmp_path: Path) -> None:
    """New files are begun once; what no process finds is counted once, and copied with room."""
    body = """
from forklog.spool.folder import Folder
held = master.spooler.held
text = b'","timestamp":"2026-11-28T10:00:00Z","textPayload":"' + b"x" * 30_000 + b'"}}'
for _ in range(9):
    master.buffer.offer(2, master.ids.opening() + text)
master.held.hold()
before = copies()
assert len(before) == 12
for name in files(".head"):
    os.unlink(os.path.join({folder!r}, name))
real = Folder.has_room
Folder.has_room = lambda *_args, is_first=False, **_options: is_first
heads = set()
for number in range(4):
    held._looked_at = held._full_at = 0
    master.buffer.offer(2, entry(master.ids))
    master.held.hold()
    heads.update(files(".head"))
    assert (len(heads), held.unspooled) == (1, 12), (heads, held.unspooled)
assert len(copies()) == 16
Folder.has_room = real
held._looked_at = 0
time.sleep(1.1)
assert held.is_ready() and not any(segment.is_lost for segment in held._used())
assert (copies()[:12], len(copies()), held.unspooled) == (before, 16, 12)
assert sorted(files(".log")) == sorted(segment.name for segment in held._used())
"""
    check_python((_BODY + _COPIES + body).format(folder=str(tmp_path / "spool")))


def test_a_large_entry_that_finds_no_room(tmp_path: Path) -> None:
    """Smaller ones of another severity still go where there is room, in the same second too."""
    body = """
from forklog.spool.folder import Folder
Folder.has_room = lambda *_args, **_options: False
held = master.spooler.held
text = b'","timestamp":"2026-11-28T10:00:00Z","textPayload":"' + b"x" * 240_000 + b'"}}'
master.buffer.offer(2, master.ids.opening() + text)
master.held.hold()
held._full_at = math.inf
for _ in range(3):
    master.buffer.offer(1, entry(master.ids))
    master.held.hold()
assert (len(copies()), held.unspooled) == (6, 1), (len(copies()), held.unspooled)
"""
    body = (_BODY + _COPIES + "import math" + body).format(folder=str(tmp_path / "spool"))
    check_python(body)


_FLOOD = """
master.buffer.max_bytes = master.buffer.alarm_bytes = 1000
for number in range(100):
    master.buffer.offer(2, entry(master.ids))
    master.held.hold()
assert len(master.buffer) < 20
everything = copies()
"""


def test_what_an_overflow_has_taken_from_memory(tmp_path: Path) -> None:
    """A worker takes it over from the copies; killed before it has, it leaves it to the next."""
    body = """
assert child(lambda: Process(master, is_killed=True), True) == -signal.SIGKILL
assert copies() == everything and len(everything) == 103
def adopt():
    process = Process(master, room=50)
    assert process.held.adopt() == 103
    assert process.held.take_overflow() == (0, [])
    assert sorted(e for _, e in process.buffer.snapshot()) == everything[50:]
    os._exit(7)
assert child(adopt, True) == 7
assert copies() == everything[50:]
assert child(lambda: Process(master), True) == 153
assert copies() == []
"""
    check_python((_BODY + _COPIES + _FLOOD + body).format(folder=str(tmp_path / "spool")))


def test_a_holder_takes_back_what_an_overflow_has_taken_from_memory(tmp_path: Path) -> None:
    """It has all of it again, and knows which were not lost."""
    body = """
left = [e for _, e in master.buffer.snapshot()]
master.held.stop_holding()
assert sorted(e for _, e in master.buffer.snapshot()) == everything
assert master.held.take_overflow() == (0, [e for e in everything if e not in left])
assert files("") == []
"""
    check_python((_BODY + _COPIES + _FLOOD + body).format(folder=str(tmp_path / "spool")))


def test_a_worker_that_claims_while_the_holder_takes_back(tmp_path: Path) -> None:
    """It has the files open before they are removed, and finds in them what is the holder's again.

    Found where uWSGI ran without a master: its first process became a worker beside the second.
    """
    body = """
(has_claim, say_claim), (has_file, say_file) = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.read(has_claim, 1)
    copies = master.spooler.held
    lockable = copies._lockable
    def watched():
        file = lockable()
        os.write(say_file, b"x")
        return file
    copies._lockable = watched
    os._exit(100 + Process(master).held.adopt())
def take_in(new=()):
    os.write(say_claim, b"x")
    os.read(has_file, 1)
master.spooler.take_in = take_in
master.held.stop_holding()
assert len(master.buffer) == 3
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert status == 100, status
"""
    check_python((_BODY + body).format(folder=str(tmp_path / "spool")))
