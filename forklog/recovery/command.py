"""`forklog recover`: reads its arguments, recovers, prints what was sent and what is left."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from forklog.errors import OptionError
from forklog.options import Options
from forklog.recovery.last_resort import LastResortFile, NoLastResortError
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.recovery.spools import recover_spools
from forklog.spool.folder import Folder, UnfitError
from forklog.spool.parts.place import AUTO, path_of
from forklog.terminal.screen import screen_on

_LEFT, _NOT_RUN = 1, 2
_EPILOG = (
    "Exit status: 0 everything was sent, 1 something is left, 2 wrong call. Gives up on a server "
    "that refuses connections after 3.5 seconds, on one that does not answer within a minute."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `forklog recover` to a parser."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "path",
        type=_path,
        metavar="PATH",
        help=f"the folder of a spool, {AUTO!r} for the one in shared memory, or a last resort file",
    )
    parser.add_argument("--project", help="whose entries to send; of a file without them, to whom")
    parser.add_argument("--log", metavar="NAME", help="log name of the lines of a file without one")
    parser.add_argument("--endpoint", metavar="URL", help="as the handler's option")
    parser.add_argument("--credentials", metavar="FILE", help="as the handler's option")
    parser.add_argument("--dry-run", action="store_true", help="list what is there, send nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _path(text: str) -> str:
    if not text:  # it would be the current folder
        raise argparse.ArgumentTypeError("'' is no path")
    return text


def run(args: argparse.Namespace) -> int:
    """Recover and print, also what was sent until a failure or a signal.

    Returns:
        0 if everything was sent, 1 if something is left, 2 for a wrong call, 130 after Ctrl-C, 143
        after SIGTERM.
    """
    outcome, status = Outcome(args.path, is_dry_run=args.dry_run), 0
    try:
        with _ended_by_term():
            _recover(args, outcome)
    except (NoLastResortError, OptionError, UnfitError, OSError) as failure:
        outcome.stop(str(failure))
        status = _LEFT if outcome.has_begun else _NOT_RUN
        if status == _NOT_RUN:
            sys.stderr.write(f"forklog recover: {failure}\n")
    except KeyboardInterrupt as ended:
        outcome.stop(str(ended) or "interrupted")
        status = 128 + (signal.SIGTERM if isinstance(ended, _TerminatedError) else signal.SIGINT)
    except BaseException as failure:
        outcome.stop(type(failure).__name__)
        _print(outcome, is_json=args.json)
        raise
    if args.json or status != _NOT_RUN:
        _print(outcome, is_json=args.json)
    return status or (_LEFT if outcome.has_left else 0)


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM has come, as from systemd when a start takes too long."""


@contextlib.contextmanager
def _ended_by_term() -> Iterator[None]:
    """Have SIGTERM end the block as Ctrl-C does, unless the process ignores it."""

    def end(*_: object) -> None:
        raise _TerminatedError("terminated")

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _print(outcome: Outcome, *, is_json: bool) -> None:
    if is_json:
        print(json.dumps(asdict(outcome), indent=2))
        return
    screen = screen_on(sys.stdout)
    for number, line in enumerate(str(outcome).splitlines()):
        screen.line((line, "yellow" if number else "red" if outcome.has_left else "green"))


def _recover(args: argparse.Namespace, outcome: Outcome) -> None:
    given = {"project": args.project, "endpoint": args.endpoint, "credentials": args.credentials}
    if args.log is not None:
        given["log_name"] = args.log
    options = Options(**given)
    path = path_of(args.path) if args.path == AUTO else str(Path(args.path).absolute())
    outcome.locate(path)
    sending = Sending(options, is_dry_run=args.dry_run)
    try:
        if Path(path).is_file():
            file = LastResortFile(path, options, is_named=args.log is not None)
            file.recover(sending, outcome)
            return
        folder = Folder(path, 2**62, is_made=False)
        try:
            recover_spools(folder, options, sending, outcome)
        finally:
            folder.close()
    finally:
        sending.close()
