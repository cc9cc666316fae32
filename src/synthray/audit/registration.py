"""Registration of pairs: the similarity that lays one image on another, and how well it fits.

The transform (rotation, scale, shift) and a linear change of gray values are refined together by
Gauss-Newton steps on a band-passed image, as in Lucas & Kanade 1981 (see Baker & Matthews 2004,
doi:10.1023/B:VISI.0000011205.11775.fd). The fit is then judged on fine structure with local
contrast evened out: two patients in one pose share outlines, not trabeculae and overlaps. Of two
images that show a thing in two sizes, the larger is smoothed first to what the smaller can show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.audit.embedding import SIDE, Floats

Index = NDArray[np.int64]
Bytes = NDArray[np.int8]

_LEVELS = 32.0  # of int8, a standard deviation
_DAMPING = 1e-3
_LARGEST_STEP = np.array([0.12, 0.12, 3.0, 3.0], np.float32)
_OVERLAP = 0.7  # share of the compared disc that must lie inside both images
_DISC = 0.88
_STEP, _WIDEST = 0.1, 5  # of the logarithm of scale, and how many


class Registration:
    """Lays pairs of images on each other.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.

    Attributes:
        straightness: How far all edges of an image are parallel, 0 to 1, shape `(n,)`.
    """

    def __init__(self, copies: Floats) -> None:
        n = len(copies)
        self._copies = copies
        self._coarse = np.empty((n, SIDE * SIDE, 3), np.int8)
        self._fine = np.empty((n, SIDE * SIDE, 3), np.int8)
        self._judged = np.empty((n, SIDE * SIDE, 3), np.int8)
        self.straightness = np.empty(n, np.float32)
        self._direction = np.empty(n, np.float32)
        for start in range(0, n, 512):
            part = copies[start : start + 512]
            self._coarse[start : start + 512] = _bands(part, 1.5, 7.0)
            self._fine[start : start + 512] = _bands(part, 0.7, 4.0)
            structure = _structure(part)
            shown = _with_slopes(structure)
            self._judged[start : start + 512] = _as_bytes(shown)
            straightness, direction = _straightness(*shown[1:])
            self.straightness[start : start + 512] = straightness
            self._direction[start : start + 512] = direction

    def align(
        self, i: Index, j: Index, flipped: NDArray[np.bool_], start: Floats, *, coarse: bool
    ) -> tuple[Floats, Floats]:
        """Refine transforms from image `i` to image `j`.

        Args:
            i: Places of the first images, shape `(n,)`.
            j: Places of the second.
            flipped: Whether the second is a mirror image.
            start: Parameters `(n, 4)`: scale times cosine and sine of the rotation, shift in x and
                y, in pixels from the centre.
            coarse: Whether to lay smooth images on each other at few points, which works from
                several pixels away, or sharp ones at many.

        Returns:
            The best correlation met, -1 to 1, shape `(n,)`, and its parameters, `(n, 4)`.
        """
        images, grid, steps = (self._coarse, 3.0, 5) if coarse else (self._fine, 1.5, 3)
        y, x = _disc(grid)
        mirror = np.where(flipped, -1, 1).astype(np.float32)[:, None]
        fixed = _values(images[..., :1], i, y, x)[..., 0]
        best = np.full(len(i), -1.0, np.float32)
        found, now = start.copy(), start.copy()
        turned = mirror * y
        for step in range(steps + 1):
            at_y, at_x = _moved(now, mirror, y, x)
            values, inside = _interpolated(images, j, at_y, at_x)
            weight = inside.astype(np.float32)
            fit = np.where(
                weight.mean(1) > _OVERLAP, _correlation(fixed, values[..., 0], weight), -1
            )
            better = fit > best
            best[better], found[better] = fit[better], now[better]
            if step == steps:
                break
            moving, dx, dy = (values[..., channel] for channel in range(3))
            slopes = [dx * x + dy * turned, dy * x - dx * turned, dx, dy, moving, np.ones_like(dx)]
            jacobian = np.stack(slopes, 1) * weight[:, None]
            normal = jacobian @ jacobian.transpose(0, 2, 1)
            diagonal = np.arange(6)
            normal[:, diagonal, diagonal] = (
                normal[:, diagonal, diagonal] * (1 + _DAMPING) + _DAMPING
            )
            solved = np.linalg.solve(normal, jacobian @ (fixed * weight)[..., None])[..., 0]
            gain = np.where(np.abs(solved[:, 4]) < 0.3, 0.3, solved[:, 4])[:, None]
            now = now + np.clip(solved[:, :4] / gain, -_LARGEST_STEP, _LARGEST_STEP)
        return best, found

    def judge(
        self, i: Index, j: Index, flipped: NDArray[np.bool_], found: Floats
    ) -> tuple[Floats, Floats]:
        """Return how well fine structure correlates at given transforms, -1 to 1, `(n,)` each.

        Returns:
            The correlation of fine structure, and of its slope along the edges of the first image:
            two straight shafts agree across their edges wherever they are laid on each other, and
            prove something only by what varies along them.
        """
        y, x = _disc(1.5)
        mirror = np.where(flipped, -1, 1).astype(np.float32)[:, None]
        scales: Floats = np.hypot(found[:, 0], found[:, 1])
        fixed = _values(*self._as_fine_as(i, np.float32(1) / scales), y, x)
        values, inside = _interpolated(*self._as_fine_as(j, scales), *_moved(found, mirror, y, x))
        weight = inside.astype(np.float32)
        right: Floats = np.cos(self._direction[i])[:, None]
        down: Floats = np.sin(self._direction[i])[:, None]
        along: Floats = right * fixed[..., 1] + down * fixed[..., 2]
        cosine, sine = found[:, :1], found[:, 1:2]
        dx = cosine * values[..., 1] + sine * values[..., 2]
        dy = mirror * (cosine * values[..., 2] - sine * values[..., 1])
        return (
            _correlation(fixed[..., 0], values[..., 0], weight),
            _correlation(along, right * dx + down * dy, weight),
        )

    def _as_fine_as(self, i: Index, scales: Floats) -> tuple[Bytes, Index]:
        """Return fine structure of images that show a thing at `scales` times another's size.

        What the smaller one cannot show is left out of the larger one.

        Returns:
            Images and the places in them.
        """
        steps = np.rint(np.log(scales) / _STEP).astype(np.int64)
        widest = min(_WIDEST, steps.max(initial=0))
        if widest < 1:
            return self._judged, i
        images, places = [self._judged[i]], np.arange(len(i))
        for step in range(1, widest + 1):
            these = np.flatnonzero(np.minimum(steps, _WIDEST) == step)
            if len(these):
                unique, inverse = np.unique(i[these], return_inverse=True)
                structure = _structure(self._copies[unique], np.exp(step * _STEP))
                places[these] = sum(map(len, images)) + inverse
                images.append(_as_bytes(_with_slopes(structure)))
        return np.concatenate(images), places


def starting_points(
    flipped: NDArray[np.bool_], angles: Floats, scales: Floats, right: Floats, down: Floats
) -> Floats:
    """Return the parameters of a shift of the first image, then rotation and scale, `(n, 4)`."""
    cosine, sine = scales * np.cos(angles), scales * np.sin(angles)
    turned = np.where(flipped, -1, 1) * down
    shifts = [cosine * right - sine * turned, sine * right + cosine * turned]
    return np.stack([cosine, sine, *shifts], 1).astype(np.float32)


def _bands(copies: Floats, low: float, high: float) -> Bytes:
    """Return band-passed images and their slopes in x and y, shape `(n, SIDE * SIDE, 3)`."""
    band = _blurred(copies, low) - _blurred(copies, high)
    band /= band.std((1, 2), keepdims=True) + 1e-3
    return _as_bytes([band, np.gradient(band, axis=2), np.gradient(band, axis=1)])


def _structure(copies: Floats, size: float = 1.0) -> Floats:
    """Return fine detail with local contrast evened out, deviation 1, shape `(n, SIDE, SIDE)`."""
    even = copies / (copies.std((1, 2), keepdims=True) + 1e-3) * 40
    fine = _blurred(even, 0.5 * size) - _blurred(even, 1.5 * size)
    fine /= np.sqrt(_blurred(fine * fine, 4.0 * size)) + 3.0
    return np.asarray(fine / (fine.std((1, 2), keepdims=True) + 1e-6), np.float32)


def _with_slopes(structure: Floats) -> list[Floats]:
    return [structure, np.gradient(structure, axis=2), np.gradient(structure, axis=1)]


def _straightness(dx: Floats, dy: Floats) -> tuple[Floats, Floats]:
    """Return the coherence of the structure tensor over the compared disc, and its edges' angle.

    Bigün & Granlund 1987: difference by sum of the eigenvalues of the mean outer product of slopes.
    """
    y, x = _disc(1.0)
    middle = (SIDE - 1) / 2
    rows, columns = np.rint(y + middle).astype(int), np.rint(x + middle).astype(int)
    dx, dy = dx[:, rows, columns], dy[:, rows, columns]
    xx, yy, xy = (dx * dx).mean(1), (dy * dy).mean(1), (dx * dy).mean(1)
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 1e-9)
    across = np.arctan2(2 * xy, xx - yy) / 2
    return np.asarray(coherence, np.float32), np.asarray(across + np.pi / 2, np.float32)


def _as_bytes(channels: list[Floats]) -> Bytes:
    stacked = np.stack(channels, -1) * _LEVELS
    count = stacked.shape[-1]
    return np.clip(np.rint(stacked), -127, 127).astype(np.int8).reshape(len(stacked), -1, count)


def _blurred(images: Floats, sigma: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(images, (0, sigma, sigma), mode="nearest"), np.float32)


def _disc(grid: float) -> tuple[Floats, Floats]:
    steps = np.arange(0, SIDE, grid, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    inside = np.hypot(y, x) <= _DISC * SIDE / 2
    return y[inside], x[inside]


def _moved(found: Floats, mirror: Floats, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    cosine, sine, right, down = (found[:, k : k + 1] for k in range(4))
    return sine * x + cosine * mirror * y + down, cosine * x - sine * mirror * y + right


def _values(images: Bytes, index: Index, y: Floats, x: Floats) -> Floats:
    shape = (len(index), len(y))
    return _interpolated(images, index, np.broadcast_to(y, shape), np.broadcast_to(x, shape))[0]


def _interpolated(
    images: Bytes, index: Index, y: Floats, x: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return values at points, shape `(n, points, channels)`, and whether they lie inside."""
    middle = np.float32((SIDE - 1) / 2)
    y, x = y + middle, x + middle
    inside = (y >= 0) & (y <= SIDE - 1) & (x >= 0) & (x <= SIDE - 1)
    y, x = np.clip(y, 0, SIDE - 1.001), np.clip(x, 0, SIDE - 1.001)
    y0, x0 = y.astype(np.int32), x.astype(np.int32)
    fy, fx = (y - y0)[..., None], (x - x0)[..., None]
    flat = images.reshape(-1, images.shape[-1])
    first = index[:, None] * (SIDE * SIDE) + y0 * SIDE + x0
    corner = [
        np.take(flat, first + offset, axis=0, mode="clip").astype(np.float32)
        for offset in (0, 1, SIDE, SIDE + 1)
    ]
    top = corner[0] + (corner[1] - corner[0]) * fx
    bottom = corner[2] + (corner[3] - corner[2]) * fx
    return top + (bottom - top) * fy, inside


def _correlation(a: Floats, b: Floats, weight: Floats) -> Floats:
    total = weight.sum(1, keepdims=True) + 1e-6
    a = (a - (a * weight).sum(1, keepdims=True) / total) * weight
    b = (b - (b * weight).sum(1, keepdims=True) / total) * weight
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1) + 1e-6)
    return np.asarray((a * b).sum(1) / scale, np.float32)
