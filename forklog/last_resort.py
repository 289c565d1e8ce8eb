"""What cannot be delivered before the process ends: one JSON entry a line, to stderr or a file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable

from forklog.report import Report

__all__ = ["write_last_resort"]


def write_last_resort(where: str, entries: Iterable[bytes], report: Report) -> None:
    """Write entries, one a line. Never raises.

    Args:
        where: ``stderr``, ``none``, or the absolute path of a file, which is appended to, private
            to the user, and never reached through a symbolic link.
        entries: LogEntry objects as JSON.
        report: takes the complaint if the file cannot be written; stderr gets the entries then.
    """
    if where == "none":
        return
    lines = b"".join(entry + b"\n" for entry in entries)
    if where != "stderr":
        try:
            _append(where, lines)
        except OSError as error:
            report.say("last_resort", f"cannot write {where}: {os.strerror(error.errno or 0)}")
        else:
            return
    with contextlib.suppress(Exception):
        sys.stderr.write(lines.decode())
        sys.stderr.flush()


def _append(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
