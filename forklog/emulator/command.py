"""`forklog emulator`: reads its arguments and runs the server until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import ipaddress
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from forklog.emulator.api.claim import StoreError
from forklog.emulator.help import point_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator.server.app import Server

_PARENT_CHECK_SECONDS: Final = 1.0
_MAX_PORT: Final = 65_535
_MAX_DAYS: Final = 36_500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `forklog emulator` to a parser."""
    parser.add_argument("--port", type=_port, default=8085, help="0 picks a free one (8085)")
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", help="address to bind (127.0.0.1)"
    )
    parser.add_argument(
        "--allow-host",
        type=_name,
        action="append",
        default=[],
        metavar="NAME",
        help="answer calls to this name too, as of a container; may be repeated",
    )
    parser.add_argument("--db", type=_file, metavar="FILE", help="keep entries in this SQLite file")
    parser.add_argument(
        "--retention-days",
        type=_days,
        default=30.0,
        metavar="DAYS",
        help="entries older than this are accepted but not kept (30)",
    )
    parser.add_argument("--quiet", action="store_true", help="print the address and no hint")
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input closes or the starting process is gone",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    try:
        from forklog.emulator.server.app import Config, Server  # noqa: PLC0415  needs the extra
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("aiohttp", "regex"):
            raise
        return _fail(f"the emulator needs {package}: install forklog with its extra emulator")
    config = Config(args.host, args.port, args.db, args.retention_days, tuple(args.allow_host))
    try:
        return asyncio.run(_serve(lambda: Server(config), args))
    except StoreError as error:
        return _fail(str(error))


async def _serve(make: Callable[[], Server], args: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    parent = os.getppid()  # read before we print that we listen, after which it may end
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(loop, number, stopped)
    server = make()
    try:
        try:
            port = await server.start()
        except OSError as error:
            return _fail(_no_address(args, error))
        _announce(args, port)
        if args.with_parent:
            await _parent_or(stopped, parent)
        else:
            await stopped.wait()
    finally:
        await server.stop()
    return 0


def _no_address(args: argparse.Namespace, error: OSError) -> str:
    """Return why it cannot listen, and which of its options is to be another."""
    is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
    option = "--port" if is_port else "--host"
    reason = str(error.strerror or error).partition(" (while attempting")[0]  # asyncio adds it
    return f"cannot listen on {args.host}:{args.port}: {reason}; choose another {option}"


def _on_signal(
    loop: asyncio.AbstractEventLoop, number: signal.Signals, stopped: asyncio.Event
) -> None:
    try:
        loop.add_signal_handler(number, stopped.set)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))


def _announce(args: argparse.Namespace, port: int) -> None:
    host = f"[{args.host}]:{port}" if ":" in args.host else f"{args.host}:{port}"
    sys.stdout.write(f"forklog emulator listening on http://{host}\n")
    if not args.quiet:
        sys.stdout.write(point_at(host) + "\n")
    sys.stdout.flush()


async def _parent_or(stopped: asyncio.Event, parent: int) -> None:
    """Wait for the end, or for standard input to close, or for another parent than this one.

    Either sign alone can miss: a forked child of the parent may hold the pipe open.
    """
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(sys.stdin.fileno(), _read_input, stopped)
    except NotImplementedError:  # Windows, where the parent's number says nothing either
        threading.Thread(target=_await_input, args=(loop, stopped), daemon=True).start()
    end = asyncio.ensure_future(stopped.wait())
    while not stopped.is_set() and os.getppid() == parent:
        await asyncio.wait([end], timeout=_PARENT_CHECK_SECONDS)
    end.cancel()


def _read_input(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stopped.set()


def _await_input(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stopped.set)


def _fail(text: str) -> int:
    sys.stderr.write(f"forklog emulator: {text}\n")
    return 1


def _host(text: str) -> str:
    if not text.strip():
        msg = f"{text!r} would bind every address; name one, or 0.0.0.0 if all are meant"
        raise argparse.ArgumentTypeError(msg)
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+", text, re.ASCII) and not _is_ipv6(text):
        msg = f"{text!r} is not the name or address of a host, without a port"
        raise argparse.ArgumentTypeError(msg)
    return text


def _is_ipv6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _port(text: str) -> int:
    number = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else -1
    if not 0 <= number <= _MAX_PORT:
        msg = f"{text!r} is not a port from 0 to {_MAX_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _file(text: str) -> Path:
    path = Path(text)
    if not path.name:
        msg = f"{text!r} is not the path of a file"
        raise argparse.ArgumentTypeError(msg)
    return path


def _days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _MAX_DAYS:
        msg = f"{text!r} is not a number of days above 0 and up to {_MAX_DAYS}"
        raise argparse.ArgumentTypeError(msg)
    return number
