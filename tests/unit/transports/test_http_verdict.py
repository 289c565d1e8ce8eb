"""The verdict on an answer, and the delay before the next attempt."""

from __future__ import annotations

import json

import pytest

from forklog.delivery.sending.backoff import backoff
from forklog.transports.base import Kind, Quota, WireError, verdict_of
from forklog.transports.http_verdict import Answer, Place, judge

_TYPE = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"


def _partial(status: int, errors: dict[str, object]) -> Answer:
    other = {"@type": "other", "logEntryErrors": {"0": {"code": 3}}}
    details = [None, "odd", {}, other, {"@type": _TYPE, "logEntryErrors": errors}]
    return Answer(status, json.dumps({"error": {"code": status, "details": details}}).encode())


def test_only_the_answer_of_the_api_confirms() -> None:
    """A 200 with a JSON object means that the batch is stored."""
    assert judge(Answer(200, b"{}"), 3).kind is Kind.DELIVERED
    assert judge(Answer(200, b' {"later": "fields"}\n'), 3).kind is Kind.DELIVERED


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>Log in to the hotel's network</html>", "text/html"),
        (200, b"", ""),
        (200, b"[]", "application/json"),
        (200, b"[" * 99_999, "application/json"),
        (200, b"\xff{}", "application/json\x1b]0;x\x07"),
        (204, b"", ""),
        (206, b"{}", "application/json"),
    ],
)
def test_no_other_success_confirms(status: int, body: bytes, kind: str) -> None:
    """What a captive portal, a proxy or another server answers is retried, and the line says it.

    Class of fault: what no server of Cloud Logging has confirmed counts as delivered; siblings:
    `test_over_http_a_json_object_alone_confirms`, `test_a_laptop_gets_json_lines_on_stderr`.
    """
    place = Place(endpoint="https://logs.example")
    verdict = judge(Answer(status, body, place=place, content_type=kind), 3)
    assert verdict.kind is Kind.RETRY
    assert f"https://logs.example answered {status}" in verdict.reason
    assert "captive portal" in verdict.reason
    assert "option endpoint" in verdict.reason
    assert verdict.reason.isprintable()


@pytest.mark.parametrize("status", [408, 409, 429, 499, 500, 502, 503, 504])
def test_passing_statuses_are_retried(status: int) -> None:
    """A status that passes by itself has the same bytes sent again, and says its number."""
    verdict = judge(Answer(status), 3)
    assert verdict.kind is Kind.RETRY
    assert str(status) in verdict.reason


_INFO = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "metadata": {
        "quota_limit": "LogWriteBytesPerMinute",
        "quota_metric": "logging.googleapis.com/log_write_bytes",
    },
}
_TEXT = "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute' of"


@pytest.mark.parametrize(
    ("error", "quota"),
    [
        ({"message": _TEXT}, Quota("Write requests per minute")),
        (
            {"message": "no", "details": [None, {}, _INFO]},
            Quota("LogWriteBytesPerMinute", is_of_bytes=True),
        ),
        (
            {"message": _TEXT, "details": [_INFO]},
            Quota("Write requests per minute", is_of_bytes=True),
        ),
        ({"details": [{**_INFO, "metadata": 7}]}, Quota()),
        ({"message": 7, "details": 7}, Quota()),
        ({}, Quota()),
    ],
)
def test_a_429_names_the_quota(error: dict[str, object], quota: Quota) -> None:
    """By its text, as the console calls it, else by `ErrorInfo`; whatever the body is."""
    answer = Answer(429, json.dumps({"error": error}).encode())
    assert judge(answer, 3).quota == quota


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("Write requests per minute", "fewer requests are sent, log less or raise it at https:"),
        ("Log write bytes per minute", "smaller requests are sent, log less or raise it at https:"),
    ],
)
def test_a_used_up_quota_says_what_is_done_and_what_to_do(limit: str, expected: str) -> None:
    """Under a quota of bytes batches get smaller, and fewer requests would not help."""
    text = f"Quota exceeded for quota metric 'M' and limit '{limit}' of"
    answer = Answer(429, json.dumps({"error": {"message": text}}).encode(), None, Place("my-p"))
    reason = judge(answer, 3).reason
    assert f"the project's quota '{limit}' is used up; {expected}" in reason
    assert reason.endswith("quotas?project=my-p")


@pytest.mark.parametrize("status", [501, 505])
def test_a_server_of_another_kind_is_named_and_costs_no_entry(status: int) -> None:
    """What knows no such request is not Cloud Logging; its entries are sent again all the same."""
    place = Place(endpoint="http://10.0.0.9:8000")
    verdict = judge(Answer(status, b"<html>", 7.0, place, "text/html"), 3)
    assert (verdict.kind, verdict.delay) == (Kind.RETRY, 7.0)
    assert f"answered {status} with text/html, not as Cloud Logging does" in verdict.reason
    body = b'{"error": {"code": 501, "status": "UNIMPLEMENTED", "message": "no"}}'
    assert judge(Answer(status, body), 3).answer == f"{status} UNIMPLEMENTED: no"


