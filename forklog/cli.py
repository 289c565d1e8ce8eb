"""The command line: ``forklog doctor``, ``tail``, ``emulator``, ``recover`` and ``demo``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from forklog.__about__ import VERSION

_UNREAD = 128 + 13  # SIGPIPE, by the convention of shells
_INTERRUPTED = 128 + 2  # SIGINT
_COMMANDS = {
    "emulator": ("forklog.emulator.command", "run a local Cloud Logging over HTTP"),
    "tail": ("forklog.tail.command", "follow entries, of an emulator or of Cloud Logging"),
    "doctor": ("forklog.diagnosis.command", "say what would lose records here, and what to do"),
    "recover": ("forklog.recovery.command", "send what killed processes have left in a spool"),
    "demo": ("forklog.demo.command", "show forklog and the stock handler under real uWSGI servers"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    That is 2 for a wrong call, as argparse has it. As of a program that a signal ends it is 130
    after Ctrl-C, and 141 if whoever reads the output has gone (``forklog doctor | head -1``).
    """
    try:
        try:
            return _main(arguments)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would print what that raises.
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - no path, a device
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return _UNREAD
    except KeyboardInterrupt:
        return _INTERRUPTED


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="forklog", description=__doc__)
    parser.add_argument("--version", action="version", version=f"forklog {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    given = sys.argv[1:] if arguments is None else list(arguments)
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
