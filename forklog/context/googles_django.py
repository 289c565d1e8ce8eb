"""Clears the request that Google's middleware keeps for a thread when the request ends."""

from __future__ import annotations

import sys
from typing import Any

MODULE = "django.core.signals"
_GOOGLES = "google.cloud.logging_v2.handlers.middleware.request"
_UID = "forklog.context"


def connect(signals: Any) -> bool:
    """Connect to Django's signal; not while its lock is held, maybe by no thread here."""
    if signals.request_finished.lock.locked():
        return False
    signals.request_finished.connect(_forget, weak=False, dispatch_uid=_UID)
    return True


def _forget(**_signal: Any) -> None:
    module = sys.modules.get(_GOOGLES)
    if module is not None:
        vars(module._thread_locals).pop("request", None)  # noqa: SLF001 - nothing else forgets it
