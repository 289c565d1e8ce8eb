"""Copies for `segments` the entries of those whose files were removed into new ones."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from forklog.spool.folder import Folder
from forklog.spool.format import OVERHEAD, SEGMENT_BYTES
from forklog.spool.parts.maps import let_go
from forklog.spool.parts.segment import Segment


def rescue(
    used: deque[Segment],
    new: Callable[..., Segment],
    forget: Callable[[list[Segment]], None],
    folder: Folder,
) -> None:
    """Copy what lost segments hold, in its order, as far as there is room.

    What is in flight counts as taken there, too.

    Args:
        used: the segments in their order; a lost one is replaced by its copies.
        new: makes a segment; OSError where there is no room.
        forget: takes lost ones that are not used any more.
        folder: where the files of lost ones are, if there are any; each gives its room to the next.
    """
    with contextlib.suppress(OSError, ValueError):  # a read of another thread has sealed a copy
        _rescue(used, new, forget, folder)


def remove_ready(ready: deque[Segment], old: list[Segment], maps: list[object]) -> None:
    """Remove old segments from those that are ready, and their files and maps."""
    for segment in old:
        with contextlib.suppress(ValueError):  # a log call has taken it
            ready.remove(segment)
            segment.unlink()
            let_go(maps, segment.map)


def _rescue(
    used: deque[Segment],
    new: Callable[..., Segment],
    forget: Callable[[list[Segment]], None],
    folder: Folder,
) -> None:
    for lost in [segment for segment in list(used) if segment.is_lost]:
        _copy(lost, used, new)
        used.remove(lost)
        forget([lost])
        with contextlib.suppress(OSError):
            folder.unlink(lost.name)
            folder.add(-lost.size)


def _copy(lost: Segment, used: deque[Segment], new: Callable[..., Segment]) -> None:
    used_bytes, copy = lost.seal() - lost.mark, None
    place = lost.mark
    is_small = used_bytes + OVERHEAD <= SEGMENT_BYTES[0]
    for entry in lost.unsettled():
        if copy is None or copy.position() + len(entry) >= copy.size:
            copy = _made(new, at_least=len(entry) + OVERHEAD, is_small=is_small)
            copy.open(deque())
            used.insert(used.index(lost), copy)
        start, is_taken = copy.position(), place < lost.taken
        steps: list[partial[Any]] = [partial(copy.write, entry + b"\n")]
        if is_taken and copy.taken < start:
            steps.append(partial(copy.ahead.__setitem__, start, len(entry)))
        # In one step of C, which ends where it is sealed by now: no place without its entry.
        deque(map(partial.__call__, steps), maxlen=0)
        if is_taken and copy.taken == start:
            copy.take_to(start + len(entry) + 1)
        lost.settle_first([entry])
        place += len(entry) + 1
        if place > lost.taken:
            lost.move([], [], place)


def _made(new: Callable[..., Segment], *, at_least: int, is_small: bool) -> Segment:
    """Make a segment of the largest size that there is room for: each refusal is of one size."""
    for _ in SEGMENT_BYTES[1:]:
        with contextlib.suppress(OSError):
            return new(at_least=at_least, is_small=is_small)
    return new(at_least=at_least, is_small=is_small)
