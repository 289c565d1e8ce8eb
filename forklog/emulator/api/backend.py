"""The service behind the HTTP server: write, listing and store in one worker thread.

The event loop awaits these methods. One thread does the work in the order it was asked for. So
nothing is locked, and control calls are answered while a large write is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from forklog.emulator.api.listing import Page, list_entries, page_of
from forklog.emulator.api.logs import list_logs
from forklog.emulator.api.reader import Chunk, Reader, check
from forklog.emulator.api.store import Store
from forklog.emulator.api.validate import check_log_name
from forklog.emulator.api.write import Writer
from forklog.emulator.counts import Counts
from forklog.emulator.errors import NOT_FOUND, ApiError
from forklog.emulator.one_thread import OneThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")


_CLOSE_SECONDS: Final = 1.0  # for the task under way; every write is in the file once answered


class Backend:
    """Everything that touches entries.

    Args:
        database: the SQLite file; None keeps the entries in memory.
        retention_days: older entries are accepted but not kept.

    """

    def __init__(self, database: Path | None, retention_days: float) -> None:
        """Keep the settings; the store is opened by `open`."""
        self.counts = Counts()
        self._database = database
        self._retention_days = retention_days
        self._worker = OneThread("emulator-store")
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Open the store; StoreError if its file cannot be used."""
        self._store = await self._work(lambda: Store(self._database))
        self._writer = Writer(self._store, self.counts, self._retention_days, time.time_ns())

    async def close(self) -> None:
        """Close the store and end the thread; leave them alone if a filter is still at work.

        Tasks that wait for the thread are cancelled.
        """
        self._worker.cancel_waiting()
        if hasattr(self, "_store"):
            closing = self._worker.submit(self._store.close)
            self._worker.shutdown(wait=False)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(closing), _CLOSE_SECONDS)

    async def write(self, body: bytes, refuse: Mapping[int, ApiError]) -> bytes:
        """Answer entries:write; ApiError for what it refuses."""
        received = time.time_ns()
        try:
            return await self._work(lambda: self._writer.write(body, received, refuse))
        finally:
            self._tell_readers()

    async def list_page(self, body: bytes, *, is_control: bool = False) -> bytes:
        """Answer entries:list; ApiError for what it refuses."""
        return await self._work(lambda: list_entries(self._store, body, is_control=is_control))

    async def control_page(self, body: bytes) -> Page:
        """Return a page as the control call lists it; ApiError for what it refuses."""
        return await self._work(lambda: page_of(self._store, body, is_control=True))

    async def list_logs(self, parent: str, query: Iterable[tuple[str, str]]) -> bytes:
        """Answer logs.list; ApiError for what it refuses."""
        return await self._work(lambda: list_logs(self._store, parent, query))

    async def delete_log(self, name: str) -> bytes:
        """Answer the deletion of a log; ApiError if it has no entries."""
        log_name, _ = check_log_name(name)
        if not await self._work(lambda: self._store.delete_log(log_name)):
            msg = f"Log {log_name} does not exist"
            raise ApiError(msg, NOT_FOUND)
        self._tell_readers()
        return b"{}"

    async def repeated(self) -> list[dict[str, Any]]:
        """Return the entries that were stored more than once, with their number of copies."""
        return await self._work(self._store.repeated)

    async def reset(self) -> None:
        """Remove every entry and count from zero."""
        await self._work(self._store.clear)
        self.counts.clear()
        self._tell_readers()

    async def reader(self, source: str, parents: Sequence[str] = (), newest: int = 0) -> Reader:
        """Return a reader of what arrives; FilterError if the filter is wrong."""
        return await self._work(lambda: Reader(self._store, source, parents, newest))

    async def read(self, reader: Reader) -> Chunk:
        """Have a reader read once."""
        return await self._work(reader.read)

    async def close_reader(self, reader: Reader) -> None:
        """End a reader; also where its call was cancelled."""
        await asyncio.shield(asyncio.ensure_future(self._work(reader.close)))

    async def check_filter(self, source: str) -> None:
        """Do nothing if a filter is in the language; FilterError if not."""
        await self._work(lambda: check(source))

    async def entry_at(self, position: int) -> bytes | None:
        """Return the JSON of the entry at a position; None if it is gone."""
        return await self._work(lambda: self._store.entry_at(position))

    def changed(self) -> asyncio.Event:
        """Return what is set as soon as entries were written or removed after this call."""
        return self._changed

    @staticmethod
    async def wait_for(seconds: float, *events: asyncio.Event) -> None:
        """Wait until one of the events is set, as long as that."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _tell_readers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def stats(self) -> dict[str, Any]:
        """Return the counts, without waiting for the worker."""
        return {**asdict(self.counts), "entries_shown": self._store.shown}

    async def _work(self, task: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, task)
