"""Draw the map of the rooms into docs/design.md, from the imports of the code.

``python tests/support/draw_map.py`` writes it.
A test holds that the page shows what this script draws.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from imports import imported, modules, run_nodes

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "design.md"
OPENING, CLOSING = "<!-- map -->\n\n```\n", "```\n\n<!-- /map -->"
FACE, VALUES, TOOLS = "public face", "values", "tools"
_FACE = {
    "__init__",
    "__main__",
    "cli",
    "compat",
    "contract",
    "handler",
    "handling",
    "middleware",
    "setting_up",
    "structured",
    "surface",
}
_TOOLS = {"demo", "diagnosis", "emulator", "recovery", "tail", "terminal", "testing"}
_START, _END, _PASSING = "o", "<", "|"

Arrows = dict[str, dict[str, set[str]]]
"""By room: the rooms that it imports, and which of their modules."""


def room_of(name: str) -> str:
    """Return the room of a module."""
    head, _, rest = name.partition(".")
    if head in _TOOLS:
        return TOOLS
    if head in _FACE:
        return FACE
    return head if rest else VALUES


def arrows(known: dict[str, Path]) -> Arrows:
    """Read the imports of all modules."""
    found: Arrows = {room_of(name): {} for name in known}
    for name, path in known.items():
        room = room_of(name)
        # Not what it imports for a type checker alone: no program runs that.
        nodes = run_nodes(ast.parse(path.read_text(encoding="utf-8")))
        for other in imported(nodes, known):
            if room_of(other) != room:
                found[room].setdefault(room_of(other), set()).add(other)
    return found


def ordered(found: Arrows) -> list[str]:
    """Return the rooms so that each stands above all that it imports; ValueError for a circle."""
    left, rows = dict(found), []
    while left:
        free = [room for room in left if not any(room in found[other] for other in left)]
        if not free:
            raise ValueError(f"these rooms import each other in a circle: {sorted(left)}")
        # Of several the one with the most arrows, so that long lines begin at the top.
        rows.append(min(free, key=lambda room: (-len(found[room]), room)))
        del left[rows[-1]]
    return rows


def drawn(known: dict[str, Path]) -> str:
    """Return the picture: a row for each room, a column for the arrows that leave it."""
    found = arrows(known)
    rows = ordered(found)
    lines = []
    for place, room in enumerate(rows):
        cells = [_cell(rows, found, place, column) for column in range(len(rows) - 1)]
        # What the public face and the tools import is not limited; so it shows no door.
        above = (found[other].get(room, set()) for other in rows if other not in (FACE, TOOLS))
        doors = sorted({name.removeprefix(f"{room}.") for names in above for name in names})
        text = f"{room:14}{'  '.join(cells)}   {', '.join(doors)}"
        lines.append(text.rstrip())
    return "\n".join(lines) + "\n"


def _cell(rows: list[str], found: Arrows, place: int, column: int) -> str:
    if place == column:
        return _START
    ends = [rows.index(other) for other in found[rows[column]]]
    if place in ends:
        return _END
    return _PASSING if column < place < max(ends, default=0) else " "


def with_map(page: str) -> str:
    """Return the page with the picture between its markers."""
    before, opening, rest = page.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    if not (opening and closing):
        raise ValueError(f"{PAGE} has no place for the map; write {OPENING + CLOSING!r} into it")
    return before + opening + drawn(modules()) + closing + after


if __name__ == "__main__":
    PAGE.write_text(with_map(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(drawn(modules()))
