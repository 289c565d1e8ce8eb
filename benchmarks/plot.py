"""The pictures of a run, as SVG that follows the reader's light or dark scheme."""

from __future__ import annotations

import io
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from benchmarks.fleet.cases import SIZES
from benchmarks.rows.scaling import CURVES
from benchmarks.subjects import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from benchmarks.result import Result

_INK = "#010203"  # stands for the reader's text colour until the file is written
_OURS, _THEIRS, _FLOOR, _AGENT = "#2f81f7", "#8b949e", "#57ab5a", "#c69026"
_STYLE = (
    "<style>svg{color:#656d76}@media(prefers-color-scheme:dark){svg{color:#d1d7e0}}</style></svg>"
)
mpl.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "forklog",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def draw_peers(results: dict[str, Result], path: Path) -> None:
    """Draw the caller's cost, the whole process's, and the rate, subject by subject."""
    if not {"caller", "delivery"} <= set(results):
        return
    plain = results["caller"].data["plain"]
    delivery = results["delivery"].data["samples"]
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    call = {n: statistics.median(w for s in plain[n] for w in s["wall"]) / 1000 for n in plain}
    _bars(axes[0], "one log call, µs", call)
    _bars(
        axes[1],
        "CPU a delivered record, µs",
        _medians(delivery, lambda s: 1e6 * s["cpu"] / s["records"]),
    )
    rates = _medians(delivery, lambda s: s["records"] / s["seconds"])
    del rates["nothing"]
    _bars(axes[2], "delivered records/s", rates)
    _write(figure, path)


def _medians(
    samples: dict[str, list[dict[str, Any]]], value: Callable[[dict[str, Any]], float]
) -> dict[str, float]:
    return {name: statistics.median(map(value, found)) for name, found in samples.items()}


def _bars(axes: Axes, title: str, values: dict[str, float]) -> None:
    names = list(reversed(values))
    colors = [{"forklog": _OURS, "nothing": _FLOOR, "null": _FLOOR}.get(n, _THEIRS) for n in names]
    bars = axes.barh([LABELS[n] for n in names], [values[n] for n in names], color=colors)
    texts = [f"{values[n]:,.0f}" if values[n] >= 100 else f"{values[n]:.1f}" for n in names]
    axes.bar_label(bars, texts, padding=3)
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.2)
    axes.tick_params(length=0)


def draw_scaling(results: dict[str, Result], path: Path) -> None:
    """Draw one small curve for each thing that grows."""
    if "scaling" not in results:
        return
    data = results["scaling"].data["curves"]
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    places = figure.subplots(2, 3).flat
    for axes, (curve, (axis, points)) in zip(places, CURVES.items(), strict=False):
        for key, label, color in (("call", "one call", _OURS), ("cpu", "CPU", _FLOOR)):
            if key in data[curve][points[0]][0]:
                _line(
                    axes, points, [[s[key] for s in data[curve][p]] for p in points], label, color
                )
        axes.set_xlabel(axis)
        axes.set_ylabel("µs a record")
        if curve == "size":
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
        axes.legend(frameon=False, labelcolor=_INK)
    last = list(figure.axes)[-1]
    rates = data["workers"]
    points = CURVES["workers"][1]
    _line(last, points, [[s["rate"] for s in rates[p]] for p in points], "all workers", _OURS)
    last.set_xlabel("workers")
    last.set_ylabel("delivered records/s")
    last.set_ylim(bottom=0)
    last.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    last.legend(frameon=False, labelcolor=_INK)
    _write(figure, path)


def draw_fleet(results: dict[str, Result], path: Path) -> None:
    """Draw the age p99, and the share of refused requests, against the size of a fleet."""
    if "fleet" not in results:
        return
    data = results["fleet"].data
    points = [n for n in SIZES if f"{n:,} x 10/s, gap" in data]
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    ages, shares = figure.subplots(1, 2)
    senders = {
        "gap": ("forklog", _OURS),
        "backoff": ("backoff alone", _FLOOR),
        "collector": ("OpenTelemetry collector with retries", _THEIRS),
        "stock": ("stock handler: loses what is refused", _INK),
        "fluent-bit": ("fluent-bit: loses what is refused", _AGENT),
    }
    for sender, (label, color) in senders.items():
        found = {
            n: data[f"{n:,} x 10/s, {sender}"] for n in SIZES if f"{n:,} x 10/s, {sender}" in data
        }
        numbers = tuple(found)
        refused = [[100 * one["refused"] / one["requests"]] for one in found.values()]
        _line(shares, numbers, refused, label, color)
        if sender not in {"stock", "fluent-bit"}:
            _line(ages, numbers, [[one["p99"]] for one in found.values()], label, color)
    for axes, name in ((ages, "age p99, s"), (shares, "requests refused, %")):
        axes.set_xlabel("processes, 10 records/s each, under 2,000 requests/s")
        axes.set_xticks(points, [f"{point:,}" for point in points])
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
    figure.legend(
        handles=shares.get_lines(),
        loc="outside upper center",
        ncols=3,
        frameon=False,
        labelcolor=_INK,
    )
    _write(figure, path)


def _line(
    axes: Axes, points: tuple[int, ...], samples: list[list[float]], label: str, color: str
) -> None:
    axes.set_xscale("log", base=10 if points[-1] > 100 else 2)
    axes.set_xticks(points, [f"{point:,}" for point in points])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.fill_between(
        points,
        [min(s) for s in samples],
        [max(s) for s in samples],
        color=color,
        alpha=0.2,
        linewidth=0,
    )
    axes.plot(points, [statistics.median(s) for s in samples], "o-", color=color, label=label)


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue().replace(_INK, "currentColor").replace("</svg>", _STYLE)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
