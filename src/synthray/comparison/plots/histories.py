"""Training curves of each arm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from synthray._report.style import PALETTE, new_figure, plain
from synthray.comparison.plots.titles import title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.comparison.result import ComparisonResult


_MANY = 6


def history_curves(result: ComparisonResult, *, arms: Sequence[str] | None = None) -> Figure:
    """Draw a column an arm and a row a metric: training and validation, a line a fold and seed.

    Args:
        result: The comparison.
        arms: Which of its arms. Scales are those of all arms, so that several figures compare.
    """
    shown = result.arms if arms is None else tuple(arms)
    metrics = _metrics(result)
    rows, columns = max(len(metrics), 1), len(shown)
    figure = new_figure(0.5 + 2.1 * columns, 0.7 + 1.55 * rows)
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
            plain(axis)
        axes[0, column].set_title(title(arm, columns), fontsize=10, parse_math=False)
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
