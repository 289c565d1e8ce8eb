"""The demo: real uWSGI servers with the stock handler and with forklog, and what arrived."""

from __future__ import annotations

__all__: list[str] = []
