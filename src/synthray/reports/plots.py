"""Figures of comparisons and of synthetic images (matplotlib, without global state)."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from synthray.reports import Comparison, SampleReport
from synthray.reports.figures import PALETTE, new_figure, plain, two_lines
from synthray.reports.words import SHARES, cautions, difference, interval
from synthray.statistics.metrics import BINS, HEADINGS, LOWER_IS_BETTER, reliability
from synthray.statistics.verdicts import Difference, Statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 20_000  # of all training curves together: a page stays small whatever the run
_MOST_METRICS = 20  # rows of training curves: each takes a tenth of a second
_MARKERS = {"better": "^", "worse": "v"}
_LONGEST = 20  # characters of a name beside the numbers of the forest plot
_LOOKS = {
    "real": ("ink", "D"),
    "augmented": ("validation", "s"),
    "blurred": ("muted", "v"),
    "synthetic": ("training", "o"),
}
_SHARES = ("precision", "recall", "density", "coverage")  # of evaluated samples


def accuracy_bars(result: Comparison) -> Figure:
    """Draw a bar an arm: mean test accuracy, its value above, one dot a run."""
    figure = new_figure(1.4 + 1.25 * len(result.arms), 3.8)
    axis = figure.subplots()
    for x, arm in enumerate(result.arms):
        values = result.scores(arm)["accuracy"]
        axis.bar(x, values.mean(), width=0.62, color=PALETTE["bar"])
        places = x - 0.2 + 0.4 * (np.arange(len(values)) + 0.5) / len(values)
        axis.plot(places, values, "o", color=PALETTE["ink"], markersize=3)
        known = np.isfinite(values).all()
        text, height = (f"{values.mean():.1%}", values.max()) if known else ("diverged", 0)
        axis.annotate(text, (x, height), (0, 5), textcoords="offset points", ha="center")
    names = [two_lines(arm) for arm in result.arms]
    axis.set_xticks(range(len(names)), names, parse_math=False)
    axis.set_ylim(0, 1.08)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_ylabel("test accuracy")
    axis.grid(axis="y", color=PALETTE["grid"])
    plain(axis)
    warnings = [title for title, _ in cautions(result)]
    title = f"{len(result.labels)} test images; a dot is a run"
    colour = PALETTE["worse" if warnings else "ink"]
    axis.set_title("\n".join([title, *warnings]), fontsize=10, color=colour)
    return figure


def calibration(result: Comparison) -> Figure:
    """Draw a column an arm: stated probability against observed share, and how many images.

    For two classes the probability is that of the positive class, else that of the most probable
    class.
    """
    name = result.positive_class
    positive = None if name is None else list(result.class_names).index(name)
    middles = (np.arange(BINS) + 0.5) / BINS
    figure = new_figure(0.5 + 2.1 * len(result.arms), 3.3)
    axes = figure.subplots(
        2, len(result.arms), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for arm, (curve, bars) in zip(result.arms, axes.T, strict=True):
        curve.plot([0, 1], [0, 1], color=PALETTE["muted"], linewidth=0.9, linestyle=":")
        p = result.probabilities(arm)
        stated, observed, counts = reliability(p, result.labels, positive)
        known = counts > 0
        curve.plot(stated[known], observed[known], color=PALETTE["training"], linewidth=1.3)
        sizes = 8 + 60 * counts[known] / max(counts.max(), 1)
        curve.scatter(stated[known], observed[known], s=sizes, color=PALETTE["training"])
        if not known.any():
            curve.annotate("diverged", (0.5, 0.6), ha="center", color=PALETTE["worse"])
        bars.bar(middles, counts / len(p), width=0.9 / BINS, color=PALETTE["bar"])
        curve.set_title(two_lines(arm), fontsize=10, parse_math=False)
        curve.set(xlim=(-0.02, 1.02), ylim=(-0.04, 1.04))
        bars.set_xlabel("stated probability")
        plain(curve)
        plain(bars)
    axes[0, 0].set_ylabel("observed share")
    axes[1, 0].set_ylabel("images")
    return figure


def forest(statistics: Statistics) -> Figure:
    """Draw a row an arm: its difference from the baseline with the interval, around a zero line.

    The band of a row holds the true differences that fewer than 80 % of such runs would find.
    """
    metric, found = statistics.metric, list(statistics.differences.values())
    unit, scale = (", points", 100) if metric in SHARES else ("", 1)
    figure = new_figure(3.7, 1.35 + 0.62 * max(len(found), 1))
    axis = figure.subplots()
    for row, each in enumerate(reversed(found)):
        _forest_row(axis, row, each, scale)
    axis.axvline(0, color=PALETTE["ink"], linewidth=1)
    if not found:
        axis.text(0.5, 0.5, "there is no other arm", transform=axis.transAxes, ha="center")
    reach = 1.05 * max(map(abs, axis.get_xlim()))
    axis.set(xlim=(-reach, reach), ylim=(-0.4, max(len(found), 1) - 0.25), yticks=[])
    axis.grid(axis="x", color=PALETTE["grid"], linewidth=0.6)
    side = "left" if metric in LOWER_IS_BETTER else "right"
    axis.set_xlabel(f"difference in {HEADINGS[metric]}{unit}\n({side} is better)", fontsize=9.5)
    axis.locator_params(axis="x", nbins=6)
    axis.set_title(two_lines(f"0: as {statistics.baseline}"), fontsize=9.5, parse_math=False)
    plain(axis)
    axis.spines["left"].set_visible(False)
    return figure


def _forest_row(axis: Any, row: int, found: Difference, scale: int) -> None:
    colour = PALETTE.get(found.verdict, PALETTE["same"])
    if found.detectable is not None:
        width = scale * found.detectable
        axis.barh(row, 2 * width, height=0.44, left=-width, color=PALETTE["band"])
    if found.low is not None and found.high is not None:
        ends = [scale * found.low, scale * found.high]
        axis.plot(ends, [row, row], color=colour, linewidth=2)
    text = "no verdict"
    if found.difference is not None:
        marker = _MARKERS.get(found.verdict, "o")
        axis.plot(scale * found.difference, row, marker, color=colour, markersize=7)
        text = difference(found.metric, found.difference).removesuffix(" points")
        text += f" [{interval(found.metric, found.low, found.high, sign='+')}]"
    name = found.arm if len(found.arm) <= _LONGEST else f"{found.arm[: _LONGEST - 1]}…"
    style = {"transform": axis.get_yaxis_transform(), "fontsize": 9}
    axis.text(0, row + 0.3, name, parse_math=False, **style)
    axis.text(1, row + 0.3, text, ha="right", color=colour, **style)


def history_curves(result: Comparison) -> Figure:
    """Draw a column an arm and a row a metric: training and validation, a line a run.

    Of more than 20 metrics, the first 19 by name and the last one, which is the loss, are shown; a
    title says so.
    """
    names = dict.fromkeys(name for run in result.runs for name in run.history)
    shown = {name for name in names if not name.startswith("val_")} - {"learning_rate"}
    known = sorted(shown, key=lambda name: (name == "loss", name))
    metrics = [*known[:-1][: _MOST_METRICS - 1], *known[-1:]]
    rows, columns = max(len(metrics), 1), len(result.arms)
    figure = new_figure(0.5 + 2.1 * columns, 0.7 + 1.55 * rows)
    if len(metrics) < len(known):
        figure.suptitle(f"{len(metrics)} of {len(known):,} metrics", fontsize=10)
    axes = figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="row")
    most = max(20, _MOST_POINTS // max(sum(len(run.history) for run in result.runs), 1))
    for column, arm in zip(axes.T, result.arms, strict=True):
        phase_ends = {
            end / run.steps_per_entry + 0.5
            for run in result[arm]
            for end in list(accumulate(run.phase_steps))[:-1]
        }
        for axis, metric in zip(column, metrics, strict=False):
            for run in result[arm]:
                _curve(axis, run.history.get(metric, ()), "training", "-", most)
                _curve(axis, run.history.get(f"val_{metric}", ()), "validation", "--", most)
            for place in sorted(phase_ends):
                axis.axvline(place, color=PALETTE["muted"], linewidth=0.8, linestyle=":")
        for axis in column:
            plain(axis)
        column[0].set_title(two_lines(arm), fontsize=10, parse_math=False)
        column[-1].set_xlabel("epoch")
        column[-1].xaxis.get_major_locator().set_params(integer=True)
    for axis, metric in zip(axes[:, 0], metrics, strict=False):
        axis.set_ylabel(metric.replace("_", " "), parse_math=False)
    lines = {line.get_label(): line for line in axes[0, 0].get_lines()}
    handles = [lines[name] for name in ("training", "validation") if name in lines]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _curve(axis: Any, values: Any, name: str, style: str, most: int) -> None:
    step = -(-len(values) // most) or 1
    epochs = np.arange(1, len(values) + 1)[::step]
    look = {"color": PALETTE[name], "linestyle": style, "linewidth": 1, "label": name}
    axis.plot(epochs, values[::step], marker="." if len(values) == 1 else None, **look)


def sample_scores(report: SampleReport) -> Figure:
    """Draw the kernel distance with its interval, and the four shares, of each set of images."""
    figure = new_figure(7.2, 3.1)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    for place, (name, (part, marker)) in enumerate(_LOOKS.items()):
        found, colour = report.scores[name], PALETTE[part]
        left.plot([found.kid_low, found.kid_high], [-place, -place], color=colour, linewidth=2)
        left.plot(found.kid, -place, marker, color=colour)
        heights = [-row + 0.2 * (1.5 - place) for row in range(len(_SHARES))]
        values = [getattr(found, share) for share in _SHARES]
        right.plot(values, heights, marker, color=colour, linestyle="", label=name)
    left.axvline(0, color=PALETTE["muted"], linewidth=0.9, linestyle=":")
    left.set_yticks([-place for place in range(len(_LOOKS))], list(_LOOKS))
    left.set_ylim(-len(_LOOKS) + 0.4, 0.6)
    left.set_xlabel("KID, 95 % interval (0: alike)", fontsize=9.5)
    right.axvline(1, color=PALETTE["muted"], linewidth=0.9, linestyle=":")
    right.set_yticks([-row for row in range(len(_SHARES))], _SHARES)
    right.set_ylim(-len(_SHARES) + 0.4, 0.6)
    right.set_xlim(left=-0.03, right=max(1.05, 1.05 * right.dataLim.x1))
    right.set_xlabel("share of images (density: ratio)", fontsize=9.5)
    for axis in (left, right):
        plain(axis)
        axis.grid(axis="x", color=PALETTE["grid"], linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=len(_LOOKS), frameon=False, fontsize=9)
    return figure
