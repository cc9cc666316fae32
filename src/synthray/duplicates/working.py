"""Working copies of images: small, gray and square."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    distance_transform_edt,
    gaussian_filter1d,
    generate_binary_structure,
    label,
)

from synthray._parts import slices
from synthray.datasets import pixels

Floats = NDArray[np.float32]
Index = NDArray[np.int64]
Copies = NDArray[np.uint8]

SIDE = 64
"""Height and width of working copies, in pixels."""

MIDDLE = np.float32((SIDE - 1) / 2)

_FLAT = 2.0  # gray levels of spread, below which there is nothing to compare
_BLACK = 1  # the most that padding may be, after lossy compression
_FEWEST = 8  # rows or columns that are left
_DARK = 24  # gray levels between those of padding, after lossy compression
_FOREIGN = 5.0  # deviations of the content between its mean and padding, at least
_SOFT = 2  # pixels of the edge of padding that a blur leaves
_PLANE = generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]  # no other image
_AT_ONCE = 256


def working_copies(images: NDArray[np.uint8]) -> Copies:
    """Return gray images of `SIDE` x `SIDE`, stretched, shape `(n, SIDE, SIDE)`.

    Black bars that all images have, as padding to a square adds them, are left out: they would
    count as content that stays where it is while the image turns. Padding of single images, far
    darker than all that they show, is filled with the content next to it.
    """
    gray = pixels.to_grayscale(images)
    shown = gray.max(0, initial=0)[..., 0] > _BLACK
    (top, bottom), (left, right) = (_inside(shown.any(axis)) for axis in (1, 0))
    if bottom - top >= _FEWEST and right - left >= _FEWEST:
        gray = gray[:, top:bottom, left:right]
    copies = pixels.resize(gray, SIDE, SIDE)[..., 0]
    filled = {
        at.start + k: image
        for at in slices(len(copies), _AT_ONCE)
        for k, image in _without_padding(copies[at])
    }
    if filled:
        copies = copies.copy()
        copies[list(filled)] = list(filled.values())
    return copies


def has_content(copies: Copies) -> NDArray[np.bool_]:
    """Return whether gray values of each working copy vary enough to compare, shape `(n,)`."""
    spread = np.zeros(len(copies))
    for at in slices(len(copies), _AT_ONCE):
        spread[at] = copies[at].std((1, 2))
    return spread > _FLAT


def _without_padding(copies: Copies) -> Iterator[tuple[int, Copies]]:
    """Fill what lies at the border and is far darker than all the rest; yield places and images.

    A shear or a shift leaves it, and on bright images its edges outweigh the content. The black
    around a limb is not so far from the grays of the limb, and stays.
    """
    darkest = copies.min((1, 2), keepdims=True).astype(np.int64)
    regions, count = label(copies < darkest + _DARK, _PLANE)
    border = np.ones((SIDE, SIDE), bool)
    border[1:-1, 1:-1] = False
    at_border = np.zeros(count + 1, bool)
    at_border[regions[:, border]] = True
    at_border[0] = False
    outside = binary_dilation(at_border[regions], _PLANE, iterations=_SOFT)
    for k in np.flatnonzero(outside.any((1, 2)) & ~outside.all((1, 2))):
        content = copies[k][~outside[k]]
        if content.mean() - darkest[k, 0, 0] > _FOREIGN * content.std():
            found = distance_transform_edt(outside[k], return_distances=False, return_indices=True)
            yield int(k), copies[k][tuple(found)]


def _inside(shown: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first place that is true, and the place after the last."""
    return int(np.argmax(shown)), len(shown) - int(np.argmax(shown[::-1]))


def interpolated(images: NDArray[np.generic], index: Index, y: Floats, x: Floats) -> Floats:
    """Return bilinear values at points, shape `(n, points, channels)`.

    Args:
        images: Shape `(m, SIDE * SIDE, channels)`.
        index: The image of each row of points, shape `(n,)`.
        y: Shape `(points,)` or `(n, points)`, in pixels.
        x: The same.
    """
    y, x = np.clip(y, 0, SIDE - 1.001), np.clip(x, 0, SIDE - 1.001)
    y0, x0 = y.astype(np.int64), x.astype(np.int64)
    fy = (y - y0.astype(np.float32))[..., None]
    fx = (x - x0.astype(np.float32))[..., None]
    flat = images.reshape(-1, images.shape[-1])
    first = index[:, None] * (SIDE * SIDE) + (y0 * SIDE + x0)
    corner = [
        flat.take(first + offset, axis=0, mode="clip").astype(np.float32)
        for offset in (0, 1, SIDE, SIDE + 1)
    ]
    top = corner[0] + (corner[1] - corner[0]) * fx
    bottom = corner[2] + (corner[3] - corner[2]) * fx
    return np.asarray(top + (bottom - top) * fy, np.float32)


def filtered(
    images: Floats, sigma: float, *, down: int = 0, right: int = 0, stride: int = 1
) -> Floats:
    """Return images smoothed by a Gaussian, or derivatives of them, at every `stride`-th pixel.

    Args:
        images: Shape `(n, SIDE, SIDE)`.
        sigma: In pixels.
        down: Order of the derivative downwards.
        right: Order of the derivative to the right.
        stride: In pixels.
    """
    rows, columns = (_gaussian(float(sigma), order)[::stride] for order in (down, right))
    return np.asarray(rows @ images @ columns.T, np.float32)


@cache
def _gaussian(sigma: float, order: int) -> Floats:
    """Return the matrix that filters a column: a product with it is faster than a filter."""
    matrix = gaussian_filter1d(np.eye(SIDE), sigma, axis=0, order=order, mode="nearest")
    return np.asarray(matrix, np.float32)
