"""Turns an entry into lines for a terminal: time, severity, log, process, text, fields. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone, tzinfo
from typing import Any
from urllib.parse import unquote

from forklog.stderr.printable import escaped, lines_of
from forklog.tail.source import Entry
from forklog.terminal.plain import Piece

_STYLES = {
    "DEBUG": "dim",
    "INFO": "green",
    "NOTICE": "cyan",
    "WARNING": "yellow",
    "ERROR": "red",
    "CRITICAL": "bold red",
    "ALERT": "bold red",
    "EMERGENCY": "bold red",
}
_SEVERITY_WIDTH = 9
_INDENT = "    "
_TRACE_SHOWN = 8  # digits; enough to tell the requests of a screen apart
_TEXTS = ("message", "msg")


class Lines:
    """Makes the lines of entries; remembers the day, which stands on a line of its own.

    Args:
        zone: of the times that are shown; the machine's if None.

    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        """Begin with no day."""
        self._zone = zone
        self._day = ""

    def of(self, entry: Entry) -> Iterator[list[Piece]]:
        """Yield the lines of one entry, each as pieces with styles."""
        day, clock = self._when(str(entry.get("timestamp", "")))
        if day != self._day:
            self._day = day
            yield [(day, "bold")]
        severity = escaped(str(entry.get("severity", "DEFAULT")))
        style = _STYLES.get(severity, "")
        first, *rest = lines_of(_text(entry))
        yield [
            (f"{clock} ", "dim"),
            (f"{severity:<{_SEVERITY_WIDTH}} ", style),
            (f"{_place(entry)} ", "cyan"),
            (first, style if style.endswith("red") else ""),
            (_details(entry), "dim"),
        ]
        for line in rest:
            yield [(_INDENT + line, "")]

    def _when(self, timestamp: str) -> tuple[str, str]:
        """Return day and time; of what is no time, nothing and the text."""
        try:
            whole, _, fraction = timestamp.removesuffix("Z").partition(".")
            when = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
            local = when.astimezone(self._zone)
        except (ValueError, OverflowError):
            return self._day, escaped(timestamp)
        return f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}.{fraction[:3]:0<3}"


def _place(entry: Entry) -> str:
    """Return the log, and the process where the entry names one."""
    log = unquote(str(entry.get("logName", "")).rpartition("/logs/")[2])
    labels = _mapping(entry.get("labels"))
    process = labels.get("process_id")
    worker = labels.get("uwsgi_worker_id")
    words = " ".join(
        filter(None, (process and str(process), worker and f"worker {worker}"))
    )  # fmt: skip
    return escaped(f"{log}[{words}]" if words else log)


def _text(entry: Entry) -> str:
    text = entry.get("textPayload")
    if text is not None:
        return str(text)
    payload = _mapping(entry.get("jsonPayload"))
    found = next((payload[name] for name in _TEXTS if isinstance(payload.get(name), str)), None)
    if found is not None:
        return str(found)
    if request := _mapping(entry.get("httpRequest")):
        return _request(request)
    return _json(payload or entry.get("protoPayload") or {})


def _request(request: Mapping[str, Any]) -> str:
    names = ("requestMethod", "requestUrl", "status", "latency")
    return " ".join(str(request[name]) for name in names if name in request)


def _details(entry: Entry) -> str:
    """Return the other fields of a payload, and the beginning of the trace."""
    payload = _mapping(entry.get("jsonPayload"))
    used = next((name for name in _TEXTS if isinstance(payload.get(name), str)), None)
    has_text = used is not None or bool(entry.get("httpRequest"))
    words = [
        f"{name}={value if isinstance(value, str) else _json(value)}"
        for name, value in payload.items()
        if has_text and name != used
    ]
    if trace := str(entry.get("trace", "")).rpartition("/")[2]:
        words.append(f"trace={trace[:_TRACE_SHOWN]}")
    return "".join(f"  {escaped(' '.join(word.splitlines()))}" for word in words)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
