"""The plot of a `SampleReport`: drawn images beside the two yardsticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthray._report.style import PALETTE, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.audit.samples.report import SampleReport

_LOOKS = {"real": ("ink", "D"), "augmented": ("validation", "s"), "drawn": ("training", "o")}
_SHARES = ("precision", "recall", "density", "coverage")
_APART = 0.22


def scores(report: SampleReport) -> Figure:
    """Draw the kernel distance with its interval, and the four shares, of each set of images."""
    figure = new_figure(7.2, 2.9)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    for place, (name, (part, marker)) in enumerate(_LOOKS.items()):
        found, colour = report.scores[name], PALETTE[part]
        left.plot([found.kid_low, found.kid_high], [-place, -place], color=colour, linewidth=2)
        left.plot(found.kid, -place, marker, color=colour)
        heights = [-row + _APART * (1 - place) for row in range(len(_SHARES))]
        values = [getattr(found, share) for share in _SHARES]
        right.plot(values, heights, marker, color=colour, linestyle="", label=name)
    left.axvline(0, color=PALETTE["muted"], linewidth=0.9, linestyle=":")
    left.set_yticks([0, -1, -2], list(_LOOKS))
    left.set_ylim(-2.6, 0.6)
    left.set_xlabel("KID, 95 % interval (0: alike)", fontsize=9.5)
    right.axvline(1, color=PALETTE["muted"], linewidth=0.9, linestyle=":")
    right.set_yticks([-row for row in range(len(_SHARES))], _SHARES)
    right.set_ylim(-len(_SHARES) + 0.4, 0.6)
    right.set_xlim(left=-0.03, right=max(1.05, 1.05 * right.dataLim.x1))
    right.set_xlabel("share of images (density: ratio)", fontsize=9.5)
    for axis in (left, right):
        plain(axis)
        axis.grid(axis="x", color=PALETTE["grid"], linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
