"""Step 1, beside the handler: which records our own requests make; they must not become entries."""

from __future__ import annotations

import logging
import threading

from forklog.clean import safe_text
from forklog.entry import OWN_LOGGERS
from forklog.pipeline import Pipeline

__all__ = ["is_own_record"]


def is_own_record(record: logging.LogRecord, pipeline: Pipeline) -> bool:
    """Tell whether a record made in the flush thread is about our own requests.

    An application's finalizers may run there too, and what they log counts.
    """
    thread = getattr(record, "thread", None)
    if (threading.get_ident() if thread is None else thread) != pipeline.driver.thread_ident:
        return False
    if not safe_text(getattr(record, "name", "")).startswith(OWN_LOGGERS):
        return False
    pipeline.swallowed += 1
    return True
