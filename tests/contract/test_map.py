"""The map of the rooms in docs/design.md is what the imports say."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import draw_map
import imports
import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_shows_the_map_of_today() -> None:
    """The committed picture equals what the script draws from the code."""
    page = draw_map.PAGE.read_text(encoding="utf-8")
    assert page == draw_map.with_map(page), "run: python tests/support/draw_map.py"


def test_the_table_of_rooms_has_every_folder() -> None:
    """Below the picture each folder of the package stands in one row, and no other does."""
    page = draw_map.PAGE.read_text(encoding="utf-8")
    table = page.partition("\n| room | takes | gives |\n")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)/`", "".join(row.split("|")[1] for row in table.splitlines()))
    paths = imports.PACKAGE.iterdir()
    assert sorted(named) == sorted(path.name for path in paths if any(path.glob("*.py")))


def test_the_script_runs_by_itself() -> None:
    """The command of the page prints the picture, and changes nothing where it is true."""
    before = draw_map.PAGE.read_bytes()
    done = subprocess.run([sys.executable, draw_map.__file__], capture_output=True, check=True)
    assert done.stdout.decode() == draw_map.drawn(imports.modules())
    assert draw_map.PAGE.read_bytes() == before


def test_all_arrows_point_down() -> None:
    """No room imports one that stands above it, so no chain of imports is a circle."""
    found = draw_map.arrows(imports.modules())
    rows = draw_map.ordered(found)
    assert set(rows) == set(found)
    for room, others in found.items():
        assert all(rows.index(other) > rows.index(room) for other in others)


def test_a_circle_is_refused() -> None:
    """Two rooms that import each other cannot be drawn, and the message names both."""
    with pytest.raises(ValueError, match=r"\['a', 'b'\]"):
        draw_map.ordered({"a": {"b": {"b.x"}}, "b": {"a": {"a.x"}}, "c": {"a": {"a.x"}}})


def test_a_picture_is_drawn_of_files(tmp_path: Path) -> None:
    """An arrow begins at the room that imports, ends at the one imported, which shows the door."""
    files = {
        "handler": "from forklog.encoding.encoder import Encoder",
        "encoding.encoder": "from forklog.context.base import Context\nfrom forklog import clock",
        "context.base": "if TYPE_CHECKING:\n    from forklog.handler import Handler",
        "clock": "import time",
    }
    known = {}
    for name, text in files.items():
        known[name] = tmp_path / name
        known[name].write_text(text)
    assert draw_map.drawn(known).splitlines() == [
        "public face   o",
        "encoding      <  o",
        "context          <  o   base",
        "values           <      clock",
    ]
