"""Imports that load at once, also where the application has chosen lazy ones (Python 3.15)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Load what is imported meanwhile, and what that imports.

    With `-X lazy_imports=all` each module would load in the thread that needs it first: in a log
    call, or in the flush thread while the process forks.
    """
    if sys.version_info >= (3, 15):
        mode = sys.get_lazy_imports()
        sys.set_lazy_imports("normal")
    try:
        yield
    finally:
        if sys.version_info >= (3, 15):
            sys.set_lazy_imports(mode)
