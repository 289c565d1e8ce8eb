"""Removes what an exception has left of an owner's files while they were made; used by `making`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from forklog.spool.format import prefix_of_segment
from forklog.spool.head import head_name_of, new_name

if TYPE_CHECKING:
    from forklog.spool.folder import Folder


def clean(folder: Folder, prefix: str) -> None:
    """Close and remove what this process has made under a prefix, before an exception struck it."""
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - no objects needed
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/self/fd/{number}").rpartition("/")[2]  # noqa: PTH115
            if _is_of(prefix, name.removesuffix(" (deleted)")):
                os.close(int(number))
    for name in folder.names():
        if _is_of(prefix, name):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder.descriptor)


def _is_of(prefix: str, name: str) -> bool:
    head = head_name_of(name)
    owner = head.prefix if head is not None else prefix_of_segment(name)
    return owner == prefix or name == new_name(prefix)
