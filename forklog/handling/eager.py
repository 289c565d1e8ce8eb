"""Makes imports load at once for the package and the fork gate, where Python 3.15 has lazy ones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Load what is imported meanwhile, and what that imports.

    With `-X lazy_imports=all` each module would load in the thread that needs it first. That may be
    a log call, or the flush thread while the process forks. Where two threads import at once, the
    one that has changed the mode changes it back, once all is loaded. The other waits for the same
    modules, or has loaded them.
    """
    is_lazy = False
    if sys.version_info >= (3, 15) and sys.get_lazy_imports() == "all":
        is_lazy = True
        sys.set_lazy_imports("normal")
    try:
        yield
    finally:
        if sys.version_info >= (3, 15) and is_lazy:
            sys.set_lazy_imports("all")
