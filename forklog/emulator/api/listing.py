"""entries:list: takes a request body from server, gives one page of what store holds.

Runs in the worker thread. A page token names the last entry shown and the newest row of the first
page. So pages neither repeat nor skip an entry while writes go on. See
https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list.
"""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from forklog.emulator.api.request import read_message
from forklog.emulator.errors import ApiError
from forklog.emulator.fields import int32, sequence, string, table
from forklog.emulator.filter.budget import Budget
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.narrow import narrow
from forklog.emulator.filter.parse import All, parse

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from forklog.emulator.api.store import Found, Store
    from forklog.emulator.filter.match import Predicate
    from forklog.emulator.filter.narrow import Narrowed

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 1000
MAX_RESOURCES: Final = 100
_PARENT: Final = re.compile(
    r"((?:projects|organizations|billingAccounts|folders)/[a-z0-9_.:-]{1,200})"
    r"(?:/locations/[\w-]{1,100}/buckets/[\w.-]{1,100}(?:/views/[\w.-]{1,100})?)?",
    re.ASCII | re.IGNORECASE,
)
_ORDERS: Final = {"": False, "timestamp": False, "timestamp asc": False, "timestamp desc": True}

_FIELDS: Final = table(
    resource_names=sequence,
    project_ids=sequence,
    filter=string,
    order_by=string,
    page_size=int32,
    page_token=string,
)


class _Cursor(NamedTuple):
    """Where a page begins: after this entry, among rows up to `ceiling`."""

    ceiling: int
    timestamp: int | None = None
    insert_id: str = ""
    log_name: str = ""


class Page(NamedTuple):
    """Entries, and the token of the next page; "" if there is none."""

    rows: list[Found]
    token: str


def list_entries(store: Store, body: bytes, *, is_control: bool = False) -> bytes:
    """Return the body of the answer: one page of entries and perhaps a nextPageToken.

    A control call need not name resources; it then sees all of them.

    Raises:
        ApiError: what is wrong with the request, for a filter with line and column.

    """
    return _answer(page_of(store, body, is_control=is_control))


def page_of(store: Store, body: bytes, *, is_control: bool = False) -> Page:
    """Return one page of entries; arguments and errors are those of `list_entries`."""
    request = read_message(body, _FIELDS)
    page_size = _page_size(request)
    parents = parents_of(request, is_required=not is_control)
    newest_first = _is_newest_first(request)
    digest = _digest(request, parents)
    cursor = _cursor(request.get("pageToken", ""), digest) or _Cursor(store.last_position())
    source = request.get("filter", "")
    budget = Budget()
    try:
        narrowed = narrow(parse(source))
        test = predicate(narrowed.rest, budget)
        rows = _rows(store, narrowed, parents, cursor, newest_first=newest_first)
        with closing(rows):  # in this thread: an error that holds the rows goes on to another one
            page, last = _page(rows, None if narrowed.rest == All(()) else test, page_size, budget)
    except FilterError as error:
        raise ApiError(error.shown(source)) from error
    return Page(page, _token(_Cursor(cursor.ceiling, *last[:3]), digest) if last else "")


def _rows(
    store: Store, narrowed: Narrowed, parents: list[str], cursor: _Cursor, *, newest_first: bool
) -> Generator[Found, None, None]:
    where, values = _place(cursor, newest_first=newest_first)
    # The plus keeps SQLite from a search by position, for which it would sort all entries.
    among = f"parent IN ({', '.join('?' * len(parents))})" if parents else "1"
    known, old = store.receipts.first, store.receipts.position_before(narrowed.since or 0)
    return store.scan(
        f"(+position <= ? OR +position > ?) AND {narrowed.where} AND {among} "
        f"AND +position <= ? AND {where}",
        (known, old, *narrowed.values, *parents, cursor.ceiling, *values),
        newest_first=newest_first,
    )


