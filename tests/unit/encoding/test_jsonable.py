"""Any Python value becomes JSON that the API accepts."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import types
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import HostileMapping

from forklog.encoding.jsonable import MAX_DEPTH, to_json
from forklog.encoding.text import safe_repr, safe_text


class Hostile:
    """An object of which everything raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __getattribute__(self, name: str) -> Any:
        raise LookupError(name)


@dataclasses.dataclass
class Point:
    """A dataclass with a value that JSON has no word for."""

    x: float
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    _hidden: int = 1


class Color(str, enum.Enum):
    """An enumeration of texts, as it was written before StrEnum."""

    RED = "red"


class Scalar:
    """What a numpy scalar looks like, where numpy is a type that orjson does not know."""

    shape = ()

    def tolist(self) -> float:
        """Return the plain number."""
        return 1.5


def _parsed(value: Any) -> Any:
    return json.loads(to_json(value), parse_constant=pytest.fail)


_MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.timezone.utc)
_UUID = uuid.UUID(int=5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (2**63, 2**63),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (10**5000, hex(10**5000)),
        (decimal.Decimal("1.50"), "1.50"),
        (_MOMENT, "2026-01-02T03:04:05.000678+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.timedelta(seconds=90), "0:01:30"),
        (_UUID, str(_UUID)),
        (Color.RED, "red"),
        (b"a\xff\x00", "a\\xff\x00"),
        (bytearray(b"b"), "b"),
        ({1}, [1]),
        (frozenset({"a"}), ["a"]),
        ((1, (2,)), [1, [2]]),
        (range(2), "range(0, 2)"),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.namedtuple("Pair", "a b")(1, 2), [1, 2]),  # noqa: PYI024
        (Scalar(), 1.5),
        ("a\x00\x1b\u2028", "a\x00\x1b\u2028"),
        ("a\ud800b", "a\\ud800b"),
        (None, None),
        (True, True),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_values_keep_their_meaning(value: Any, expected: Any) -> None:
    """A value arrives as itself or as its text, alone and beside what orjson refuses."""
    assert _parsed({"v": value}) == {"v": expected}
    assert _parsed({"v": value, "w": "\ud800"})["v"] == expected
    assert _parsed({"v": [value], "w": None})["v"] == [expected]


def test_a_dataclass_keeps_its_fields() -> None:
    """Fields of a dataclass arrive, what JSON cannot say among them; private ones do not."""
    assert _parsed({"p": Point(float("nan"), {1: "a"})}) == {"p": {"x": "NaN", "names": {"1": "a"}}}
    assert _parsed({"p": Point(1.5)}) == {"p": {"x": 1.5, "names": {}}}


def test_keys_become_text() -> None:
    """Keys of any type become text, and no two members get the same name."""
    assert _parsed({1: "a", None: "b", (1, 2): "c", Color.RED: "d", "\ud800": "e"}) == {
        "1": "a", "None": "b", "(1, 2)": "c", "red": "d", "\\ud800": "e",
    }  # fmt: skip
    assert sorted(_parsed({1: "a", "1": "b", 1.0 + 1e-9: "c"}).values()) == ["a", "b", "c"]
    assert _parsed({1: "a", "1": "b"})["1"] == "a"


def test_many_equal_keys_get_numbers() -> None:
    """Many keys with one text are many members, in reasonable time."""

    class Key:
        def __str__(self) -> str:
            return "key"

    assert len(_parsed({Key(): n for n in range(20_000)})) == 20_000


def test_a_cycle_is_cut() -> None:
    """A structure that contains itself ends where it would repeat; siblings are no cycle."""
    loop: dict[str, Any] = {"a": [1]}
    loop["self"] = loop
    assert _parsed(loop) == {"a": [1], "self": "<cycle>"}
    shared = [float("nan")]
    assert _parsed([shared, shared]) == [["NaN"], ["NaN"]]


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 300, 10_000])
def test_depth_is_bounded(depth: int) -> None:
    """A structure keeps its outer 32 levels, which the API can take, and says what is cut."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    for _ in range(MAX_DEPTH - 1):
        value = _parsed(value) if _ == 0 else value
        assert isinstance(value, list)
        value = value[0]
    assert value == ([] if depth == MAX_DEPTH else ["<list below 32 levels>"])


def test_what_raises_is_described() -> None:
    """Objects of which every method raises become a text that says so; neighbours stay."""
    found = _parsed({"a": 1, "b": Hostile(), "c": HostileMapping(), "d": [Hostile()]})
    assert found["a"] == 1
    assert found["b"] == "<Hostile that raised LookupError>"
    assert found["c"] == "<HostileMapping that raised RuntimeError>"
    assert found["d"] == ["<Hostile that raised LookupError>"]
    text, shown = safe_text(Hostile()), safe_repr(Hostile())
    assert text == "<Hostile whose str() raised LookupError>"
    assert shown == "<Hostile whose repr() raised RuntimeError>"


def test_a_str_that_cannot_be_encoded_is_described() -> None:
    """A __str__ that raises UnicodeEncodeError itself is an error like any other."""

    class Encodes:
        def __str__(self) -> str:
            return "ä".encode("ascii").decode()

    assert safe_text(Encodes()) == "<Encodes whose str() raised UnicodeEncodeError>"


def test_subclasses_of_plain_types_are_plain() -> None:
    """Numbers and texts of an application's own classes are written by value."""

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError

    class Whole(int):
        def __int__(self) -> int:
            raise RuntimeError

        __lt__ = __le__ = __ge__ = __gt__ = lambda *_: 1 // 0  # type: ignore[assignment]

    assert _parsed({"t": Text("t"), "n": Whole(7), "x": None}) == {"t": "t", "n": 7, "x": None}
    assert type(safe_text(Text("t"))) is str


