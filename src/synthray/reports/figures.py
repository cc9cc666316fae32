"""The style of plots: their colours, plain axes, names that fit."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# In a page, the style sheet exchanges each of these where the background is dark.
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


def two_lines(name: str) -> str:
    """Return a name in at most two short lines."""
    return textwrap.fill(name.replace("_", " "), 18, max_lines=2, placeholder="…")


Image = NDArray[np.uint8]

_BUDGET = 330_000  # bytes of pixels, for all pictures of one kind in a page
_LONGEST = 160


def class_rows(rows: Mapping[str, Image], columns: int) -> Figure:
    """Draw a row of up to `columns` images for each name."""
    figure = new_figure(1.1 * columns, 1.35 * len(rows))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            _show(axis, image)
        for axis in line:
            axis.set_axis_off()
        line[0].set_title(name, loc="left", fontsize=9)
    return figure


def pair_columns(pairs: Sequence[tuple[Image, Image]], above: str, below: str) -> Figure:
    """Draw pairs of images, the first of each above the second, with a name for each row."""
    figure = new_figure(1.2 + 1.3 * max(len(pairs), 2), 3.0)
    if not pairs:
        figure.text(0.5, 0.5, "no pairs to show", ha="center", va="center")
        return figure
    axes = figure.subplots(2, len(pairs), squeeze=False)
    for line, images, name in zip(axes, zip(*pairs, strict=True), (above, below), strict=True):
        for axis, image in zip(line, images, strict=True):
            _show(axis, image)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    return figure


def tile(images: Image, columns: int, *, gap: int = 2) -> Image:
    """Lay images `(n, h, w, c)` out in one image, row by row, white between them."""
    from skimage.util import montage

    shape, white = (-(-len(images) // columns), columns), [255] * images.shape[-1]
    framed = montage(images, white, False, shape, padding_width=gap, channel_axis=-1)
    return np.asarray(framed[gap : len(framed) - gap, gap : framed.shape[1] - gap])


def png_rows(rows: Mapping[str, Iterable[Image]], *, budget: int = _BUDGET) -> dict[str, list[str]]:
    """Return rows of images as data URIs of PNGs, shrunk so that a page stays small.

    Args:
        rows: Images by name.
        budget: Bytes of pixels of all images together, at most.
    """
    sizes = [image.shape[-1] for row in rows.values() for image in row]
    longest = min(_LONGEST, int((budget / max(sum(sizes), 1)) ** 0.5))
    return {name: [_png(image, longest) for image in row] for name, row in rows.items()}


def png_pairs(pairs: Sequence[tuple[Image, Image]]) -> list[list[str]]:
    """Return pairs of images in the same way."""
    return list(png_rows({str(place): pair for place, pair in enumerate(pairs)}).values())


def _png(image: Image, longest: int) -> str:
    from PIL import Image as Pillow

    picture = Pillow.fromarray(np.ascontiguousarray(_pixels(image)))
    picture.thumbnail((longest, longest), Pillow.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _show(axis: Any, image: Image) -> None:
    axis.imshow(_pixels(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _pixels(image: Image) -> Image:
    """Return what is shown of an image: colour, else the first channel."""
    return image if image.shape[-1] == 3 else image[..., 0]
