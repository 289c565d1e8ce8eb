"""Takes the body of entries:tail from the server, gives what it asks to follow. Pure.

The call is described at
https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/tail.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from forklog.emulator.api.listing import parents_of
from forklog.emulator.api.request import read_message
from forklog.emulator.errors import ApiError
from forklog.emulator.fields import duration, sequence, string, table

_DEFAULT_SECONDS: Final = 2.0
_MAX_SECONDS: Final = 60.0

_FIELDS: Final = table(resource_names=sequence, filter=string, buffer_window=duration)


class TailRequest(NamedTuple):
    """What a call of entries:tail asks for.

    Attributes:
        source: the filter.
        parents: entries below these.
        window: the seconds in which entries are gathered, to be sent in order.

    """

    source: str
    parents: list[str]
    window: float


def read_tail(body: bytes) -> TailRequest:
    """Return what a body asks for; ApiError if it does not fit."""
    request = read_message(body, _FIELDS)
    window = request.get("bufferWindow")
    seconds = _DEFAULT_SECONDS if window is None else float(window[:-1])
    if not 0 <= seconds <= _MAX_SECONDS:
        msg = f"buffer_window {window} is out of range: it must be from 0s to {_MAX_SECONDS:g}s"
        raise ApiError(msg)
    return TailRequest(request.get("filter", ""), parents_of(request, is_required=True), seconds)
