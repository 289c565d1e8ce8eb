"""Finds the folder that the option spool means; for `making`, the doctor and recover."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import PurePath

from forklog.spool.folder import PROC, UnfitError, file_system

AUTO = "auto"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the folder in it is checked before it is used


def path_of(option: str) -> str:
    """Return the folder that an option means, as a path whose last step is its name.

    With a slash or a dot behind the name the kernel would follow a link of that name. A ``..``
    stays: what it means depends on links before it.

    Raises:
        UnfitError: there is none on this system.
    """
    if sys.platform != "linux":
        raise UnfitError(f"a spool needs Linux, this is {sys.platform}")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise UnfitError("a spool needs the interpreter's lock, which this build has not")
    if not os.path.isdir(PROC):  # noqa: PTH112 - no object needed
        raise UnfitError("a spool needs /proc, which is not mounted here")
    if option != AUTO:
        return _spelled(option)
    if not os.path.isdir(_SHARED_MEMORY):  # noqa: PTH112 - no object needed
        raise UnfitError(f"there is no {_SHARED_MEMORY}; give the path of a folder")
    return f"{_SHARED_MEMORY}/forklog-{os.geteuid()}"


@functools.cache
def _spelled(path: str) -> str:
    # Kept since the handler looked ahead: a first record need not take it to pieces.
    return str(PurePath(path))


def look_ahead(path: str) -> None:
    """Learn on what file system a folder is, or will be, so that no log call reads the table."""
    there = path
    while not os.path.exists(there):  # noqa: PTH110 - no object needed
        there = os.path.dirname(there)  # noqa: PTH120
    file_system(os.stat(there).st_dev, path)  # noqa: PTH116
