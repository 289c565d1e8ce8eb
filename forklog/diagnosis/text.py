"""A report as aligned lines of ASCII: findings first, the most severe on top; then the facts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from forklog.diagnosis.facts import Delivery, Ends, Handler, Neighbour, Process, Routes
from forklog.diagnosis.finding import Finding, Severity
from forklog.diagnosis.handlers import plain_options
from forklog.options import Options

_WIDTH = 100
_NAME = 14
Row = tuple[str, str]


def render(  # noqa: PLR0913 - the parts of a report
    *,
    findings: Sequence[Finding],
    process: Process,
    ends: Ends,
    routes: Routes,
    deliveries: Sequence[Delivery],
    version: str,
) -> str:
    """Return the whole report, without a newline at its end."""
    lines = [f"forklog {version} doctor, process {process.pid}: {_sum(findings)}", ""]
    for finding in findings:
        lines += _finding(finding)
    sections: list[tuple[str, Iterable[Row]]] = [
        ("process", _process(process)),
        ("at its end", () if process.is_command else _ends(ends)),
        *((f"handler {h.name}", _handler(h)) for h in routes.handlers),
        *((f"to log {d.log_name}", _delivery(d)) for d in deliveries),
    ]
    if routes.neighbours:
        beside = [(_short(n), f"{n.kind}, on {', '.join(n.loggers)}") for n in routes.neighbours]
        sections.append(("handlers beside", beside))
    for title, rows in sections:
        if shown := [line for row in rows for line in _row(*row)]:
            lines += ["", title, *shown]
    return "".join(f"{line}\n" for line in lines)[:-1].encode("ascii", "replace").decode()


def _short(neighbour: Neighbour) -> str:
    return neighbour.kind.rpartition(".")[2]


def _sum(findings: Sequence[Finding]) -> str:
    counts = []
    for severity in (Severity.PROBLEM, Severity.NOTE):
        number = sum(finding.severity is severity for finding in findings)
        if number:
            counts.append(f"{number} {severity.value}{'s' if number > 1 else ''}")
    return ", ".join(counts) or "all is well"


def _finding(finding: Finding) -> list[str]:
    label = finding.severity.value
    label = label.upper() if finding.severity is Severity.PROBLEM else label
    first = f"{label:<9}"
    lines = _wrap(f"{finding.text} [{finding.code}]", first)
    if finding.remedy:
        lines += _wrap(finding.remedy, f"{'':<6}-> ")
    return lines


def _row(name: str, value: str) -> list[str]:
    return _wrap(value, f"  {name:<{_NAME}} ") if value else []


def _wrap(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _process(process: Process) -> Iterator[Row]:
    role = process.role
    if process.is_command:
        yield "role", "that of this command; forklog.doctor() in a server examines its process"
    else:
        yield "role", f"{role.server}, {role.name}" + (f" ({role.model})" if role.model else "")
        yield "known by", role.known_by
    yield "python", process.python
    yield "threads", "run here" if process.has_threads else "do not run here"
    yield "other threads", ", ".join(process.other_threads)
    yield "at-fork hooks", "run" if process.has_fork_hooks else "do not run when uWSGI forks"
    yield (
        "notices forks",
        "by a page that the kernel wipes (MADV_WIPEONFORK)" if process.has_wipe else "by the PID",
    )
    yield "uwsgi options", ", ".join(process.uwsgi_options)
    yield "platform", f"{process.platform}, by {process.platform_sign}" if process.platform else ""


def _ends(ends: Ends) -> Iterator[Row]:
    for hook in ends.hooks:
        state = "runs" if hook.fires else "does not run"
        hooked = "forklog is hooked in" if hook.is_hooked else "forklog is not hooked in"
        yield "hook", f"{hook.name} {state}; {hooked}"
    yield "without hooks", "; ".join(ends.without)


def _handler(handler: Handler) -> Iterator[Row]:
    yield "loggers", ", ".join(handler.loggers) or "none"
    yield "level", handler.level
    yield "transport", "" if handler.transport == "http" else handler.transport
    yield "state", handler.state
    yield (
        "numbers",
        " ".join(
            f"{key}={value}"
            for key, value in handler.stats
            if key not in ("pid", "state") and value
        ),
    )
    defaults = plain_options(Options())
    given = [
        f"{name}={value!r}" for name, value in handler.options if (name, value) not in defaults
    ]
    yield "options", f"{' '.join(given)} (the others are the defaults)".strip()


def _delivery(delivery: Delivery) -> Iterator[Row]:
    yield "endpoint", _from(delivery.endpoint, delivery.endpoint_from)
    yield "proxy", delivery.proxy
    yield "credentials", _from(delivery.credentials, delivery.credentials_from)
    yield "account", delivery.account
    yield "project", _from(delivery.project, delivery.project_from)
    yield "resource", delivery.resource
    status = f", status {delivery.status}" if delivery.status else ""
    yield "dry run", f"{delivery.outcome}{status}, {delivery.seconds:.3f} s"


def _from(value: str, source: str) -> str:
    return f"{value} (from {source})" if value and source else value
