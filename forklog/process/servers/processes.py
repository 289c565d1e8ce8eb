"""What a process of a server is, how that is seen, and how it ends."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """What a process is, by the server that runs it."""

    process: str
    """One of the server's `PROCESSES`, and what tells it from its like, such as ``worker 2``."""
    model: str
    """How its like come to be, such as ``prefork``."""
    known_by: str
    is_loader: bool = False
    """It loads the app, and uWSGI forks from it the processes that serve requests."""
    is_forked: bool = False
    """A process of the server has forked it by ``os.fork``; it ends like any such child."""


class Ends(NamedTuple):
    """How a process ends."""

    runs_hook: bool
    """By the server's `HOOK`."""
    runs_pythons: bool
    """By the hooks of Python."""
    without: tuple[str, ...] = ()
    """The ends of the server's own making at which nothing of ours runs."""


def is_a(thing: object, module: str, name: str) -> bool:
    """Tell whether a thing is of a class, without importing the class or touching the thing."""
    return any(c.__module__ == module and c.__name__ == name for c in type(thing).__mro__)
