"""Charts of a report: how many times better than stock asyncio each loop is, as SVG.

One chart for each group of rows and one for all groups, each for light and for dark pages. Drawn
with matplotlib, which is imported when something is drawn; the text stays text in the files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.contestants import BASELINE, LIMIT
from benches.figures import FIGURES
from benches.report import Report, heading
from benches.runner import RowResult
from benches.stats import geometric_mean, times_better

COLOURS = {
    "batuta": "#d9480f",
    "batuta+accelerate": "#f59f00",
    "uvloop": "#1c7ed6",
    "rloop": "#37943b",
    "zuvloop": "#8a63d2",
    "rsloop": "#1098ad",
    LIMIT: "#868e96",
}
"""Told apart on white and on black, and by people who do not see red and green alike: the order of
the bars is that of the legend as well."""

BEYOND = 1.5
"""Times the longest bar of a loop that the bar of the limit may be."""

BAR = 0.15
"""Inches of height for one bar."""


@dataclass(frozen=True)
class Theme:
    name: str
    text: str
    grid: str


THEMES = (Theme("light", "#24292f", "#d0d7de"), Theme("dark", "#e6edf3", "#3d444d"))


@dataclass(frozen=True)
class Bars:
    """What one chart shows: for each label the ratio of each loop; None where it has none."""

    title: str
    labels: Sequence[str]
    ratios: dict[str, list[float | None]]


def write(report: Report, folder: Path, stem: str) -> dict[str, str]:
    """Draw everything; the names of the files without theme and ending, by group ("" for all)."""
    drawn = {}
    groups = list(dict.fromkeys(result.row.group for result in report.results))
    charts = {"": overview(report, groups), **{one: of_group(report, one) for one in groups}}
    for group, bars in charts.items():
        if bars is None:
            continue
        name = f"{stem}-{group or 'overview'}"
        for theme in THEMES:
            draw(bars, theme, folder / f"{name}-{theme.name}.svg")
        drawn[group] = name
    return drawn


def of_group(report: Report, group: str) -> Bars | None:
    """The main figure of each row of a group; None where nothing can be compared with stock."""
    results = [result for result in report.results if result.row.group == group]
    ratios = {
        loop: [_ratio(result, loop) for result in results]
        for loop in report.loops
        if loop != BASELINE
    }
    shown = [
        index
        for index, _ in enumerate(results)
        if any(values[index] is not None for values in ratios.values())
    ]
    kept = {
        loop: picked
        for loop, values in ratios.items()
        if any(picked := [values[index] for index in shown])
    }
    if not kept:
        return None
    figure = FIGURES[results[0].row.kind][0]
    labels = [results[index].row.name for index in shown]
    return Bars(f"{heading(group)}: {_lower(figure.title)}", labels, kept)


def overview(report: Report, groups: Sequence[str]) -> Bars | None:
    """The geometric mean of each group, for each loop over the rows on which it has a figure."""
    loops = [loop for loop in report.loops if loop not in (BASELINE, LIMIT)]
    labels, ratios = [], {loop: list[float | None]() for loop in loops}
    for group in groups:
        results = [result for result in report.results if result.row.group == group]
        means = {}
        for loop in loops:
            found = [ratio for result in results if (ratio := _ratio(result, loop))]
            # A loop that could not run half of the rows is not summed up by the other half.
            means[loop] = geometric_mean(found) if len(found) * 2 > len(results) else None
        if any(means.values()):
            labels.append(heading(group))
            for loop in loops:
                ratios[loop].append(means[loop])
    kept = {loop: values for loop, values in ratios.items() if any(values)}
    return Bars("Geometric mean over the rows of each group", labels, kept) if kept else None


def _ratio(result: RowResult, loop: str) -> float | None:
    figure = FIGURES[result.row.kind][0]
    own, stock = result.summary(loop, figure), result.summary(BASELINE, figure)
    if not own or not stock or own.value <= 0 or stock.value <= 0:
        return None
    return times_better(own, stock, higher_is_better=figure.higher_is_better)


def _lower(title: str) -> str:
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def draw(bars: Bars, theme: Theme, path: Path) -> None:
    """Write one chart. A PNG, for looking at it, if the path ends so."""
    with _quiet_backend() as pyplot:
        loops = list(bars.ratios)
        band = len(loops) + 1.2  # of bars, with the gap to the next row
        height = 1.3 + BAR * band * len(bars.labels)
        figure, axes = pyplot.subplots(figsize=(9.0, height))
        widest = reach(bars)
        for place, loop in enumerate(loops):
            for row, value in enumerate(bars.ratios[loop]):
                at = row * band + place
                if value is None:
                    axes.text(0.02, at, "-", va="center", fontsize=7, color=theme.text)
                    continue
                colour = COLOURS.get(loop, "#868e96")
                axes.barh(at, min(value, widest), height=0.86, color=colour)
                # A label that the line of stock would strike through stands behind it.
                close = 1.0 - widest * 0.05 < value < 1.0
                axes.text(
                    (1.0 if close else min(value, widest)) + widest * 0.006,
                    at,
                    f"{value:.2f}x" + (" »" if value > widest else ""),
                    va="center",
                    fontsize=7,
                    color=theme.text,
                )
        _dress(axes, bars, theme, band, widest)
        handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS.get(one)) for one in loops]
        figure.legend(
            handles,
            loops,
            loc="outside upper center",
            ncols=len(loops),
            frameon=False,
            fontsize=8,
            labelcolor=theme.text,
        )
        shade = "#0d1117" if theme.name == "dark" and path.suffix == ".png" else "none"
        # Without a date, so that the same figures make the same file.
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, facecolor=shade, metadata=metadata, dpi=110)
        pyplot.close(figure)


def reach(bars: Bars) -> float:
    """How long the longest bar is: where the limit is far beyond all loops, it is cut off (and
    says so), lest the loops look all the same."""
    loops = [value for loop, values in bars.ratios.items() if loop != LIMIT for value in values]
    limits = bars.ratios.get(LIMIT, [])
    longest = max((value for value in loops if value), default=1.0)
    return min(max(value for value in (*loops, *limits) if value), BEYOND * longest)


def _dress(axes: Any, bars: Bars, theme: Theme, band: float, widest: float) -> None:
    middle = (len(bars.ratios) - 1) / 2
    axes.set_yticks([row * band + middle for row in range(len(bars.labels))], bars.labels)
    axes.set_ylim(len(bars.labels) * band - 1.2 + 0.6, -1.0)
    axes.set_xlim(0, widest * 1.09)
    axes.set_title(bars.title, fontsize=9, color=theme.text)
    axes.set_xlabel("times better than stock asyncio (the line): longer is better", fontsize=8)
    axes.xaxis.label.set_color(theme.text)
    axes.axvline(1.0, color=theme.text, linewidth=0.9)
    axes.grid(axis="x", color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.tick_params(colors=theme.text, labelsize=8, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


@contextlib.contextmanager
def _quiet_backend() -> Iterator[Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "batuta",
        "font.family": "sans-serif",
        "figure.constrained_layout.use": True,
        # Other fonts than the one measured here may be wider.
        "figure.constrained_layout.w_pad": 0.12,
    }
    with matplotlib.rc_context(settings):
        yield pyplot
