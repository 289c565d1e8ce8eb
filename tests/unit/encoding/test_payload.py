"""Which text or object a record stands for."""

from __future__ import annotations

import collections
import logging
import sys
import threading
from typing import Any

import pytest
from records import EncoderBench, record_of


class Raises:
    """An object that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def _text(record: logging.LogRecord, formatter: logging.Formatter | None = None) -> Any:
    entry = EncoderBench(formatter=formatter).one(record)
    return entry.get("textPayload", entry.get("jsonPayload"))


def _caught(error: BaseException, **fields: Any) -> logging.LogRecord:
    """Return a record that was logged in an except clause."""
    try:
        raise error
    except BaseException:  # noqa: BLE001 - exception groups may hold anything
        return record_of("failed", exc_info=sys.exc_info(), **fields)


@pytest.mark.parametrize(
    ("msg", "args", "expected"),
    [
        ("plain", None, "plain"),
        ("%s and %d", ("a", 2), "a and 2"),
        ("%(name)s", ({"name": "n"},), "n"),
        ("100 %", None, "100 %"),
        ("", None, ""),
        (42, None, "42"),
        (["a", 1], None, "['a', 1]"),
        ("None of it", None, "None of it"),
        ('{"a": 1}', None, {"a": 1}),
        ('{"a": "%s"}', ("b",), {"a": "b"}),
        ("{}", None, {}),
        ("{not json}", None, "{not json}"),
        ('{"a": 1} and more', None, '{"a": 1} and more'),
        (' {"a": 1}', None, ' {"a": 1}'),
        ("[1, 2]", None, "[1, 2]"),
        ('{"a": NaN}', None, {"a": "NaN"}),
        ('{"a":' * 5000, None, '{"a":' * 5000),
        ({"a": 1, "message": "m"}, None, {"a": 1, "message": "m"}),
        (collections.UserDict(a=1), None, {"a": 1}),
        ({}, None, {}),
        ({1: "one"}, None, {"1": "one"}),
    ],
)
def test_the_payload_of_a_message(msg: Any, args: Any, expected: Any) -> None:
    """A message is text; a mapping, or a text that reads as a JSON object, is that object."""
    assert _text(record_of(msg, args)) == expected


@pytest.mark.parametrize("msg", ["None", None])
def test_none_is_no_payload(msg: Any) -> None:
    """A message that reads None makes an entry without a payload, as the stock handler's does."""
    entry = EncoderBench().one(record_of(msg))
    assert "textPayload" not in entry
    assert "jsonPayload" not in entry


@pytest.mark.parametrize(
    ("msg", "fields", "expected"),
    [
        ("m", {"a": 1}, {"a": 1, "message": "m"}),
        ("m", {"a": 1, "message": "lost"}, {"a": 1, "message": "m"}),
        ("None", {"a": 1}, {"a": 1}),
        ('{"b": 2}', {"a": 1}, {"a": 1, "message": {"b": 2}}),
        ({"a": 0, "b": 2}, {"a": 1}, {"a": 1, "b": 2}),
        ("", {"a": 1}, {"a": 1, "message": ""}),
        ("m", collections.UserDict(a=1), {"a": 1, "message": "m"}),
        ("m", {}, "m"),
        ("m", None, "m"),
        ("m", "text", "m"),
        ("m", [1], "m"),
    ],
)
def test_json_fields(msg: Any, fields: Any, expected: Any) -> None:
    """json_fields make an object with the message in it; what is no mapping is ignored."""
    assert _text(record_of(msg, json_fields=fields)) == expected


def test_an_exception_is_part_of_the_text() -> None:
    """Exception and stack texts follow the message, as formatters have it."""
    text = _text(_caught(ValueError("bad"), stack_info="Stack (most recent call last):\n  here"))
    assert text.startswith("failed\nTraceback (most recent call last):\n")
    assert "ValueError: bad\nStack (most recent call last):\n  here" in text


def test_exc_text_of_another_process_is_kept() -> None:
    """A record that a queue brought, whose exception is text already, keeps that text."""
    assert _text(record_of("failed", exc_text="Traceback: gone")) == "failed\nTraceback: gone"


def test_exc_info_outside_an_except_is_harmless() -> None:
    """exc_info=True without an exception says what logging's users expect."""
    assert _text(record_of("m", exc_info=(None, None, None))) == "m\nNoneType: None"


