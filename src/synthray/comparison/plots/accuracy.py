"""Accuracy of each arm as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthray._report.style import PALETTE, new_figure, plain
from synthray.comparison.plots.titles import label
from synthray.comparison.table import cautions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.comparison.result import ComparisonResult


def accuracy_bars(result: ComparisonResult) -> Figure:
    """Draw a bar an arm: mean test accuracy, its value above, one dot a run."""
    figure = new_figure(1.4 + 1.25 * len(result.arms), 3.8)
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
    labels = [label(arm) for arm in result.arms]
    axis.set_xticks(range(len(result.arms)), labels, parse_math=False)
    axis.set_xlim(-0.6, len(result.arms) - 0.4)
    axis.set_ylim(0, 1.08)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.set_yticks(np.linspace(0, 1, 6))
    axis.set_ylabel("test accuracy")
    axis.grid(axis="y", color=PALETTE["grid"])
    plain(axis)
    title = f"{len(result.labels)} test images"
    runs = max(len(result[arm]) for arm in result.arms)
    if runs > 1:
        title += f", {runs} runs an arm (dots)"
    warnings = [text.split(":")[0].split(",")[0] for text in cautions(result)]
    colour = PALETTE["worse" if warnings else "ink"]
    axis.set_title("\n".join([title, *warnings]), fontsize=10, color=colour)
    return figure
