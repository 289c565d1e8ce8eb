"""Labels: merged, made text, and cut so that the entry fits."""

from __future__ import annotations

from typing import Any

import pytest
from records import EncoderBench, Hostile, record_of


def _one(**extra: Any) -> dict[str, Any]:
    return EncoderBench().one(record_of("m", **extra))


def _mark(entry: dict[str, Any]) -> str:
    return str(entry["labels"].get("forklog_repaired", ""))


def test_labels_become_text() -> None:
    """Keys and values of labels become text; surrogates and raising objects are shown."""
    labels = {1: 2, "none": None, "s\ud800": "\udfff", "h": Hostile(), "b": b"x"}
    entry = _one(labels=labels)
    assert entry["labels"] == {
        "python_logger": "app", "1": "2", "none": "None", "s\\ud800": "\\udfff", "b": "b'x'",
        "h": "<Hostile whose str() raised RuntimeError>",
    }  # fmt: skip


def test_the_limits_of_labels() -> None:
    """Long keys and values are cut to 512 bytes and 64 KiB; that is marked."""
    key, value = "ä" * 300, "ö" * 40_000
    entry = _one(labels={key: "short", "k": value})
    assert _mark(entry) == "labels"
    (cut,) = [name for name in entry["labels"] if name.startswith("ä")]
    assert 500 < len(cut.encode()) <= 512
    assert cut.endswith("...(cut)")
    assert 65_500 < len(entry["labels"]["k"].encode()) <= 65_536


@pytest.mark.parametrize("shared", [0, 1, 61, 62, 63, 64])
def test_at_most_64_labels(shared: int) -> None:
    """With the handler's labels an entry has at most 64, the mark among them if there is room."""
    bench = EncoderBench({f"s{n}": "v" for n in range(shared)})
    entry = bench.one(record_of("m", labels={f"l{n:03d}": "v" for n in range(100)}))
    assert len(entry["labels"]) == 64
    assert (_mark(entry) == "labels") == (shared < 64)
    assert ("python_logger" in entry["labels"]) == (shared < 63)


@pytest.mark.parametrize("shared", [62, 63, 64])
def test_a_plain_record_beside_many_shared_labels(shared: int) -> None:
    """The logger's name is a label only where there is room for it, in each encoder."""
    short, full = EncoderBench({f"s{n}": "v" for n in range(shared)}).both(record_of())
    assert short == full
    assert ("python_logger" in short["labels"]) == (shared < 64)


def test_a_label_may_replace_a_shared_one() -> None:
    """A label that the handler has too needs no room of its own, and wins."""
    bench = EncoderBench({f"s{n}": "v" for n in range(64)})
    entry = bench.one(record_of("m", labels={"s5": "own"}))
    assert entry["labels"]["s5"] == "own"
    assert len(entry["labels"]) == 64


@pytest.mark.parametrize("count", [3, 61, 62])
def test_labels_larger_than_an_entry(count: int) -> None:
    """Many labels of 64 KiB are all there, each cut and marked, and the message arrives whole."""
    bench = EncoderBench()
    text = "x" * 500_000
    labels = {f"l{n}": "v" * 65_536 for n in range(count)} | {"short": "s"}
    entries = bench.all(record_of(text, labels=labels))
    assert "".join(entry["textPayload"] for entry in entries) == text
    for entry in entries:
        assert _mark(entry) == "labels"
        assert len(entry["labels"]) == min(64, count + 3)
        assert entry["labels"]["python_logger"] == "app"
        assert entry["labels"]["l0"].startswith("v" * 1000)
        assert "more bytes)" in entry["labels"]["l0"]


def test_a_mark_of_the_application_is_replaced() -> None:
    """A label forklog_repaired of extra= does not make the name come twice."""
    entry = _one(labels={"forklog_repaired": "mine", "a": "v" * 70_000})
    assert _mark(entry) == "labels"


def test_everything_at_its_largest_fits() -> None:
    """All fields at once, each at its limit and of control characters, still make an entry."""
    long = "\x01" * 300_000
    names = ("requestMethod", "requestUrl", "userAgent", "remoteIp", "serverIp", "referer",
             "protocol")  # fmt: skip
    entries = EncoderBench().all(
        record_of(
            long,
            labels={f"{n}{long}": long for n in range(100)},
            resource={"type": long, "labels": {f"{n}{long}": long for n in range(100)}},
            http_request=dict.fromkeys(names, long),
            source_location={"file": long, "function": long, "line": 2**62},
            trace=long,
        )
    )
    assert "".join(entry["textPayload"] for entry in entries) == long
