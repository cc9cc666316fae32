"""Stated probabilities against what is so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthray._report.style import PALETTE, new_figure, plain
from synthray.comparison.metrics import BINS
from synthray.comparison.plots.titles import title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.comparison.result import ComparisonResult


def calibration(result: ComparisonResult, *, arms: Sequence[str] | None = None) -> Figure:
    """Draw a column an arm: stated probability against observed share, and how many images.

    For two classes the probability is that of the positive class, else that of the class chosen.

    Args:
        result: The comparison.
        arms: Which of its arms.
    """
    shown = result.arms if arms is None else tuple(arms)
    figure = new_figure(0.5 + 2.1 * len(shown), 3.3)
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
        curve.set_title(title(arm, len(shown)), fontsize=10, parse_math=False)
        curve.set_xlim(-0.02, 1.02)
        curve.set_ylim(-0.04, 1.04)
        bars.set_xlabel("probability given")
        for axis in (curve, bars):
            plain(axis)
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
