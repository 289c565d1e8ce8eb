"""What cannot be delivered before the process ends: one JSON entry a line, to stderr or a file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from forklog.private_file import append_lines
from forklog.report import Report
from forklog.stderr import stream, write

__all__ = ["write_last_resort", "write_to_stderr"]

_PATIENCE_SECONDS = 1.0  # for the reader of a pipe, between two writes
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def write_last_resort(where: str, entries: Iterable[bytes], report: Report) -> Counter[str]:
    """Write entries, one a line. Never raises.

    Args:
        where: ``stderr``, ``none``, or the absolute path of a file, which is appended to, private
            to the user, and never reached by way of another user's folder or symbolic link.
        entries: LogEntry objects as JSON.
        report: takes the complaint if the file cannot be written; stderr gets the rest then.

    Returns:
        How many entries were written, by place: ``file`` or ``stderr``.
    """
    written: Counter[str] = Counter()
    if where == "none":
        return written
    lines = b"".join(entry + b"\n" for entry in entries)
    if where != "stderr":
        end = 0
        try:
            end, error = append_lines(where, lines)
        except (OSError, ValueError) as failure:  # a path may hold what no file's name can
            report.say("last_resort", f"cannot write {where!r}: {_reason(failure)}")
        else:
            if error is not None:
                report.say("last_resort", f"cannot write {where!r}: {_reason(error)}")
        end = lines.rfind(b"\n", 0, end) + 1
        written["file"] = lines.count(b"\n", 0, end)
        lines = lines[end:]
    if lines:
        written["stderr"] = write_to_stderr(lines)
    return written


def _reason(error: BaseException) -> object:
    return getattr(error, "strerror", None) or error


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
