"""Tells owners of spools apart, for their heads: process image, start of the kernel, new prefix."""

from __future__ import annotations

import contextlib
import functools
import os
import zlib

from forklog.clock import realtime_ns
from forklog.descriptors.above import CLOEXEC
from forklog.process.base import Mark, home

_STAT_BYTES = 4096
_PID, _START, _CODE, _STACK = 0, 21, 25, 27  # fields of /proc/PID/stat, counted from zero

_images: list[tuple[Mark, str]] = []  # the last is this process's, or one's that it is forked from


def image() -> str:
    """Return what tells this process image from all others: it changes at a fork and at an exec."""
    here = home()
    if not _images or _images[-1][0] is not here:
        _images.append((here, _image()))
    return _images[-1][1]


def _image() -> str:
    # No file object: in a child each page that one touches is copied first.
    file = os.open("/proc/self/stat", os.O_RDONLY | CLOEXEC)
    try:
        content = os.read(file, _STAT_BYTES)
    finally:
        os.close(file)
    head, _, rest = content.rpartition(b")")  # the name in parentheses may hold anything
    fields = [head.split(b" ", 1)[0], b"", *rest.split()]
    wanted = b" ".join(fields[index] for index in (_PID, _START, _CODE, _STACK))
    return f"{zlib.crc32(wanted):08x}"


def boot_id() -> str:
    """Return the id of this start of the kernel, empty where it is not known."""
    with contextlib.suppress(OSError):  # no descriptor may be left just now: asked anew then
        return _boot_id()
    return ""


@functools.cache
def _boot_id() -> str:
    # Bytes: a text file would import its codec in the first record of the process.
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123
        return file.read().strip().decode("ascii")


def new_prefix() -> str:
    """Return a prefix as insertIds have it, for files beside those of the process's own prefix."""
    return f"{realtime_ns() // 1000:013x}{os.urandom(3).hex()}"[-19:]
