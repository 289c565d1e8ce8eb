"""A local Cloud Logging over HTTP, for tests and development; this root is its client side."""

from __future__ import annotations

from forklog.emulator.process import Emulator

__all__ = ["Emulator"]
