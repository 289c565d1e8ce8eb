"""The page of a running emulator in a real Chromium; its tests are skipped where there is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from browser import NoBrowserError, started_browser, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from forklog.emulator import Emulator

_SECONDS = 30.0
# Chromium reports on its console what the emulator refuses, or does not answer while it is down.
_EXPECTED = re.compile(r"net::ERR_|status of 400")


# Not of the session: as long as it lives, no other test can run an event loop in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file."""
    try:
        with started_browser() as browser:
            sync_api = pytest.importorskip("playwright.sync_api")
            sync_api.expect.set_options(timeout=_SECONDS * 1000)
            yield browser
    except NoBrowserError as error:
        pytest.skip(str(error))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page; the test fails if a page of it reports an error."""
    contexts = []
    errors: list[str] = []

    def show(url: str, **options: Any) -> Page:
        given = {"viewport": {"width": 1280, "height": 760}, "timezone_id": "UTC", **options}
        contexts.append(context := browser.new_context(**given))
        context.set_default_timeout(_SECONDS * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.goto(url)
        return page

    yield show
    for context in contexts:
        context.close()
    assert [error for error in errors if not _EXPECTED.search(error)] == []


@pytest.fixture
def page(open_page: Callable[..., Page], emulator: Emulator) -> Page:
    """Return the page of the emulator, which is empty."""
    return open_page(emulator.url)


@pytest.fixture
def store(emulator: Emulator) -> Callable[..., None]:
    """Return a function that stores entries; each gets what it lacks."""

    def send(*entries: dict[str, Any]) -> None:
        defaults = {"logName": "projects/p/logs/web", "resource": {"type": "global"}}
        write(emulator.host, [{**defaults, **entry} for entry in entries])

    return send
