"""Fine structure of radiographs: what two patients in one pose do not share.

Fine detail, with local contrast evened out, is compared after a registration has laid one image on
another: two patients share outlines, but not trabeculae and overlaps. Straight edges fit each other
wherever they are laid, so that detail is compared once more without edges. Of two images that show
a thing in two sizes, or one of them blurred, both are smoothed first to what either can show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray._parts import in_threads, slices
from synthray.duplicates import registration
from synthray.duplicates.working import MIDDLE, SIDE, Copies, Floats, Index, filtered, interpolated

_STEP, _WIDEST = 0.15, 8  # of the logarithm of size, and how many
_BLUR = 1.3  # logarithm of size by which a loss of sharpness is made up for
_POINTS = 1.5  # pixels between those that are compared
_AT_ONCE = 32


class Structure:
    """Compares fine structure of pairs that are laid on each other.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.

    Attributes:
        straightness: How far all edges of an image are parallel, 0 to 1, shape `(n,)`.
    """

    def __init__(self, copies: Copies) -> None:
        n = len(copies)
        self._copies = copies
        self._sharpness = np.empty((1 + _WIDEST, n), np.float32)
        self.straightness = np.empty(n, np.float32)
        in_threads(self._look, slices(n, _AT_ONCE))

    def judge(self, i: Index, j: Index, found: Floats) -> tuple[Floats, Floats, Floats]:
        """Return how well fine structure correlates at given transforms, `(n,)` each.

        Args:
            i: Places of the first images, shape `(n,)`.
            j: Places of the second.
            found: Transforms, `(n, 6)`; see `registration.align`.

        Returns:
            The correlation of fine structure, that of what is left of it without edges, both of -1
            to 1, and the logarithm of the size of the details: 0 for the finest.
        """
        y, x = registration.disc(_POINTS)
        *there, weight = registration.moved(found, y, x)
        large, small = scales(found)
        sizes = np.log(np.maximum(1 / small, 1)), np.log(np.maximum(large, 1))
        first, second = map(_steps, sizes)
        # Of copies, the blurred one is less sharp.
        blur = _BLUR * np.abs(self._sharpness[first, i] - self._sharpness[second, j])
        steps = np.stack([_steps(size + blur) for size in sizes])
        wanted, rows = np.unique(steps * len(self._copies) + (i, j), return_inverse=True)
        shown = np.empty((len(wanted), SIDE * SIDE, 2), np.int8)
        for at in slices(len(wanted), _AT_ONCE):
            shown[at] = self._details(*np.divmod(wanted[at], len(self._copies)))
        first, second = rows.reshape(2, -1)
        fixed = interpolated(shown, first, y + MIDDLE, x + MIDDLE)
        moving = interpolated(shown, second, *there)
        both = np.stack([moving * weight[..., None], fixed * weight[..., None]])
        detail, texture = (
            registration.correlation(
                registration.products(np.stack([a, weight, b], 1).astype(np.float32)), len(y)
            )
            for a, b in zip(*both.transpose(0, 3, 1, 2), strict=True)
        )
        return detail, texture, np.maximum(*sizes) + blur

    def _look(self, at: slice) -> None:
        """Take the sharpness of images in all sizes, and their straightness."""
        even = _even(self._copies[at])
        for step in reversed(range(1 + _WIDEST)):  # the finest comes last
            fine, coarse = _bands(even, np.exp(step * _STEP))
            strength = (each.std((1, 2)) + 1e-3 for each in (fine, coarse))
            self._sharpness[step, at] = np.subtract(*map(np.log, strength))
        slopes = _slopes(_leveled(fine, 4.0, 3.0))
        y, x = (np.rint(each + MIDDLE).astype(int) for each in registration.disc(1.0))
        self.straightness[at] = _coherence(*(each[:, y, x].mean(1) for each in slopes))

    def _details(self, steps: Index, images: Index) -> NDArray[np.int8]:
        """Return details of images, with edges and without, shape `(m, SIDE * SIDE, 2)`."""
        details = np.empty((len(images), SIDE * SIDE, 2), np.int8)
        for step in np.unique(steps):
            at, size = steps == step, np.exp(step * _STEP)
            fine = _leveled(_bands(_even(self._copies[images[at]]), size)[0], 4.0 * size, 3.0)
            # The structure tensor (Bigun & Granlund 1987) tells edges from what varies both ways.
            edges = _coherence(*(filtered(each, 2.0 * size) for each in _slopes(fine)))
            texture = _leveled(fine * (1 - edges), 2.0 * size, 0.1)
            both = np.stack([registration.in_bytes(fine), registration.in_bytes(texture)], -1)
            details[at] = both.reshape(len(both), -1, 2)
        return details


def scales(transforms: Floats) -> tuple[Floats, Floats]:
    """Return by how much transforms enlarge at most and at least, `(n,)` each."""
    xx, xy, yx, yy = transforms[:, :4].T
    even, odd = np.hypot(xx + yy, yx - xy) / 2, np.hypot(xx - yy, yx + xy) / 2
    return even + odd, np.maximum(np.abs(even - odd), 1e-3)


def _steps(sizes: Floats) -> Index:
    """Return the steps of size that are nearest to the logarithms of sizes."""
    return np.clip(np.rint(sizes / _STEP), 0, _WIDEST).astype(np.int64)


def _even(copies: Copies) -> Floats:
    """Return images of one contrast."""
    even = copies.astype(np.float32)
    even /= even.std((1, 2), keepdims=True) + 1e-3
    even *= 40
    return even


def _bands(even: Floats, size: float) -> tuple[Floats, Floats]:
    """Return details of a size, and coarser ones."""
    smooth = filtered(even, 1.5 * size)
    return filtered(even, 0.5 * size) - smooth, smooth - filtered(even, 4.0 * size)


def _leveled(details: Floats, sigma: float, floor: float) -> Floats:
    """Return details with local contrast evened out, of deviation 1."""
    level = details / (np.sqrt(filtered(details * details, sigma)) + np.float32(floor))
    return np.asarray(level / (level.std((1, 2), keepdims=True) + 1e-6), np.float32)


def _slopes(details: Floats) -> tuple[Floats, Floats, Floats]:
    """Return products of slopes: right, down, and both."""
    dy, dx = (np.asarray(each, np.float32) for each in np.gradient(details, axis=(1, 2)))
    return dx * dx, dy * dy, dx * dy


def _coherence(xx: Floats, yy: Floats, xy: Floats) -> Floats:
    """Return how far slopes have one direction, 0 to 1, from means of their products."""
    return np.asarray(np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-3), np.float32)
