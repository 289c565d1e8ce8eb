"""Finds which process logs, and gives its labels to the encoder (option ``process_labels``)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping

from forklog.limits import MAX_LABELS, MAX_VALUE_BYTES
from forklog.process.base import pid
from forklog.process.servers import uwsgi

_ROOM = 8  # for the logger's name and what else each entry has


class ProcessLabels:
    """The labels of the process that asks; found anew in each process."""

    def __init__(self, shared: Mapping[str, str]) -> None:
        """Ask for nothing yet; ``shared`` are the handler's labels, which win."""
        self._shared = shared
        self._known: tuple[int, Mapping[str, str]] = (0, {})

    def __call__(self) -> Mapping[str, str]:
        """Return the labels. Does no I/O but for the host's name."""
        number, labels = self._known
        if number != pid():
            number, labels = pid(), self._found()
            self._known = number, labels
        return labels

    def _found(self) -> Mapping[str, str]:
        labels = {"process_id": str(pid()), "process_name": _name(), "host": socket.gethostname()}
        worker = uwsgi.worker_id()
        if worker:
            labels["uwsgi_worker_id"] = str(worker)
        if len(self._shared) + len(labels) + _ROOM > MAX_LABELS:
            return {}
        return {
            name: text.encode("utf-8", "replace")[:MAX_VALUE_BYTES].decode("utf-8", "ignore")
            for name, text in labels.items()
            if name not in self._shared
        }


def _name() -> str:
    """Return the name that multiprocessing, or billiard for celery, has for this process."""
    for module in ("billiard.process", "multiprocessing.process"):
        current = getattr(sys.modules.get(module), "current_process", None)
        if current is not None and current().name != "MainProcess":
            return str(current().name)
    return "MainProcess"
