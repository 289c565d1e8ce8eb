"""Sends requests to the demo's server until every worker has answered, for a trial."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable


_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is asked of a server.

    Args:
        workers: how many have to answer.
        requests: how many are sent at least.
        at_once: how many of them at the same time.
        records: how many records each of them logs.
        hold: seconds that each keeps its worker, so that the others get some.
        patience: seconds after which a worker that never answered counts as hung.
        timeout: seconds that one request may take.

    """

    workers: int
    requests: int = 48
    at_once: int = 8
    records: int = 10
    hold: float = 0.05
    patience: float = 5.0
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back: how many requests were sent and answered, and by which processes."""

    requests: int = 0
    answered: int = 0
    pids: frozenset[int] = frozenset()

    def and_then(self, later: Answers) -> Answers:
        """Add what a later load brought back."""
        return Answers(
            self.requests + later.requests,
            self.answered + later.answered,
            self.pids | later.pids,
        )


def ask(url: str, timeout: float) -> int | None:
    """Send one GET; return the PID of the process that answered, None if none did in time."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read()
        return int(json.loads(body)["pid"]) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def send_load(url: str, plan: Plan, show: Callable[[Answers], None]) -> Answers:
    """Send rounds of requests until the plan is met or its patience is over.

    Args:
        url: of the server.
        plan: how much to send.
        show: called with what came back so far, after each round.

    """
    target = f"{url}/?records={plan.records}&hold={plan.hold}"
    deadline = time.monotonic() + plan.patience
    answers = Answers()
    with ThreadPoolExecutor(plan.at_once, thread_name_prefix="forklog-demo") as pool:
        while not _is_met(answers, plan) and (left := deadline - time.monotonic()) > 0:
            if answers.requests >= plan.requests:
                time.sleep(_PAUSE_SECONDS)  # only a silent worker is waited for
            seconds = min(plan.timeout, max(left, 1.0))
            asked = [pool.submit(ask, target, seconds) for _ in range(plan.at_once)]
            answers = _after_round(answers, [one.result() for one in asked])
            show(answers)
    return answers


def _after_round(answers: Answers, pids: list[int | None]) -> Answers:
    came = [pid for pid in pids if pid is not None]
    return Answers(
        answers.requests + len(pids), answers.answered + len(came), answers.pids.union(came)
    )


def _is_met(answers: Answers, plan: Plan) -> bool:
    return answers.requests >= plan.requests and len(answers.pids) >= plan.workers
