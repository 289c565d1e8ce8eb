"""logs.list: takes the query of a URL from server, gives a page of the names of logs.

Runs in the worker thread. Only logs that have entries are named, as
https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.logs/list says.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from forklog.emulator.api.listing import DEFAULT_PAGE, MAX_PAGE, parents_of
from forklog.emulator.api.request import fields_of
from forklog.emulator.errors import ApiError
from forklog.emulator.fields import int32, string, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forklog.emulator.api.store import Store

# Those of every Google API: https://cloud.google.com/apis/docs/system-parameters.
_OF_THE_SYSTEM: Final = frozenset(
    {"$.xgafv", "$alt", "$prettyPrint", "access_token", "alt", "callback", "fields", "key"}
    | {"oauth_token", "prettyPrint", "quotaUser", "uploadType", "upload_protocol"}
)
_LISTS: Final = {"resourceNames", "resource_names"}
_FIELDS: Final = table(resource_names=list, page_size=int32, page_token=string)


def list_logs(store: Store, parent: str, query: Iterable[tuple[str, str]]) -> bytes:
    """Return the body of the answer: names of logs, sorted, and perhaps a nextPageToken.

    Args:
        store: where the entries are.
        parent: the resource name of the URL.
        query: the names and values of the URL's query; those of every API change nothing.

    Raises:
        ApiError: what is wrong with the call.

    """
    request = _request(query)
    names = [parent, *request.get("resourceNames", [])]
    parents = sorted(set(parents_of({"resourceNames": names}, is_required=True)))
    size = request.get("pageSize", 0)
    size = min(size, MAX_PAGE) if size > 0 else DEFAULT_PAGE
    digest = hashlib.sha256(orjson.dumps(parents)).hexdigest()[:16]
    after = _after(request.get("pageToken", ""), digest)
    found = store.log_names(parents, after, size + 1)
    answer: dict[str, Any] = {"logNames": found[:size]} if found else {}
    if len(found) > size:
        token = orjson.dumps([digest, found[size - 1]])
        answer["nextPageToken"] = base64.urlsafe_b64encode(token).decode()
    return orjson.dumps(answer)


def _request(query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in query:
        if name in _LISTS:
            given.setdefault(name, []).append(value)
        elif name not in _OF_THE_SYSTEM:
            given[name] = value
    return fields_of(given, _FIELDS)


def _after(token: str, digest: str) -> str:
    if not token:
        return ""
    try:
        asked, last = orjson.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise ApiError("page_token is not one that this server gave out") from error
    if asked != digest or not isinstance(last, str):
        raise ApiError("page_token belongs to a call with other resource names")
    return last
