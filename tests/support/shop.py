"""Makes entries of a shop with two workers, as forklog writes them, for tests of the page."""

from __future__ import annotations

import math
import time
from datetime import datetime, timezone
from typing import Any

_RESOURCE = {"type": "global", "labels": {"project_id": "shop"}}
_REQUESTS = [
    ("GET", "/products?page=2", 200, 34, ["catalogue: 24 products", "cache hit products:2"]),
    ("POST", "/cart", 201, 61, ["cart 8841: added SKU 1207", "stock reserved in warehouse 3"]),
    ("GET", "/cart", 200, 18, ["cart 8841: 3 items"]),
    (
        "POST",
        "/checkout",
        502,
        1840,
        [
            "checkout of cart 8841 begins",
            "!payment provider answers slowly: 1.2 s",
            "!!payment failed: upstream timed out after 1.5 s",
            "!!!order 55120 left without payment, rolled back",
        ],
    ),
    ("GET", "/health", 200, 2, []),
    ("GET", "/account/orders", 404, 22, ["!no orders for account 118"]),
    ("POST", "/checkout", 200, 412, ["checkout of cart 8842 begins", "order 55121 is paid"]),
]
_LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")


def entries(count: int, until: float | None = None, every: float = 0.35) -> list[dict[str, Any]]:
    """Return so many entries, most with a trace; the last request of them ends now.

    Args:
        count: how many.
        until: when the last request begins, in seconds since 1970.
        every: about so many seconds lie between two requests.

    """
    groups: list[list[dict[str, Any]]] = []
    total = 0
    while total < count:
        groups.append(_request(len(groups)))
        total += len(groups[-1])
    start = time.time() - 2 if until is None else until
    for turn in reversed(range(len(groups))):
        _set_times(groups[turn], start)
        start -= every * (0.3 + 1.4 * abs(math.sin(turn / 17)) * (turn % 3 + 1) / 2)
    made = sorted((one for group in groups for one in group), key=lambda one: str(one["timestamp"]))
    for index, entry in enumerate(made):
        entry["insertId"] = f"{index:08x}"
    return made[-count:]


def _set_times(group: list[dict[str, Any]], start: float) -> None:
    """Spread a request's entries over its latency; its own has the time of its start."""
    latency = next((float(one["httpRequest"]["latency"][:-1]) for one in group[:1]), 0.1)
    for index, entry in enumerate(group):
        stamp = datetime.fromtimestamp(start + latency * index / len(group), timezone.utc)
        entry["timestamp"] = stamp.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _request(turn: int) -> list[dict[str, Any]]:
    method, path, status, latency, texts = _REQUESTS[turn % len(_REQUESTS)]
    trace = f"projects/shop/traces/{turn * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
    made = []
    worst = 1 if 400 <= status < 500 else 2 * (status >= 500)
    for text in texts:
        level = len(text) - len(text.lstrip("!"))
        worst = max(worst, level)
        entry = _entry(_LEVELS[level], text.lstrip("!"), turn)
        made.append({**entry, "trace": trace})
    request = {
        "requestMethod": method,
        "requestUrl": f"https://shop.example{path}",
        "status": status,
        "latency": f"{latency / 1000}s",
        "remoteIp": "203.0.113.9",
        "protocol": "HTTP/1.1",
    }
    parent = _entry(_LEVELS[worst], "", turn)
    del parent["textPayload"]
    name = "projects/shop/logs/shop-requests"
    if turn % 5 == 2:
        made.append(_entry("DEBUG", "pool: 4 of 10 connections in use", turn))
    if turn % 23 == 11:
        made.append(_entry("NOTICE", "settings reloaded: 2 changed", turn))
    return [{**parent, "logName": name, "httpRequest": request, "trace": trace}, *made]


def _entry(severity: str, text: str, turn: int) -> dict[str, Any]:
    worker = turn % 2 + 1
    labels = {
        "process_id": str(4100 + worker),
        "host": "web-1",
        "uwsgi_worker_id": str(worker),
        "python_logger": "shop.orders",
    }
    return {
        "logName": "projects/shop/logs/shop",
        "resource": _RESOURCE,
        "severity": severity,
        "textPayload": text,
        "labels": labels,
    }
