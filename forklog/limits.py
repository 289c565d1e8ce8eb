"""The limits of Cloud Logging for encoder and options; measures entries as the server does. Pure.

Cloud Logging refuses entries above about 256 KiB, measured on its internal form (quotas page).
That form is protobuf: text counts by its bytes, numbers take nine, so JSON made of small numbers
grows up to sixfold. A short entry is surely small and is not measured at all.
"""

from __future__ import annotations

from typing import Any

MAX_ENTRY_BYTES = 250_000  # of 262,144: a margin for the envelope and for the estimate
MAX_GROWTH = 6  # from JSON to the internal form
SURELY_SMALL_BYTES = MAX_ENTRY_BYTES // MAX_GROWTH
OVERHEAD_BYTES = 12  # of each value
# One value more than any entry can hold: what has as many is above every room.
MAX_NODES = MAX_ENTRY_BYTES // OVERHEAD_BYTES + 1


def estimate(value: Any) -> int:
    """Estimate the internal size in bytes of a JSON value (dicts, lists, strings, numbers)."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace")) + OVERHEAD_BYTES
    if isinstance(value, dict):
        return OVERHEAD_BYTES + sum(estimate(k) + estimate(v) for k, v in value.items())
    if isinstance(value, list):
        return OVERHEAD_BYTES + sum(map(estimate, value))
    return OVERHEAD_BYTES


REQUEST_LOG_SUFFIX = "-requests"
"""What the log of requests has after the name of the handler's log."""
PROJECTLESS_LOG = b'"logName":"projects//logs/'
"""What an entry of that log has while the project is not known."""

MAX_LABELS = 64
MAX_KEY_BYTES = 512
MAX_VALUE_BYTES = 64 * 1024
MAX_LABELS_BYTES = 100_000
# With the limit of the labels, these leave a fourth of the entry to the payload.
MAX_RESOURCE_BYTES = 16_000
