"""The pictures of the documentation are those of the page."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import pytest
from draw_page import IMAGES, SCENES, draw

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

_MOST_BYTES = 100_000


def _size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", head[16:])
    return width, height


@pytest.mark.long  # each takes seconds
def test_the_pictures_can_be_drawn_again(browser: Browser, tmp_path: Path) -> None:
    """The script takes each picture that the documentation has, in the size that it has there."""
    drawn = draw(browser, tmp_path)
    assert {path.name for path in drawn} == {path.name for path in IMAGES.glob("emulator-*.png")}
    assert [_size(path) for path in drawn] == [_size(IMAGES / path.name) for path in drawn]


def test_the_documentation_shows_each_picture() -> None:
    """Each picture stands on the page of the emulator, with a text for it, and is small."""
    page = (IMAGES.parent / "emulator.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"!\[([^\]]+)\]\(img/(emulator-\w+\.png)\)", page))
    assert sorted(shown.values()) == sorted(f"emulator-{name}.png" for name in SCENES)
    for name in shown.values():
        assert (IMAGES / name).stat().st_size < _MOST_BYTES
