"""The right side of a comparison is converted to the type of the left, over listing's predicate."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.parse import parse
from forklog.emulator.filter.values import fold

ENTRY: dict[str, Any] = {
    "logName": "projects/p/logs/web",
    "timestamp": "2026-03-01T12:00:00Z",
    "severity": "WARNING",
    "jsonPayload": {
        "n": 5,
        "exact": 2**53,
        "yes": True,
        "no": False,
        "null": None,
        "object": {"key": "value"},
        "text": "Straße",
        "many": [1, "two", True],
        "words": ["x", "y"],
        "number": "5",
    },
    "httpRequest": {"status": 404, "requestSize": "9007199254740993", "latency": "1.5s"},
    "traceSampled": True,
}


@pytest.mark.parametrize(
    ("source", "is_met"),
    [
        # What cannot be converted meets no comparison.
        *((f"jsonPayload.n{sign}abc", False) for sign in ("=", "!=", "<", "<=", ">", ">=")),
        *((f"jsonPayload.yes{sign}abc", False) for sign in ("=", "!=", "<", "<=", ">", ">=")),
        *((f"jsonPayload.yes{sign}1", False) for sign in ("=", "!=", "<", ">")),
        *((f"httpRequest.status{sign}abc", False) for sign in ("=", "!=", "<", ">", ":")),
        *((f"traceSampled{sign}abc", False) for sign in ("=", "!=", "<", ">")),
        *((f"jsonPayload.object{sign}value", False) for sign in ("=", "!=", "<", ">")),
        *((f"jsonPayload.null{sign}abc", False) for sign in ("=", "!=", "<", ">")),
        ("jsonPayload.n=true", False),
        ("jsonPayload.n!=true", False),
        ("NOT jsonPayload.n=abc", True),
        # true > false
        ("traceSampled>false", True),
        ("traceSampled<true", False),
        ("jsonPayload.yes>=TRUE", True),
        ("jsonPayload.no<True", True),
        ("jsonPayload.no<=false", True),
        ("jsonPayload.no!=true", True),
        ("httpRequest.cacheHit<true", True),
        # Numbers, with a sign or special
        ("jsonPayload.n=+5", True),
        ('jsonPayload.n="5"', True),
        ("jsonPayload.n=5.0e0", True),
        ("jsonPayload.n<Infinity", True),
        ("jsonPayload.n<INFINITY", True),
        ("jsonPayload.n>-infinity", True),
        ('jsonPayload.n>"-Infinity"', True),
        ("jsonPayload.n=NaN", False),
        ("jsonPayload.n!=nan", True),
        ("jsonPayload.n<nan", False),
        ("jsonPayload.number=5", True),
        ("jsonPayload.number=5.0", False),
        # A payload has doubles, the LogEntry type has integers of 64 bits.
        ("jsonPayload.exact=9007199254740993", True),
        ("httpRequest.requestSize=9007199254740993", True),
        ('httpRequest.requestSize="9007199254740993"', True),
        ("httpRequest.requestSize=9007199254740992", False),
        ("httpRequest.requestSize>9007199254740992", True),
        ("httpRequest.requestSize:9007199254740992", False),
        ("httpRequest.status>=404.0", True),
        # Null
        ("jsonPayload.null=NULL_VALUE", True),
        ("jsonPayload.null!=NULL_VALUE", False),
        ("jsonPayload.n=NULL_VALUE", False),
        ("jsonPayload.n!=NULL_VALUE", True),
        ("jsonPayload.none!=NULL_VALUE", False),
        # Members of an array
        ("jsonPayload.many=1", True),
        ("jsonPayload.many=TWO", True),
        ("jsonPayload.many=true", True),
        ("jsonPayload.many=three", False),
        # Times
        ('timestamp>="2026-03-01T12:00:00"', True),
        ('timestamp>"2026-03-01T12:00:00"', False),
        ('timestamp="2026-03-01T12:00Z"', True),
        ('timestamp="2026-03-01T12:00"', True),
        ('timestamp="2026-03-01t12:00:00.000z"', True),
        ('timestamp="2026-03-01T13:00:00+01"', True),
        ('timestamp="2026-03-01T13:30:00+01:30"', True),
        ("timestamp>2026-03-01", True),
        # Durations
        ('httpRequest.latency="+1500ms"', True),
        ('httpRequest.latency>"-1s"', True),
        # Expressions
        ("jsonPayload.words=~x", True),
        ("jsonPayload.words!~x", True),
        ("jsonPayload.words!~[xy]", False),
        ('jsonPayload.many=~"^two$"', True),
        *((f"jsonPayload.n{sign}5", False) for sign in ("=~", "!~")),
        *((f"jsonPayload.yes{sign}true", False) for sign in ("=~", "!~")),
        *((f"jsonPayload.object{sign}value", False) for sign in ("=~", "!~")),
        *((f"timestamp{sign}2026", False) for sign in ("=~", "!~")),
        *((f"severity{sign}WARN", False) for sign in ("=~", "!~")),
        *((f"httpRequest.status{sign}404", False) for sign in ("=~", "!~")),
        *((f"httpRequest.latency{sign}1", False) for sign in ("=~", "!~")),
        *((f"traceSampled{sign}true", False) for sign in ("=~", "!~")),
        ('trace=~"^$"', True),
    ],
)
def test_the_right_side_takes_the_type_of_the_left(source: str, is_met: bool) -> None:  # noqa: FBT001
    """A conversion that fails meets no comparison; an expression is tried on text alone."""
    assert predicate(parse(source))(ENTRY) is is_met


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("straße", "STRASSE"),
        ("cafe\u0301", "CAF\u00c9"),
        ("\uff21\uff22\uff23", "abc"),
        ("\ufb01n", "FIN"),
        ("\u212a", "k"),
        ("soft\u00adware", "software"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_text_compares_normalized(text: str, wanted: str) -> None:
    """NFKC_Casefold is applied to both sides, of every comparison of text."""
    for left, right in ((text, wanted), (wanted, text)):
        entry = {"logName": "projects/p/logs/x", "jsonPayload": {"a": left}}
        keyed = {"logName": "projects/p/logs/x", "labels": {left: "b"}}
        for source in (f'jsonPayload.a="{right}"', f'jsonPayload.a:"{right}"', f'"{right}"'):
            assert predicate(parse(source))(entry)
        assert predicate(parse(f'SEARCH("{right}")'))(entry)
        assert predicate(parse(f'labels:"{right}"'))(keyed)
        assert not predicate(parse(f'jsonPayload.a!="{right}"'))(entry)
        assert not predicate(parse(f'jsonPayload.a=~"^{right}$"'))(entry)


def test_a_duration_that_is_not_set_is_zero() -> None:
    """httpRequest.latency compares as 0 s where an entry has none."""
    assert predicate(parse('httpRequest.latency<"1ns"'))({})
    assert not predicate(parse("httpRequest.latency:*"))({})


def test_folding_is_stable() -> None:
    """Folding what is folded changes nothing, and the decomposed form folds to the same."""
    for code in range(0x20000):  # beyond are ideographs alone
        character = chr(code)
        folded = fold(character)
        assert fold(folded) == folded, hex(code)
        assert fold(unicodedata.normalize("NFD", character)) == folded, hex(code)
