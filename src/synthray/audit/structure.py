"""Fine structure of radiographs: what two patients in one pose do not share.

Fine detail, with local contrast evened out, is compared where a registration has laid one image on
another: two patients share outlines, not trabeculae and overlaps. Of two images that show a thing
in two sizes, the larger is smoothed first to what the smaller can show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.audit.alignment import LEVELS, Index, blurred, disc
from synthray.audit.embedding import SIDE, Floats

Bytes = NDArray[np.int8]

_STEP, _WIDEST = 0.1, 5  # of the logarithm of scale, and how many
_POINTS = 1.5  # pixels between those that are compared
_WORTH_A_LOOK = 0.5  # of the correlation of structure; copies lie above 0.75


class Structure:
    """Compares fine structure of pairs that are laid on each other.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.

    Attributes:
        straightness: How far all edges of an image are parallel, 0 to 1, shape `(n,)`.
    """

    def __init__(self, copies: Floats) -> None:
        n = len(copies)
        self._copies = copies
        # As it is, and as larger copies show it: these are made when they are asked for.
        self._shown = np.empty(((1 + _WIDEST) * n, SIDE * SIDE), np.int8)
        self._made = np.arange((1 + _WIDEST) * n) < n
        self.straightness = np.empty(n, np.float32)
        self._direction = np.empty(n, np.float32)
        for start in range(0, n, 512):
            structure = _structure(copies[start : start + 512])
            self._shown[start : start + len(structure)] = _as_bytes(structure)
            straightness, direction = _straightness(*_slopes(structure))
            self.straightness[start : start + 512] = straightness
            self._direction[start : start + 512] = direction

    def judge(
        self, i: Index, j: Index, flipped: NDArray[np.bool_], found: Floats
    ) -> tuple[Floats, Floats]:
        """Return how well fine structure correlates at given transforms, -1 to 1, `(n,)` each.

        Args:
            i: Places of the first images, shape `(n,)`.
            j: Places of the second.
            flipped: Whether the second is a mirror image.
            found: Parameters of the transforms, `(n, 4)`; see `Registration.align`.

        Returns:
            The correlation of fine structure, and of its slope along the edges of the first image:
            two straight shafts agree across their edges wherever they are laid on each other, and
            prove something only by what varies along them. The second is -1 where the first tells
            enough.
        """
        y, x = disc(_POINTS)
        mirror = np.where(flipped, -1, 1).astype(np.float32)[:, None]
        scales: Floats = np.hypot(found[:, 0], found[:, 1])
        first, second = self._as_fine_as(i, np.float32(1) / scales), self._as_fine_as(j, scales)
        there = _moved(found, mirror, y, x)
        weight = _inside(*there)
        fixed = _interpolated(self._shown[..., None], first, y, x)[..., 0]
        moving = _interpolated(self._shown[..., None], second, *there)[..., 0]
        fits = _correlation(fixed, moving, weight)
        along = np.full(len(i), -1, np.float32)
        alike = np.flatnonzero(fits > _WORTH_A_LOOK)
        if len(alike):
            there = there[0][alike], there[1][alike]
            here = self._slopes_at(first[alike], y, x)
            slopes = self._slopes_at(second[alike], *there)
            right: Floats = np.cos(self._direction[i[alike]])[:, None]
            down: Floats = np.sin(self._direction[i[alike]])[:, None]
            cosine, sine = found[alike, :1], found[alike, 1:2]
            dx = cosine * slopes[..., 0] + sine * slopes[..., 1]
            dy = mirror[alike] * (cosine * slopes[..., 1] - sine * slopes[..., 0])
            along[alike] = _correlation(
                right * here[..., 0] + down * here[..., 1], right * dx + down * dy, weight[alike]
            )
        return fits, along

    def _as_fine_as(self, i: Index, scales: Floats) -> Index:
        """Return the rows that show images at `scales` times another's size.

        What the smaller one cannot show is left out of the larger one.
        """
        n = len(self._copies)
        steps = np.clip(np.rint(np.log(scales) / _STEP), 0, _WIDEST).astype(np.int64)
        rows: Index = steps * n + i
        # Threads may make the same row at once: they write the same.
        missing = np.unique(rows[~self._made[rows]])
        for step in np.unique(missing // n):
            these = missing[missing // n == step]
            structure = _structure(self._copies[these % n], np.exp(step * _STEP))
            self._shown[these] = _as_bytes(structure)
            self._made[these] = True
        return rows

    def _slopes_at(self, rows: Index, y: Floats, x: Floats) -> Floats:
        """Return slopes in x and y at points, shape `(n, points, 2)`."""
        unique, inverse = np.unique(rows, return_inverse=True)
        images = self._shown[unique].reshape(-1, SIDE, SIDE).astype(np.float32)
        slopes = np.stack(_slopes(images), -1).reshape(len(unique), -1, 2)
        return _interpolated(slopes, inverse, y, x)


def _structure(copies: Floats, size: float = 1.0) -> Floats:
    """Return fine detail with local contrast evened out, deviation 1, shape `(n, SIDE, SIDE)`."""
    even = copies / (copies.std((1, 2), keepdims=True) + 1e-3) * 40
    fine = blurred(even, 0.5 * size) - blurred(even, 1.5 * size)
    fine /= np.sqrt(blurred(fine * fine, 4.0 * size)) + 3.0
    return np.asarray(fine / (fine.std((1, 2), keepdims=True) + 1e-6), np.float32)


def _as_bytes(structure: Floats) -> Bytes:
    rounded = np.clip(np.rint(structure * LEVELS), -127, 127)
    return rounded.astype(np.int8).reshape(len(structure), -1)


def _slopes(images: Floats) -> tuple[Floats, Floats]:
    return np.gradient(images, axis=2), np.gradient(images, axis=1)


def _straightness(dx: Floats, dy: Floats) -> tuple[Floats, Floats]:
    """Return the coherence of the structure tensor over the compared disc, and its edges' angle.

    Bigün & Granlund 1987: difference by sum of the eigenvalues of the mean outer product of slopes.
    """
    y, x = disc(1.0)
    middle = (SIDE - 1) / 2
    rows, columns = np.rint(y + middle).astype(int), np.rint(x + middle).astype(int)
    dx, dy = dx[:, rows, columns], dy[:, rows, columns]
    xx, yy, xy = (dx * dx).mean(1), (dy * dy).mean(1), (dx * dy).mean(1)
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-9)
    across = np.arctan2(2 * xy, xx - yy) / 2
    return np.asarray(coherence, np.float32), np.asarray(across + np.pi / 2, np.float32)


def _moved(found: Floats, mirror: Floats, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    cosine, sine, right, down = (found[:, k : k + 1] for k in range(4))
    return sine * x + cosine * mirror * y + down, cosine * x - sine * mirror * y + right


def _inside(y: Floats, x: Floats) -> Floats:
    middle = np.float32((SIDE - 1) / 2)
    return ((np.abs(y) <= middle) & (np.abs(x) <= middle)).astype(np.float32)


def _interpolated(images: NDArray[np.generic], index: Index, y: Floats, x: Floats) -> Floats:
    """Return bilinear values at points, from the centre, shape `(n, points, channels)`.

    Args:
        images: Shape `(m, SIDE * SIDE, channels)`.
        index: Which of them, shape `(n,)`.
        y: Shape `(points,)` or `(n, points)`.
        x: The same.
    """
    middle = np.float32((SIDE - 1) / 2)
    y, x = np.clip(y + middle, 0, SIDE - 1.001), np.clip(x + middle, 0, SIDE - 1.001)
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


def _correlation(a: Floats, b: Floats, weight: Floats) -> Floats:
    total = weight.sum(1, keepdims=True) + 1e-6
    a = (a - (a * weight).sum(1, keepdims=True) / total) * weight
    b = (b - (b * weight).sum(1, keepdims=True) / total) * weight
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1) + 1e-6)
    return np.asarray((a * b).sum(1) / scale, np.float32)