def _page(
    rows: Iterator[Found], test: Predicate | None, page_size: int, budget: Budget
) -> tuple[list[Found], Found | None]:
    """Return a page of matching rows, and the row after which the next one begins, if one does.

    A page also ends when its time is over, with fewer rows or none, as those of the API do.
    """
    page: list[Found] = []
    seen: Found | None = None
    for row in rows:
        if seen is not None and budget.is_page_over():
            return page, seen
        if test is None or test(orjson.loads(row.body)):
            if len(page) == page_size:
                return page, page[-1]
            page.append(row)
        seen = row
    return page, None


def _place(cursor: _Cursor, *, newest_first: bool) -> tuple[str, tuple[Any, ...]]:
    if cursor.timestamp is None:
        return "1", ()
    beyond = "<" if newest_first else ">"
    where = f"timestamp {beyond}= ? AND (timestamp {beyond} ? OR (insert_id, log_name) > (?, ?))"
    return where, (cursor.timestamp, cursor.timestamp, cursor.insert_id, cursor.log_name)


def _page_size(request: Mapping[str, Any]) -> int:
    size = request.get("pageSize") or DEFAULT_PAGE
    if not 0 < size <= MAX_PAGE:
        msg = f"page_size {size} is out of range: it must be from 0 to {MAX_PAGE}"
        raise ApiError(msg)
    return int(size)


def parents_of(request: Mapping[str, Any], *, is_required: bool) -> list[str]:
    """Return the parents that a request names; ApiError for a malformed one, or too many."""
    names = request.get("resourceNames", [])
    names = [*names, *map(_project, request.get("projectIds", []))]
    if is_required and not names:
        raise ApiError("resource_names is required: name at least one parent")
    if len(names) > MAX_RESOURCES:
        msg = f"{len(names)} resource_names, more than the limit of {MAX_RESOURCES}"
        raise ApiError(msg)
    return [parent_of(name) for name in names]


def _project(project_id: object) -> object:
    return f"projects/{project_id}" if isinstance(project_id, str) else project_id


def parent_of(name: object) -> str:
    """Return the parent that a resource name begins with; ApiError if it is malformed."""
    found = _PARENT.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        shown = repr(name)[:200] if isinstance(name, str) else "of another type than text"
        msg = f"resource name {shown} is not of the form projects/[PROJECT_ID]"
        raise ApiError(msg)
    return found[1]


def _is_newest_first(request: Mapping[str, Any]) -> bool:
    order = " ".join(request.get("orderBy", "").split())
    if order not in _ORDERS:
        msg = f'order_by {order!r} is not supported: use "timestamp asc" or "timestamp desc"'
        raise ApiError(msg)
    return _ORDERS[order]


def _digest(request: Mapping[str, Any], parents: list[str]) -> str:
    asked = [request.get("filter"), request.get("orderBy"), *sorted(parents)]
    return hashlib.sha256(orjson.dumps(asked)).hexdigest()[:16]


def _token(cursor: _Cursor, digest: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([digest, *cursor])).decode()


def _cursor(token: str, digest: str) -> _Cursor | None:
    if not token:
        return None
    try:
        asked, *parts = orjson.loads(base64.urlsafe_b64decode(token))
        cursor = _Cursor(int(parts[0]), int(parts[1]), str(parts[2]), str(parts[3]))
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ApiError("page_token is not one that this server gave out") from error
    if asked != digest or max(abs(cursor.ceiling), abs(cursor.timestamp or 0)) >= 2**63:
        msg = "page_token belongs to a call with another filter, order or resource_names"
        raise ApiError(msg)
    return cursor


def _answer(page: Page) -> bytes:
    parts = []
    if page.rows:
        parts.append(b'"entries":[' + b",".join(row.body for row in page.rows) + b"]")
    if page.token:
        parts.append(b'"nextPageToken":' + orjson.dumps(page.token))
    return b"{" + b",".join(parts) + b"}"