if sys.version_info >= (3, 11):

    def test_an_exception_group_is_shown_whole() -> None:
        """All exceptions of a group are in the text."""
        text = _text(_caught(ExceptionGroup("both", [ValueError("one"), KeyError("two")])))  # noqa: F821 - from 3.11 on
        assert "ExceptionGroup: both (2 sub-exceptions)" in text
        assert "ValueError: one" in text
        assert "KeyError: 'two'" in text


def test_an_exception_without_text_is_shown() -> None:
    """An exception whose __str__ raises still shows its traceback."""

    class Mute(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

    text = _text(_caught(Mute()))
    assert "Traceback (most recent call last):" in text
    assert "Mute: <exception str() failed>" in text


@pytest.mark.parametrize(
    ("msg", "args", "expected"),
    [
        ("%d", ("x",), "%d ('x',)"),
        ("%s %s", ("x",), "%s %s ('x',)"),
        ("%s", ("x", "y"), "%s ('x', 'y')"),
        ("%(a)s", ("x",), "%(a)s ('x',)"),
        ("100% yes", (1,), "100% yes (1,)"),
        ("%s and %s", ("a", Raises()), "a and <Raises whose str() raised RuntimeError>"),
        ("%d", ("a", Raises()), "%d ('a', <Raises whose repr() raised RuntimeError>)"),
        ("%d", (Raises(),), "%d (<Raises whose repr() raised RuntimeError>,)"),
        (Raises(), None, "<Raises whose str() raised RuntimeError>"),
        (Raises(), (1,), "<Raises whose str() raised RuntimeError> (1,)"),
        ("a\udfff%s", ("\ud800",), "a\\udfff\\ud800"),
    ],
    ids=range(11),
)
def test_a_message_that_cannot_be_made_is_described(msg: Any, args: Any, expected: str) -> None:
    """Wrong % arguments and objects without text arrive as message and arguments."""
    assert _text(record_of(msg, args)) == expected


def test_a_description_keeps_exception_and_stack() -> None:
    """A record with wrong arguments keeps its exception and its stack."""
    record = _caught(ValueError("bad"), args=("x",), stack_info="Stack: here")
    text = _text(record)
    assert text.startswith("failed ('x',)\nTraceback")
    assert text.endswith("ValueError: bad\nStack: here")


@pytest.mark.parametrize("exc_info", [True, ("a", "b", "c"), (1, 2), "text", (ValueError,)])
def test_exc_info_of_any_type_is_harmless(exc_info: Any) -> None:
    """What is not an exception triple never costs the message."""
    assert _text(record_of("m", exc_info=exc_info)).startswith("m")


def test_the_users_formatter_is_used() -> None:
    """A formatter set on the handler makes the text."""
    formatter = logging.Formatter("%(levelname)s:%(name)s:%(message)s")
    assert _text(record_of("m %s", ("x",)), formatter) == "INFO:app:m x"


def test_a_formatter_that_writes_json_makes_an_object() -> None:
    """A formatter's JSON becomes the JSON payload."""
    formatter = logging.Formatter('{"level": "%(levelname)s", "text": "%(message)s"}')
    assert _text(record_of("m"), formatter) == {"level": "INFO", "text": "m"}


def test_a_record_of_an_own_class_makes_its_own_message() -> None:
    """A record whose class formats in another way is asked for its message."""

    class Loud(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - logging's name
            return super().getMessage().upper()

    assert _text(Loud("app", 20, "/srv/app.py", 7, "hello %s", ("you",), None)) == "HELLO YOU"


def test_arguments_may_change_after_the_call() -> None:
    """What the caller changes after the log call does not change the entry."""
    bench = EncoderBench()
    fields: dict[str, Any] = {"a": [1]}
    labels = {"k": "before"}
    plain = [1, 2]
    raw = [
        *bench.raw(record_of("m", json_fields=fields, labels=labels)),
        *bench.raw(record_of("%s", (plain,))),
    ]
    fields["a"].append(2)
    labels["k"] = "after"
    plain.clear()
    assert b'"a":[1]' in raw[0]
    assert b"before" in raw[0]
    assert b"[1, 2]" in raw[1]


def test_a_mapping_that_changes_meanwhile_is_harmless() -> None:
    """A dict that another thread changes while it is logged never costs the record."""
    shared: dict[str, Any] = {"n": None}
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            shared[f"k{number % 50}"] = None
            shared.pop(f"k{(number + 25) % 50}", None)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        bench = EncoderBench()
        for _ in range(300):
            assert "n" in bench.one(record_of(shared))["jsonPayload"]
    finally:
        done.set()
        thread.join(10)
