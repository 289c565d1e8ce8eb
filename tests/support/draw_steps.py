"""Draw the table of the lifecycle into docs/design.md, from `forklog.delivery.lifecycle`.

``python tests/support/draw_steps.py`` writes it.
A test holds that the page shows what this script draws.
"""

from __future__ import annotations

import sys
from pathlib import Path

from forklog.delivery.lifecycle import STEPS, Action, Event, State

PAGE = Path(__file__).resolve().parents[2] / "docs" / "design.md"
OPENING, CLOSING = "<!-- steps -->\n\n", "\n<!-- /steps -->"


def drawn() -> str:
    """Return the table: a row for each event, a column for each state."""
    head = ["event", *(state.value for state in State)]
    rows = [head, ["---"] * len(head)]
    rows += [[event.value, *(_cell(state, event) for state in State)] for event in Event]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(state: State, event: Event) -> str:
    step = STEPS[state, event]
    return step.action.value + (f" → {step.state.value}" if step.state is not state else "")


def with_steps(page: str) -> str:
    """Return the page with the table of today."""
    before, rest = page.split(OPENING)
    return before + OPENING + drawn() + CLOSING + rest.split(CLOSING)[1]


if __name__ == "__main__":
    PAGE.write_text(with_steps(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{len(STEPS)} steps, {len(Action)} actions\n")
