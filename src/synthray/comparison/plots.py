"""Figures of a comparison (matplotlib, without global state)."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.comparison.result import ComparisonResult

_BAR, _DOT, _TRAINING, _VALIDATION = "#7aa6c2", "#1f3b4d", "#2f6f93", "#d1772e"


def accuracy_bars(result: ComparisonResult) -> Figure:
    """Draw a bar an arm: mean test accuracy, its value above, one dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.4 + 1.25 * len(result.arms), 3.8), layout="constrained")
    axis = figure.subplots()
    for x, arm in enumerate(result.arms):
        values = result.scores(arm)["accuracy"]
        mean = float(values.mean())
        axis.bar(x, mean, width=0.62, color=_BAR)
        if len(values) > 1:
            spread = np.linspace(-0.12, 0.12, len(values))
            axis.plot(x + spread, values, "o", color=_DOT, markersize=3.5)
        top = float(values.max())
        if np.isfinite(top):
            axis.annotate(f"{mean:.1%}", (x, top), (0, 5), textcoords="offset points", ha="center")
    axis.set_xticks(range(len(result.arms)), [_label(arm) for arm in result.arms])
    axis.set_ylim(0, 1.08)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("test accuracy")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="#e3e3e3")
    title = f"{len(result.labels)} test images"
    if len(result.seeds) > 1:
        title += f", {len(result.seeds)} seeds (dots)"
    if result.leak.found:
        title += "\nLEAK: test images are known from training"
    axis.set_title(title, fontsize=10, color="#a02020" if result.leak.found else "black")
    return figure


def history_curves(result: ComparisonResult) -> Figure:
    """Draw a column an arm and a row a metric: training and validation, a line a seed."""
    from matplotlib.figure import Figure

    metrics = _metrics(result)
    rows, columns = len(metrics), len(result.arms)
    figure = Figure(figsize=(0.6 + 2.4 * columns, 0.7 + 2.0 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="row")
    for column, arm in enumerate(result.arms):
        for line, metric in zip(axes[:, column], metrics, strict=True):
            for run in result[arm]:
                _curve(line, run.history.get(metric, ()), _TRAINING, "training")
                _curve(line, run.history.get(f"val_{metric}", ()), _VALIDATION, "validation")
                entry = result.settings["steps_per_entry"]
                for end in list(accumulate(run.phase_steps))[:-1]:
                    line.axvline(end / entry + 0.5, color="#888888", linewidth=0.8, linestyle=":")
            line.spines[["top", "right"]].set_visible(False)
        axes[0, column].set_title(_label(arm), fontsize=10)
        axes[-1, column].set_xlabel("epoch")
        axes[-1, column].xaxis.get_major_locator().set_params(integer=True)
    for line, metric in zip(axes[:, 0], metrics, strict=True):
        line.set_ylabel(metric)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _curve(axis: Any, values: Any, color: str, name: str) -> None:
    if not len(values):
        return
    known = axis.get_legend_handles_labels()[1]
    axis.plot(
        range(1, len(values) + 1),
        values,
        color=color,
        linewidth=1.2,
        marker="." if len(values) == 1 else None,
        label=None if name in known else name,
    )


def _metrics(result: ComparisonResult) -> list[str]:
    names = dict.fromkeys(name for run in result.runs for name in run.history)
    shown = [name for name in names if not name.startswith("val_") and name != "learning_rate"]
    return sorted(shown, key=lambda name: name == "loss")


def _label(arm: str) -> str:
    return arm.replace("_", " ").replace(" ", "\n", 1)
