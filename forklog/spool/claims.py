"""Claims a spool's files for one part of this process, before it opens and locks them.

A record lock excludes neither other parts of its own process, nor other interpreters of it. Within
an interpreter a dict tells who has claimed what. Each interpreter has modules, and so claims, of
its own: an abstract socket excludes the others by its name, and goes with its process. A child has
another PID, and so other names, although it inherits the sockets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import weakref
from typing import Any

from forklog.process.base import Mark, home, pid

try:
    import _xxsubinterpreters as _interpreters  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # from 3.13 on, where orjson is for the first interpreter alone
    _interpreters: Any = None  # type: ignore[no-redef]

Identity = tuple[int, int]
"""Device and inode of a file."""


class Claimant:
    """By what a part of this process claims files; once it is gone, it claims none."""

    __slots__ = ("__weakref__", "ref")

    def __init__(self) -> None:
        """Claim nothing yet."""
        self.ref = weakref.ref(self)


_Claims = dict[Identity, "weakref.ref[Claimant]"]
_Sockets = dict[Identity, tuple[int, Identity]]  # their descriptors, by the file that each claims
_claims: dict[Mark, _Claims] = {}  # by process: a forked child begins with none
_sockets: dict[Mark, _Sockets] = {}


def identity_of(found: os.stat_result) -> Identity:
    """Return what tells a file from all others that exist."""
    return found.st_dev, found.st_ino


def claim(identity: Identity, claimant: Claimant) -> bool:
    """Claim a file in this process; tell whether no other part of it has done so. Never blocks.

    Safe in any thread and signal handler: each step is one of C, and takes no lock.
    """
    claims = _own_claims()
    held = claims.setdefault(identity, claimant.ref)
    if held is not claimant.ref and held() is None:  # an exception struck who claimed it
        if identity in claims and claims[identity] is held:
            del claims[identity]
        held = claims.setdefault(identity, claimant.ref)
    return held is claimant.ref and _bind_name(_own_sockets(), identity)


def claim_new(identity: Identity, claimant: Claimant) -> None:
    """Claim a file that was made just now, whatever file had its inode before."""
    _own_claims()[identity] = claimant.ref


def release(identity: Identity, claimant: Claimant) -> None:
    """Give a claim back, if it is by this claimant; after the file was closed. May be repeated."""
    claims = _own_claims()
    if identity in claims and claims[identity] is claimant.ref:
        _free_name(_own_sockets(), identity)
        del claims[identity]


def close_own(file: int, identity: Identity) -> None:
    """Close a descriptor, unless its number is another file's by now. Never raises.

    A daemon may have closed all descriptors, and the application opened files since.
    """
    with contextlib.suppress(OSError):
        if identity_of(os.fstat(file)) == identity:
            os.close(file)


def _own_claims() -> _Claims:
    return _claims.setdefault(home(), {})


def _own_sockets() -> _Sockets:
    return _sockets.setdefault(home(), {})


def _bind_name(own: _Sockets, file: Identity) -> bool:
    """Claim a file in this interpreter; tell whether no other one has done so. Never blocks."""
    if _interpreters is None or len(_interpreters.list_all()) == 1:
        return True
    if file in own:
        return True
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as new:
            new.bind(b"\0forklog-%d-%d-%d" % (pid(), *file))
            number = new.detach()
    except OSError as error:  # where none can be had, each sends it: it is shown once
        return error.errno != errno.EADDRINUSE
    own[file] = number, identity_of(os.fstat(number))
    return True


def _free_name(own: _Sockets, file: Identity) -> None:
    """Give the name of a file back. May be repeated."""
    close_own(*own.pop(file, (-1, (0, 0))))
