"""The functions of the query language, over the predicate that listing uses."""

from __future__ import annotations

import time
from typing import Any

import pytest

from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.parse import parse

ENTRY: dict[str, Any] = {
    "logName": "projects/shop/logs/web",
    "timestamp": "2026-01-31T12:00:00Z",
    "insertId": "a1",
    "textPayload": "Connection to db-1 refused after 3 tries",
    "labels": {
        "ip": "10.1.2.3",
        "net": "10.1.2.0/24",
        "empty": "",
        "wait": "1m30s",
        "grouped": "1_0",
        "long": "9223372036854775807",
        "size": "250",
        "ok": "true",
        "at": "2026-01-31T11:00:00Z",
    },
    "jsonPayload": {"count": 42, "hops": ["192.0.2.1", "10.9.9.9"], "text": "Straße nach Köln"},
    "severity": "WARNING",
    "httpRequest": {
        "status": 200,
        "requestSize": "512",
        "latency": "1.500s",
        "requestUrl": "/items/42/edit",
        "remoteIp": "2001:db8::1",
    },
}


@pytest.mark.parametrize(
    ("source", "is_met"),
    [
        ('SEARCH("connection REFUSED")', True),
        ('search("refused connection")', True),
        ('SEARCH("connect")', False),
        ('SEARCH("db")', True),
        ('SEARCH("`to db-1`")', True),
        ('SEARCH("`db-1 to`")', False),
        ('SEARCH("db refused nowhere")', False),
        ('SEARCH(textPayload, "tries")', True),
        ('SEARCH(labels, "tries")', False),
        ('NOT SEARCH("tries")', False),
        ('SEARCH("42")', True),  # of requestUrl
        ('SEARCH(jsonPayload, "42")', False),
        ('SEARCH(jsonPayload.count, "42")', False),
        ('SEARCH(httpRequest.status, "200")', False),
        ('SEARCH("200")', False),
        ('SEARCH("512")', False),
        ('SEARCH(httpRequest, "512")', False),
        ('SEARCH("warning")', False),
        ('SEARCH(severity, "warning")', False),
        ('SEARCH("2026")', True),  # of a label
        ('SEARCH(timestamp, "2026")', False),
        ('SEARCH("STRASSE KO\u0308LN")', True),
        ('SEARCH("`strasse nach`")', True),
        ('SEARCH("`strasse koln`")', False),
        ('SEARCH("items tries")', True),
        ('SEARCH("`edit connection`")', False),
        ('ip_in_net(labels.ip, "10.0.0.0/8")', True),
        ('ip_in_net(labels.ip, "10.2.0.0/16")', False),
        ('ip_in_net(httpRequest.remoteIp, "2001:db8::/32")', True),
        ('ip_in_net(labels.size, "10.0.0.0/8")', False),
        ('ip_in_net(labels.none, "10.0.0.0/8")', False),
        ('ip_in_net(trace, "0.0.0.0/0")', False),
        ('ip_in_net(labels.net, "10.1.0.0/16")', True),
        ('ip_in_net(labels.net, "10.1.2.0/24")', True),
        ('ip_in_net(labels.net, "10.1.2.0/25")', False),
        ('ip_in_net(labels.net, "2001:db8::/32")', False),
        ('ip_in_net(jsonPayload.hops, "10.0.0.0/8")', True),
        ("sample(insertId, 1)", True),
        ("sample(trace, 1)", True),
        ("sample(httpRequest.status, 1)", True),
        ("sample(labels.empty, 1)", True),
        ("sample(labels.none, 1)", False),
        ("cast(labels.size, INT64) > 30", True),
        ('labels.size > "30"', False),
        ("CAST(labels.size, FLOAT64) < 250.5", True),
        ("cast(labels.ok, BOOL) = true", True),
        ("cast(labels.ip, INT64) > 0", False),
        ('cast(labels.at, TIMESTAMP) < "2026-01-31T11:30:00Z"', True),
        ('cast(labels.ip, TIMESTAMP) < "2026-01-31T11:30:00Z"', False),
        ("cast(labels.none, INT64):*", False),
        ("cast(labels.long, INT64) = 9223372036854775807", True),
        ("cast(labels.long, INT64) > 9223372036854775806", True),
        ("cast(labels.grouped, FLOAT64):*", False),
        ("cast(labels.grouped, INT64):*", False),
        ('cast(labels.wait, DURATION) > "89s"', True),
        ('cast(labels.wait, DURATION) = "90000ms"', True),
        ('cast(labels.empty, DURATION) = "0s"', False),
        ('cast(labels.ip, DURATION) > "0s"', False),
        ("cast(httpRequest.latency, DURATION) = 1500ms", True),
        ("cast(labels.ok, BOOL) > false", True),
        ('cast(timestamp, STRING) =~ "^2026-01"', True),
        ('cast(labels.size, INT64) =~ "2"', False),
        ('cast(labels.at, TIMESTAMP) =~ "2026"', False),
        (r'regexp_extract(httpRequest.requestUrl, "/items/(\d+)") = "42"', True),
        (r'regexp_extract(httpRequest.requestUrl, "([a-z]+)") = "items"', True),
        (r'regexp_extract(httpRequest.requestUrl, "(?:/)([a-z]+)(?:/)") = "items"', True),
        (r'regexp_extract(httpRequest.requestUrl, "/users/(\d+)"):*', False),
        (r'cast(regexp_extract(httpRequest.requestUrl, "/(\d+)/"), INT64) >= 42', True),
        (r'cast(regexp_extract(httpRequest.requestUrl, "/(\d+)/"), INT64) = (1 OR 42)', True),
        (r'regexp_extract(httpRequest.latency, "(\d)") = "1"', False),
        (r'regexp_extract(jsonPayload.count, "(\d)") = "4"', False),
        (r'regexp_extract(jsonPayload.hops, "^(10)") = 10', True),
        ("SOURCE(projects/shop)", True),
        ('source("projects/other")', False),
        ('httpRequest.latency > "1s"', True),
        ('httpRequest.latency <= "1500ms"', True),
        ('httpRequest.latency > "10s"', False),
        ('errorGroups.id = "x"', False),
        ('apphubSource.workload.uri = "x"', False),
    ],
)
def test_functions_decide_as_documented(source: str, is_met: bool) -> None:  # noqa: FBT001
    """Each filter meets the entry or does not."""
    assert predicate(parse(source))(ENTRY) is is_met


