"""The one shape of the files in this folder. Read by type checkers and tests alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from forklog.process.servers.processes import Ends, Found


class Server(Protocol):
    """What each file offers: how to detect the server, what it logs by, how its processes end."""

    @property
    def HOOK(self) -> str:  # noqa: N802 - a constant of the file
        """What forklog is connected to, in the words of the documentation."""

    @property
    def PROCESSES(self) -> tuple[str, ...]:  # noqa: N802
        """The names that `detect` has for processes; more may follow one, such as a number."""

    @property
    def LOGGERS(self) -> tuple[str, ...]:  # noqa: N802
        """Its own loggers; the handler of `setup` is added where their records end."""

    @property
    def MUST_REACH(self) -> tuple[str, ...]:  # noqa: N802
        """Those of them for which it is a problem, in `doctor`, to reach no handler of ours."""

    @property
    def REPLACES_ROOT(self) -> bool:  # noqa: N802
        """Whether it takes the application's handlers off the root logger."""

    @property
    def KILLS(self) -> str:  # noqa: N802
        """Whom it kills, as the beginning of a sentence of `doctor`; empty if none."""

    @property
    def IS_WEB(self) -> bool:  # noqa: N802
        """Whether its processes answer requests, for which there are middlewares."""

    def detect(self, selves: Callable[[], Iterable[object]], /) -> Found | None:
        """Say what this process is; None if this server does not run it. Never blocks.

        Args:
            selves: returns what handles signals here, and whose methods the main thread runs.
        """

    def ends(self, process: str, options: Collection[str] = (), /) -> Ends:
        """Say how a process ends, by the name that `detect` gave it. Pure.

        Args:
            process: the name.
            options: those of uWSGI's options that are set.
        """

    def time_limit(self) -> str:
        """Return the option for which it is set to kill processes; empty if there is none."""


class PythonServer(Server, Protocol):
    """A server that forks in Python; what the files have besides uWSGI's."""

    @property
    def MODULE(self) -> str:  # noqa: N802
        """A process that has imported this module may be run by the server."""

    @property
    def CONNECTS_AT_FORK(self) -> bool:  # noqa: N802
        """Whether a child has to connect at the fork, before its first record."""

    @property
    def MAY_GO_ON(self) -> bool:  # noqa: N802
        """Whether the process may live on after the hook."""

    def connect(self, module: Any, flush: Callable[[], object]) -> None:
        """Have ``flush()`` called where the server is about to end this process."""
