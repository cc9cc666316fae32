"""Figures of images (matplotlib, without global state)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_rows(rows: Mapping[str, NDArray[np.uint8]], columns: int) -> Figure:
    """Draw a row of up to `columns` images for each name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.1 * columns, 1.35 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            show(axis, image)
        for axis in line:
            axis.set_axis_off()
        line[0].set_title(name, loc="left", fontsize=9)
    return figure


def pair_columns(
    pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]], above: str, below: str
) -> Figure:
    """Draw pairs of images, the first of each above the second, with a name for each row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 1.3 * max(len(pairs), 2), 3.0), layout="constrained")
    if not pairs:
        figure.text(0.5, 0.5, "no pairs to show", ha="center", va="center")
        return figure
    axes = figure.subplots(2, len(pairs), squeeze=False)
    for column, pair in enumerate(pairs):
        for row, image in enumerate(pair):
            show(axes[row, column], image)
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
    axes[0, 0].set_ylabel(above)
    axes[1, 0].set_ylabel(below)
    return figure


def show(axis: Any, image: NDArray[np.uint8]) -> None:
    """Show one image, gray or colour, at its own scale."""
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def tile(images: NDArray[np.uint8], columns: int, *, gap: int = 2) -> NDArray[np.uint8]:
    """Lay images `(n, h, w, c)` out in one image, row by row, white between them."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        canvas[top : top + h, left : left + w] = image
    return canvas
