"""The buffer of a free-threaded build: as `Buffer`, with sums that several threads may change.

Without the interpreter's lock ``self.bytes += size`` is no single step: two threads that log may
each lose the other's change. So every change goes to the end of a deque, which is one step on all
builds. Whoever gets the turn adds up what is there. A deque cannot be copied while others append to
it, so a batch is taken entry by entry. No thread waits for another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from forklog.delivery.buffer import Buffer
from forklog.delivery.sending.lanes import move
from forklog.insert_id import AFTER_ALL
from forklog.severity import NEVER
from forklog.turn import TURN, Turn


class UnlockedBuffer(Buffer):
    """Hold entries as `Buffer` does, on any build. For the arguments see there.

    Between two calls `bytes` is exact. Where threads offer at the same time, it may lack the
    entries whose offers have not returned.
    """

    __slots__ = ("_adding", "_changes", "_dropping")

    def __init__(self, *args: Any, **options: Any) -> None:
        """Start empty, armed to wake at the first entry."""
        super().__init__(*args, **options)
        self._changes: deque[int] = deque()
        self._adding, self._dropping = Turn(), Turn()

    def offer(self, rank: int, entry: bytes) -> None:
        """Append an entry as `Buffer.offer` does; takes no lock.

        Raises:
            RecursionError, MemoryError: it is not appended. Once it is, neither is raised: the next
                offer wakes the worker then.
        """
        size = len(entry)
        self._append[rank](entry)
        try:
            self.count_taken(size)
            if self.bytes > self.alarm_bytes:
                self._alarm()
            if rank >= self.wake_rank:
                self.wake_rank = NEVER  # until the worker arms it again
                self.on_wake()
        except (RecursionError, MemoryError):
            self.wake_rank = 0
        except BaseException:
            self.wake_rank = 0  # no call, where the next exception could come
            raise

    def count_taken(self, size: int) -> None:
        """Change the sum of the bytes; any thread, any context."""
        changes, turn, taker = self._changes, self._adding, object()
        changes.append(size)
        # Looked at again after the turn is given back: who found it taken meanwhile has left.
        while changes:
            try:
                if turn.setdefault(TURN, taker) is not taker:
                    return
                self._add_up()
            finally:
                if TURN in turn and turn[TURN] is taker:
                    del turn[TURN]

    def _add_up(self) -> None:
        while self._changes:
            self.bytes += self._changes[0]
            self._changes.popleft()  # no signal handler runs between these two

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        """Move the oldest entries to the end of a list; as `Buffer.take`, for the sender alone."""
        size = 0
        for number in range(max_entries):
            head, rank = min((_head(lane), rank) for rank, lane in enumerate(self._lanes))
            size += len(head)
            if head is AFTER_ALL or (number and size > max_bytes):
                break
            move(self._lanes[rank], into, 1)
        into.sort()

    def _drop_one(self, lanes: Iterable[deque[bytes]] = ()) -> bool:
        """Drop the next one, unless another thread does: that one looks at the sum again."""
        turn, taker = self._dropping, object()
        try:
            return turn.setdefault(TURN, taker) is taker and super()._drop_one(lanes)
        finally:
            if TURN in turn and turn[TURN] is taker:
                del turn[TURN]


def _head(lane: deque[bytes]) -> bytes:
    try:
        return lane[0]
    except IndexError:
        return AFTER_ALL
