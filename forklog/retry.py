"""Step 7, the verdict: what an answer means for a batch, and how long to wait. Pure."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from forklog.foreign import printable
from forklog.transports.base import Answer, WireError

__all__ = ["Kind", "Verdict", "backoff", "delay_after", "judge", "judge_error"]

# Statuses that pass by themselves: 408, 409 (ABORTED), 429 (quota) and those of the server.
_PASSING = frozenset({408, 409, 429, 499})
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
_PARTIAL = "WriteLogEntriesPartialErrors"
FIRST_DELAY = 0.5


class Kind(enum.Enum):
    """What to do with a batch after an attempt."""

    DELIVERED = "delivered"
    """All but the refused entries are stored; those in `Verdict.again` are to be sent again."""
    RETRY = "retry"
    """Send the same bytes again after a delay."""
    HALVE = "halve"
    """The request as a whole was refused: send its halves to find the entry."""
    BLOCKED = "blocked"
    """Nothing can be delivered until somebody grants or repairs something: retry slowly."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one attempt."""

    kind: Kind
    reason: str = ""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Entries that will never be accepted: zero-based index to drop reason."""
    again: frozenset[int] = frozenset()
    """Entries that were not stored for a passing reason."""
    delay: float | None = None
    """Seconds to wait, where the server or the failure says so."""
    answer: str = ""
    """What the server answered: the reason without a remedy; one printable line."""
    is_of_content: bool = True
    """Whether the failure may come from what the entries hold."""
    is_diverted: bool = False
    """The entries were written to stderr in place of the server."""


def judge(answer: Answer, count: int) -> Verdict:  # noqa: PLR0911 - one for each kind of answer
    """Judge an answer to a batch of ``count`` entries."""
    if answer.diverted is not None:
        rest = frozenset(range(answer.diverted, count))
        why = "stderr cannot be written"
        return Verdict(Kind.DELIVERED, why, again=rest, is_diverted=True, is_of_content=False)
    if 200 <= answer.status < 300:  # noqa: PLR2004
        return Verdict(Kind.DELIVERED) if _is_confirmed(answer) else _unconfirmed(answer)
    error = _error_of(answer.body)
    reason = _reason(answer.status, error.get("status"), error.get("message"))
    partial = _partial_errors(error, count)
    if partial:
        return _judge_partial(partial, count, answer, error)
    if answer.status in _PASSING or answer.status >= 500:  # noqa: PLR2004
        # Zero seconds is no order to hammer: the backoff decides then.
        delay, is_of_content = answer.retry_after or None, answer.status != _TOO_MANY
        return Verdict(Kind.RETRY, reason, delay=delay, answer=reason, is_of_content=is_of_content)
    if answer.status in (_BAD_REQUEST, _TOO_LARGE) and not _is_of_envelope(error.get("message")):
        if count > 1:
            return Verdict(Kind.HALVE, reason, answer=reason)
        drop = "too_large" if answer.status == _TOO_LARGE else "refused"
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
    return Verdict(Kind.RETRY, f"{reason}: {remedy} endpoint", answer=reason)


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
    refused = {i: "refused" for i in errors if i not in again}
    return Verdict(Kind.DELIVERED, reason, refused, again, delay, reason)


def judge_error(error: WireError, *, is_first_attempt: bool) -> Verdict:
    """Judge an attempt that brought no answer."""
    if error.is_blocked:
        return Verdict(Kind.BLOCKED, str(error), is_of_content=False)
    # A server may close an idle connection at any time; the bytes were most likely never read.
    is_stale = error.is_stale_connection and is_first_attempt
    delay = 0.0 if is_stale else None
    return Verdict(Kind.RETRY, str(error), delay=delay, is_of_content=not is_stale)


def backoff(attempt: int, ceiling: float, random: Callable[[], float]) -> float:
    """Return the seconds to wait after ``attempt`` attempts, with full jitter."""
    return random() * min(ceiling, FIRST_DELAY * 2.0 ** min(attempt, 30))


def delay_after(
    verdict: Verdict,
    attempts: int,
    ceiling: float,
    random: Callable[[], float],
    *,
    is_slow: bool = False,
) -> float:
    """Return the seconds to wait after a failure: as the verdict says, slowly, or the backoff."""
    if verdict.delay is not None:
        return verdict.delay
    return ceiling * (0.5 + 0.5 * random()) if is_slow else backoff(attempts, ceiling, random)


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
                    if str(index).isdecimal() and int(index) < count
                }
    return {}


def _code_of(status: object) -> int:
    code = status.get("code") if isinstance(status, dict) else None
    return code if isinstance(code, int) else _INVALID_ARGUMENT


def _message_of(status: object) -> str:
    message = status.get("message") if isinstance(status, dict) else None
    return message if isinstance(message, str) else ""