def test_a_long_repr_is_cut() -> None:
    """A description stays readable: 10,000 characters, and how many there were."""
    found = safe_repr("x" * 20_000)
    assert found.startswith("'xxx")
    assert found.endswith("... (20002 characters)")
    assert len(found) < 10_050


def test_numpy_is_written_by_value() -> None:
    """Numpy's scalars and arrays arrive as numbers and lists, NaN as text."""
    numpy = pytest.importorskip("numpy")
    value = {
        "f": numpy.float32(1.5), "i": numpy.int64(3), "nan": numpy.float64("nan"),
        "a": numpy.array([[1, 2], [3, 4]]), "h": numpy.float16(0.5),
        "n": numpy.array([1.0, numpy.nan]), "b": numpy.bool_(1), "c": numpy.array(["x"]),
        "half": numpy.array([0.5], dtype=numpy.float16), "big": numpy.longdouble("inf"),
        "long": numpy.array([1.5], dtype=numpy.longdouble), "pair": numpy.clongdouble(1 + 2j),
    }  # fmt: skip
    inner = numpy.empty(1, object)
    inner[0] = numpy.arange(3)
    value["inner"] = inner.reshape(())
    found = _parsed(value)
    assert found["inner"] == [0, 1, 2]
    assert found["f"] == 1.5
    assert found["i"] == 3
    assert found["nan"] == "NaN"
    assert found["a"] == [[1, 2], [3, 4]]
    assert found["h"] == 0.5
    assert found["n"] == [1.0, "NaN"]
    assert found["b"] is True
    assert found["c"] == ["x"]
    assert found["half"] == [0.5]
    assert (found["big"], found["long"], found["pair"]) == ("inf", ["1.5"], "(1+2j)")


_SURROGATES = st.text(st.characters(), max_size=10)
_KEYS = _SURROGATES | st.integers() | st.floats() | st.none() | st.booleans() | st.binary()
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _SURROGATES | st.binary()
    | st.decimals() | st.datetimes() | st.uuids() | st.builds(Hostile) | st.builds(object),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(_KEYS, inner)
        | st.builds(Point, inner, st.dictionaries(st.integers(), inner))
    ),
    max_leaves=30,
)  # fmt: skip


@given(_VALUES)
def test_any_value_becomes_json(value: Any) -> None:
    """Nothing raises, and what comes out is strict JSON with each name once."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    json.loads(to_json(value), parse_constant=pytest.fail, object_pairs_hook=once)


class Odd(enum.Enum):
    """Values whose JSON has the letters of null in it, or is null."""

    TEXT = "nullable"
    NOTHING = None
    NESTED = types.MappingProxyType({"a": None, "b": ["null"]})
    NAN = float("nan")
    BYTES = b"null"


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (Odd.TEXT, "nullable"),
        (Odd.NOTHING, None),
        (Odd.NESTED, {"a": None, "b": ["null"]}),
        (Odd.NAN, "NaN"),
        (Odd.BYTES, "null"),
        ([Odd.TEXT, float("nan")], ["nullable", "NaN"]),
        (Point(float("nan"), {1: "null"}), {"x": "NaN", "names": {"1": "null"}}),
    ],
    ids=repr,
)
def test_an_enumeration_is_its_value_whatever_that_is(member: Any, expected: Any) -> None:
    """The letters of null in a value are no sign that it has no JSON."""
    assert json.loads(to_json({"v": member})) == {"v": expected}
