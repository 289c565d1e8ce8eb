"""`forklog.doctor`: gathers the facts of this process within a deadline, judges them, reports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

from forklog.__about__ import VERSION
from forklog.diagnosis.bounded import gather
from forklog.diagnosis.facts import Delivery, Exits, Frameworks, Process, Role, Routes, Spool
from forklog.diagnosis.finding import Finding, Severity, note, problem
from forklog.diagnosis.judge.delivery import judge_delivery
from forklog.diagnosis.judge.frameworks import judge_frameworks
from forklog.diagnosis.judge.kills import judge_kills, judge_spools
from forklog.diagnosis.judge.process import judge_process
from forklog.diagnosis.judge.routes import judge_routes
from forklog.diagnosis.look.dry_run import make_dry_run
from forklog.diagnosis.look.exits import look_at_exits
from forklog.diagnosis.look.frameworks import look_at_frameworks
from forklog.diagnosis.look.handlers import transport_name
from forklog.diagnosis.look.process import look_at_process
from forklog.diagnosis.look.routes import (
    NOT_APPLIED,
    Applied,
    has_printer,
    look_at_routes,
    our_handlers,
)
from forklog.diagnosis.look.spools import look_at_spools
from forklog.diagnosis.report import Report
from forklog.errors import OptionError
from forklog.option_checks import check_seconds
from forklog.options import Options
from forklog.transports.google.access import endpoint_of, known_project

_ORDER = (Severity.PROBLEM, Severity.NOTE, Severity.OK)
_OVERRIDES = ("project", "endpoint", "credentials")
_FIRST = ("doctor-failed", "config", "no-handler")
_UNKNOWN = Process(pid=0, role=Role(), python="", has_threads=True)
_NO_DELIVERY: tuple[Delivery, ...] = ()
_NO_SPOOL: tuple[Spool, ...] = ()
_SILENCE: tuple[Finding, ...] = ()
T = TypeVar("T")


def examine(
    timeout: float = 5.0,
    *,
    accept: Collection[str] = (),
    is_command: bool = False,
    applied: Applied = NOT_APPLIED,
    **overrides: Any,
) -> Report:
    """Examine the calling process; see `forklog.doctor`, whose body this is.

    Args:
        timeout: seconds until it returns at the latest.
        accept: codes of problems that are known and become notes.
        is_command: it is the command's process and not an application's.
        applied: what became of the configuration that the command was given.
        **overrides: ``project``, ``endpoint``, ``credentials`` in place of the handlers' options.

    Raises:
        OptionError: ``timeout`` is no number of seconds above 0.
    """
    check_seconds("timeout", timeout, zero=False)
    deadline = time.monotonic() + timeout
    care = _Care()
    process = care.safely(lambda: look_at_process(is_command=is_command), _UNKNOWN)
    routes = _routes(care, process, applied)
    exits = care.safely(lambda: look_at_exits(process), Exits())
    spools = care.safely(lambda: _spools(process, deadline - timeout / 2), _NO_SPOOL)
    deliveries = care.safely(lambda: _deliveries(process, overrides, deadline), _NO_DELIVERY)
    judged = care.safely(lambda: judge(process, exits, routes, deliveries, accept), _SILENCE)
    findings = (*judged, *_not_among(judge_spools(spools), judged), *care.failures)
    return Report(
        findings=tuple(sorted(findings, key=_rank)),
        process=process,
        ends=exits,
        routes=routes,
        deliveries=deliveries,
        version=VERSION,
        spools=spools,
    )


class _Care:
    """Keeps what fails in an examination from reaching the application: it becomes a finding."""

    def __init__(self) -> None:
        self.failures: list[Finding] = []

    def safely(self, look: Callable[[], T], instead: T) -> T:
        try:
            return look()
        except Exception as error:  # noqa: BLE001 - a doctor must not be the illness
            text = f"a part of the examination failed by {type(error).__name__}"
            if isinstance(error, OptionError):
                text += f": {error}"
            remedy = "fix what was given to doctor(), or report it as a bug of forklog"
            self.failures.append(problem("doctor-failed", text, remedy))
            return instead


def judge(
    process: Process,
    exits: Exits,
    routes: Routes,
    deliveries: Collection[Delivery],
    accept: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Judge all facts. Pure.

    Returns:
        The findings, the most severe first; accepted problems are notes.
    """
    found = [finding for delivery in deliveries for finding in judge_delivery(process, delivery)]
    found += [*judge_routes(process, routes), *judge_frameworks(process, routes.frameworks)]
    if not routes.is_printed_alone:  # else nothing is pending that an end could lose
        found += [*judge_process(process, exits), *judge_kills(process, exits, routes)]
    return tuple(sorted((_accepted(f, accept) for f in dict.fromkeys(found)), key=_rank))


