"""entries:write: takes a request body from server, gives rows to store.

Runs in the worker thread. What it answers is described at
https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from forklog.emulator.api.request import read_message
from forklog.emulator.api.schema import read_entry, read_resource
from forklog.emulator.api.validate import Defaults, Row, settle
from forklog.emulator.errors import ApiError, bad_request, partial_errors
from forklog.emulator.fields import boolean, sequence, string, string_map, table
from forklog.emulator.timestamps import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forklog.emulator.api.store import Store
    from forklog.emulator.counts import Counts

MAX_REQUEST_BYTES: Final = 10_485_760  # https://cloud.google.com/logging/quotas#api-limits

_FIELDS: Final = table(
    entries=sequence,
    log_name=string,
    resource=read_resource,
    labels=string_map,
    partial_success=boolean,
    dry_run=boolean,
)


class Writer:
    """Validate requests and store their entries.

    Args:
        store: where valid entries go.
        counts: what is counted.
        retention_days: entries with an older timestamp are accepted but not kept.
        started: a number that grows from run to run; generated insertIds begin there.

    """

    def __init__(self, store: Store, counts: Counts, retention_days: float, started: int) -> None:
        """Keep what writing needs."""
        self._store = store
        self._counts = counts
        self._retention = int(retention_days * DAY)
        self._new_ids = count(started)

    def write(self, body: bytes, received: int, refuse: Mapping[int, ApiError]) -> bytes:
        """Store the entries of a request body and return the body of the answer.

        Args:
            body: the JSON text.
            received: the time of receipt in nanoseconds since 1970.
            refuse: entries to refuse although they are valid, by index.

        Raises:
            ApiError: what is wrong with the request or some of its entries.

        """
        request = read_message(body, _FIELDS)
        raw = request.get("entries", [])
        self._counts.add(writes=1, entries_received=len(raw))
        failed: dict[int, ApiError] = {}
        try:
            rows = self._rows(request, raw, received, failed)
        except ApiError:
            self._counts.add(refused=len(raw))
            raise
        for index in refuse.keys() & rows.keys():
            failed[index] = refuse[index]
            del rows[index]
        return self._settle(request, rows, failed, received)

    def _rows(
        self, request: dict[str, Any], raw: list[Any], received: int, failed: dict[int, ApiError]
    ) -> dict[int, Row]:
        violations: list[tuple[str, str]] = []
        entries = [
            read_entry(entry, f"entries[{index}]", violations) for index, entry in enumerate(raw)
        ]
        if violations:
            raise bad_request(violations)
        defaults = Defaults(
            request.get("logName", ""),
            request.get("resource", {}),
            request.get("labels", {}),
            received,
        )
        rows = (self._row(entry, defaults, index, failed) for index, entry in enumerate(entries))
        return {index: row for index, row in enumerate(rows) if row is not None}

    def _row(
        self, entry: dict[str, Any], defaults: Defaults, index: int, failed: dict[int, ApiError]
    ) -> Row | None:
        try:
            return settle(entry, defaults, index, f"e{next(self._new_ids):016x}")
        except ApiError as error:
            failed[index] = error
            return None

    def _settle(
        self,
        request: dict[str, Any],
        rows: dict[int, Row],
        failed: dict[int, ApiError],
        received: int,
    ) -> bytes:
        is_partial = request.get("partialSuccess", False)
        if failed and not is_partial:
            self._counts.add(refused=len(rows) + len(failed))
            first = failed[min(failed)]
            raise ApiError(first.message, first.code)
        self._counts.add(refused=len(failed))
        self._keep(list(rows.values()), received, is_dry=request.get("dryRun", False))
        if failed:
            raise partial_errors(failed)
        return b"{}"

    def _keep(self, rows: list[Row], received: int, *, is_dry: bool) -> None:
        if is_dry:
            self._counts.add(dry_run=len(rows))
            return
        kept = [row for row in rows if row.timestamp >= received - self._retention]
        new = self._store.add(kept, received) if kept else 0
        self._counts.add(
            expired=len(rows) - len(kept), entries_stored=len(kept), duplicates=len(kept) - new
        )
