"""The rows of the table, in their order. A row has `run` (the runner's side) and measurements."""

ROWS = (
    "caller",
    "request",
    "threads",
    "spool",
    "spool_files",
    "tail",
    "delivery",
    "latency",
    "arrival",
    "fork",
    "idle",
    "memory",
    "start",
    "web",
    "prefork",
    "scaling",
    "fleet",
    "compression",
    "demo",
    "page",
)
ON_DEMAND = ("core",)
"""Rows of `ONLY=` alone: no full run needs them."""
