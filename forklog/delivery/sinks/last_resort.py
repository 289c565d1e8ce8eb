"""Writes entries that cannot be delivered in time to stderr or a file, one JSON line each.

For the sender, at the end. A line has log, resource and labels, which a request has once for all
its entries. So whoever finds it can send it later: `forklog recover`, or a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from forklog.delivery.base import Reporter
from forklog.delivery.sinks.private_file import append_lines
from forklog.limits import PROJECTLESS_LOG
from forklog.stderr.stream import write_to_stderr
from forklog.transports.base import Envelope

_OPENING = b'"logName":"projects/%b/logs/'


class LastResort:
    """Where entries go that cannot be delivered; a `Sink`."""

    def __init__(self, where: str, report: Reporter, envelope: Callable[[], Envelope]) -> None:
        """Open nothing; see `write_last_resort`. Each line carries what the envelope says."""
        self._where, self._envelope = where, envelope
        self._report = report

    def write(self, entries: Sequence[bytes], _reason: str) -> Counter[str]:
        """Write entries, one a line, wherever it can; return how many, by place."""
        envelope = self._envelope()
        lines = (_addressed(entry, envelope) for entry in entries)
        return write_last_resort(self._where, lines, self._report)


def write_last_resort(where: str, entries: Iterable[bytes], report: Reporter) -> Counter[str]:
    """Write entries, one a line. Never raises.

    Args:
        where: ``stderr``, ``none``, or the absolute path of a file. The file is appended to,
            private to the user, and never reached by way of another user's folder or symbolic link.
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
            _complain(report, where, failure)
        else:
            if error is not None:
                _complain(report, where, error)
        end = lines.rfind(b"\n", 0, end) + 1
        written["file"] = lines.count(b"\n", 0, end)
        lines = lines[end:]
    if lines:
        written["stderr"] = write_to_stderr(lines)
    return +written


def _complain(report: Reporter, where: str, error: BaseException) -> None:
    reason = getattr(error, "strerror", None) or error
    text = f"cannot write {where!r}: {reason}; stderr gets the entries"
    report.say("last_resort", f"{text}, check the disk and the option last_resort")


def _addressed(entry: bytes, envelope: Envelope) -> bytes:
    """Return an entry as JSON with log, resource and labels; as it is where it is no object.

    A project that is not known leaves its place in the log's name empty.
    """
    project = (envelope.project or "").encode()
    try:
        whole: dict[str, Any] = orjson.loads(entry.replace(PROJECTLESS_LOG, _OPENING % project, 1))
        if "logName" not in whole:
            name = quote(envelope.log_name, safe="")
            whole["logName"] = f"projects/{envelope.project or ''}/logs/{name}"
        if envelope.resource is not None:
            whole.setdefault("resource", dict(envelope.resource))
        labels = {**envelope.labels, **whole.get("labels", {})}
        if labels:
            whole["labels"] = labels
        return orjson.dumps(whole)
    except (ValueError, TypeError):
        return entry
