"""Every odd record that a program can hand to a handler, by name, with what must arrive of it.

Each case logs exactly one record. Shared by the test of arrival and by the one that compares with
the stock handler.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import json
import logging
import logging.handlers
import math
import pathlib
import pickle
import queue
import string
import sys
import time
import types
import unittest.mock
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from records import Hostile, HostileMapping

Log = Callable[[logging.Logger], object]


class Case(NamedTuple):
    """One record.

    `payload` is the text, the object, or None for no payload at all; or tells whether it is right.
    """

    name: str
    log: Log
    payload: Any
    mark: str = ""
    fields: Mapping[str, Any] = types.MappingProxyType({})


# -- how a record is logged ------------------------------------------------------------------


def says(msg: Any, *args: Any, level: int = logging.INFO, **extra: Any) -> Log:
    """Log a message with arguments and ``extra=``."""
    return lambda logger: logger.log(level, msg, *args, extra=extra)


def late(make: Callable[[], Log]) -> Log:
    """Make a log call, and what it logs, by ``make``, as late as it is made."""

    def log(logger: logging.Logger) -> None:
        make()(logger)

    return log


def field(value: Any) -> Log:
    """Log a value as the field ``v`` of a JSON payload."""
    return lambda logger: logger.info("m", extra={"json_fields": {"v": value}})


def record(**attributes: Any) -> Log:
    """InFlight over a record made from a dict, as receivers of pickled records do."""

    def log(logger: logging.Logger) -> None:
        made = {"name": "corpus", "levelno": logging.INFO, "msg": "m", "created": time.time()}
        logger.handlers[0].handle(logging.makeLogRecord({**made, **attributes}))

    return log


def without(*names: str) -> Log:
    """InFlight over a record that lacks attributes."""

    def log(logger: logging.Logger) -> None:
        made = logging.LogRecord("corpus", logging.INFO, "/f.py", 1, "m %s", ("a",), None, "f")
        for name in names:
            del made.__dict__[name]
        logger.handlers[0].handle(made)

    return log


def raised(kind: type[BaseException], *args: Any, cause: BaseException | None = None) -> Log:
    """Log an exception where it is caught."""

    def log(logger: logging.Logger) -> None:
        try:
            raise kind(*args) from cause
        except kind:
            logger.exception("failed")

    return log


# -- what applications hand over -------------------------------------------------------------


class Raises:
    """An object without a text."""

    def __str__(self) -> str:
        """Raise."""
        raise RuntimeError("no text")

    __repr__ = __str__


class NoText:
    """An object whose text is none."""

    def __str__(self) -> str:
        """Return what is no text."""
        return 5  # type: ignore[return-value]  # noqa: PLE0307 - that is the case

    __repr__ = __str__


class Twisted(str):
    """A text of which every method is hostile."""

    __slots__ = ()

    def encode(self, *_args: Any) -> bytes:  # type: ignore[override]
        """Raise."""
        raise RuntimeError("no bytes")

    startswith = __len__ = __eq__ = __getitem__ = __iter__ = encode  # type: ignore[assignment]
    __hash__ = str.__hash__

    def __str__(self) -> str:
        """Return the text, still of this class."""
        return self


class Lazy:
    """A lazy translation, as of Django or Babel."""

    def __init__(self, text: str) -> None:
        """Keep what will be translated."""
        self._text = text

    def __str__(self) -> str:
        """Translate."""
        return f"translated {self._text}"

    def __mod__(self, other: Any) -> str:
        """Format what was translated."""
        return str(self) % other


class Mute(Exception):  # noqa: N818
    """An exception without a text."""

    def __str__(self) -> str:
        """Raise."""
        raise RuntimeError("no text")


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: float
    inner: Any = None
    _hidden: int = 1


@dataclasses.dataclass(frozen=True)
class Slotted:
    """A dataclass of a property that raises."""

    __slots__ = ("x",)
    x: int

    @property
    def bad(self) -> int:
        """Raise."""
        raise RuntimeError


class Color(enum.Enum):
    """An enumeration."""

    RED = "red"


class Level(enum.IntEnum):
    """A level as an enumeration."""

    NOTE = 25


class Styled:
    """A message of the logging cookbook, in another style."""

    def __init__(self, make: Callable[[], str]) -> None:
        """Keep how it is formatted."""
        self._make = make

    def __str__(self) -> str:
        """Format."""
        return self._make()


class OwnRecord(logging.LogRecord):
    """A record that makes its message in its own way."""

    def getMessage(self) -> str:  # noqa: N802 - the name logging gives it
        """Use braces."""
        return str(self.msg).format(*self.args or ())


class BrokenRecord(logging.LogRecord):
    """A record of which methods and properties raise."""

    def getMessage(self) -> str:  # noqa: N802 - the name logging gives it
        """Raise."""
        raise RuntimeError

    @property
    def labels(self) -> Any:
        """Raise."""
        raise RuntimeError

    trace = http_request = json_fields = labels

    @property
    def thread(self) -> Any:
        """Raise."""
        raise RuntimeError

    @thread.setter
    def thread(self, _number: object) -> None:
        """Let `logging` make the record."""


class ClassLabels(logging.LogRecord):
    """A record whose class has the extras."""

    labels = types.MappingProxyType({"from": "class"})
    trace = "t"


def _of_class(kind: type[logging.LogRecord], msg: str, *args: Any) -> Log:
    def log(logger: logging.Logger) -> None:
        made = kind("corpus", logging.INFO, "/f.py", 1, msg, args, None, "f")
        logger.handlers[0].handle(made)

    return log


def _cycle() -> dict[str, Any]:
    value: dict[str, Any] = {"list": []}
    value["self"] = value
    value["list"].append(value["list"])
    return value


def _deep(depth: int, *, of: str = "list") -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"d": value} if of == "dict" else [value]
    return value


def _shared_parts() -> list[Any]:
    """Make the billion laughs: 40 lists that stand for 2 to the power of 40."""
    value: list[Any] = ["ha"]
    for _ in range(30):
        value = [value, value]
    return value


def _colliding_keys() -> dict[Any, Any]:
    """Make keys that all have one hash."""
    return {n * (2**61 - 1): n for n in range(1000)}


def _changed_after_the_call(logger: logging.Logger) -> None:
    value, fields = [1], {"inner": {"n": 1}}
    logger.info("list %s", value, extra={"json_fields": fields, "labels": (labels := {"k": "v"})})
    value.append(2)
    fields["inner"]["n"] = 2
    labels["k"] = "changed"


def _formatted_before(logger: logging.Logger) -> None:
    made = logging.LogRecord("corpus", logging.INFO, "/f.py", 1, "hello %s", ("you",), None, "f")
    logging.Formatter("%(asctime)s %(message)s").format(made)
    logger.handlers[0].handle(made)


def _from_a_socket(logger: logging.Logger) -> None:
    made = logging.LogRecord("corpus", logging.INFO, "/f.py", 1, "by %s", ("wire",), None, "f")
    made.__dict__["labels"] = {"over": "socket"}
    sent = logging.handlers.SocketHandler("127.0.0.1", 9).makePickle(made)
    logger.handlers[0].handle(logging.makeLogRecord(pickle.loads(sent[4:])))  # noqa: S301 - ours


def _from_a_queue(logger: logging.Logger) -> None:
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    through = logging.handlers.QueueHandler(made)  # type: ignore[arg-type]
    try:
        raise ValueError("in the worker")
    except ValueError:
        exc_info = sys.exc_info()
    through.handle(
        logging.LogRecord("corpus", logging.INFO, "/f.py", 1, "by %s", ("queue",), exc_info, "f")
    )
    logger.handlers[0].handle(made.get(timeout=10))


def _recursion(logger: logging.Logger) -> None:
    def call(depth: int) -> int:
        return call(depth + 1) + 1

    try:
        call(0)
    except RecursionError:
        logger.exception("too deep")


def _causes_in_a_circle(logger: logging.Logger) -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    try:
        raise first
    except ValueError:
        logger.exception("circle")


def _adapter(logger: logging.Logger) -> None:
    logging.LoggerAdapter(logger, {"labels": {"by": "adapter"}}).info("adapted %s", "x")


def _dead(logger: logging.Logger) -> None:
    import weakref  # noqa: PLC0415 - only here

    logger.info("m", extra={"json_fields": {"v": weakref.proxy(Lazy("gone"))}})


# -- judging a payload -----------------------------------------------------------------------


def starts(*beginnings: str) -> Callable[[Any], bool]:
    """Accept a text that begins with the first and holds the others."""
    return lambda text: text.startswith(beginnings[0]) and all(b in text for b in beginnings)


def v(expected: Any) -> dict[str, Any]:
    """Return the payload of `field` for a value that arrives like this."""
    return {"message": "m", "v": expected}


def cut(total: int, *, unit: str = " more bytes)") -> Callable[[Any], bool]:
    """Accept a field ``v``, or a message, of ``total`` bytes that says how many are missing."""

    def judge(payload: dict[str, Any]) -> bool:
        text = max((str(value) for value in payload.values()), key=len)
        kept, _, missing = text.rpartition("...(")
        number, found, _ = missing.partition(unit)
        return bool(found) and len(kept.encode()) + int(number) == total

    return judge


_CONTROL = "".join(map(chr, [*range(32), 127, *range(128, 160)]))
_LONG = "0123456789" * 1_000_000
_WIDE = "😀é" * 1_700_000
_UUID = uuid.UUID(int=5)
_UTC = dt.timezone.utc
_UNKNOWN = {"file": "/f.py", "line": "1", "function": "f"}

MESSAGES = [
    Case("plain", says("hello %s", "you"), "hello you"),
    Case("empty message", says(""), ""),
    Case("message None", says(None), None),
    Case("text None", says("None"), None),
    Case("message 42", says(42), "42"),
    Case("message nan", says(math.nan), "nan"),
    Case("message bytes", says(b"raw\xff"), "b'raw\\xff'"),
    Case("message list", says(["a", 1]), "['a', 1]"),
    Case("message class", says(Point), "<class 'corpus.Point'>"),
    Case("message exception", says(ValueError("as message")), "as message"),
    Case("message lazy translation", says(Lazy("%s"), "text"), "translated text"),
    Case("message raises", says(Raises()), "<Raises whose str() raised RuntimeError>"),
    Case("message no text", says(NoText()), "<NoText whose str() raised TypeError>"),
    Case("message hostile in all", says(Hostile()), "<Hostile whose str() raised RuntimeError>"),
    Case("message twisted", says(Twisted("twisted %s"), "x"), "twisted x"),
    Case("message mock", says(unittest.mock.MagicMock(name="it")), starts("<MagicMock name='it'")),
    Case("mapping", says({"a": 1, "none": None}), {"a": 1, "none": None}),
    Case("mapping empty", says({}), {}),
    Case("mapping unreadable", says(HostileMapping()), {}),  # the object that its text is
    Case("ordered mapping", says(collections.OrderedDict(b=1, a=2)), {"b": 1, "a": 2}),
    Case("mapping proxy", says(types.MappingProxyType({"a": 1})), {"a": 1}),
    Case(
        "mapping of an exception",
        lambda logger: logger.info({"a": 1}, exc_info=ValueError("x")),
        {"a": 1},
    ),
    Case("brace style", says(Styled(lambda: "{} and {x}".format(1, x=2))), "1 and 2"),  # noqa: UP032
    Case("dollar style", says(Styled(lambda: string.Template("$a").substitute(a=1))), "1"),
    Case("braces with arguments", says("{} {}", 1, 2), "{} {} (1, 2)"),
    Case("adapter", _adapter, "adapted x", fields={"labels": {"by": "adapter"}}),
]

ARGUMENTS = [
    Case("too few", says("%s %s", 1), "%s %s (1,)"),
    Case("too many", says("%s", 1, 2), "%s (1, 2)"),
    Case("wrong type", says("%d", "x"), "%d ('x',)"),
    Case("no such format", says("%z", 1), "%z (1,)"),
    Case("a percent sign", says("100%!", 1), "100%! (1,)"),
    Case("half a format", says("50 %", 1), "50 % (1,)"),
    Case("by name", says("%(a)s", {"a": 1}), "1"),
    Case("no such name", says("%(b)s", {"a": 1}), "%(b)s {'a': 1}"),
    Case("raises", says("%s: %s", "a", Raises()), "a: <Raises whose str() raised RuntimeError>"),
    Case("repr raises", says("%r", Raises()), "'<Raises whose str() raised RuntimeError>'"),
    Case("no text", says("%s", NoText()), "<NoText whose str() raised TypeError>"),
    Case("hostile", says("%s", Hostile()), "<Hostile whose str() raised RuntimeError>"),
    Case("hostile mapping", record(msg="%s", args=HostileMapping()), "%s {}"),
    Case("changed after the call", _changed_after_the_call,
         {"inner": {"n": 1}, "message": "list [1]"}, fields={"labels": {"k": "v"}}),
    Case("surrogate", says("%s", "\udfff"), "\\udfff"),
    Case("a number without text", says("%d", 10**10_000),
         lambda text: text in ("1" + "0" * 10_000, "%d (<int whose repr() raised ValueError>,)")),
    Case("10 MB of width", says("%10000000d", 7), " " * 9_999_999 + "7"),
    Case("arguments but no message", says(None, 1), "None (1,)"),
    Case("a generator", says("%s", (n for n in "a")), starts("<generator object")),
    Case("a deep argument", says("%.33s", _deep(10_000)),  # of any depth has a text from 3.15 on
         lambda text: text in ("<list whose str() raised Recursion"[:33], "[" * 33)),
]  # fmt: skip

TEXTS = [
    Case("lone surrogates", says("a\ud800b\udfff"), "a\\ud800b\\udfff"),
    Case("a split pair", says("\ud83d\ude00\ud83d"), "\U0001f600\\ud83d"),
    Case("NUL", says("a\0b"), "a\0b"),
    Case("control characters", says(_CONTROL), _CONTROL),
    Case("line ends", says("a\nb\r\nc\u2028d\x85e"), "a\nb\r\nc\u2028d\x85e"),
    Case("no characters", says("\ufeff\ufffe\uffff\U0010ffff"), "\ufeff\ufffe\uffff\U0010ffff"),
    Case("right to left", says("\u202eabc \u05d0 e\u0301"), "\u202eabc \u05d0 e\u0301"),
    Case("escapes", says("\x1b[31mred\\n\"'</script>"), "\x1b[31mred\\n\"'</script>"),
    Case("10 MB", says(_LONG), _LONG),
    Case("10 MB of wide characters", says(_WIDE), _WIDE),
    Case("1 MB of NUL", says("\0" * 1_000_000), "\0" * 1_000_000),
    Case("3 MB of surrogates", says("\ud800" * 500_000), "\\ud800" * 500_000),
    Case("10 MB with fields", says(_LONG, json_fields={"a": 1}), cut(10_000_000), "jsonPayload"),
    Case("JSON", says('{"a": {"n": 1.5, "z": null}}'), {"a": {"n": 1.5, "z": None}}),
    Case("JSON formatted", says('{"a": %d}', 5), {"a": 5}),
    Case("JSON broken", says('{"a": '), '{"a": '),
    Case("JSON list", says("[1]"), "[1]"),
    Case("JSON of NaN", says('{"a": NaN, "b": -Infinity}'), {"a": "NaN", "b": "-Infinity"}),
    Case("JSON of a name twice", says('{"a": 1, "a": 2}'), {"a": 2}),
    Case("JSON of a surrogate", says('{"a": "\\ud800"}'), {"a": "\\ud800"}),
    Case("JSON of a large number", says('{"a": 1%s}' % ("0" * 30)), {"a": "1" + "0" * 30}),
    Case("JSON of a number without text", says('{"a": 1%s}' % ("0" * 10_000)),
         lambda found: found in ('{"a": 1%s}' % ("0" * 10_000), {"a": "1" + "0" * 10_000})),
    Case("JSON too deep", says('{"a":' * 100_000 + "1" + "}" * 100_000),
         lambda text: text == '{"a":' * 100_000 + "1" + "}" * 100_000),
    Case("JSON of 10 MB in one text", says('{"a": "' + _LONG + '"}'),
         cut(10_000_000), "jsonPayload"),
    Case("JSON of 10 MB in many", late(
             lambda: says(json.dumps({f"k{n}": n for n in range(600_000)}))),
         lambda p: p["k0"] == 0 and p["forklog_cut"] == f"{600_000 - len(p) + 1} more members",
         "jsonPayload"),
]  # fmt: skip

VALUES = [
    Case("NaN and infinities", field([math.nan, math.inf, -math.inf]),
         v(["NaN", "Infinity", "-Infinity"])),
    Case("largest integers", field([2**64 - 1, -(2**63)]), v([2.0**64, -(2.0**63)])),
    Case("beyond 64 bits", field([2**64, -(2**70)]), v([str(2**64), str(-(2**70))])),
    Case("beyond all digits", field(10**100_000), lambda p: p["v"].startswith("0x")
         or len(p["v"]) == 100_001),
    Case("Decimal", field(decimal.Decimal("1.10")), v("1.10")),
    Case("Fraction", field(fractions.Fraction(1, 3)), v("1/3")),
    Case("complex", field(1 + 2j), v("(1+2j)")),
    Case("naive datetime", field(dt.datetime(2026, 1, 2, 3, 4, 5)), v("2026-01-02T03:04:05")),  # noqa: DTZ001
    Case("aware datetime", field(dt.datetime(2026, 1, 2, tzinfo=_UTC)),
         v("2026-01-02T00:00:00+00:00")),
    Case("date and time", field([dt.date(2026, 1, 2), dt.time(3, 4)]),
         v(["2026-01-02", "03:04:00"])),
    Case("timedelta", field(dt.timedelta(seconds=90)), v("0:01:30")),
    Case("UUID", field(_UUID), v("00000000-0000-0000-0000-000000000005")),
    Case("enumeration", field([Color.RED, Level.NOTE]), v(["red", 25])),
    Case("path", field(pathlib.PurePosixPath("/a/b")), v("/a/b")),
    Case("numpy scalars", field([np.int64(3), np.float32(1.5), np.bool_(1), np.float64("nan")]),
         v([3, 1.5, True, "NaN"])),
    Case("numpy array", field(np.array([[1, 2], [3, 4]])), v([[1, 2], [3, 4]])),
    Case("numpy time", field(np.datetime64("2026-01-02T03:04:05")), v("2026-01-02T03:04:05")),
    Case("numpy array of 2 million", late(lambda: field(np.arange(2_000_000))),
         lambda p: p["v"][-1] == f"...({2_000_000 - len(p['v']) + 1} more items)", "jsonPayload"),
    Case("dataclass", field(Point(math.nan, Point(1, {1: 2}))),
         v({"x": "NaN", "inner": {"x": 1, "inner": {"1": 2}}})),
    Case("named tuple", field(Case("n", print, 1)), lambda p: p["v"][0] == "n"),
    Case("bytes", field([b"text", b"\xff", bytearray(b"b")]), v(["text", "\\xff", "b"])),
    Case("10 MB of bytes", field(b"\xff" * 10_000_000), lambda p: "more bytes)" in p["v"],
         "jsonPayload"),
    Case("memory view", field(memoryview(b"x")), v("x")),
    Case("sets", field([{1}, frozenset([2]), collections.deque([3])]),
         v([[1], [2], "deque([3])"])),
    Case("keys of all kinds", field({1: "a", None: "b", 1.5: "c", (1, 2): "d", b"e": "f"}),
         v({"1": "a", "None": "b", "1.5": "c", "(1, 2)": "d", "b'e'": "f"})),
    Case("keys of one text", field({1: "a", "1": "b", True + 1: "c"}),
         v({"1": "a", "1 (1)": "b", "2": "c"})),
    Case("keys that raise", field({Raises(): 1}),
         v({"<Raises whose str() raised RuntimeError>": 1})),
    Case("keys of one hash", field(_colliding_keys()), lambda p: len(p["v"]) == 1000),
    Case("surrogates", field({"a\ud800": ["\udfff"]}), v({"a\\ud800": ["\\udfff"]})),
    Case("an empty key", field({"": 1}), v({"": 1})),
    Case("cycles", field(_cycle()), v({"list": ["<cycle>"], "self": "<cycle>"})),
    Case("depth 10,000 of lists", field(_deep(10_000)),
         lambda p: "<list below 32 levels>" in json.dumps(p)),
    Case("depth 10,000 of dicts", field(_deep(10_000, of="dict")),
         lambda p: "<dict below 32 levels>" in json.dumps(p)),
    Case("100,000 keys", late(lambda: says({f"k{n}": None for n in range(100_000)})),
         lambda p: p["k0"] is None and p["forklog_cut"] == f"{100_001 - len(p)} more members",
         "jsonPayload"),
    Case("a list of a million", late(lambda: field([1] * 1_000_000)),
         lambda p: p["v"][-1] == f"...({1_000_001 - len(p['v'])} more items)", "jsonPayload"),
    Case("small members beside a large one",
         late(lambda: field(
             {"large": [{"n": n} for n in range(50_000)], "small": 1, "b": {"deep": ["x"]}})),
         lambda p: p["v"]["small"] == 1 and p["v"]["b"] == {"deep": ["x"]} and p["message"] == "m"
         and p["v"]["large"][-1] == f"...({50_001 - len(p['v']['large'])} more items)",
         "jsonPayload"),
    Case("a billion laughs", field(_shared_parts()), lambda p: len(json.dumps(p)) > 10_000,
         "jsonPayload"),
    Case("an object", field(object()), lambda p: p["v"].startswith("<object object at")),
    Case("a slotted dataclass", field(Slotted(1)), v({"x": 1})),
    Case("a mock", field(unittest.mock.MagicMock(name="it")),
         lambda p: p["v"].startswith("<MagicMock name='it'")),
    Case("a dead proxy", _dead, lambda p: "ReferenceError" in p["v"]),
    Case("code", field([len, math, Point]), lambda p: len(p["v"]) == 3),
    Case("hostile", field([Hostile(), 1]), v(["<Hostile whose str() raised RuntimeError>", 1])),
    Case("hostile mapping", field(HostileMapping()),
         v("<HostileMapping that raised RuntimeError>")),
    Case("twisted", field({Twisted("k"): Twisted("v")}), v({"k": "v"})),
    Case("fields of another type", says("m", json_fields=[1]), "m", "jsonPayload"),
    Case("fields that are hostile", says("m", json_fields=HostileMapping()), "m", "jsonPayload"),
    Case("a message in the fields", says("m", json_fields={"message": "other"}), {"message": "m"}),
]  # fmt: skip

_EVERY_EXTRA = ("labels", "trace", "span_id", "http_request", "source_location", "resource")

EXTRAS = [
    Case("dunder names", says("m", **dict.fromkeys(
        ("__class__", "__dict__", "__reduce__", "__init__", "__getattribute__"), 1)), "m"),
    Case("names of methods", says("%s %s", "a", 1, getMessage=5), "a 1"),
    Case("names of no kind", says("m", **{"": 1, "a b": 2, "\0": 3, "\ud800": 4, "ä-": 5}), "m"),
    Case("a name of 1 MB", says("m", **{"n" * 1_000_000: 1}), "m"),
    Case("100,000 names", late(lambda: says("m", **{f"x{n}": n for n in range(100_000)})), "m"),
    Case("hostile values", says("m", a=Hostile(), b=HostileMapping(), c=_cycle()), "m"),
    Case("our filter's names", says("m", _labels=5, _trace=[1], _span_id={}, _resource="x",
         _http_request=1, _source_location=object(), _trace_sampled="yes"), "m",
         "httpRequest,labels,resource,sourceLocation,trace", {"traceSampled": True}),
    Case("everything hostile", says("m", **dict.fromkeys(_EVERY_EXTRA, Hostile())), "m",
         "httpRequest,labels,resource,sourceLocation,spanId,trace"),
    Case("everything a mock", says("m", **dict.fromkeys(_EVERY_EXTRA, unittest.mock.MagicMock())),
         "m", "httpRequest,labels,resource,sourceLocation,spanId,trace"),
    Case("everything None", says("m", **dict.fromkeys(_EVERY_EXTRA)), "m"),
    Case("100 labels", says("m", labels={f"l{n}": "v" for n in range(100)}), "m", "labels"),
    Case("labels of wrong types", says("m", labels={1: None, "n": 2.5, "h": Raises()}), "m",
         fields={"labels": {"1": "None", "n": "2.5",
                            "h": "<Raises whose str() raised RuntimeError>"}}),
    Case("large labels", says("m", labels={"k" * 600: "v" * 70_000}), "m", "labels"),
    Case("an odd span", says("m", span_id="456"), "m", fields={"spanId": "456"}),
    Case("a span of 1 MB", says("m", span_id="s" * 1_000_000), "m", "spanId"),
    Case("a span as number", says("m", span_id=10), "m", fields={"spanId": "000000000000000a"}),
    Case("a trace of 1 MB", says("m", trace="t" * 1_000_000), "m", "trace"),
    Case("an odd request", says("m", http_request={"requestMethod": "GET", "status": "no",
         "latency": -1, "unknown": 1}), "m", "httpRequest",
         {"httpRequest": {"requestMethod": "GET"}}),
    Case("a request of numpy", says("m", http_request={"status": np.int64(404)}), "m",
         fields={"httpRequest": {"status": 404}}),
    Case("an odd source", says("m", source_location={"file": 5, "line": "x"}), "m",
         "sourceLocation", {"sourceLocation": {"file": "5"}}),
    Case("a resource of no type", says("m", resource={"labels": {}}), "m", "resource"),
]  # fmt: skip

EXCEPTIONS = [
    Case("an exception", raised(KeyError, "k"), starts("failed\nTraceback", "KeyError: 'k'")),
    Case("an exception without text", raised(Mute), starts("failed", "<exception str() failed>")),
    Case("a cause", raised(ValueError, "v", cause=KeyError("k")),
         starts("failed", "direct cause")),
    Case("causes in a circle", _causes_in_a_circle, starts("circle", "ValueError: first")),
    Case("1 MB of traceback", raised(ValueError, "y" * 1_000_000),
         starts("failed", "y" * 1_000_000)),
    Case("recursion", _recursion, starts("too deep\nTraceback", "RecursionError")),
    Case("surrogates in it", raised(ValueError, "\ud800"), starts("failed", "ValueError: \\ud800")),
    Case("a broken syntax", raised(SyntaxError, "bad", ("f", 1, 2, "x y")),
         starts("failed", "x y")),
    Case("none to show", lambda logger: logger.info("m", exc_info=True), "m\nNoneType: None"),  # noqa: LOG014
    Case("a stack", lambda logger: logger.info("m", stack_info=True), starts("m\nStack (most")),
    Case("exc_info of a wrong type", record(exc_info=5), "m\n5"),
    Case("exc_info hostile", record(exc_info=(Hostile(), Hostile(), Hostile())), starts("m\n")),
    Case("stack_info of a wrong type", record(stack_info=[1]), starts("m", "1")),
    Case("text of another process", record(exc_text="Traceback there"), "m\nTraceback there"),
]  # fmt: skip

if sys.version_info >= (3, 11):

    def _group(logger: logging.Logger) -> None:
        with contextlib.suppress(ExceptionGroup):  # noqa: F821 - from 3.11 on
            try:
                raise ExceptionGroup("both", [Mute(), KeyError("two")])  # noqa: F821 - from 3.11 on
            except ExceptionGroup:  # noqa: F821 - from 3.11 on
                logger.exception("failed")
                raise

    def _notes(logger: logging.Logger) -> None:
        error = ValueError("noted")
        error.__notes__ = [Raises(), "second"]  # type: ignore[list-item]
        logger.error("failed", exc_info=error)

    EXCEPTIONS += [
        Case("a group", _group, starts("failed", "sub-exception", "KeyError: 'two'")),
        Case("hostile notes", _notes, starts("failed", "ValueError: noted")),
    ]

_NOW = "timestamp"

RECORDS = [
    Case("from an empty dict", record(), "m", fields={"severity": "INFO"}),
    Case("from a hostile dict", record(levelno="x", created=math.nan, lineno=Hostile(),
         pathname=Hostile(), funcName=5, name=Hostile(), thread="x", args=Hostile()),
         starts("m <Hostile"), "sourceLocation,timestamp",
         {"severity": "DEFAULT", "labels": {"python_logger":
          "<Hostile whose str() raised RuntimeError>"}}),
    Case("from a socket", _from_a_socket, "by wire", fields={"labels": {"over": "socket"}}),
    Case("from a queue", _from_a_queue, starts("by queue", "ValueError: in the worker")),
    Case("formatted before", _formatted_before, "hello you", fields={"sourceLocation": _UNKNOWN}),
    Case("of its own class", _of_class(OwnRecord, "{} of {}", 1, 2), "1 of 2"),
    Case("of a broken class", _of_class(BrokenRecord, "still %s", "here"), "still here"),
    Case("of a class with extras", _of_class(ClassLabels, "m"), "m",
         fields={"labels": {"from": "class"}, "trace": "t"}),
    *(Case(f"without {name}", without(name), "m a", fields={"severity": "INFO"}) for name in
      ("thread", "pathname", "lineno", "funcName", "exc_info", "exc_text", "stack_info",
       "process", "levelname", "module")),
    Case("without a message", without("msg"), "None ('a',)"),
    Case("without arguments", without("args"), "m %s"),
    Case("without a time", without("created"), "m a", _NOW),
    Case("without a level", without("levelno"), "m a", fields={"severity": "DEFAULT"}),
    Case("without a name", without("name"), "m a"),
    Case("without anything", without("msg", "args", "created", "levelno", "name", "thread",
         "pathname", "lineno", "exc_info", "exc_text", "stack_info"), None, _NOW),
    Case("level -5", record(levelno=-5), "m", fields={"severity": "DEFAULT"}),
    Case("level 25", record(levelno=Level.NOTE), "m", fields={"severity": "INFO"}),
    Case("level 35", says("m", level=35), "m", fields={"severity": "WARNING"}),
    Case("level 10**30", says("m", level=10**30), "m", fields={"severity": "CRITICAL"}),
    Case("level True", record(levelno=True), "m", fields={"severity": "DEFAULT"}),
    Case("level nan", record(levelno=math.nan), "m", fields={"severity": "DEFAULT"}),
    Case("level of numpy", record(levelno=np.int64(40)), "m", fields={"severity": "ERROR"}),
    *(Case(f"time {str(created)[:5]}", record(created=created), "m", _NOW)
      for created in (-1.5, math.nan, math.inf, 10**400, None, "now", 4e9)),
    Case("no name", record(name=None), "m"),
    Case("a name of 1 MB", record(name="n" * 1_000_000), "m", "labels"),
    Case("a name of odd characters", record(name="\0\ud800"), "m",
         fields={"labels": {"python_logger": "\0\\ud800"}}),
    Case("a path of 1 MB", record(pathname="p" * 1_000_000), "m", "sourceLocation"),
    Case("line -1", record(lineno=-1), "m", fields={"sourceLocation": {"line": "-1"}}),
    Case("line 2**70", record(lineno=2**70), "m", "sourceLocation"),
]  # fmt: skip

CASES = [
    case._replace(name=f"{kind}: {case.name}")
    for kind, cases in {
        "message": MESSAGES,
        "arguments": ARGUMENTS,
        "text": TEXTS,
        "value": VALUES,
        "extra": EXTRAS,
        "exception": EXCEPTIONS,
        "record": RECORDS,
    }.items()
    for case in cases
]
