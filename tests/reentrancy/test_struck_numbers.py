"""With 0, 1 and 2 closed, an exception where a descriptor gets another number: none closes twice.

A signal handler that opens files before it raises gets the numbers that were closed just now.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cases import few
from helpers import check_python, python_path

_SUPPORT = str(Path(__file__).parents[1] / "support")
_SETUP = """
import os, socket, sys
os.dup2(2, 9)
sys.stderr = os.fdopen(9, "w", buffering=1)
from itertools import count
from strike import every_strike
from forklog.descriptors.above import lift_socket, open_above, pipe_above
from forklog.spool import claims, owner
from forklog.spool.folder import Folder
from forklog.spool.format import SEGMENT_BYTES
from forklog.spool.head import Head
from forklog.spool.left import refused
from forklog.spool.parts.segment import Segment

class Stop(BaseException):
    pass

class Lifted:
    def __init__(self):
        ours, self.theirs = socket.socketpair()
        self.ours = lift_socket(ours)
    def close(self):
        self.ours.close()
        self.theirs.close()

def close_map(segment):
    segment._mark.release()
    segment.map.close()

FILE = folder + "/file of the application"
open(FILE, "w").close()
spool = Folder(folder + "/spool", 2**40)
head = Head(project="p", endpoint="/e", log_name="n", labels={}, resource=None, pid=1,
            boot_id="b", version="1")
names = map(str, count())
made, mine, places = [], [], []

def strike():
    mine.extend(os.open(FILE, os.O_RDONLY) for _ in range(3))
    raise Stop

def act():
    try:
        made.append(MAKE())
    except Stop:
        pass

def numbers():
    known = map(int, os.listdir("/proc/self/fd"))
    return {number for number in known if os.path.exists(f"/proc/self/fd/{number}")}

os.closerange(0, 3)
"""
_CHECK = """
act()
END(made.pop())
before = numbers()
assert not before & {0, 1, 2}, before
for place in every_strike(act, strike, lambda: None):
    for number in mine:
        assert os.readlink(f"/proc/self/fd/{number}") == FILE, place
        os.close(number)
    mine.clear()
    places.append(place)
    for thing in made:  # what was struck was a finalizer, out of which nothing comes
        END(thing)
    made.clear()
    assert numbers() >= before, place
    assert MAY_LEAK or numbers() == before, (place, numbers() - before)
    os.closerange(max(before) + 1, 200)
assert any("above.py" in place for place in places), places
"""
# The others close a descriptor at their usual end, where an exception may come before the close.
_TIGHT = {"a file", "a pipe"}
_MAKERS = {
    "a file": ("open_above(FILE, os.O_RDONLY)", "os.close"),
    "a pipe": ("pipe_above()", "lambda ends: os.closerange(min(ends), max(ends) + 1)"),
    "a socket": ("Lifted()", "Lifted.close"),
    "a segment": ("Segment(next(names), spool, 1, SEGMENT_BYTES[0])", "close_map"),
    "a head": (
        "owner._locked_file(spool, 'p' * 19, head, claims.Claimant())[0]",
        "lambda file: (os.close(file), spool.unlink(*spool.names()))"
    ),
    "a segment of a copy": (
        "refused._make(spool, next(names), b'{}', SEGMENT_BYTES[0])", "lambda _: None"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", few(_MAKERS, "a file", "a pipe", "a segment"))
def test_no_number_is_closed_twice(tmp_path: Path, kind: str) -> None:
    """What the signal handler has opened stays open, and what was struck leaves nothing open."""
    make, end = _MAKERS[kind]
    given = f"folder, MAY_LEAK = {str(tmp_path)!r}, {kind not in _TIGHT}\n"
    named = f"MAKE, END = lambda: {make}, {end}\n"
    path = {"PYTHONPATH": os.pathsep.join([_SUPPORT, python_path()])}
    check_python(given + _SETUP + named + _CHECK, 60, path, is_covered=False)
