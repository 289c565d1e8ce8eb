"""The command line: ``forklog doctor``, ``tail``, ``emulator``, ``recover`` and ``demo``."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from forklog.__about__ import VERSION

_UNREAD = 128 + 13  # SIGPIPE, by the convention of shells
_INTERRUPTED = 128 + 2  # SIGINT
_UNWRITTEN = 74  # EX_IOERR of sysexits.h
_COMMANDS = {
    "emulator": ("forklog.emulator.command", "run a local Cloud Logging over HTTP"),
    "tail": ("forklog.tail.command", "follow entries, of an emulator or of Cloud Logging"),
    "doctor": ("forklog.diagnosis.command", "say what would lose records here, and what to do"),
    "recover": ("forklog.recovery.command", "send what killed processes have left in a spool"),
    "demo": ("forklog.demo.command", "show forklog and the stock handler under real uWSGI servers"),
}


class _Parser(argparse.ArgumentParser):
    """One that raises where its help cannot be written, which argparse hides; sub-parsers too."""

    def print_help(self, file: Any = None) -> None:
        """Write the help to stdout, or to another file."""
        (sys.stdout if file is None else file).write(self.format_help())


class _Version(argparse.Action):
    """Prints the version in the same way."""

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> None:
        sys.stdout.write(f"forklog {VERSION}\n")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    That is 2 for a wrong call, as argparse has it. As of a program that a signal ends it is 130
    after Ctrl-C, and 141 if whoever reads the output has gone (``forklog doctor | head -1``). It is
    74 if the output cannot be written, as on a full disk.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stderr is None:  # closed; so that no command need ask
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - a device
    if sys.stdout is None:
        return _fail(given, "stdout is closed")
    try:
        try:
            return _main(given)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _print_no_more()
        return _UNREAD
    except OSError as error:
        _print_no_more()
        place = f"{error.filename}: " if error.filename else ""
        return _fail(given, f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return _INTERRUPTED


def _print_no_more() -> None:
    """Lead stdout nowhere: the interpreter flushes it at its end, and would print what fails."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - no path, a device
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _fail(given: Sequence[str], text: str) -> int:
    name = " ".join(["forklog", *(one for one in given[:1] if one in _COMMANDS)])
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{name}: {text}\n")
        sys.stderr.flush()
    return _UNWRITTEN


def _main(given: Sequence[str]) -> int:
    parser = _Parser(prog="forklog", description=__doc__)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run: Callable[[argparse.Namespace], int] | None = None
    for name, (module, text) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name in given[:1]:  # the other commands may need what is not installed
            command = importlib.import_module(module)
            command.add_arguments(sub)
            run = command.run
    args = parser.parse_args(given)
    return run(args) if run is not None else 2


def seconds(text: str) -> float:
    """Read a number of seconds above 0; for the arguments of commands."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, as 5")
    return number
