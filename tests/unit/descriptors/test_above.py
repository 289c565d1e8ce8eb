"""Our descriptors have no number of a standard stream; test_low_numbers.py has their owners."""

from __future__ import annotations

import pytest
from helpers import check_python

_OPENERS = {
    "a file": "number = open_above(os.devnull, os.O_RDWR)",
    "a pipe": "number = min(pipe_above())",
    "a duplicate": "number = dup_above(9)",
    "a hand-over": (
        "from forklog.process.handover import HandoverToken\n"
        "token = HandoverToken()\n"
        "token.offer(0, 1)\n"
        "number = min(token._reader, token._writer)"
    ),
}


_CHECK = """
assert number > 2 and not os.get_inheritable(number), number
for low in range(3):
    try:
        os.fstat(low)
    except OSError:
        continue
    raise AssertionError(low)
"""


@pytest.mark.parametrize("kind", _OPENERS)
def test_no_low_number_is_kept(kind: str) -> None:
    """Where 0, 1 and 2 are closed they stay closed; no child inherits what was opened."""
    opener = "from forklog.descriptors.above import dup_above, open_above, pipe_above\n"
    closing = "import os\nos.dup2(os.open(os.devnull, os.O_RDWR), 9)\nos.closerange(0, 3)\n"
    check_python(opener + closing + _OPENERS[kind] + _CHECK)


def test_without_a_further_number_all_is_closed() -> None:
    """At the limit of descriptors opening raises, and leaves nothing open."""
    check_python("""
        import os, resource
        from forklog.descriptors.above import open_above, pipe_above
        os.closerange(0, 3)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        before = sorted(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
        for call in (lambda: open_above("/dev/null", os.O_RDWR), pipe_above):
            try:
                call()
            except OSError:
                continue
            raise AssertionError
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert sorted(os.listdir("/proc/self/fd")) == before
    """)


def test_a_socket_keeps_its_class_and_timeout() -> None:
    """A connected socket is moved whole; a second one has a number of its own."""
    check_python("""
        import os, socket
        from forklog.descriptors.above import filled, lift_socket
        os.closerange(0, 3)
        ours, theirs = socket.socketpair()
        theirs = lift_socket(theirs)
        ours.settimeout(7)
        moved = lift_socket(ours)
        assert moved.fileno() > 2 and theirs.fileno() > 2 and ours.fileno() == -1
        assert (type(moved), moved.gettimeout()) == (socket.socket, 7)
        assert lift_socket(moved) is moved
        moved.sendall(b"x")
        assert theirs.recv(9) == b"x"
        with filled():
            assert os.dup(moved.fileno()) > 2
        assert os.dup(moved.fileno()) == 0
    """)