def test_a_sample_takes_about_its_fraction() -> None:
    """A quarter of a thousand insertIds is sampled, the same ones each time."""
    is_sampled = predicate(parse("sample(insertId, 0.25)"))
    entries = [{"insertId": f"id-{number}"} for number in range(1000)]
    found = list(map(is_sampled, entries))
    assert 200 < sum(found) < 300
    assert list(map(predicate(parse("sample(insertId, 0.25)")), entries)) == found


def test_a_long_phrase_is_searched_in_linear_time() -> None:
    """A phrase of 6,000 words in a text of 60,000 took seconds, when each place was compared."""
    is_met = predicate(parse('SEARCH("`' + "ab " * 6_000 + 'b`")'))
    begin = time.thread_time()
    assert is_met({"textPayload": "ab " * 60_000 + "b"})
    assert not is_met({"textPayload": "b " + "ab " * 60_000})
    assert time.thread_time() - begin < 2


@pytest.mark.parametrize(
    ("source", "text", "position"),
    [
        ('FETCH("a")', "there are cast, ip_in_net, log_id, regexp_extract, sample", 0),
        ("cast(labels.a, INT64)", "compare it", 0),
        ('search("a") = 1', "is a condition", 0),
        ('search("...")', "no word", 7),
        ("sample(insertId, 2)", "a fraction: above 0", 17),
        ("sample(insertId, 0)", "a fraction: above 0", 17),
        ("sample(insertId, nan)", "a fraction: above 0", 17),
        ("sample(insertId)", "1 arguments; it takes 2", 0),
        ('ip_in_net(labels.ip, "10.0.0.0/99")', "10.0.0.0/99", 21),
        ("cast(labels.a, MONEY) > 1", "is not a type; use one of STRING", 15),
        ('cast(timestamp, STRING, TIMEZONE("UTC")) = "x"', "timezone is not supported", 24),
        ('regexp_extract(labels.a, "(") = "x"', "not a regular expression", 25),
        ('regexp_extract(labels.a, "(a)(b)") = "x"', "has 2 groups", 25),
        ('regexp_extract(labels.a, "a") = "x"', "has 0 groups", 25),
        ("source(cars/1)", "projects/[PROJECT_ID]", 7),
        ('httpRequest.latency > "soon"', "is not a duration", 22),
        ("search(" * 60, "levels of parentheses", 356),
    ],
)
def test_a_wrong_call_says_what_and_where(source: str, text: str, position: int) -> None:
    """The finding names the rule, and the place in the filter."""
    with pytest.raises(FilterError, match=text.replace("(", r"\(").replace("[", r"\[")) as found:
        predicate(parse(source))
    assert found.value.position == position