def _not_among(found: Iterable[Finding], known: Iterable[Finding]) -> list[Finding]:
    """Leave out what is known: a handler that has logged says for itself that its spool is off."""
    codes = {finding.code for finding in known}
    return [finding for finding in found if finding.code not in codes]


def _rank(finding: Finding) -> tuple[int, bool]:
    """Sort by severity; what makes the rest of the report doubtful comes before its like."""
    return _ORDER.index(finding.severity), finding.code not in _FIRST


def _accepted(finding: Finding, accept: Collection[str]) -> Finding:
    if finding.severity is Severity.PROBLEM and finding.code in accept:
        return note(finding.code, f"accepted: {finding.text}", finding.remedy)
    return finding


def _routes(care: _Care, process: Process, applied: Applied) -> Routes:
    """Return where the records go, with the frameworks that make some of them."""
    routes = care.safely(lambda: look_at_routes(applied), Routes(config_error=applied.error))
    frameworks = care.safely(lambda: look_at_frameworks(process), Frameworks())
    return dataclasses.replace(routes, frameworks=frameworks)


def _deliveries(
    process: Process, overrides: dict[str, Any], deadline: float
) -> tuple[Delivery, ...]:
    """Make one dry run for each way to a log that a handler of this process has."""
    known: set[object] = set()
    found = []
    for options in _ways(overrides):
        if isinstance(options, Delivery):
            found.append(options)
            continue
        way = (endpoint_of(options), known_project(options), options.log_name)
        if way not in known:
            known.add(way)
            found.append(_run(options, deadline, in_child=_is_in_child(process)))
    return tuple(found)


def _is_in_child(process: Process) -> bool:
    return process.role.is_loader or not process.has_threads


def _spools(process: Process, deadline: float) -> tuple[Spool, ...]:
    """Look at the spools within half of the time: a dry run may take all that is left."""
    found = [handler.describe() for handler in our_handlers()]
    ways = [one.options for one in found if transport_name(one) == "http"]
    return look_at_spools(ways, deadline, in_child=_is_in_child(process))


def _ways(overrides: dict[str, Any]) -> Iterator[Options | Delivery]:
    given = {name: overrides[name] for name in _OVERRIDES if overrides.get(name) is not None}
    handlers = our_handlers()
    for handler in handlers:
        found = handler.describe()
        name, options = transport_name(found), found.options
        if name == "http":
            yield dataclasses.replace(options, **given)
        else:
            reason = f"no dry run: handler {handler.get_name() or ''} has the transport {name}"
            yield Delivery(log_name=options.log_name, outcome="skipped", reason=reason)
    if not handlers and (given or not has_printer()):
        yield Options(**given)


def _run(options: Options, deadline: float, *, in_child: bool) -> Delivery:
    left = max(0.1, deadline - time.monotonic())
    wait = max(0.05, left - 0.2)  # so that the connection's own verdict comes before our deadline
    found = gather(lambda say: make_dry_run(options, wait, say), left, in_child=in_child)
    return Delivery(**found)
