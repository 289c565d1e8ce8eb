"""`forklog demo`: reads its arguments, runs trials one after another, prints their table."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from forklog.cli import seconds
from forklog.demo.modes import DEFAULT_MODES, HANDLERS, MODES
from forklog.demo.server import ServerError
from forklog.demo.table import explain, one_line, show
from forklog.demo.trial import PROJECT, Trial
from forklog.emulator.process import Emulator, EmulatorError
from forklog.terminal.screen import screen_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forklog.demo.row import Row
    from forklog.terminal.plain import Screen


_NOT_PERFECT = 1
_NOT_RUN = 2
_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `forklog demo` to a parser."""
    parser.add_argument(
        "--modes",
        type=lambda text: _chosen(text, tuple(MODES)),
        default=DEFAULT_MODES,
        metavar="MODE[,MODE]",
        help=f"how uWSGI runs, of {', '.join(MODES)} (all but kill)",
    )
    parser.add_argument(
        "--handlers",
        type=lambda text: _chosen(text, HANDLERS),
        default=(),
        metavar="HANDLER[,HANDLER]",
        help=f"of {', '.join(HANDLERS)} ; left out, the last runs in kill alone",
    )
    parser.add_argument(
        "--patience",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="a worker that has not answered by then is hung (5)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the emulator with the entries until Ctrl-C"
    )


def run(args: argparse.Namespace) -> int:
    """Run the trials, print their table and a verdict.

    Returns:
        0 if all of forklog's rows are perfect (in the mode kill: those with a spool), 1 if one is
        not, 2 if the demo could not run, 130 if it was interrupted; Ctrl-C that ends ``--keep``
        changes nothing.

    """
    if not Path("/proc/self/stat").exists():
        return _fail("it needs Linux: it reads from /proc which processes run")
    if missing := _missing(args.handlers or HANDLERS):
        return _fail(f"{missing} is not installed: install forklog with its extra demo")
    screen = screen_on(sys.stdout)
    rows: list[Row] = []
    try:
        with _interruptible(), Emulator.start() as emulator:
            explain(screen)
            rows = _run_trials(args, emulator, screen)
            show(screen, rows)
            _point_at_kills(args, screen)
            if args.keep:
                _keep(emulator, screen)
    except KeyboardInterrupt:
        if not args.keep or not rows:
            return _fail("interrupted; all processes were ended", _INTERRUPTED)
    except (EmulatorError, ServerError) as error:
        return _fail(str(error))
    return 0 if _is_perfect(rows) else _NOT_PERFECT


def _is_perfect(rows: Sequence[Row]) -> bool:
    """Tell whether each handler that has to deliver everything in its mode did so."""
    return not any(row.faults() for row in rows if row.handler not in MODES[row.mode].may_lose)


def _run_trials(args: argparse.Namespace, emulator: Emulator, screen: Screen) -> list[Row]:
    chosen = [MODES[mode] for mode in args.modes]
    trials = [(mode, handler) for mode in chosen for handler in args.handlers or mode.handlers]
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="forklog-demo-") as folder,
        screen.progress(len(trials)) as progress,
    ):
        for mode, handler in trials:

            def tell(words: str, about: str = f"uWSGI {mode.name}, {handler}") -> None:
                progress.update(f"{about}: {words}")

            trial = Trial(mode, handler, emulator, Path(folder), args.patience, tell)
            rows.append(trial.run())
            progress.finish(one_line(rows[-1]))
    return rows


def _point_at_kills(args: argparse.Namespace, screen: Screen) -> None:
    """Name the mode that is not run unless it is asked for."""
    if not any(MODES[mode].kills for mode in args.modes):
        screen.line()
        screen.line(("Workers killed by kill -9, with and without a spool:", ""))
        screen.line(("  forklog demo --modes kill", ""))


def _keep(emulator: Emulator, screen: Screen) -> None:
    """Wait for Ctrl-C, which ends the emulator."""
    screen.line()
    screen.line(("The entries stay at ", ""), (emulator.url, "bold"), (" until Ctrl-C.", ""))
    screen.line(("Open that in a browser, or see them in a terminal:", ""))
    screen.line((f"  forklog tail --emulator {emulator.url}", ""))
    screen.line((f"They are of the project {PROJECT}.", ""))
    screen.flush()
    threading.Event().wait()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have the first SIGINT or SIGTERM end the block; further ones do not disturb the clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_args: object) -> None:
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in previous:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _missing(handlers: Sequence[str]) -> str | None:
    wanted = {"pyuwsgi": "pyuwsgi", "aiohttp": "aiohttp", "regex": "regex"}
    if "stock" in handlers:
        wanted["google.cloud.logging"] = "google-cloud-logging"
    for module, package in wanted.items():
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return package
    return None


def _chosen(text: str, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise argparse.ArgumentTypeError(
            f"{(wrong or [text])[0]!r} is none of {', '.join(known)}; give some, with commas"
        )
    return names


def _fail(text: str, status: int = _NOT_RUN) -> int:
    sys.stderr.write(f"forklog demo: {text}\n")
    return status
