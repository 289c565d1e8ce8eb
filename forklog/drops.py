"""The reasons for which entries are dropped, and what to do about each."""

from __future__ import annotations

BUFFER_FULL = "buffer_full"
CLOSED = "closed"
ENCODE = "encode"
REFUSED = "refused"
SHUTDOWN = "shutdown"
TOO_LARGE = "too_large"

REMEDIES = {
    BUFFER_FULL: "raise max_buffer_bytes, or set the option spool",
    CLOSED: "close the handler after the last record, or set the option last_resort",
    ENCODE: "correct the __str__ of what is logged or the recursion that logs it, or add memory",
    REFUSED: "look at them in on_drop, correct what logs them",
    SHUTDOWN: "raise shutdown_timeout, or set the options last_resort or spool",
    TOO_LARGE: "log less in one record",
}
"""Each reason and its remedy. A foreign transport may drop for others."""
_OTHER_REMEDY = "correct what logs them, or the transport that drops them"


def remedy_of(reason: str) -> str:
    """Return what to do about drops of a reason."""
    return REMEDIES.get(reason, _OTHER_REMEDY)
