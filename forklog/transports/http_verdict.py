"""Turns the server's HTTP answer to a batch into a `Verdict`, for `http`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from forklog.drops import REFUSED, TOO_LARGE
from forklog.stderr.printable import printable
from forklog.transports.base import Kind, Quota, Verdict
from forklog.transports.quota import quota_of

# Statuses that pass by themselves: 408, 409 (ABORTED), 429 (quota), 499 (CANCELLED) and those of
# the server.
_PASSING = frozenset({408, 409, 429, 499})
# What servers that know no POST or no HTTP/1.1 answer; they need not pass, but nothing is dropped.
_OF_OTHERS = frozenset({501, 505})
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE = 400, 401, 403, 404, 413
_OK, _TOO_MANY = 200, 429
# What the server writes where the request's envelope is wrong, such as "Log name contains illegal
# character". A fault of an entry is named with its place, "entries[3]...".
_OF_ENVELOPE = re.compile(r"(?i)(?!.*\bentries\[).*\b(log[ _]?name|parent|project|resource)\b")
# google.rpc.Code of an entry that may be sent again: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED,
# ABORTED, INTERNAL, UNAVAILABLE.
_PASSING_CODES = frozenset({4, 8, 10, 13, 14})
_INVALID_ARGUMENT = 3
_PERMISSION_DENIED, _UNAUTHENTICATED = 7, 16
_DENIED_CODES = frozenset({_PERMISSION_DENIED, _UNAUTHENTICATED})
_MOST_DIGITS = 10  # of an entry's place in a batch
_PARTIAL = "WriteLogEntriesPartialErrors"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer comes from and who had asked, for the line that reports it."""

    project: str = "?"
    account: str = "this account"
    endpoint: str = "the endpoint"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered: HTTP status, body, headers that matter; and where."""

    status: int
    body: bytes = b""
    retry_after: float | None = None
    """Seconds of a Retry-After header."""
    place: Place = Place()
    content_type: str = ""


def judge(answer: Answer, count: int) -> Verdict:
    """Judge an answer to a batch of ``count`` entries."""
    error = _error_of(answer.body)
    is_of_other = answer.status in _OF_OTHERS and not error
    if 200 <= answer.status < 300 or is_of_other:  # noqa: PLR2004
        return Verdict(Kind.DELIVERED) if _is_confirmed(answer) else _unconfirmed(answer)
    reason = _reason(answer.status, error.get("status"), error.get("message"))
    partial = _partial_errors(error, count)
    if partial:
        return _judge_partial(partial, count, answer, error)
    if answer.status in _PASSING or answer.status >= 500:  # noqa: PLR2004
        # Zero seconds is no order to hammer: the backoff decides then.
        delay, is_of_content = answer.retry_after or None, answer.status != _TOO_MANY
        quota = quota_of(error) if answer.status == _TOO_MANY else None
        remedy = _passing_remedy(answer) if quota is None else _quota_remedy(quota, answer.place)
        return Verdict(
            Kind.RETRY,
            f"{reason}: {remedy}",
            delay=delay,
            answer=reason,
            is_of_content=is_of_content,
            quota=quota,
        )
    if answer.status in (_BAD_REQUEST, _TOO_LARGE) and not _is_of_envelope(error.get("message")):
        if count > 1:
            return Verdict(Kind.HALVE, reason, answer=reason)
        drop = TOO_LARGE if answer.status == _TOO_LARGE else REFUSED
        return Verdict(Kind.DELIVERED, reason, refused={0: drop}, answer=reason)
    return _blocked(answer, answer.status, reason)


def _is_confirmed(answer: Answer) -> bool:
    """Tell whether it is the API that says that the entries are stored."""
    try:
        return answer.status == _OK and isinstance(json.loads(answer.body), dict)
    except (ValueError, RecursionError):
        return False


def _unconfirmed(answer: Answer) -> Verdict:
    kind = printable(answer.content_type, 60) or "no content type"
    text = f"{printable(answer.place.endpoint)} answered {answer.status} with {kind}, not as Cloud"
    remedy = "a captive portal or a proxy may have answered; check the network and the option"
    reason = f"{text} Logging does"
    delay = answer.retry_after or None
    return Verdict(Kind.RETRY, f"{reason}: {remedy} endpoint", delay=delay, answer=reason)


def _reason(status: int, name: object, message: object) -> str:
    words = f"{status} {printable(name, 40)}".strip()
    text = printable(message)
    return f"{words}: {text}" if text else words


def _is_of_envelope(message: object) -> bool:
    return isinstance(message, str) and bool(_OF_ENVELOPE.match(printable(message, 1000)))


def _blocked(answer: Answer, status: int, reason: str) -> Verdict:
    is_of_content = status != _UNAUTHORIZED
    text = f"{reason}: {_remedy(answer, status)}"
    return Verdict(Kind.BLOCKED, text, answer=reason, is_of_content=is_of_content)


_REMEDIES = {
    _BAD_REQUEST: "the log's name, the project {project!r} or the resource is wrong; check the "
    "options log_name, project and resource",
    _UNAUTHORIZED: "the credentials of {account} were not accepted; renew them or check the "
    "machine's clock",
    _FORBIDDEN: "grant roles/logging.logWriter to {account} at "
    "https://console.cloud.google.com/iam-admin/iam?project={project} and enable the API at "
    "https://console.cloud.google.com/apis/library/logging.googleapis.com?project={project}",
    _NOT_FOUND: "there is no project {project!r}, or {endpoint} is not Cloud Logging; check the "
    "options project and endpoint",
}
_OTHER_REMEDY = "{endpoint} does not take log entries; check the option endpoint"


def _remedy(answer: Answer, status: int) -> str:
    place = answer.place
    text = _REMEDIES.get(status, _OTHER_REMEDY)
    return text.format(project=place.project, account=place.account, endpoint=place.endpoint)


def _passing_remedy(answer: Answer) -> str:
    where = printable(answer.place.endpoint)
    return f"{where} takes no entries for now; if that lasts, check it and the option endpoint"


def _quota_remedy(quota: Quota, place: Place) -> str:
    name = f"{quota.name!r} " if quota.name else ""
    page = f"https://console.cloud.google.com/iam-admin/quotas?project={place.project}"
    text = f"the project's quota {name}is used up; {'smaller' if quota.is_of_bytes else 'fewer'}"
    return f"{text} requests are sent, log less or raise it at {page}"


def _judge_partial(
    errors: Mapping[int, tuple[int, str]], count: int, answer: Answer, error: Mapping[str, object]
) -> Verdict:
    codes = {code for code, _ in errors.values()}
    first = next((text for _, text in errors.values() if text), error.get("message"))
    reason = _reason(answer.status, error.get("status"), first)
    # Without the role the server names every entry: nothing is wrong with any of them.
    if len(errors) == count and codes <= _DENIED_CODES:
        status = _FORBIDDEN if _PERMISSION_DENIED in codes else _UNAUTHORIZED
        return _blocked(answer, status, reason)
    # Nor where the server names every entry for what they have from the request.
    if len(errors) == count and all(_is_of_envelope(text) for _, text in errors.values()):
        return _blocked(answer, _BAD_REQUEST, reason)
    delay = answer.retry_after or None
    again = frozenset(i for i, (code, _) in errors.items() if code in _PASSING_CODES)
    refused = {i: REFUSED for i in errors if i not in again}
    text = f"{reason}: {_passing_remedy(answer)}" if again else reason
    return Verdict(Kind.DELIVERED, text, refused=refused, again=again, delay=delay, answer=reason)


def _error_of(body: bytes) -> Mapping[str, object]:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {}


def _partial_errors(error: Mapping[str, object], count: int) -> dict[int, tuple[int, str]]:
    """Return code and message of the entries that a google.rpc.Status names, by index."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_PARTIAL):
            errors = detail.get("logEntryErrors")
            if isinstance(errors, dict):
                return {
                    int(index): (_code_of(status), _message_of(status))
                    for index, status in errors.items()
                    if _is_place(index, count)
                }
    return {}


def _is_place(index: str, count: int) -> bool:
    """Tell whether a text is a place in a batch; Python reads no number of 4,300 digits."""
    return len(index) < _MOST_DIGITS and index.isdecimal() and int(index) < count


def _code_of(status: object) -> int:
    code = status.get("code") if isinstance(status, dict) else None
    return code if isinstance(code, int) else _INVALID_ARGUMENT


def _message_of(status: object) -> str:
    message = status.get("message") if isinstance(status, dict) else None
    return message if isinstance(message, str) else ""
