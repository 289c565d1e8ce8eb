"""The page with 100,000 entries: how much of them is in the document."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import shop
from browser import fill, write

from forklog.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = playwright.expect

_ENTRIES = 100_000
_MOST_ROWS = 80  # 22 are in sight


def _rows(page: Page) -> int:
    return page.locator("#list .row").count()


@pytest.mark.long
def test_few_rows_are_in_the_document(open_page: Callable[..., Page], tmp_path: Path) -> None:
    """With 100,000 entries the document holds the rows in sight and a few more, always.

    Also while they load, and while it scrolls, filters, and receives 100 entries a second.
    """
    file = tmp_path / "log.db"
    fill(file, shop.entries(_ENTRIES, every=0.002))
    with Emulator.start(db=file) as emulator:
        _use(open_page(emulator.url), emulator)


def _use(page: Page, emulator: Emulator) -> None:
    page.evaluate(
        """() => { window.most = 0; new MutationObserver(() => {
            const rows = document.querySelectorAll("#list .row").length;
            window.most = Math.max(window.most, rows) }).observe(
                document.querySelector("#sizer"), { childList: true }) }"""
    )
    expect(page.locator("#shown")).to_have_text("100,000 entries", timeout=60_000)
    expect(page.locator("#status")).to_have_text("Live")
    stop = threading.Event()
    sender = threading.Thread(target=_send, args=(emulator.host, stop))
    sender.start()
    try:
        for part in (0, 0.25, 0.5, 0.999):
            page.locator("#list").evaluate(
                "(list, at) => { list.scrollTop = list.scrollHeight * at }", part
            )
            assert 20 < _rows(page) <= _MOST_ROWS
        page.keyboard.press("Home")
        expect(page.locator("#list .row[aria-posinset='1']")).to_be_visible()
        page.locator("#filter").fill('severity>=ERROR AND "payment"')
        expect(page.locator("#shown")).not_to_contain_text("of")
        expect(page.locator("#status")).to_have_text("Live", timeout=60_000)
        page.get_by_role("button", name="ERROR").click()
        page.keyboard.press("End")
    finally:
        stop.set()
        sender.join()
    assert 20 < page.evaluate("window.most") <= _MOST_ROWS


def _send(host: str, stop: threading.Event) -> None:
    for number in range(10**6):
        if stop.is_set():
            return
        made = shop.entries(10)
        write(host, [{**entry, "insertId": f"{number}-{entry['insertId']}"} for entry in made])
        time.sleep(0.1)
