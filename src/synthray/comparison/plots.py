"""Figures of a comparison (matplotlib, without global state)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.metrics import BINS, LOWER_IS_BETTER
from synthray.comparison.table import HEADINGS, SHARES, cautions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.comparison.result import ComparisonResult
    from synthray.comparison.verdicts import Difference

# A page replaces each of these by a colour that suits its background, light or dark.
PALETTE = {
    "ink": "#1f2a33",
    "muted": "#66727d",
    "grid": "#dde3e8",
    "band": "#e9eef2",
    "bar": "#7aa6c2",
    "training": "#2f6f93",
    "validation": "#c8641b",
    "better": "#17784a",
    "worse": "#b3261f",
    "same": "#56646f",
}
_MARKERS = {"better": "^", "worse": "v", "cannot be told apart": "o"}
_MANY = 6


def accuracy_bars(result: ComparisonResult) -> Figure:
    """Draw a bar an arm: mean test accuracy, its value above, one dot a run."""
    figure = _figure(1.4 + 1.25 * len(result.arms), 3.8)
    axis = figure.subplots()
    for x, arm in enumerate(result.arms):
        values = result.scores(arm)["accuracy"]
        mean = float(values.mean())
        axis.bar(x, mean, width=0.62, color=PALETTE["bar"])
        if len(values) > 1:
            spread = np.linspace(-0.2, 0.2, len(values))
            axis.plot(x + spread, values, "o", color=PALETTE["ink"], markersize=3)
        top = float(values.max())
        if np.isfinite(top):
            axis.annotate(f"{mean:.1%}", (x, top), (0, 5), textcoords="offset points", ha="center")
        else:
            axis.annotate("diverged", (x, 0), (0, 5), textcoords="offset points", ha="center")
    labels = [_label(arm) for arm in result.arms]
    axis.set_xticks(range(len(result.arms)), labels, parse_math=False)
    axis.set_xlim(-0.6, len(result.arms) - 0.4)
    axis.set_ylim(0, 1.08)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("test accuracy")
    axis.grid(axis="y", color=PALETTE["grid"])
    _plain(axis)
    title = f"{len(result.labels)} test images"
    runs = max(len(result[arm]) for arm in result.arms)
    if runs > 1:
        title += f", {runs} runs an arm (dots)"
    warnings = [text.split(":")[0].split(",")[0] for text in cautions(result)]
    colour = PALETTE["worse" if warnings else "ink"]
    axis.set_title("\n".join([title, *warnings]), fontsize=10, color=colour)
    return figure


def history_curves(result: ComparisonResult, *, arms: Sequence[str] | None = None) -> Figure:
    """Draw a column an arm and a row a metric: training and validation, a line a fold and seed.

    Args:
        result: The comparison.
        arms: Which of its arms. Scales are those of all arms, so that several figures compare.
    """
    shown = result.arms if arms is None else tuple(arms)
    metrics = _metrics(result)
    rows, columns = max(len(metrics), 1), len(shown)
    figure = _figure(0.5 + 2.1 * columns, 0.7 + 1.55 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="row")
    for column, arm in enumerate(shown):
        runs = result[arm]
        width = 1.3 if len(runs) < _MANY else 0.6
        for axis, metric in zip(axes[:, column], metrics, strict=False):
            for run in runs:
                _curve(axis, run.history.get(metric, ()), "training", width)
                _curve(axis, run.history.get(f"val_{metric}", ()), "validation", width)
            ends = {
                round(end / run.steps_per_entry + 0.5, 3)
                for run in runs
                for end in list(accumulate(run.phase_steps))[:-1]
            }
            for end in sorted(ends):
                axis.axvline(end, color=PALETTE["muted"], linewidth=0.8, linestyle=":")
        for axis in axes[:, column]:
            _plain(axis)
        axes[0, column].set_title(_title(arm, columns), fontsize=10, parse_math=False)
        axes[-1, column].set_xlabel("epoch")
        axes[-1, column].xaxis.get_major_locator().set_params(integer=True)
    for axis, metric in zip(axes[:, 0], metrics, strict=False):
        axis.set_ylabel(metric.replace("_", " "), parse_math=False)
        limits = _limits(result, metric)
        if limits is not None:
            axis.set_ylim(*limits)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if labels:
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9
        )
        for line in legend.get_lines():
            line.set_linewidth(1.4)
    return figure


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
    figure = _figure(3.7, 1.35 + 0.62 * max(len(found), 1))
    axis = figure.subplots()
    for row, difference in enumerate(reversed(found)):
        _forest_row(axis, row, difference, places)
    axis.axvline(0, color=PALETTE["ink"], linewidth=1)
    if not found:
        text = f"{_short(statistics.baseline)} is the only arm"
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
    axis.set_title(f"level with {_short(statistics.baseline)}", fontsize=9.5, parse_math=False)
    _plain(axis)
    axis.spines["left"].set_visible(False)
    return figure


def calibration(result: ComparisonResult, *, arms: Sequence[str] | None = None) -> Figure:
    """Draw a column an arm: stated probability against observed share, and how many images.

    For two classes the probability is that of the positive class, else that of the class chosen.

    Args:
        result: The comparison.
        arms: Which of its arms.
    """
    shown = result.arms if arms is None else tuple(arms)
    figure = _figure(0.5 + 2.1 * len(shown), 3.3)
    axes = figure.subplots(
        2, len(shown), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for column, arm in enumerate(shown):
        curve, bars = axes[:, column]
        curve.plot([0, 1], [0, 1], color=PALETTE["muted"], linewidth=0.9, linestyle=":")
        stated, observed, counts = reliability(result, arm)
        known = counts > 0
        curve.plot(stated[known], observed[known], color=PALETTE["training"], linewidth=1.3)
        sizes = 8 + 60 * counts[known] / max(counts.max(), 1)
        curve.scatter(stated[known], observed[known], s=sizes, color=PALETTE["training"])
        if not known.any():
            curve.annotate("diverged", (0.5, 0.6), ha="center", color=PALETTE["worse"])
        bars.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS, color=PALETTE["bar"])
        curve.set_title(_title(arm, len(shown)), fontsize=10, parse_math=False)
        curve.set_xlim(-0.02, 1.02)
        curve.set_ylim(-0.04, 1.04)
        bars.set_xlabel("probability given")
        for axis in (curve, bars):
            _plain(axis)
    axes[0, 0].set_ylabel("share that is so")
    axes[1, 0].set_ylabel("images")
    most = max(reliability(result, arm)[2].max() for arm in result.arms)
    axes[1, 0].set_ylim(0, 1.1 * max(most, 1))
    return figure


def reliability(
    result: ComparisonResult, arm: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean probability, observed share and images (a mean over seeds) of each bin.

    Args:
        result: The comparison.
        arm: Its arm; predictions of all folds and seeds are taken together.
    """
    p = result.probabilities(arm).astype(np.float64)
    labels = np.broadcast_to(result.labels, p.shape[:2])
    if result.positive_class is None:
        stated, right = p.max(axis=2), p.argmax(axis=2) == labels
    else:
        positive = result.class_names.index(result.positive_class)
        stated, right = p[:, :, positive], labels == positive
    finite = np.isfinite(stated)
    stated, right = stated[finite], right[finite]
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS).astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(bins, stated, BINS) / counts
        share = np.bincount(bins, right, BINS) / counts
    return mean, share, counts / len(p)


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
    axis.text(0, row + 0.3, _short(found.arm, 20), transform=line, fontsize=9.5, parse_math=False)
    axis.text(1, row + 0.3, text, transform=line, fontsize=9, ha="right", color=colour)


