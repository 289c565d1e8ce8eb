"""Step 7, the verdict: what an answer means for a batch, and how long to wait. Pure."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from forklog.transports.base import Answer, WireError

__all__ = ["Kind", "Verdict", "backoff", "judge", "judge_error"]

# Statuses that pass by themselves: 408, 409 (ABORTED), 429 (quota) and those of the server.
_PASSING = frozenset({408, 409, 429, 499})
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE = 400, 401, 403, 404, 413
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
    is_diverted: bool = False
    """The entries were written to stderr in place of the server."""
    delay: float | None = None
    """Seconds to wait, where the server or the failure says so."""


def judge(answer: Answer, count: int) -> Verdict:  # noqa: PLR0911 - one for each kind of answer
    """Judge an answer to a batch of ``count`` entries."""
    if answer.diverted is not None:
        rest = frozenset(range(answer.diverted, count))
        return Verdict(Kind.DELIVERED, "stderr cannot be written", again=rest, is_diverted=True)
    if 200 <= answer.status < 300:  # noqa: PLR2004
        return Verdict(Kind.DELIVERED)
    error = _error_of(answer.body)
    reason = f"{answer.status} {error.get('status') or ''}".strip()
    partial = _partial_errors(error, count)
    if partial:
        return _judge_partial(partial, count, answer, reason)
    if answer.status in _PASSING or answer.status >= 500:  # noqa: PLR2004
        # Zero seconds is no order to hammer: the backoff decides then.
        return Verdict(Kind.RETRY, reason, delay=answer.retry_after or None)
    if answer.status in (_BAD_REQUEST, _TOO_LARGE):
        if count > 1:
            return Verdict(Kind.HALVE, reason)
        drop = "too_large" if answer.status == _TOO_LARGE else "refused"
        return Verdict(Kind.DELIVERED, reason, refused={0: drop})
    return Verdict(Kind.BLOCKED, f"{reason}: {_remedy(answer, answer.status)}")


_REMEDIES = {
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


def _judge_partial(errors: Mapping[int, int], count: int, answer: Answer, reason: str) -> Verdict:
    # Without the role the server names every entry: nothing is wrong with any of them.
    if len(errors) == count and set(errors.values()) <= _DENIED_CODES:
        status = _FORBIDDEN if _PERMISSION_DENIED in errors.values() else _UNAUTHORIZED
        return Verdict(Kind.BLOCKED, f"{reason}: {_remedy(answer, status)}")
    delay = answer.retry_after or None
    again = frozenset(i for i, code in errors.items() if code in _PASSING_CODES)
    refused = {i: "refused" for i in errors if i not in again}
    return Verdict(Kind.DELIVERED, reason, refused=refused, again=again, delay=delay)


def judge_error(error: WireError, *, is_first_attempt: bool) -> Verdict:
    """Judge an attempt that brought no answer."""
    if error.is_blocked:
        return Verdict(Kind.BLOCKED, str(error))
    # A server may close an idle connection at any time; the bytes were most likely never read.
    delay = 0.0 if error.is_stale_connection and is_first_attempt else None
    return Verdict(Kind.RETRY, str(error), delay=delay)


def backoff(attempt: int, ceiling: float, random: Callable[[], float]) -> float:
    """Return the seconds to wait after ``attempt`` attempts, with full jitter."""
    return random() * min(ceiling, FIRST_DELAY * 2.0 ** min(attempt, 30))


def _error_of(body: bytes) -> Mapping[str, object]:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {}


def _partial_errors(error: Mapping[str, object], count: int) -> dict[int, int]:
    """Return the codes of the entries that a google.rpc.Status names, by index."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_PARTIAL):
            errors = detail.get("logEntryErrors")
            if isinstance(errors, dict):
                return {
                    int(index): _code_of(status)
                    for index, status in errors.items()
                    if str(index).isdecimal() and int(index) < count
                }
    return {}


def _code_of(status: object) -> int:
    code = status.get("code") if isinstance(status, dict) else None
    return code if isinstance(code, int) else _INVALID_ARGUMENT
