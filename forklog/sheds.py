"""Step 5, beside the driver: what overflows drop in the logging threads, told by the flush thread.

The buffer counts each entry that it sheds; here it is booked in the flusher, said, and handed to
``on_drop``, so that a log call does none of that.
"""

from __future__ import annotations

import contextlib
from collections import deque

from forklog.buffer import Buffer
from forklog.flusher import Flusher
from forklog.options import Options

__all__ = ["Sheds"]


class Sheds:
    """The overflows of one pipeline. `keep` is for any thread; the rest for whoever runs passes."""

    def __init__(self, options: Options, buffer: Buffer, flusher: Flusher) -> None:
        """Keep nothing yet."""
        self.told = 0
        """Entries that the buffer has shed and the flusher has booked."""
        self.told_unencoded = 0
        """Records that became no entry and that the flusher has booked."""
        self._max_bytes = options.max_buffer_bytes
        self._buffer = buffer
        self._flusher = flusher
        self._entries: deque[bytes] = deque()
        self._bytes = 0

    def keep(self, entry: bytes) -> None:
        """Keep a shed entry for ``on_drop``; never blocks, takes no lock.

        There is as much room as in the buffer; what does not fit is counted all the same.
        """
        size = len(entry)
        if self._bytes < self._max_bytes:
            self._bytes += size  # one step, as in the buffer
            self._entries.append(entry)

    def tell(self) -> None:
        """Book, say and hand over what was shed since the last time."""
        with self._flusher.ledger.lock:
            total = self._buffer.shed.value()
            news, self.told = total - self.told, total
            self._flusher.ledger.drop("buffer_full", news)
            unencoded = self._buffer.unencoded - self.told_unencoded
            self.told_unencoded += unencoded
            self._flusher.ledger.drop("encode", unencoded, is_new=True)
        # A logging thread counts first and keeps the entry then: it may come without news.
        victims: list[bytes] = []
        with contextlib.suppress(IndexError):  # another thread may be here as well
            while True:
                victims.append(self._entries.popleft())
        size = sum(map(len, victims))
        self._bytes -= size
        if unencoded:
            self._flusher.news.of_drop("encode", unencoded)
        if news or victims:
            self._flusher.news.of_drop("buffer_full", news, victims)