def test_only_a_429_speaks_of_a_quota() -> None:
    """Another failure has none, even if its text is that of a quota."""
    body = json.dumps({"error": {"message": _TEXT}}).encode()
    assert judge(Answer(503, body), 3).quota is None
    assert judge(Answer(429, b"<html>"), 3).quota == Quota()


def test_retry_after_is_obeyed() -> None:
    """The seconds of Retry-After are the delay."""
    assert judge(Answer(429, b"", 7.0), 1).delay == 7.0


def test_retry_after_zero_is_no_busy_loop() -> None:
    """A server that asks for no delay gets the ordinary one."""
    assert judge(Answer(503, b"", 0.0), 1).delay is None


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_request_is_halved(status: int) -> None:
    """A request of several entries that was refused as a whole is halved."""
    assert judge(Answer(status), 2).kind is Kind.HALVE


@pytest.mark.parametrize(("status", "reason"), [(400, "refused"), (413, "too_large")])
def test_a_refused_entry_is_dropped(status: int, reason: str) -> None:
    """An entry that is refused alone is dropped, with its reason."""
    verdict = judge(Answer(status), 1)
    assert verdict.kind is Kind.DELIVERED
    assert verdict.refused == {0: reason}


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "renew them"),
        (403, "roles/logging.logWriter"),
        (404, "options project"),
        (302, "option endpoint"),
        (410, "option endpoint"),
    ],
)
def test_blocked_says_what_to_do(status: int, remedy: str) -> None:
    """Where only a person can help, the reason holds the status and the remedy."""
    verdict = judge(Answer(status, b'{"error": {"status": "NAMED"}}'), 5)
    assert verdict.kind is Kind.BLOCKED
    assert f"{status} NAMED" in verdict.reason
    assert remedy in verdict.reason


@pytest.mark.parametrize("status", [400, 403, 503])
def test_partial_errors_name_the_refused(status: int) -> None:
    """Whatever the status, entries named with a final code are refused, the others stored."""
    verdict = judge(_partial(status, {"1": {"code": 3}, "2": {"code": 7}}), 4)
    assert verdict.kind is Kind.DELIVERED
    assert verdict.refused == {1: "refused", 2: "refused"}
    assert not verdict.again


@pytest.mark.parametrize(
    ("status", "code", "remedy"), [(403, 7, "logWriter"), (401, 16, "renew"), (400, 7, "logWriter")]
)
def test_a_missing_role_blocks_though_every_entry_is_named(
    status: int, code: int, remedy: str
) -> None:
    """Without the role the server names each entry of the request; none of them is at fault."""
    verdict = judge(_partial(status, {str(n): {"code": code} for n in range(4)}), 4)
    assert verdict.kind is Kind.BLOCKED
    assert remedy in verdict.reason
    assert not verdict.refused


@pytest.mark.parametrize("index", ["9" * 5000, "0" * 5000, "\u00b2", "-1", "1.0", ""])
def test_partial_errors_of_what_is_no_place(index: str) -> None:
    """Such a key names no entry; none raises, also where Python refuses to read the number."""
    verdict = judge(_partial(400, {index: {"code": 3}, "1": {"code": 3}}), 4)
    assert (verdict.kind, verdict.refused) == (Kind.DELIVERED, {1: "refused"})


@pytest.mark.parametrize("code", [4, 8, 10, 13, 14])
def test_partial_errors_that_pass_are_sent_again(code: int) -> None:
    """Entries named with a passing code are to be sent again, those alone."""
    verdict = judge(_partial(400, {"0": {"code": 3}, "3": {"code": code}}), 4)
    assert verdict.again == {3}
    assert verdict.refused == {0: "refused"}


@pytest.mark.parametrize(("asked", "delay"), [(7.0, 7.0), (0.0, None), (None, None)])
def test_entries_sent_again_wait_for_retry_after(asked: float | None, delay: float | None) -> None:
    """Retry-After holds for a part of a request as for a whole one."""
    answer = _partial(503, {"0": {"code": 14}})
    answer = Answer(answer.status, answer.body, asked)
    assert judge(answer, 2).delay == delay


_ILLEGAL = "Log name contains illegal character :"


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(
    "message",
    [
        _ILLEGAL,
        "Invalid project ID 'My Project!'",
        "Name does not match a log_name",
        "A monitored resource must be specified for each log entry",
        "Invalid parent",
    ],
)
def test_a_400_about_the_request_itself_blocks(count: int, message: str) -> None:
    """No entry is at fault where the log's name, the project or the resource is wrong."""
    body = json.dumps({"error": {"status": "INVALID_ARGUMENT", "message": message}}).encode()
    verdict = judge(Answer(400, body), count)
    assert verdict.kind is Kind.BLOCKED
    assert not verdict.refused
    assert message in verdict.reason
    assert "options log_name, project and resource" in verdict.reason


