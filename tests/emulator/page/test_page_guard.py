"""What a record cannot do in the page: be markup, run a script, make a request elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from forklog.emulator import Emulator

    OpenPage = Callable[..., Page]
    Store = Callable[..., None]

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = playwright.expect

_MARKUP = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
_HOSTILE = {
    "textPayload": f"{_MARKUP}\u202eevil\x00\x1b[31m",
    "insertId": _MARKUP,
    "trace": _MARKUP,
    "spanId": _MARKUP,
    "labels": {_MARKUP: _MARKUP, "process_id": _MARKUP, "host": _MARKUP},
    "httpRequest": {"requestMethod": _MARKUP, "requestUrl": f"javascript:alert(3)//{_MARKUP}",
                    "status": 200, "latency": "1s"},
    "severity": "ERROR",
}  # fmt: skip


def test_a_record_is_never_markup(open_page: OpenPage, emulator: Emulator, store: Store) -> None:
    """Hostile text in every field is shown as text: in rows, choosers, JSON and trace.

    Closes the class "a record that the application logs runs script in the page".
    """
    store(_HOSTILE, {**_HOSTILE, "insertId": "2", "textPayload": "a" * 200_000})
    store({"jsonPayload": {_MARKUP: [_MARKUP, {"__proto__": _MARKUP}]}, "trace": _MARKUP})
    page = open_page(f"{emulator.url}/?filter={quote('NOT ' + chr(34) + '<b>' + chr(34))}")
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    expect(page.locator("#list .row")).to_have_count(3)
    before = page.locator("script, iframe, object, embed, base, form").count()
    for _ in range(3):
        page.locator("#list .row[aria-expanded=false] .message").last.click()
        shown = page.locator("#list .row[aria-selected=true] .json")
        expect(shown).to_contain_text("insertId")
        assert shown.locator("*:not(span)").count() == 0
    page.locator("#list .trace").first.click()
    expect(page.locator(".span")).to_have_count(3)
    page.locator(".span button").first.click()
    assert _MARKUP in page.locator(".span .json").first.inner_text().replace('\\"', '"')
    assert page.locator("script, iframe, object, embed, base, form").count() == before == 1
    assert page.locator("img").count() == 1
    assert page.evaluate("[...document.querySelectorAll('*')].every((e) => !e.onerror)")


def test_nothing_makes_markup_of_a_string(browser: Browser, emulator: Emulator) -> None:
    """The browser itself refuses to parse a string as markup or to run one, by the policy."""
    page = browser.new_page()
    page.goto(emulator.url)
    for code in (
        "document.body.innerHTML = '<b>a</b>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>a</b>')",
        "document.createElement('script').src = '/page/main.js'",
    ):
        found: str = page.evaluate(
            f"() => {{ try {{ {code}; return '' }} catch (e) {{ return e.name }} }}"
        )
        assert found == "TypeError", code
    page.close()


def test_the_page_calls_its_own_host_alone(open_page: OpenPage, emulator: Emulator) -> None:
    """Loading and using the page makes requests to the emulator, and to nothing else."""
    page = open_page("about:blank")
    hosts: list[Any] = []
    page.on("request", lambda request: hosts.append(urlsplit(request.url).netloc))
    page.goto(emulator.url)
    page.locator("#open-faults").click()
    page.locator("#open-keys").click()
    page.locator("#filter").fill("severity>=INFO")
    expect(page).to_have_url(re.compile("filter="))
    assert len(hosts) > 10
    assert set(hosts) == {emulator.host}
