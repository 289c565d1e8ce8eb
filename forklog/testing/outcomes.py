"""Scripted outcomes of requests: the fake transport uses them up as answers to the sender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from forklog.transports.base import WireError
from forklog.transports.http_verdict import Answer

_BAD_REQUEST = 400
_INVALID_ARGUMENT = 3
_PARTIAL = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"


@dataclass(frozen=True, slots=True)
class Deliver:
    """Accept everything, for the next ``times`` requests of the process."""

    times: int = 1


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with an HTTP status, for a number of requests or for a time.

    Args:
        status: such as 503 (passes), 400 (the request is wrong), 403 (a person has to fix it).
        times: the next so many requests of the process.
        seconds: instead of ``times``: from the first request that meets this, for so long.
        retry_after: seconds in the answer's Retry-After header.
    """

    status: int = 503
    times: int = 1
    seconds: float | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Name one entry as invalid and accept the others, as ``partialSuccess`` does.

    Args:
        index: the entry's zero-based place in the request; one beyond its end refuses nothing.
        code: google.rpc.Code; 3 (INVALID_ARGUMENT) is final, 14 (UNAVAILABLE) passes.
        times: the next so many requests of the process.
    """

    index: int = 0
    code: int = _INVALID_ARGUMENT
    times: int = 1


@dataclass(frozen=True, slots=True)
class Hang:
    """Accept the request and never answer, until ``FakeTransport.release()``; then deliver.

    The sender waits for its ``answer_timeout`` at most, and sends again.
    """

    times: int = 1


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Break the connection, for the next ``times`` requests of the process.

    Args:
        times: the next so many requests of the process.
        is_stale: as when a server had closed an idle connection; that is retried at once.
        is_stored: the server has stored the entries before the connection broke.
    """

    times: int = 1
    is_stale: bool = False
    is_stored: bool = False


Outcome = Deliver | Fail | Refuse | Hang | Disconnect


def kept_indexes(outcome: Outcome, count: int) -> list[int]:
    """Return which of ``count`` entries the server stores."""
    if isinstance(outcome, Fail) or (isinstance(outcome, Disconnect) and not outcome.is_stored):
        return []
    refused = outcome.index if isinstance(outcome, Refuse) else -1
    return [index for index in range(count) if index != refused]


def answer(outcome: Outcome, count: int) -> Answer:
    """Return the server's answer to a request of ``count`` entries, or raise WireError."""
    if isinstance(outcome, Disconnect):
        raise WireError("the connection broke", is_stale_connection=outcome.is_stale)
    if isinstance(outcome, Fail):
        return Answer(outcome.status, _error(outcome.status), outcome.retry_after)
    if isinstance(outcome, Refuse) and outcome.index < count:
        failed = {str(outcome.index): {"code": outcome.code, "message": "refused by the script"}}
        details = [{"@type": _PARTIAL, "logEntryErrors": failed}]
        return Answer(_BAD_REQUEST, _error(_BAD_REQUEST, details))
    return Answer(200, b"{}")


def _error(status: int, details: Sequence[object] = ()) -> bytes:
    error = {"code": status, "message": "scripted", "details": list(details)}
    return orjson.dumps({"error": error})


def _check(outcome: object) -> None:
    if not isinstance(outcome, Deliver | Fail | Refuse | Hang | Disconnect):
        raise TypeError(f"an outcome is a value such as Fail(503), not {outcome!r}")


class Script:
    """The outcomes to come, in one process; a forked child goes on where its parent was."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin with nothing: everything is delivered."""
        self._now = now
        self._ahead: list[Outcome] = []
        self._used = 0
        self._until: float | None = None

    def add(self, *outcomes: Outcome) -> None:
        """Append outcomes; safe while another thread sends.

        Raises:
            TypeError: one is no outcome, such as the class `Fail` in place of ``Fail(503)``.
        """
        for outcome in outcomes:
            _check(outcome)
        self._ahead.extend(outcomes)

    def step(self) -> Outcome:
        """Return what the next request meets."""
        while self._ahead:
            outcome = self._ahead[0]
            if not self._is_over(outcome):
                return outcome
            self._used, self._until = 0, None
            del self._ahead[0]
        return Deliver()

    def _is_over(self, outcome: Outcome) -> bool:
        if isinstance(outcome, Fail) and outcome.seconds is not None:
            if self._until is None:
                self._until = self._now() + outcome.seconds
            return self._now() >= self._until
        self._used += 1
        return self._used > outcome.times
