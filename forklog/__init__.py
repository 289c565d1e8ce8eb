"""A `logging` handler for Google Cloud Logging that keeps delivering whatever ``fork()`` does."""

from __future__ import annotations

from forklog.__about__ import VERSION as __version__  # noqa: N811 - its public name
from forklog.errors import ForklogError, OptionError
from forklog.handler import CloudLoggingHandler
from forklog.stats import Stats

__all__ = ["CloudLoggingHandler", "ForklogError", "OptionError", "Stats", "__version__"]
