"""What a run leaves behind: JSON with all samples, and the measured part of docs/performance.md."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT
from benchmarks.noise import machine
from benchmarks.plot import draw_fleet, draw_peers, draw_scaling
from benchmarks.result import Result
from benchmarks.table import markdown

_PAGE = ROOT / "docs" / "performance.md"
_PICTURES = {"peers.svg": draw_peers, "scaling.svg": draw_scaling}
_ALT = {
    "peers.svg": "Bars: one log call, CPU a delivered record, and delivered records a second",
    "scaling.svg": "Curves: forklog's cost a record against depth, batch, threads, workers, size",
}
_RESULTS = ROOT / "benchmarks" / "results"
_BEFORE = _RESULTS / "before.json"
"""Of the full run before the last one: the other run of the table."""
_README = ROOT / "README.md"
_PART = re.compile(r"(<!-- measured -->\n).*(<!-- /measured -->)", re.DOTALL)


def save(
    results: dict[str, Result], noise: dict[str, Any], *, is_full: bool, is_quick: bool
) -> Path:
    """Write the JSON file and return where it is; draw the fleet unless a part of it was run."""
    path = _RESULTS / ("full.json" if is_full else "last.json")
    path.parent.mkdir(exist_ok=True)
    if is_full and path.exists():
        path.replace(_BEFORE)
    if not is_quick:  # a quick run has no large fleet
        draw_fleet(results, _PAGE.parent / "img" / "fleet.svg")  # of docs/quotas.md
    content = {
        "machine": machine(),
        "noise": noise,
        "rows": {name: dataclasses.asdict(one) for name, one in results.items()},
    }
    path.write_text(json.dumps(content, default=_rounded) + "\n")
    return path


def _rounded(value: object) -> object:
    return str(value)


def write_docs(results: dict[str, Result], noise: dict[str, Any]) -> None:
    """Rewrite what stands between the two marks of the page, and of the README."""
    before = _before()
    lines = [
        [
            line.what,
            _escaped(line.target),
            _escaped(line.measured),
            _bold(line.verdict()),
            _escaped(before.get((line.what, line.target), "-")),
        ]
        for one in results.values()
        for line in one.lines
    ]
    parts = [
        _wrapped(f"Measured on {machine()}.") + "\n" + _wrapped(f"Noise: {noise['text']}."),
        markdown(["what", "target", "measured", "", "in the other run"], lines),
    ]
    for name, draw in _PICTURES.items():
        draw(results, _PAGE.parent / "img" / name)
        parts.append(f"![{_ALT[name]}](img/{name})")
    for one in results.values():
        parts.append(f"### {one.title}")
        rows = [[_escaped(cell) for cell in row] for row in one.figures]
        parts.append(markdown(one.heads, rows))
        if one.note:
            parts.append(_wrapped(one.note))
    _fill(_PAGE, "\n\n".join(parts))
    telling = [_wrapped(one.telling, "- ") for one in results.values() if one.telling]
    if telling:
        _fill(_README, "\n".join(telling))


def _before() -> dict[tuple[str, str], str]:
    """Return what the run before has measured for each line of the table."""
    if not _BEFORE.exists():
        return {}
    rows = json.loads(_BEFORE.read_text())["rows"].values()
    lines = [line for row in rows for line in row["lines"]]
    return {(line["what"], line["target"]): line["measured"] for line in lines}


def _fill(path: Path, text: str) -> None:
    """Put the text between the two marks of a page."""
    page = path.read_text()
    path.write_text(_PART.sub(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page))


def _wrapped(sentences: str, mark: str = "") -> str:
    """Return sentences, one a line, as lines of a page; a mark makes them an item of a list."""
    indent = " " * len(mark)
    fill = functools.partial(
        textwrap.fill,
        width=100,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return mark + "\n".join(map(fill, sentences.splitlines())).removeprefix(indent)


def _escaped(text: str) -> str:
    return text.replace("<=", "≤").replace(">=", "≥").replace("|", "\\|")


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "missed" else verdict
