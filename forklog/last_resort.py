"""What cannot be delivered before the process ends: one JSON entry a line, to stderr or a file."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from forklog.report import Report
from forklog.stderr import stream, write

__all__ = ["write_last_resort", "write_to_stderr"]

_PATIENCE_SECONDS = 1.0  # for the reader of a pipe, between two writes
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def write_last_resort(where: str, entries: Iterable[bytes], report: Report) -> None:
    """Write entries, one a line. Never raises.

    Args:
        where: ``stderr``, ``none``, or the absolute path of a file, which is appended to, private
            to the user, and never reached through a symbolic link of another user.
        entries: LogEntry objects as JSON.
        report: takes the complaint if the file cannot be written; stderr gets the entries then.
    """
    if where == "none":
        return
    lines = b"".join(entry + b"\n" for entry in entries)
    if where != "stderr":
        try:
            _append(where, lines)
        except (OSError, ValueError) as error:  # a path may hold what no file's name can
            why = getattr(error, "strerror", None) or error
            report.say("last_resort", f"cannot write {where!r}: {why}")
        else:
            return
    write_to_stderr(lines)


def write_to_stderr(lines: bytes) -> int:
    """Write lines of JSON so that they stay JSON in any encoding of stderr; never raises.

    Returns:
        How many lines were written.
    """
    text = lines.decode()
    if (getattr(stream(), "encoding", None) or "utf-8").lower() not in ("utf-8", "utf8"):
        # It would write backslash escapes of its own, or fail. JSON has such characters in strings
        # only, where its escapes mean the same.
        text = _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)
    return write(text, _PATIENCE_SECONDS)


def _append(path: str, data: bytes) -> None:
    _check_folders(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    # Without O_NONBLOCK a planted pipe would hold the end of the process for ever.
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        _check_file(os.fstat(descriptor))
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _check_folders(path: str) -> None:
    """Refuse a way through a link that somebody else may have planted; root's are the system's."""
    if hasattr(os, "geteuid"):
        for folder in reversed(Path(path).parents):
            status = os.lstat(folder)
            if stat.S_ISLNK(status.st_mode) and status.st_uid not in (0, os.geteuid()):
                raise OSError(errno.ELOOP, "a folder is a symbolic link of another user")


def _check_file(status: os.stat_result) -> None:
    """Refuse what was planted: a pipe or device, another name of a file, a file of another user."""
    is_own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not is_own:
        raise OSError(errno.EPERM, "not a plain file of this user")
