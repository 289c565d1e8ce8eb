"""The filter language: what each form of it matches, and that nothing but FilterError is raised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.narrow import narrow
from forklog.emulator.filter.parse import parse

ENTRY: dict[str, Any] = {
    "logName": "projects/p/logs/app%2Fweb",
    "timestamp": "2026-03-01T12:00:00.123456789Z",
    "receiveTimestamp": "2026-03-01T12:00:01Z",
    "severity": "WARNING",
    "insertId": "Id-1",
    "resource": {"type": "gce_instance", "labels": {"zone": "eu-1"}},
    "labels": {"env": "prod", "k8s.io/pod": "web-1", "with space": "x"},
    "jsonPayload": {
        "message": "User Alice logged in",
        "user": {"id": 42, "admin": True, "note": None},
        "tags": ["red", "green"],
        "ratio": 0.5,
    },
    "httpRequest": {"requestMethod": "GET", "status": 404, "requestSize": "512"},
    "sourceLocation": {"file": "views.py", "line": "7"},
    "traceSampled": True,
    "spanId": "00000000000000aa",
}
TEXT = {"logName": "projects/p/logs/x", "textPayload": 'say "hi"\tnow', "severity": 250}


def matches(source: str, entry: dict[str, Any] = ENTRY) -> bool:
    """Tell whether the whole filter matches, without the help of SQL."""
    return predicate(parse(source))(entry)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "  -- only a comment",
        'logName="projects/p/logs/app%2Fweb"',
        'logName:"app%2Fweb"',
        'log_name!="projects/p/logs/x"',
        'log_id("app/web")',
        "severity=WARNING",
        "severity>=400",
        "severity<ERROR",
        "severity!=INFO",
        "severity=(ERROR OR WARNING)",
        'timestamp>="2026-03-01T12:00:00.123456789Z"',
        'timestamp>="2026-03-01T13:00:00.123456+0100"',
        'timestamp<"2026-03-01T12:00:00.123456790Z"',
        "timestamp>2026-03-01",
        "insertId=id-1",
        "resource.type=gce_instance",
        "resource.labels.zone=EU-1",
        "labels.env=prod",
        'labels."k8s.io/pod"="WEB-1"',
        'labels."with space":*',
        "labels:prod",
        'jsonPayload.message:"alice LOGGED"',
        'jsonPayload.message="user alice logged in"',
        "jsonPayload.user.id=42",
        "jsonPayload.user.id>41.5",
        "jsonPayload.user.admin=true",
        "jsonPayload.user.note=NULL_VALUE",
        "jsonPayload.tags=green",
        "jsonPayload.tags:gre",
        "jsonPayload.ratio<=0.5",
        "jsonPayload.user:*",
        "jsonPayload:alice",
        'jsonPayload.message=~"^User .* in$"',
        'jsonPayload.message!~"alice"',
        "httpRequest.status>=400",
        "httpRequest.requestSize>99",
        'httpRequest.remoteIp=""',
        "http_request.request_method=get",
        "sourceLocation.line=7",
        "traceSampled=true",
        'trace!="projects/p/traces/1"',
        "alice",
        '"Alice logged"',
        "404",
        "NOT bob",
        "-bob",
        "-labels.env=dev",
        "NOT jsonPayload.missing=1",
        "NOT NOT alice",
        "alice prod",
        "alice AND prod",
        "bob OR alice",
        "(bob OR alice) AND (prod)",
        "alice -- and\n prod",
        'labels.env=("dev" OR "prod")',
        'jsonPayload.tags:("red" AND "green")',
        "jsonPayload.message:(alice AND NOT bob)",
        r'jsonPayload.message=~"\bAlice\b"',
        r'jsonPayload.message=~"\\bAlice\\s"',
        'jsonPayload.message=~"(?i)alice"',
        'jsonPayload.message=~"(?i:alice) (?P<verb>logged) (?:in)"',
        'jsonPayload.message=~"[[:upper:]]lice"',
        r'jsonPayload.message=~"\\QUser\\E\\pZ"',
        r'insertId=~"^[^]\\]]{2}-\\d{1,3}\\z"',
        'jsonPayload.message!~"{e<=1}"',
        'spanId=~"^[0-9a-f]{8}([0-9a-f]{4}){2}$"',
    ],
)
def test_what_a_filter_matches(source: str) -> None:
    """Every form of the language matches the entry it is written for."""
    assert matches(source)


@pytest.mark.parametrize(
    "source",
    [
        "severity>WARNING",
        "logName=app",
        'log_id("app%2Fweb")',
        'timestamp>"2026-03-01T12:00:00.123456789Z"',
        "jsonPayload.missing=1",
        "jsonPayload.missing!=1",
        "jsonPayload.missing:*",
        'jsonPayload.missing!~"a"',
        "jsonPayload.user.id=43",
        "jsonPayload.user.admin=false",
        'jsonPayload.user.note="NULL_VALUE"',
        "labels.k8s.io/pod=web-1",
        "labels.ENV=prod",
        'trace:"a"',
        "trace:*",
        "textPayload:alice",
        'jsonPayload.message=~"alice"',
        "-alice",
        "bob",
        "alice AND bob",
        "jsonPayload.tags=blue",
    ],
)
def test_what_a_filter_does_not_match(source: str) -> None:
    """A missing field meets no comparison, payload keys and expressions mind their case."""
    assert not matches(source)


def test_quoted_text_has_escapes() -> None:
    """Quotes, tabs and code points can be written with a backslash."""
    assert matches(r'textPayload="say \"hi\"\tnow"', TEXT)
    assert matches(r'textPayload:"\u0068\x69\042"', TEXT)
    assert matches("textPayload:'\"hi\"'", TEXT)
    assert matches("severity>INFO severity<NOTICE", TEXT)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("yes OR no AND no", False),  # (yes OR no) AND no
        ("no AND no OR yes", False),  # no AND (no OR yes)
        ("no AND yes OR yes", False),
        ("yes AND no OR yes", True),
        ("NOT no OR no", True),
        ("NOT yes OR no", False),
        ("NOT (yes AND no)", True),
        ("yes no OR yes", True),
    ],
)
def test_or_binds_tighter_than_and(source: str, *, expected: bool) -> None:
    """NOT is tightest, then OR, then AND, which may be left out."""
    assert matches(source, {"textPayload": "yes"}) is expected


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("(a", 3),
        ("a)", 2),
        ("a OR", 5),
        ("AND a", 1),
        ("severity>=", 11),
        ("insertId=abc:def", 13),
        ('a "open', 3),
        ("unknown=1", 1),
        ("resource.colour=1", 1),
        ("severity.x=1", 1),
        ("httpRequest.status.x=1", 1),
        ("a AND severity=LOUD", 16),
        ('timestamp>"soon"', 11),
        ('textPayload=~"("', 14),
        ('FETCH("a")', 1),
        ("log_id(", 8),
        ("log_id(a b", 10),
        ("~", 1),
        ("a..b", 3),
        ("(" * 51, 51),
        ("a " * 501, 1001),
        ("a=(" + "b OR " * 500 + "b)", 2499),
        ('textPayload=~"(?=a)"', 14),
        ('textPayload=~"(?R)"', 14),
        (r'textPayload=~"(a)\1"', 14),
        ('textPayload=~"(?P<n>a)(?P=n)"', 14),
        ('textPayload=~"(?>a)"', 14),
        ('textPayload=~"a{1001}"', 14),
        ('textPayload=~"((a{100}){100}){100}"', 14),
        ('textPayload=~"(((a{11}b){10}c){10})"', 14),
    ],
)
def test_a_bad_filter_says_where(source: str, column: int) -> None:
    """What cannot be understood is a FilterError that points at it."""
    with pytest.raises(FilterError) as caught:
        predicate(parse(source))
    assert caught.value.position + 1 == column
    assert caught.value.shown(source).endswith(f"at line 1, column {column}")


_WORDS = st.sampled_from(
    [
        *"()=<>:!~-.,\"'\\ \na1*",
        *("AND", "OR", "NOT", "--", "=~", "!~", ">=", ":*", "log_id("),
        *("severity", "ERROR", "timestamp", '"2026-01-01T00:00:00Z"', "labels", "jsonPayload"),
    ]
)


@settings(deadline=None)  # the machine may be busy
@given(st.one_of(st.text(), st.lists(_WORDS, max_size=40).map("".join)))
@example("(" * 19_999)
@example("NOT " * 4_999 + "a")
@example("a OR " * 3_999 + "a")
@example('timestamp<"9999-12-31T23:59:59-23:59"')
@example('textPayload=~"a{99999999999}"')
@example('textPayload=~"' + "(" * 9_000 + ")" * 9_000 + '"')
@example('textPayload=~"[[a]"')
@example("severity=" + "9" * 5_000)
@example("jsonPayload.a=" + "9" * 5_000)
@example(r'textPayload="\ud800"')
@example(r'textPayload=~"\u0028\Q\E{,}{1}[[:x:]](?"')
def test_only_filter_errors_are_raised(source: str) -> None:
    """Whatever the text, the filter is compiled and applied, or refused with a FilterError."""
    try:
        tree = parse(source)
        narrow(tree)
        test = predicate(tree)
    except FilterError as error:
        assert error.position in range(len(source) + 1)  # noqa: PT017  either way is right
        return
    assert test(ENTRY) in (True, False)
    assert test(TEXT) in (True, False)
