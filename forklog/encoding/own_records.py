"""Which records our own requests make; they must not become entries. Used by the handler."""

from __future__ import annotations

import logging
import threading

from forklog.encoding.call_site import OWN_LOGGERS
from forklog.encoding.jsonable import attribute_of, safe_text


def is_own_record(record: logging.LogRecord, worker_ident: int) -> bool:
    """Tell whether a record that the flush thread made is about our own requests.

    An application's finalizers may run in that thread too, and what they log counts.

    Args:
        record: any record.
        worker_ident: the ident of the flush thread.
    """
    thread = attribute_of(record, "thread")
    if (threading.get_ident() if thread is None else thread) != worker_ident:
        return False
    return safe_text(attribute_of(record, "name")).startswith(OWN_LOGGERS)
