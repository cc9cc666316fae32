"""Fine structure of radiographs: what two patients in one pose do not share.

Fine detail, with local contrast evened out, is compared after a registration has laid one image on
another: two patients share outlines, but not trabeculae and overlaps. Of two images that show a
thing in two sizes, the larger is smoothed first to what the smaller can show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.duplicates import registration
from synthray.duplicates.embedding import MIDDLE, SIDE, Floats, Index, interpolated
from synthray.duplicates.registration import Flags

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
        # Each image as it is, and as larger images show it: these are made on request.
        self._shown = np.empty(((1 + _WIDEST) * n, SIDE * SIDE, 1), np.int8)
        self._made = np.zeros((1 + _WIDEST) * n, bool)
        self.straightness = np.empty(n, np.float32)
        self._direction = np.empty(n, np.float32)
        for start in range(0, n, 512):
            at = np.arange(start, min(start + 512, n))
            structure = self._make(at)
            self.straightness[at], self._direction[at] = _straightness(structure)

    def judge(self, i: Index, j: Index, flipped: Flags, found: Floats) -> tuple[Floats, Floats]:
        """Return how well fine structure correlates at given transforms, -1 to 1, `(n,)` each.

        Args:
            i: Places of the first images, shape `(n,)`.
            j: Places of the second.
            flipped: Whether the second is a mirror image.
            found: Parameters of the transforms, `(n, 4)`; see `Registration.align`.

        Returns:
            The correlation of fine structure, and of its slope along the edges of the first image:
            two straight shafts agree across their edges wherever they are laid on each other, and
            prove something only by what varies along them. The second is -1 where the first is low.
        """
        y, x = registration.disc(_POINTS)
        here = y + MIDDLE, x + MIDDLE
        *there, weight = registration.moved(found, flipped, y, x)
        scales: Floats = np.hypot(found[:, 0], found[:, 1])
        first, second = self._as_fine_as(i, np.float32(1) / scales), self._as_fine_as(j, scales)
        fixed = interpolated(self._shown, first, *here)[..., 0]
        moving = interpolated(self._shown, second, *there)[..., 0]
        fits = _weighted_correlation(fixed, moving, weight)
        along = np.full(len(i), -1, np.float32)
        alike = np.flatnonzero(fits > _WORTH_A_LOOK)
        if len(alike):
            fixed = self._slopes_at(first[alike], *here)
            moving = self._slopes_at(second[alike], *(each[alike] for each in there))
            right: Floats = np.cos(self._direction[i[alike]])[:, None]
            down: Floats = np.sin(self._direction[i[alike]])[:, None]
            cosine, sine = found[alike, :1], found[alike, 1:2]
            dx = cosine * moving[..., 0] + sine * moving[..., 1]
            dy = cosine * moving[..., 1] - sine * moving[..., 0]
            dy[flipped[alike]] *= -1
            along[alike] = _weighted_correlation(
                right * fixed[..., 0] + down * fixed[..., 1], right * dx + down * dy, weight[alike]
            )
        return fits, along

    def _as_fine_as(self, i: Index, scales: Floats) -> Index:
        """Return the rows that show images without what a copy of 1 / `scales` the size lacks."""
        n = len(self._copies)
        rows: Index = np.clip(np.rint(np.log(scales) / _STEP), 0, _WIDEST).astype(np.int64) * n + i
        # Threads may make the same row at once: they write the same.
        missing = np.unique(rows[~self._made[rows]])
        for step in np.unique(missing // n):
            self._make(missing[missing // n == step])
        return rows

    def _make(self, rows: Index) -> Floats:
        """Make rows of one scale: fine detail with local contrast evened out, deviation 1."""
        n = len(self._copies)
        copies, size = self._copies[rows % n], np.exp(rows[0] // n * _STEP)
        even = copies / (copies.std((1, 2), keepdims=True) + 1e-3) * 40
        fine = registration.blurred(even, 0.5 * size) - registration.blurred(even, 1.5 * size)
        fine /= np.sqrt(registration.blurred(fine * fine, 4.0 * size)) + 3.0
        fine /= fine.std((1, 2), keepdims=True) + 1e-6
        self._shown[rows] = registration.in_bytes(fine).reshape(len(rows), -1, 1)
        self._made[rows] = True
        return fine

    def _slopes_at(self, rows: Index, y: Floats, x: Floats) -> Floats:
        """Return slopes in x and y at points, shape `(n, points, 2)`."""
        unique, inverse = np.unique(rows, return_inverse=True)
        images = self._shown[unique].reshape(-1, SIDE, SIDE).astype(np.float32)
        slopes = np.stack(_slopes(images), -1).reshape(len(unique), -1, 2)
        return interpolated(slopes, inverse, y, x)


def _slopes(images: Floats) -> tuple[Floats, Floats]:
    return np.gradient(images, axis=2), np.gradient(images, axis=1)


def _straightness(images: Floats) -> tuple[Floats, Floats]:
    """Return the coherence of the structure tensor over the compared disc, and its edges' angle.

    Bigün & Granlund 1987: difference by sum of the eigenvalues of the mean outer product of slopes.
    """
    y, x = (np.rint(each + MIDDLE).astype(int) for each in registration.disc(1.0))
    dx, dy = (slopes[:, y, x] for slopes in _slopes(images))
    xx, yy, xy = (dx * dx).mean(1), (dy * dy).mean(1), (dx * dy).mean(1)
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-9)
    across = np.arctan2(2 * xy, xx - yy) / 2
    return np.asarray(coherence, np.float32), np.asarray(across + np.pi / 2, np.float32)


def _weighted_correlation(a: Floats, b: Floats, weight: NDArray[np.bool_]) -> Floats:
    rows = np.stack([a * weight, weight, b * weight], 1).astype(np.float32)
    return registration.correlation(registration.products(rows), a.shape[1])
