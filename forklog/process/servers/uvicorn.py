"""uvicorn: when a signal made it shut down, it raises that signal again with its default action."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from forklog.process.servers.processes import Ends, Found, is_a

MODULE = "uvicorn.server"
HOOK = "the end of uvicorn's shutdown"
CONNECTS_AT_FORK = False
MAY_GO_ON = True  # by a handler of its own for the signal that uvicorn raises again
LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access")
MUST_REACH = ("uvicorn.error", "uvicorn.access")  # it logs nothing by their parent itself
REPLACES_ROOT = False
KILLS = ""
IS_WEB = True
_SERVER = "server"
PROCESSES = (_SERVER,)


def detect(selves: Callable[[], Iterable[object]]) -> Found | None:
    """Look for uvicorn's server."""
    if MODULE not in sys.modules:
        return None
    for thing in selves():
        if is_a(thing, MODULE, "Server"):
            return Found(_SERVER, "no fork", "uvicorn's Server runs in the main thread")
    return None


def connect(module: Any, flush: Callable[[], object]) -> None:
    """Flush after what uvicorn does last before it raises the signal again.

    Its `_serve` logs one more line after `shutdown`, but it may have been entered already. As a
    rule it imports the application, and with that this handler.
    """
    for name in ("_serve", "shutdown"):
        setattr(module.Server, name, _then_flush(getattr(module.Server, name), flush))


def _then_flush(run: Callable[..., Any], flush: Callable[[], object]) -> Callable[..., Any]:
    @functools.wraps(run)
    async def run_and_flush(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await run(self, *args, **kwargs)
        finally:
            # SIGINT becomes a KeyboardInterrupt, which `uvicorn.run` catches: the program goes on,
            # or ends by the hooks of the interpreter.
            if set(self._captured_signals) - {signal.SIGINT}:
                flush()

    return run_and_flush


def is_worker(process: str) -> bool:
    """Tell whether a worker of gunicorn runs uvicorn's server, by the name of its class."""
    return "Uvicorn" in process


def ends(_process: str, _options: Collection[str] = ()) -> Ends:
    """Say that each ends by the signal that is raised again; SIGQUIT is not handled."""
    return Ends(runs_hook=True, runs_pythons=False, without=("SIGQUIT",))


def time_limit() -> str:
    """Name none: uvicorn kills no process."""
    return ""
