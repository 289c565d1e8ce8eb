"""Looks at the spools of this process's handlers: what dead processes left, and who may send it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial

from forklog.diagnosis.bounded import gather
from forklog.diagnosis.facts import Spool
from forklog.options import Options
from forklog.recovery.notes import notes_of
from forklog.spool.folder import Folder, UnfitError
from forklog.spool.head import Fits
from forklog.spool.parts.image import image
from forklog.spool.parts.place import path_of
from forklog.spool.scan import scan
from forklog.transports.google.access import endpoint_of, known_project

_MOST_CLAIMED = 16  # orphans at a time: each holds a descriptor


def look_at_spools(
    ways: Collection[Options], deadline: float, *, in_child: bool
) -> tuple[Spool, ...]:
    """Look at each folder once, and change nothing.

    Args:
        ways: the options of this process's handlers.
        deadline: of `time.monotonic`.
        in_child: no thread may live here, so a forked child looks.

    Returns:
        A value for each folder that could be looked at in time.
    """
    found: dict[str, Spool] = {}
    for options in ways:
        path, left = options.spool, deadline - time.monotonic()
        if path is not None and path not in found and left > 0:
            seen = gather(partial(_look, options), left, in_child=in_child)
            found[path] = Spool(
                path=seen.get("path", path),
                unfit=seen.get("unfit", ""),
                waiting=seen.get("waiting", 0),
                kept=tuple(seen.get("kept", ())),
            )
    return tuple(found.values())


def _look(options: Options, say: Callable[..., None]) -> None:
    project, endpoint = known_project(options), endpoint_of(options)
    fits = Fits(project, endpoint)
    try:
        path = path_of(str(options.spool))
        say(path=path)
        folder = Folder(path, 2**62, is_made=False)
    except (UnfitError, OSError) as why:
        if not isinstance(why.__cause__, FileNotFoundError):  # the first record makes it
            say(unfit=str(why))
        return
    try:
        done: set[str] = set()
        kept: dict[str, str] = {}
        has_more = True
        while has_more:
            found = scan(folder, image(), done, fits, _MOST_CLAIMED, is_read_only=True)
            has_more = bool(found.orphans)
            for orphan in found.orphans:
                done.add(orphan.name.prefix)
                orphan.close()
            kept |= notes_of(folder, found, project, endpoint)
            say(waiting=len(done), kept=[f"{name}: {text}" for name, text in kept.items()])
    finally:
        folder.close()
