"""The process that one subject lives in: takes orders as lines of JSON, answers with numbers.

    python -m benchmarks.worker SUBJECT CONTROL_PORT_OF_THE_SINK

An order names a measurement of `benchmarks.rows` and its arguments. Between two orders nothing
runs here but what the subject itself runs, so subjects can be measured in turns.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from benchmarks.callbacks import Callbacks
from benchmarks.sink.client import Door, SinkClient
from benchmarks.subjects import make
from benchmarks.subjects.subject import Subject


class Room:
    """What a measurement finds: the subject and its door to the sink."""

    def __init__(self, name: str, control_port: int) -> None:
        """Connect to the sink; the subject starts with the first use."""
        self.name = name
        self.sink = SinkClient(control_port)
        self.subject: Subject
        self.door: Door | None = None
        self.callbacks: Callbacks
        """Made by the row `fork`."""

    def start(self, delay: float = 0.0, **options: Any) -> Subject:
        """Start the subject once; only the first call's latency of the sink and options count."""
        if not hasattr(self, "subject"):
            self.subject = make(self.name, **options)
            if self.subject.wire:
                self.door = self.sink.open(self.subject.wire, delay)
            self.subject.start(self.door.port if self.door else 0)
        return self.subject

    def settle(self, number: int) -> dict[str, Any]:
        """Wait until so many more records have arrived at the sink; return its counts."""
        if self.door is None:
            return {}
        self.door.expected += number
        self.subject.hurry()
        return self.door.wait()


def main() -> None:
    """Serve until standard input ends."""
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    room = Room(sys.argv[1], int(sys.argv[2]))
    for line in orders:
        order = json.loads(line)
        module = importlib.import_module(f"benchmarks.rows.{order['row']}")
        answer = getattr(module, order["measure"])(room, **order["args"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # exit hooks of the subjects take seconds and are measured nowhere


if __name__ == "__main__":
    main()
