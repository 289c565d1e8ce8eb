"""The snapshot of numbers: immutable, and the same words as the documentation."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

import forklog
from forklog.testing import FakeTransport

_DOCS = Path(__file__).parents[2] / "docs" / "delivery.md"


def test_a_snapshot_cannot_be_changed(forklog_transport: FakeTransport) -> None:
    """Neither a field nor the counts by reason of a snapshot can be assigned to."""
    stats = forklog.CloudLoggingHandler(transport=forklog_transport).stats()
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.delivered = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        stats.dropped["x"] = 1  # type: ignore[index]


def test_a_snapshot_is_about_this_process(forklog_transport: FakeTransport) -> None:
    """A handler that has not logged yet has a snapshot, of zeros, with the PID."""
    stats = forklog.CloudLoggingHandler(transport=forklog_transport).stats()
    assert stats == forklog.Stats(pid=os.getpid(), state="inert")


def test_a_snapshot_becomes_json(forklog_transport: FakeTransport) -> None:
    """``as_dict`` has every key, as values that JSON can hold."""
    stats = forklog.CloudLoggingHandler(transport=forklog_transport).stats()
    values = json.loads(json.dumps(stats.as_dict()))
    assert forklog.Stats(**values).as_dict() == stats.as_dict()
    assert values.keys() == {field.name for field in dataclasses.fields(forklog.Stats)}


def test_the_documentation_lists_every_key() -> None:
    """The table of keys in docs/delivery.md and the fields of `Stats` are the same set."""
    table = _DOCS.read_text().partition("| key |")[2].partition("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in _names(row)]
    assert sorted(listed) == sorted(field.name for field in dataclasses.fields(forklog.Stats))


def _names(row: str) -> list[str]:
    return re.findall(r"`(\w+)`", row.split("|")[1])
