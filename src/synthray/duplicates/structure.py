"""Fine structure of radiographs: what two patients in one pose do not share.

Fine detail, with local contrast evened out, is compared after a registration has laid one image on
another: two patients share outlines, but not trabeculae and overlaps. Straight edges fit each other
wherever they are laid, so that detail is compared once more without edges. Of two images that show
a thing in two sizes, or one of them blurred, both are smoothed first to what either can show.
"""

from __future__ import annotations

import numpy as np

from synthray.duplicates import registration
from synthray.duplicates.working import MIDDLE, SIDE, Floats, Index, filtered, interpolated

_STEP, _WIDEST = 0.15, 8  # of the logarithm of size, and how many
_BLUR = 1.3  # logarithm of size by which a loss of sharpness is made up for
_POINTS = 1.5  # pixels between those that are compared


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
        # Details of each image in several sizes: coarser ones are made on request.
        self._shown = np.empty(((1 + _WIDEST) * n, SIDE * SIDE, 2), np.int8)
        self._made = np.zeros((1 + _WIDEST) * n, bool)
        self._sharpness = np.empty((1 + _WIDEST) * n, np.float32)
        self.straightness = np.empty(n, np.float32)
        for start in range(0, n, 512):
            at = np.arange(start, min(start + 512, n))
            self.straightness[at] = self._make(at)

    def judge(self, i: Index, j: Index, found: Floats) -> tuple[Floats, Floats, Floats]:
        """Return how well fine structure correlates at given transforms, `(n,)` each.

        Args:
            i: Places of the first images, shape `(n,)`.
            j: Places of the second.
            found: Transforms, `(n, 6)`; see `Registration.align`.

        Returns:
            The correlation of fine structure, that of what is left of it without edges, both of -1
            to 1, and the logarithm of the size of the details: 0 for the finest.
        """
        y, x = registration.disc(_POINTS)
        *there, weight = registration.moved(found, y, x)
        large, small = scales(found)
        sizes = np.log(np.maximum(1 / small, 1)), np.log(np.maximum(large, 1))
        first, second = (self._rows(*each) for each in zip((i, j), sizes, strict=True))
        # Of copies, the blurred one is less sharp.
        blur = _BLUR * np.abs(self._sharpness[first] - self._sharpness[second])
        first, second = (self._rows(k, size + blur) for k, size in zip((i, j), sizes, strict=True))
        fixed = interpolated(self._shown, first, y + MIDDLE, x + MIDDLE)
        moving = interpolated(self._shown, second, *there)
        rows = np.stack([moving * weight[..., None], fixed * weight[..., None]])
        detail, texture = (
            registration.correlation(
                registration.products(np.stack([a, weight, b], 1).astype(np.float32)), len(y)
            )
            for a, b in zip(*rows.transpose(0, 3, 1, 2), strict=True)
        )
        return detail, texture, np.maximum(*sizes) + blur

    def _rows(self, i: Index, sizes: Floats) -> Index:
        """Return the rows that hold details of images; of sizes, the logarithms are given."""
        n = len(self._copies)
        rows: Index = np.clip(np.rint(sizes / _STEP), 0, _WIDEST).astype(np.int64) * n + i
        # Threads may make the same row at once: they write the same.
        missing = np.unique(rows[~self._made[rows]])
        for step in np.unique(missing // n):
            self._make(missing[missing // n == step])
        return rows

    def _make(self, rows: Index) -> Floats:
        """Make rows of one scale and return the straightness of the images."""
        n = len(self._copies)
        copies, size = self._copies[rows % n], np.exp(rows[0] // n * _STEP)
        even = copies / (copies.std((1, 2), keepdims=True) + 1e-3) * 40
        smooth = filtered(even, 1.5 * size)
        fine = filtered(even, 0.5 * size) - smooth
        coarse = smooth - filtered(even, 4.0 * size)
        strength = (each.std((1, 2)) + 1e-3 for each in (fine, coarse))
        self._sharpness[rows] = np.subtract(*map(np.log, strength))
        fine /= np.sqrt(filtered(fine * fine, 4.0 * size)) + 3.0
        fine /= fine.std((1, 2), keepdims=True) + 1e-6
        # The structure tensor (Bigun & Granlund 1987) tells edges from what varies both ways.
        dy, dx = np.gradient(fine, axis=(1, 2))
        slopes = dx * dx, dy * dy, dx * dy
        texture = fine * (1 - _coherence(*(filtered(x, 2.0 * size) for x in slopes)))
        texture /= np.sqrt(filtered(texture * texture, 2.0 * size)) + 0.1
        texture /= texture.std((1, 2), keepdims=True) + 1e-6
        both = np.stack([registration.in_bytes(fine), registration.in_bytes(texture)], -1)
        self._shown[rows] = both.reshape(len(rows), -1, 2)
        self._made[rows] = True
        y, x = (np.rint(each + MIDDLE).astype(int) for each in registration.disc(1.0))
        return _coherence(*(each[:, y, x].mean(1) for each in slopes))


def scales(transforms: Floats) -> tuple[Floats, Floats]:
    """Return by how much transforms enlarge at most and at least, `(n,)` each."""
    xx, xy, yx, yy = transforms[:, :4].T
    even, odd = np.hypot(xx + yy, yx - xy) / 2, np.hypot(xx - yy, yx + xy) / 2
    return even + odd, np.maximum(np.abs(even - odd), 1e-3)


def _coherence(xx: Floats, yy: Floats, xy: Floats) -> Floats:
    """Return how far slopes have one direction, 0 to 1, from means of their products."""
    return np.asarray(np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-3), np.float32)
