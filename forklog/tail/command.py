"""`forklog tail`: reads its arguments, shows the newest entries, then each one that comes."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterable

from forklog.errors import OptionError
from forklog.option_checks import check_emulator
from forklog.options import Options
from forklog.tail.follow import Follower
from forklog.tail.lines import Lines
from forklog.tail.pausing import pause
from forklog.tail.source import PAGE_ENTRIES, Entry, ReadError, Source
from forklog.terminal.screen import COLOURS, screen_on

_REFUSED, _NOT_RUN, _INTERRUPTED = 1, 2, 130
_EMULATOR_POLL, _CLOUD_POLL = 0.3, 2.0
_EMULATOR_OVERLAP, _CLOUD_OVERLAP = 2.0, 15.0
_FIRST_DELAY, _MAX_DELAY = 1.0, 30.0
_VARIABLE = "LOGGING_EMULATOR_HOST"
Show = Callable[[Iterable[Entry]], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `forklog tail` to a parser."""
    parser.add_argument(
        "filter", nargs="?", default="", metavar="FILTER",
        help="in the Logging query language, as 'severity>=ERROR'; all entries if left out",
    )  # fmt: skip
    parser.add_argument(
        "--emulator", metavar="URL",
        help=f"read this emulator ({_VARIABLE}; without both, Cloud Logging)",
    )  # fmt: skip
    parser.add_argument("--project", help="whose entries; of an emulator, all if left out")
    parser.add_argument("--endpoint", metavar="URL", help="of Cloud Logging, as the handler's")
    parser.add_argument("--credentials", metavar="FILE", help="as the handler's option")
    parser.add_argument(
        "-n", "--lines", type=_count, default=10, metavar="N",
        help=f"begin with so many of the newest entries, at most {PAGE_ENTRIES} (10)",
    )  # fmt: skip
    parser.add_argument("--no-follow", action="store_true", help="end after those")
    parser.add_argument("--json", action="store_true", help="print each entry as a line of JSON")
    parser.add_argument(
        "--color", choices=COLOURS, default="auto",
        help="with colours; needs rich, of forklog's extra cli (auto: on a terminal)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Show entries until Ctrl-C.

    Returns:
        0 after ``--no-follow``, 1 if the server refuses or cannot be reached, 2 for a wrong call
        or filter, 130 after Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal need not know all characters
    try:
        options, is_emulator = _options_of(args)
        source = Source(options, is_emulator=is_emulator)
    except (OptionError, ReadError) as failure:
        return _fail(failure, _REFUSED if isinstance(failure, ReadError) else _NOT_RUN)
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        return _follow(source, args)
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        source.close()


def _options_of(args: argparse.Namespace) -> tuple[Options, bool]:
    """Return where to read, and whether that is an emulator; an argument beats the variable."""
    emulator = None
    if args.emulator is not None and args.endpoint is not None:
        raise OptionError("endpoint", args.endpoint, "does not go with --emulator", "give one")
    if args.emulator is not None:
        emulator = check_emulator(args.emulator, "emulator")
    elif args.endpoint is None:
        emulator = check_emulator(os.environ.get(_VARIABLE))
    endpoint = emulator or args.endpoint
    given = {"project": args.project, "endpoint": endpoint, "credentials": args.credentials}
    return Options(**given), bool(emulator)


def _follow(source: Source, args: argparse.Namespace) -> int:
    overlap = _EMULATOR_OVERLAP if source.is_emulator else _CLOUD_OVERLAP
    follower = Follower(source, args.filter, overlap)
    show = _shown_by(args)
    try:
        show(follower.begin(args.lines))
    except ReadError as failure:
        return _fail(failure, _NOT_RUN if failure.is_of_filter else _REFUSED)
    if args.no_follow:
        return 0
    interval = _EMULATOR_POLL if source.is_emulator else _CLOUD_POLL
    delay = 0.0
    while True:
        pause(delay or interval, sys.stdout)
        try:
            show(follower.poll())
        except ReadError as failure:
            if not failure.is_passing:
                return _fail(failure, _REFUSED)
            if not delay:
                _say(f"{failure}; trying again")
            delay = max(failure.delay or 0.0, min(max(delay * 2, _FIRST_DELAY), _MAX_DELAY))
        else:
            if delay:
                _say("reads again")
            delay = 0.0


def _shown_by(args: argparse.Namespace) -> Show:
    """Return a function that prints entries and has them seen."""
    if args.json:

        def print_json(entries: Iterable[Entry]) -> None:
            for entry in entries:
                print(json.dumps(entry))
            sys.stdout.flush()

        return print_json
    screen, lines = screen_on(sys.stdout, args.color), Lines()

    def show(entries: Iterable[Entry]) -> None:
        for entry in entries:
            for pieces in lines.of(entry):
                screen.line(*pieces)
        screen.flush()

    return show


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else -1  # noqa: PLR2004
    if not 0 <= number <= PAGE_ENTRIES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {PAGE_ENTRIES}")
    return number


def _say(text: str) -> None:
    sys.stderr.write(f"forklog tail: {text}\n")
    sys.stderr.flush()


def _fail(failure: Exception, status: int) -> int:
    _say(str(failure))
    return status
