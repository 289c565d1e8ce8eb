"""`forklog recover`: reads its arguments, recovers, prints what was sent and what is left."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from forklog.errors import OptionError
from forklog.options import Options
from forklog.recovery.last_resort import LastResortFile, NoLastResortError
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.recovery.spools import recover_spools
from forklog.spool.folder import AUTO, Folder, UnfitError, path_of
from forklog.terminal.screen import screen_on
from forklog.transports.base import WireError

_LEFT, _NOT_RUN = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `forklog recover` to a parser."""
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
    """Recover and print.

    Returns:
        0 if everything was sent, 1 if something is left, 2 for a wrong call.
    """
    given = {"project": args.project, "endpoint": args.endpoint, "credentials": args.credentials}
    if args.log is not None:
        given["log_name"] = args.log
    try:
        options = Options(**given)
        outcome = _recover(args, options)
    except (NoLastResortError, OptionError, UnfitError, OSError) as failure:
        sys.stderr.write(f"forklog recover: {failure}\n")
        return _NOT_RUN
    except WireError as failure:
        sys.stderr.write(f"forklog recover: {failure}; nothing was sent\n")
        return _LEFT
    if args.json:
        print(json.dumps(asdict(outcome), indent=2))
    else:
        screen = screen_on(sys.stdout)
        for number, line in enumerate(str(outcome).splitlines()):
            screen.line((line, "yellow" if number else "red" if outcome.has_left else "green"))
    return _LEFT if outcome.has_left else 0


def _recover(args: argparse.Namespace, options: Options) -> Outcome:
    path = path_of(args.path) if args.path == AUTO else os.path.abspath(args.path)  # noqa: PTH100 - links are not followed
    sending = Sending(options, is_dry_run=args.dry_run)
    try:
        if Path(path).is_file():
            return LastResortFile(path, options, is_named=args.log is not None).recover(sending)
        folder = Folder(path, 2**62, is_made=False)
        try:
            return recover_spools(folder, options, sending)
        finally:
            folder.close()
    finally:
        sending.close()
