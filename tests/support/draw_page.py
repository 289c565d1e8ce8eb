"""Draw the pictures of the emulator's page into docs/img, from a running one in Chromium.

``python tests/support/draw_page.py`` writes them, with fewer colours where Pillow is installed.
A test takes the same pictures, and holds that the documentation shows each of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shop
from browser import started_browser, write

from forklog.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"
_WIDE = {"width": 1200, "height": 700}
_NARROW = {"width": 390, "height": 700}
_COLOURS = 255


def draw(browser: Browser, folder: Path) -> list[Path]:
    """Take all pictures into a folder; return their paths."""
    with Emulator.start() as emulator:
        made = shop.entries(2600, every=0.55)
        write(emulator.host, made)
        write(emulator.host, [entry for entry in made if entry["severity"] == "ERROR"][-1:])
        return [
            _draw(browser, emulator, folder / f"emulator-{name}.png", scene)
            for name, scene in SCENES.items()
        ]


def _draw(browser: Browser, emulator: Emulator, path: Path, scene: Scene) -> Path:
    act, options = scene
    context = browser.new_context(timezone_id="UTC", **{"viewport": _WIDE, **options})
    page = context.new_page()
    page.goto(emulator.url)
    page.get_by_text("2,600 entries").wait_for()
    act(page)
    page.screenshot(path=path, animations="disabled")
    context.close()
    emulator.clear_faults()
    return path


def _expand(page: Page) -> None:
    row = page.locator(".row[data-severity=ERROR]").last
    row.locator(".message").click()
    page.get_by_text('"insertId"').wait_for()


def _choose(page: Page) -> None:
    page.locator("#filter").fill("severity>=WARNING AND resource.type=global")
    page.get_by_text("2,600").wait_for(state="hidden")
    page.locator("#status[data-state=live]").wait_for()
    _expand(page)


def _nothing(_: Page) -> None:
    """Show the page as it opens."""


def _filter(page: Page) -> None:
    page.locator("#filter").fill('severity>=WARNING AND texPayload:"payment"')
    page.locator("#filter-error").wait_for()


def _trace(page: Page) -> None:
    page.locator(".row[data-severity=ERROR] .trace").last.click()
    page.locator(".span.child").nth(3).wait_for()


def _faults(page: Page) -> None:
    page.locator("#open-faults").click()
    for kind in ("status", "delay"):
        page.locator(f".fault[data-kind={kind}] > button").click()
    page.locator(".armed li").nth(1).wait_for()


Scene = tuple["Callable[[Page], None]", dict[str, Any]]
SCENES: dict[str, Scene] = {
    "light": (_nothing, {}),
    "dark": (_choose, {"color_scheme": "dark"}),
    "filter": (_filter, {"viewport": {**_WIDE, "height": 330}}),
    "trace": (_trace, {}),
    "faults": (_faults, {"color_scheme": "dark"}),
    "narrow": (_nothing, {"viewport": _NARROW, "device_scale_factor": 1.5}),
}


def _with_fewer_colours(path: Path) -> None:
    try:
        from PIL import Image  # noqa: PLC0415  not needed by tests
    except ModuleNotFoundError:
        return
    with Image.open(path) as image:
        fewer = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    fewer.save(path, optimize=True)


if __name__ == "__main__":
    with started_browser() as chromium:
        for drawn in draw(chromium, IMAGES):
            _with_fewer_colours(drawn)
            sys.stdout.write(f"{drawn.name}: {drawn.stat().st_size} bytes\n")
