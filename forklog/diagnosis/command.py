"""`forklog doctor`: reads its arguments, examines, prints the report."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

from forklog.cli import seconds
from forklog.diagnosis.config import ConfigError, apply, load
from forklog.diagnosis.examine import examine
from forklog.diagnosis.look.routes import NOT_APPLIED
from forklog.errors import OptionError
from forklog.options import Options
from forklog.terminal.screen import screen_on

_UNHEALTHY = 1
_NOT_RUN = 2
_LABEL = 9
_STYLES = {"PROBLEM": "bold red", "note": "yellow", "ok": "green"}


_KEPT: list[object] = []
"""What a configuration has set as stdout: collected, a wrapper would close stderr."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `forklog doctor` to a parser."""
    parser.add_argument(
        "--config",
        metavar="CONFIG",
        help="the application's dictConfig: FILE.json, FILE.py[:NAME] or MODULE:NAME, as "
        "mysite.settings:LOGGING",
    )
    parser.add_argument("--project", help="in place of the one that is configured or found")
    parser.add_argument("--endpoint", metavar="URL", help="in place of the one that is configured")
    parser.add_argument("--credentials", metavar="FILE", help="in place of those configured")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="for the whole examination (5)",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="CODE",
        help="a problem that is known and does not count; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Examine and print.

    Returns:
        0 if nothing would lose records, 1 if something would, 2 for a wrong call.
    """
    given = {"project": args.project, "endpoint": args.endpoint, "credentials": args.credentials}
    applied = NOT_APPLIED
    try:
        Options(**given)
        if args.config is not None:
            with contextlib.redirect_stdout(sys.stderr):  # stdout has the report alone
                try:
                    applied = apply(load(args.config))
                finally:
                    _KEPT.append(sys.stdout)
    except (ConfigError, OptionError) as failure:
        sys.stderr.write(f"forklog doctor: {failure}\n")
        return _NOT_RUN
    report = examine(args.timeout, accept=args.accept, is_command=True, applied=applied, **given)
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _show(str(report))
    return 0 if report.is_healthy else _UNHEALTHY


def _show(report: str) -> None:
    screen = screen_on(sys.stdout)
    for line in report.splitlines():
        label, rest = line[:_LABEL], line[_LABEL:]
        if style := _STYLES.get(label.strip()):
            screen.line((label, style), (rest, ""))
        else:
            title, gap, value = line.partition("  ")
            screen.line((title, "bold" if title[:1].isalpha() else ""), (gap + value, ""))
