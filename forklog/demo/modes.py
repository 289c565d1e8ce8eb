"""Names the server modes and the handlers that the demo compares, and where its example lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SPOOLED = "forklog-spool"
HANDLERS = ("stock", "forklog", SPOOLED)
WORKERS = 4
"""How many workers each ini file of the example starts."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to run the example.

    Args:
        name: what the command line calls it.
        ini: its file in the example's folder.
        loads: how many processes import the application.
        kills: how many workers are killed by SIGKILL while they log.
        handlers: those that are compared in it.
        may_lose: those of which the demo does not ask that they deliver everything.

    """

    name: str
    ini: str
    loads: int = 1
    kills: int = 0
    handlers: tuple[str, ...] = ("stock", "forklog")
    may_lose: tuple[str, ...] = ("stock",)


MODES = {
    mode.name: mode
    for mode in (
        Mode("prefork", "prefork.ini"),
        Mode("prefork-hooks", "prefork-hooks.ini"),
        Mode("no-master", "no-master.ini"),
        Mode("lazy", "lazy.ini", loads=WORKERS),
        # Lazy, because stock delivers everything there as long as no worker is killed.
        Mode("kill", "lazy.ini", WORKERS, 8, HANDLERS, may_lose=("stock", "forklog")),
    )
}
DEFAULT_MODES = tuple(name for name, mode in MODES.items() if not mode.kills)


def example_folder() -> Path:
    """Return the folder of ``examples/uwsgi``: the wheel's copy, or the one of a checkout."""
    packaged = Path(__file__).with_name("app")
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[2] / "examples" / "uwsgi"
