"""The emulator's page with 100,000 entries: the longest task of its thread, in Chromium."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.result import Line, Result
from forklog.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from benchmarks.bench import Bench

TITLE = "Page of the emulator: 100,000 entries, and 100 a second more"
_ENTRIES = 100_000
_MOST_MS = 200
_LONG_MS = 50
_HEADS = ["while it", "longest task, ms", "longest task, ms of CPU", "tasks over 50 ms", "seconds"]
_LEVELS = ("DEBUG", "INFO", "INFO", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL")
_FILTERS = ("severity>=ERROR", '"entry 99" AND labels.k=v', 'textPayload=~"[13579]$"', "")


def run(bench: Bench) -> Result:
    """Load, scroll, filter and choose, each while entries arrive."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  may be missing
    except ModuleNotFoundError:
        path = None
    if path is None:
        line = Line("page, longest task", f"<= {_MOST_MS} ms", "no Chromium or Playwright here")
        return Result(TITLE, [line], _HEADS, [])
    with Emulator.start() as emulator, sync_playwright() as playwright:
        _write(emulator.host, 0, _ENTRIES)
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        phases = _phases(page, emulator, bench.rounds(8, 2))
        browser.close()
    longest, cpu = (max(one[name] for one in phases.values()) for name in ("longest", "cpu"))
    text = f"{longest:.0f} ms, {cpu:.0f} ms of CPU"
    line = Line("page, longest task", f"<= {_MOST_MS} ms", text, longest <= _MOST_MS)
    figures = [
        [name, *(f"{one[key]:.0f}" for key in ("longest", "cpu", "over")), f"{one['seconds']:.1f}"]
        for name, one in phases.items()
    ]
    return Result(TITLE, [line], _HEADS, figures, {"phases": phases})


def _phases(page: Page, emulator: Emulator, times: int) -> dict[str, dict[str, Any]]:
    stop = threading.Event()
    sender = threading.Thread(target=_arrive, args=(emulator.host, stop))
    page.goto(f"{emulator.url}/emulator/help")  # the process of the page begins with it
    found = {"loads": _measured(page, lambda: _load(page, emulator.url))}
    sender.start()
    try:
        found["receives"] = _measured(page, lambda: page.wait_for_timeout(1000 * times))
        found["scrolls"] = _measured(page, lambda: _scroll(page, times))
        found["filters"] = _measured(page, lambda: _filter(page))
        found["chooses"] = _measured(page, lambda: _choose(page, times))
    finally:
        stop.set()
        sender.join()
    return found


def _measured(page: Page, act: Callable[[], object]) -> dict[str, Any]:
    """Return what Chromium's own trace has of the tasks of the page's main thread, in ms."""
    browser = page.context.browser
    assert browser
    begin = time.monotonic()
    browser.start_tracing(page=page, categories=["toplevel"])
    act()
    events = json.loads(browser.stop_tracing())["traceEvents"]
    main = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        (one["dur"] / 1000, one.get("tdur", 0) / 1000)
        for one in events
        if (one["pid"], one["tid"]) in main and one["ph"] == "X" and "RunTask" in one["name"]
    ]
    return {
        "longest": max(wall for wall, _ in tasks),
        "cpu": max(cpu for _, cpu in tasks),
        "over": sum(wall > _LONG_MS for wall, _ in tasks),
        "seconds": time.monotonic() - begin,
    }


def _load(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text(f"{_ENTRIES:,} entries").wait_for(timeout=120_000)


def _scroll(page: Page, times: int) -> None:
    page.mouse.move(600, 500)
    for up in (True, False):
        for _ in range(times * 5):
            page.mouse.wheel(0, -4000 if up else 4000)
            page.wait_for_timeout(50)
    for key in ("Home", "PageDown", "PageDown", "End"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)


def _filter(page: Page) -> None:
    for source in _FILTERS:
        page.locator("#filter").fill(source)
        page.wait_for_timeout(500)  # it is applied after a pause
        page.get_by_text("Live").wait_for(timeout=120_000)


def _choose(page: Page, times: int) -> None:
    for _ in range(times):
        page.locator("#severities [data-severity=INFO]").click()


def _arrive(host: str, stop: threading.Event) -> None:
    number = _ENTRIES
    while not stop.wait(0.1):
        _write(host, number, 10)
        number += 10


def _write(host: str, first: int, count: int) -> None:
    connection = http.client.HTTPConnection(host, timeout=60)
    for start in range(first, first + count, 1000):
        numbers = range(start, min(start + 1000, first + count))
        body = json.dumps({"entries": [_entry(number) for number in numbers]})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v2/entries:write", body, headers)
        if (answer := connection.getresponse()).status != http.client.OK:
            raise RuntimeError(answer.read().decode())
        answer.read()
    connection.close()


def _entry(number: int) -> dict[str, Any]:
    return {
        "logName": f"projects/p/logs/web-{number % 3}",
        "resource": {"type": "global"},
        "severity": _LEVELS[number * 7 % len(_LEVELS)],
        "textPayload": f"entry {number}: the message of a record, as long as most of them are",
        "labels": {"k": "v", "process_id": str(number % 4), "host": "web"},
        "trace": f"projects/p/traces/{number // 4:032x}",
        "insertId": f"{number:010d}",
    }