def test_a_wrong_log_name_blocks_though_every_entry_is_named() -> None:
    """The server may name each entry for what all have from the request; none is dropped."""
    errors: dict[str, object] = {str(n): {"code": 3, "message": _ILLEGAL} for n in range(3)}
    assert judge(_partial(400, errors), 3).kind is Kind.BLOCKED
    assert judge(_partial(400, errors), 4).refused.keys() == {0, 1, 2}
    errors["1"] = {"code": 3, "message": "the payload is empty"}
    assert judge(_partial(400, errors), 3).kind is Kind.DELIVERED


@pytest.mark.parametrize(
    "message", ["Invalid value at 'entries[0].resource' (project)", "too many labels", "", 5]
)
def test_a_400_about_an_entry_finds_the_entry(message: object) -> None:
    """A message that names an entry, or none of the request's fields, has the batch halved."""
    body = json.dumps({"error": {"message": message}}).encode()
    assert judge(Answer(400, body), 5).kind is Kind.HALVE


@pytest.mark.parametrize("status", [400, 403, 503])
def test_the_servers_words_are_one_printable_line(status: int) -> None:
    """Status and message of the server stand in the reason, without control characters, cut.

    Class of fault: control characters of a foreign text reach a terminal; siblings:
    `test_no_other_success_confirms`, `test_a_reason_of_a_foreign_transport_controls_no_terminal`,
    `test_a_url_without_its_secrets`.
    """
    error = {"status": "A\x1b]0;x\x07B\n" + "C" * 999, "message": "why\r\n\x9b31m" + "m" * 65_536}
    verdict = judge(Answer(status, json.dumps({"error": error}).encode()), 1)
    assert verdict.reason.isprintable()
    assert f"{status} A ]0;x B CCC" in verdict.reason
    assert ": why 31mmmm" in verdict.reason
    assert len(verdict.answer) < 300


def test_a_quota_is_no_fault_of_the_content() -> None:
    """Neither 429 nor 401 nor a failure before the request has a batch split."""
    assert not judge(Answer(429), 2).is_of_content
    assert not judge(Answer(401), 2).is_of_content
    assert judge(Answer(503), 2).is_of_content
    assert judge(Answer(403), 2).is_of_content
    assert not verdict_of(WireError("no", is_blocked=True), is_first_attempt=True).is_of_content
    stale = WireError("closed", is_stale_connection=True)
    assert not verdict_of(stale, is_first_attempt=True).is_of_content
    assert verdict_of(stale, is_first_attempt=False).is_of_content


def test_senseless_partial_errors_are_ignored() -> None:
    """Indexes outside the batch, and details of a wrong form, refuse nothing that was not sent."""
    assert judge(_partial(400, {"4": {"code": 3}, "-1": {}, "x": {}}), 4).kind is Kind.HALVE
    assert judge(_partial(400, {"0": "odd"}), 4).refused == {0: "refused"}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'{"error": 5}', b'{"error": {"details": 3}}', b"[" * 99_999],
)
def test_any_body_is_judged_by_its_status(body: bytes) -> None:
    """A body that is no error of the API changes nothing, and never raises."""
    assert judge(Answer(503, body), 2).kind is Kind.RETRY
    assert judge(Answer(503, body), 2).answer == "503"
    assert judge(Answer(400, body), 2).kind is Kind.HALVE


def test_a_stale_connection_is_retried_at_once_but_only_once() -> None:
    """The first attempt on a connection that had worked is repeated without delay."""
    stale = WireError("closed", is_stale_connection=True)
    assert verdict_of(stale, is_first_attempt=True).delay == 0.0
    assert verdict_of(stale, is_first_attempt=False).delay is None
    assert verdict_of(WireError("refused"), is_first_attempt=True).delay is None


def test_a_blocked_error_is_blocked() -> None:
    """A failure that only a person can fix is not retried like a hiccup."""
    assert verdict_of(WireError("no", is_blocked=True), is_first_attempt=True).kind is Kind.BLOCKED


def test_backoff_doubles_up_to_the_ceiling() -> None:
    """The bound of the delay is 1 s, 2 s, 4 s ... and never above the ceiling."""
    assert [backoff(n, 5.0, lambda: 1.0) for n in (1, 2, 3, 4, 1000)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_backoff_has_full_jitter() -> None:
    """The delay is spread over everything from zero to the bound."""
    assert backoff(2, 30.0, lambda: 0.0) == 0.0
    assert backoff(2, 30.0, lambda: 0.25) == 0.5
