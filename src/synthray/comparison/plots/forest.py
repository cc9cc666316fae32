"""Differences from the baseline as a forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthray._report.style import PALETTE, new_figure, plain, short
from synthray.comparison.metrics import HEADINGS, LOWER_IS_BETTER
from synthray.comparison.table import SHARES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.comparison.result import ComparisonResult
    from synthray.comparison.verdicts import Difference


_MARKERS = {"better": "^", "worse": "v", "cannot be told apart": "o"}


def forest(
    result: ComparisonResult, *, metric: str = "balanced_accuracy", baseline: str | None = None
) -> Figure:
    """Draw a row an arm: its difference from the baseline with the interval, around a zero line.

    The band of a row holds the true differences that such a run would miss in more than one of five
    cases.

    Args:
        result: The comparison.
        metric: The score.
        baseline: The arm to compare with.
    """
    statistics = result.statistics(metric=metric, baseline=baseline)
    found = list(statistics.differences.values())
    unit, places = (", points", 1) if metric in SHARES else ("", 3)
    figure = new_figure(3.7, 1.35 + 0.62 * max(len(found), 1))
    axis = figure.subplots()
    for row, difference in enumerate(reversed(found)):
        _forest_row(axis, row, difference, places)
    axis.axvline(0, color=PALETTE["ink"], linewidth=1)
    if not found:
        text = f"{short(statistics.baseline)} is the only arm"
        axis.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", parse_math=False)
    ends = [
        abs(value)
        for d in found
        for value in (d.difference, d.low, d.high, d.detectable)
        if value is not None
    ]
    reach = 1.08 * max(ends, default=0.0) or 0.05
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-0.4, max(len(found), 1) - 0.25)
    axis.set_yticks([])
    axis.grid(axis="x", color=PALETTE["grid"], linewidth=0.6)
    side = "left" if metric in LOWER_IS_BETTER else "right"
    axis.set_xlabel(f"difference in {HEADINGS[metric]}{unit}\n({side} is better)", fontsize=9.5)
    axis.xaxis.set_major_formatter(lambda value, _: _tick(value, places))
    axis.locator_params(axis="x", nbins=6)
    axis.set_title(f"level with {short(statistics.baseline)}", fontsize=9.5, parse_math=False)
    plain(axis)
    axis.spines["left"].set_visible(False)
    return figure


def _forest_row(axis: Any, row: int, found: Difference, places: int) -> None:
    from matplotlib.patches import Rectangle

    colour = PALETTE[found.verdict if found.verdict in PALETTE else "same"]
    if found.detectable is not None:
        corner = (-found.detectable, row - 0.22)
        axis.add_patch(
            Rectangle(corner, 2 * found.detectable, 0.44, color=PALETTE["band"], linewidth=0)
        )
    if found.low is not None and found.high is not None:
        axis.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
    text = "no verdict"
    if found.difference is not None:
        marker = _MARKERS[found.verdict]
        axis.plot(found.difference, row, marker, color=colour, markersize=7)
        text = _signed(found.difference, places)
        if found.low is not None and found.high is not None:
            text += f" [{_signed(found.low, places)}, {_signed(found.high, places)}]"
    line = axis.get_yaxis_transform()
    axis.text(0, row + 0.3, short(found.arm, 20), transform=line, fontsize=9.5, parse_math=False)
    axis.text(1, row + 0.3, text, transform=line, fontsize=9, ha="right", color=colour)


def _signed(value: float, places: int) -> str:
    """Return a difference with its sign: one place for percentage points, else as it is."""
    return f"{value * (100 if places == 1 else 1):+.{places}f}".replace("-", "\N{MINUS SIGN}")


def _tick(value: float, places: int) -> str:
    value *= 100 if places == 1 else 1
    return "0" if abs(value) < 1e-9 else f"{value:+.3g}".replace("-", "\N{MINUS SIGN}")
