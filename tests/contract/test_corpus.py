"""Every odd record reaches the real emulator, as faithfully as the limits allow.

All of them go through one handler in few requests, each between two marked neighbours; the tests
look at what arrived.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from corpus import CASES, Case

from forklog import CloudLoggingHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator
    from forklog.snapshot import Stats

Entry = dict[str, Any]


class Arrived(NamedTuple):
    """What the emulator has of the corpus."""

    entries: dict[str, list[Entry]]
    """Of each case: the neighbour before, its own, the neighbour after."""
    seconds: dict[str, float]
    stderr: str
    stats: Stats


@pytest.fixture(scope="module")
def arrived(running_emulator: Emulator) -> Arrived:
    """Log the whole corpus, wait for its delivery, fetch it."""
    running_emulator.clear_faults()
    running_emulator.reset()
    handler = CloudLoggingHandler(
        endpoint=running_emulator.url,
        project="p",
        log_name="corpus",
        max_buffer_bytes=512 * 1024 * 1024,
        last_resort="none",
    )
    logger = logging.Logger("corpus", -100)  # noqa: LOG001 - leaves no trace
    logger.addHandler(handler)
    seconds = {}
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        for case in CASES:
            logger.info("before %s", case.name)
            began = time.thread_time()  # of the processor: others may keep it busy
            case.log(logger)
            seconds[case.name] = time.thread_time() - began
            logger.info("after %s", case.name)
        assert handler.flush(60)
        stats = handler.stats()
        handler.close()
    entries = sorted(running_emulator.entries(), key=lambda entry: str(entry["insertId"]))
    return Arrived(dict(_by_case(entries)), seconds, stderr.getvalue(), stats)


def _by_case(entries: list[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    group: list[Entry] = []
    for entry in entries:
        group.append(entry)
        before, after = group[0].get("textPayload", ""), entry.get("textPayload", "")
        if after == before.replace("before ", "after ", 1) != before:
            yield before.removeprefix("before "), group
            group = []
    assert not group, "entries without neighbours"


def test_all_of_them_arrive_in_few_requests(arrived: Arrived) -> None:
    """Each record and both of its neighbours are delivered; none is dropped, refused or halved."""
    assert len({case.name for case in CASES}) == len(CASES) >= 150
    assert list(arrived.entries) == [case.name for case in CASES]
    assert arrived.stats.accepted == arrived.stats.delivered
    assert dict(arrived.stats.dropped) == {}
    assert arrived.stats.retries == 0
    assert arrived.stats.requests < len(CASES) / 2


def test_nothing_is_written_to_stderr(arrived: Arrived) -> None:
    """No record, however odd, makes the handler write to the application's stderr."""
    assert arrived.stderr == ""


def test_each_log_call_ends_in_bounded_time(arrived: Arrived) -> None:
    """The worst of them, one of 10 MB or a million members, takes no 10 seconds of CPU time."""
    worst = max(arrived.seconds, key=lambda name: arrived.seconds[name])
    assert arrived.seconds[worst] < 10, f"{worst}: {arrived.seconds[worst]:.2f} s"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_arrives_as_faithfully_as_the_limits_allow(arrived: Arrived, case: Case) -> None:
    """Payload, mark and the other fields are what is expected; the neighbours are untouched.

    Class of fault: code of a record raises while it is encoded; siblings: each other case of the
    corpus, a parameter of this test.
    """
    before, *own, after = arrived.entries[case.name]
    _check_neighbours(before, after, case.name)
    assert _whole(own, case.payload), _shown(own)
    for entry in own:
        assert entry.get("labels", {}).get("forklog_repaired", "") == case.mark
        for name, expected in case.fields.items():
            found = entry.get(name, "DEFAULT" if name == "severity" else None)
            if name == "labels":
                found = {key: value for key, value in entry["labels"].items() if key in expected}
            assert found == expected


def _check_neighbours(before: Entry, after: Entry, name: str) -> None:
    for entry, word in ((before, "before"), (after, "after")):
        assert entry["textPayload"] == f"{word} {name}"
        assert entry["severity"] == "INFO"
        assert entry["labels"] == {"python_logger": "corpus"}
        assert entry["sourceLocation"]["file"].endswith("test_corpus.py")
        assert entry.keys() <= {
            "textPayload", "severity", "labels", "sourceLocation", "timestamp", "insertId",
            "receiveTimestamp", "logName", "resource",
        }  # fmt: skip


def _whole(entries: list[Entry], expected: Any) -> bool:
    """Put the entries together and compare; split ones must be numbered in order."""
    if len(entries) > 1:
        splits = [entry["split"] for entry in entries]
        assert [split.get("index", 0) for split in splits] == list(range(len(entries)))
        assert {(split["uid"], split["totalSplits"]) for split in splits} == {
            (splits[0]["uid"], len(entries))
        }
    if expected is None:
        return len(entries) == 1 and not {"textPayload", "jsonPayload"} & entries[0].keys()
    if "jsonPayload" in entries[0]:
        (found,) = (entry["jsonPayload"] for entry in entries)
    else:
        found = "".join(entry["textPayload"] for entry in entries)
    return bool(expected(found) if callable(expected) else found == expected)


def _shown(entries: list[Entry]) -> str:
    payload = entries[0].get("jsonPayload", entries[0].get("textPayload"))
    return f"{len(entries)} entries: {repr(payload)[:600]}"
