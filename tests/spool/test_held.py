"""Held entries of a process that forks its workers: in a spool, claimed once, whoever is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from forklog.spool.owner import new_prefix
from forklog.stderr.reporter import StderrReporter

make = Making(Options(project="p", spool={folder!r}), lambda: ("p", "e"))

class Spooler:
    '''The two things that held entries ask of a spool; dies where it would take entries in.'''
    def __init__(self, lanes, room, is_killed):
        self.held = Held(lambda: make.owner(new_prefix()), 1 << 20, StderrReporter())
        self.lanes, self.room, self.is_killed = lanes, room, is_killed
    def take_in(self):
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