def _signed(value: float, places: int) -> str:
    """Return a difference with its sign: one place for percentage points, else as it is."""
    return f"{value * (100 if places == 1 else 1):+.{places}f}".replace("-", "\N{MINUS SIGN}")


def _tick(value: float, places: int) -> str:
    value *= 100 if places == 1 else 1
    return "0" if abs(value) < 1e-9 else f"{value:+.3g}".replace("-", "\N{MINUS SIGN}")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _plain(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(PALETTE["muted"])
    axis.tick_params(color=PALETTE["muted"], labelsize=9)
    axis.set_axisbelow(True)


def _curve(axis: Any, values: Any, name: str, width: float) -> None:
    if not len(values):
        return
    known = axis.get_legend_handles_labels()[1]
    axis.plot(
        range(1, len(values) + 1),
        values,
        color=PALETTE[name],
        linewidth=width,
        linestyle="-" if name == "training" else (0, (5, 1.5)),
        marker="." if len(values) == 1 else None,
        label=None if name in known else name,
    )


def _limits(result: ComparisonResult, metric: str) -> tuple[float, float] | None:
    curves = [
        run.history.get(name, ()) for run in result.runs for name in (metric, f"val_{metric}")
    ]
    values = np.concatenate([np.asarray(curve, np.float64) for curve in curves])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _metrics(result: ComparisonResult) -> list[str]:
    names = dict.fromkeys(name for run in result.runs for name in run.history)
    shown = [name for name in names if not name.startswith("val_") and name != "learning_rate"]
    return sorted(shown, key=lambda name: name == "loss")


def _title(arm: str, columns: int) -> str:
    return _short(arm.replace("_", " "), 26) if columns == 1 else _label(arm)


def _label(arm: str) -> str:
    return "\n".join(_short(line, 22) for line in arm.replace("_", " ").split(" ", 1))


def _short(name: str, longest: int = 30) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
