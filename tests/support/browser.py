"""Starts the system's Chromium for tests of the emulator's page, and makes entries to show."""

from __future__ import annotations

import http.client
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from forklog.emulator import timestamps
from forklog.emulator.api.store import Store
from forklog.emulator.api.validate import Row
from forklog.emulator.fields import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_BATCH = 1000


class NoBrowserError(Exception):
    """There is no browser to drive; says what to install."""


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start the system's Chromium and end it; NoBrowserError if there is none.

    Within the block this thread has a running event loop, which is Playwright's.
    """
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  may be missing
    except ModuleNotFoundError as error:
        raise NoBrowserError("Playwright is missing: pip install playwright") from error
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise NoBrowserError("no Chromium is on PATH: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


def fill(file: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Make the database of an emulator that holds the entries, faster than by its calls."""
    store = Store(file)
    store.add(
        [
            Row(
                entry["logName"].partition("/logs/")[0],
                entry["logName"],
                timestamps.parse(entry["timestamp"]),
                entry["insertId"],
                SEVERITIES[entry["severity"]],
                json.dumps(entry).encode(),
            )
            for entry in entries
        ]
    )
    store.close()


def write(host: str, entries: Sequence[dict[str, Any]]) -> None:
    """Have an emulator store entries, many in one call."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        for start in range(0, len(entries), _BATCH):
            body = json.dumps({"entries": entries[start : start + _BATCH]})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v2/entries:write", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == http.client.OK, text
    finally:
        connection.close()
