"""What cannot be delivered before the process ends: one JSON entry a line, to stderr or a file."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable

from forklog.report import Report

__all__ = ["write_last_resort", "write_to_stderr"]

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


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
        write_to_stderr(lines)


def write_to_stderr(lines: bytes) -> None:
    """Write lines of JSON so that they stay JSON in any encoding of stderr; raises if it cannot."""
    text = lines.decode()
    if (sys.stderr.encoding or "utf-8").lower() not in ("utf-8", "utf8"):
        # It would write backslash escapes of its own, or fail. JSON has such characters in strings
        # only, where its escapes mean the same.
        text = _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)
    sys.stderr.write(text)
    sys.stderr.flush()


def _append(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
