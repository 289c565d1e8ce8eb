"""Turns a report into aligned lines of ASCII: findings, the most severe on top; then the facts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from forklog.diagnosis.facts import Delivery, Exits, Handler, Neighbour, Process, Routes
from forklog.diagnosis.finding import Finding, Severity
from forklog.diagnosis.look.handlers import plain_options
from forklog.options import Options
from forklog.stderr.printable import printable

_WIDTH = 80
_NAME = 14
_CUT = " ... (--json)"
_MAX_CHARS = 4000  # of a fact or a finding
Row = tuple[str, str]


def render(  # noqa: PLR0913 - the parts of a report
    *,
    findings: Sequence[Finding],
    process: Process,
    exits: Exits,
    routes: Routes,
    deliveries: Sequence[Delivery],
    version: str,
) -> str:
    """Return the whole report, without a newline at its end.

    Where nothing is wrong it fits on a terminal of 24 lines. Each fact has one line, and those that
    explain a problem are left out.
    """
    lines = [f"forklog {version} doctor, process {process.pid}: {_sum(findings)}", ""]
    for finding in findings:
        lines += _finding(finding)
    is_short = all(finding.severity is not Severity.PROBLEM for finding in findings)
    sections: list[tuple[str, Iterable[Row]]] = [
        ("process", _process(process, is_short=is_short)),
        ("at its end", () if process.is_command else _exits(exits, is_short=is_short)),
        *((f"handler {h.name}", _handler(h, is_short=is_short)) for h in routes.handlers),
        *((f"to log {d.log_name}", _delivery(d, is_short=is_short)) for d in deliveries),
    ]
    if routes.neighbours:
        beside = [(_short(n), f"{n.kind}, on {', '.join(n.loggers)}") for n in routes.neighbours]
        sections.append(("handlers beside", beside))
    lines += _compact(sections) if is_short else _whole(sections)
    return "".join(f"{line}\n" for line in lines)[:-1].encode("ascii", "replace").decode()


def _whole(sections: Iterable[tuple[str, Iterable[Row]]]) -> Iterator[str]:
    for title, rows in sections:
        if shown := [line for row in rows for line in _row(*row)]:
            yield from ("", _plain(title), *shown)


def _compact(sections: Iterable[tuple[str, Iterable[Row]]]) -> Iterator[str]:
    """Yield a line for each fact; the first of a section stands beside its title."""
    yield ""
    for title, rows in sections:
        head = _plain(title)
        for name, given in rows:
            if value := _plain(given):
                start = f"{head or '  ' + _plain(name):<{_NAME + 2}} "
                yield start + _cut(value, _WIDTH - len(start))
                head = ""


def _plain(text: str) -> str:
    """Return a text of servers, metadata, files or the application as one printable line."""
    return printable(text, _MAX_CHARS)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - len(_CUT))] + _CUT


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
    lines = _wrap(f"{_plain(finding.text)} [{finding.code}]", first)
    if finding.remedy:
        lines += _wrap(_plain(finding.remedy), f"{'':<6}-> ")
    return lines


def _row(name: str, value: str) -> list[str]:
    return _wrap(_plain(value), f"  {_plain(name):<{_NAME}} ") if value else []


def _wrap(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _process(process: Process, *, is_short: bool) -> Iterator[Row]:
    role = process.role
    if process.is_command:
        yield "role", "of this command; forklog.doctor() examines a server's process"
    else:
        yield "role", f"{role.server}, {role.name}" + (f" ({role.model})" if role.model else "")
        yield "known by", "" if is_short else role.known_by
    yield "python", process.python
    yield "other threads", ", ".join(process.other_threads)
    if not is_short:
        yield from _forks(process)
    yield "uwsgi options", ", ".join(process.uwsgi_options)
    yield "platform", f"{process.platform}, by {process.platform_sign}" if process.platform else ""


def _forks(process: Process) -> Iterator[Row]:
    yield "threads", "run here" if process.has_threads else "do not run here"
    yield "at-fork hooks", "run" if process.has_fork_hooks else "do not run when uWSGI forks"
    yield (
        "notices forks",
        "by a page that the kernel wipes (MADV_WIPEONFORK)" if process.has_wipe else "by the PID",
    )


def _exits(exits: Exits, *, is_short: bool) -> Iterator[Row]:
    for hook in () if is_short else exits.hooks:
        state = "runs" if hook.fires else "does not run"
        hooked = "forklog is hooked in" if hook.is_hooked else "forklog is not hooked in"
        yield "hook", f"{hook.name} {state}; {hooked}"
    start = "no hook runs at " if is_short and exits.without else ""
    yield "without hooks", start + "; ".join(exits.without)


def _handler(handler: Handler, *, is_short: bool) -> Iterator[Row]:
    yield "loggers", ("on " if is_short else "") + (", ".join(handler.loggers) or "none")
    yield "level", "" if is_short and handler.level == "NOTSET" else handler.level
    yield "transport", "" if handler.transport == "http" else handler.transport
    yield "state", "" if is_short else handler.state
    yield (
        "numbers",
        " ".join(
            f"{key}={value}"
            for key, value in handler.stats
            if key not in ("pid", "state") and value and value != "off"
        ),
    )
    defaults = plain_options(Options())
    given = [
        f"{name}={value!r}" for name, value in handler.options if (name, value) not in defaults
    ]
    others = "" if is_short else " (the others are the defaults)"
    yield "options", f"{' '.join(given)}{others}".strip()


def _delivery(delivery: Delivery, *, is_short: bool) -> Iterator[Row]:
    yield "endpoint", _from(delivery.endpoint, delivery.endpoint_from)
    yield "proxy", delivery.proxy
    yield "credentials", _from(delivery.credentials, delivery.credentials_from)
    yield "account", delivery.account
    yield "project", _from(delivery.project, delivery.project_from)
    yield "resource", delivery.resource
    status = f", status {delivery.status}" if delivery.status else ""
    if not is_short:
        yield "dry run", f"{delivery.outcome}{status}, {delivery.seconds:.3f} s"


def _from(value: str, source: str) -> str:
    return f"{value} (from {source})" if value and source else value
