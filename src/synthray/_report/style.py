"""The style of plots: colours that a page can exchange, plain axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain(axis: Any) -> None:
    """Take the frame and the loud colours from a plot."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(PALETTE["muted"])
    axis.tick_params(color=PALETTE["muted"], labelsize=9)
    axis.set_axisbelow(True)


def short(name: str, longest: int = 30) -> str:
    """Return a name cut to a length."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
