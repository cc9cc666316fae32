"""Registration of pairs: the affine transform that lays one image on another.

The transform (six parameters) and a linear change of gray values are refined together by
Gauss-Newton steps on a band-passed image, as in Lucas & Kanade 1981 (see Baker & Matthews 2004,
doi:10.1023/B:VISI.0000011205.11775.fd). Many pairs take their steps at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray._parts import slices
from synthray.duplicates.working import MIDDLE, SIDE, Copies, Floats, Index, filtered

Packed = NDArray[np.int32]

LEVELS = 32.0
"""Integer levels in one standard deviation of an image that is kept in 8 bits."""

_DAMPING = 1e-3
_LARGEST_STEP = np.array([0.12, 0.12, 0.12, 0.12, 3.0, 3.0], np.float32)
_OVERLAP = 0.7  # share of the compared disc that must lie inside both images
_DISC = 0.88
_AT_ONCE = 32_768  # points; they and all intermediate values fit into the cache of a core
_IMAGES = 32
_MOVING, _ONE, _FIXED = 6, 7, 8  # rows behind the six slopes


@dataclass(frozen=True)
class _Course:
    """How to refine.

    Attributes:
        band: Deviations of the Gaussians between which the images are passed, in pixels.
        grid: Distance of the compared points, in pixels.
        floors: A pair takes the n-th Gauss-Newton step only if its correlation is above the n-th
            floor.
        settled: Pixels; a pair is done after a step that moves no point further.
    """

    band: tuple[float, float]
    grid: float
    floors: tuple[float, ...]
    settled: float


# Pairs are given up where copies never are: of 12,000 planted pairs that are linked, none fell
# below a floor; of 76 copies that were blurred or bent as no kind of copy is, one was lost.
_COARSE = _Course(band=(1.5, 7.0), grid=3.0, floors=(-1, 0.5, 0.66, 0.68, 0.68), settled=0.1)
_FINE = _Course(band=(0.7, 4.0), grid=1.5, floors=(0.65, 0.72, 0.74), settled=0.03)


def align(
    copies: Copies, i: Index, j: Index, start: Floats, *, coarse: bool
) -> tuple[Floats, Floats]:
    """Refine transforms from image `i` to image `j`.

    Pairs that are certainly of two radiographs take fewer steps.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
        i: Places of the first images, shape `(m,)`.
        j: Places of the second.
        start: Transforms `(m, 6)`: a point `(x, y)` of the first image, in pixels from the centre,
            lies at `(a x + b y + e, c x + d y + f)` of the second.
        coarse: Whether to compare smooth images at few points, which works from several pixels
            away, or sharp ones at many.

    Returns:
        The best correlation met, -1 to 1, shape `(m,)`, and its transform, `(m, 6)`.
    """
    course = _COARSE if coarse else _FINE
    images = _bands(copies, *course.band)
    fits, found = np.empty(len(i), np.float32), np.empty_like(start)
    for at in slices(len(i), max(1, _AT_ONCE // len(disc(course.grid)[0]))):
        fits[at], found[at] = _refined(images, i[at], j[at], start[at], course)
    return fits, found


def disc(grid: float) -> tuple[Floats, Floats]:
    """Return the points that are compared, from the centre: y and x, shape `(points,)`."""
    steps = np.arange(0, SIDE, grid, dtype=np.float32) - MIDDLE
    y, x = np.meshgrid(steps, steps, indexing="ij")
    inside = np.hypot(y, x) <= _DISC * SIDE / 2
    return y[inside], x[inside]


def in_bytes(images: Floats) -> NDArray[np.int8]:
    """Return images of deviation 1 in 8 bits, `LEVELS` a deviation."""
    return np.clip(np.rint(images * LEVELS), -127, 127).astype(np.int8)


def moved(transforms: Floats, y: Floats, x: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return where points from the centre lie in the second image, in pixels: y and x.

    The third array says whether a point lies inside the image; all are of shape `(n, points)`.
    """
    plane = np.stack([x, y, np.ones_like(x)])
    at_x = transforms[:, [0, 1, 4]] @ plane + MIDDLE
    at_y = transforms[:, [2, 3, 5]] @ plane + MIDDLE
    limit = np.float32(SIDE - 1)
    return at_y, at_x, (at_y >= 0) & (at_y <= limit) & (at_x >= 0) & (at_x <= limit)


def products(rows: Floats) -> Floats:
    """Return all products of rows, shape `(n, k, k)`.

    The copy keeps NumPy from a symmetric update, which is ten times slower at this size.
    """
    return np.asarray(rows @ rows.copy().transpose(0, 2, 1))


def correlation(sums: Floats, points: int) -> Floats:
    """Return correlations from `products` of weighted moving values, weights, and fixed values.

    It is -1 where the images overlap too little.
    """
    sums = sums.astype(np.float64)
    total = sums[:, 1, 1] + 1e-6
    moving, fixed = sums[:, 0, 1], sums[:, 2, 1]
    both = sums[:, 0, 2] - moving * fixed / total
    spread = (sums[:, 0, 0] - moving**2 / total) * (sums[:, 2, 2] - fixed**2 / total)
    fit = both / np.sqrt(np.maximum(spread, 0) + 1e-6)
    return np.where(total > _OVERLAP * points, fit, -1).astype(np.float32)


def _bands(copies: Copies, low: float, high: float) -> Packed:
    """Return band-passed images in 8 bits, each pixel packed with three neighbours.

    The four bytes of an integer hold a pixel and its right, lower and lower right neighbours,
    lowest byte first: a bilinear value and both of its slopes then cost one look-up.
    """
    found = np.empty((len(copies), SIDE * SIDE), np.int32)
    for at in slices(len(copies), _IMAGES):
        part = copies[at].astype(np.float32)
        band = filtered(part, low) - filtered(part, high)
        band /= band.std((1, 2), keepdims=True) + 1e-3
        wide = np.pad(in_bytes(band), ((0, 0), (0, 1), (0, 1)), mode="edge")
        wide = wide.view(np.uint8).astype(np.uint32)
        right, below, both = wide[:, :-1, 1:] << 8, wide[:, 1:, :-1] << 16, wide[:, 1:, 1:] << 24
        packed = wide[:, :-1, :-1] | right | below | both
        found[at] = packed.view(np.int32).reshape(len(part), -1)
    return found


def _refined(
    images: Packed, i: Index, j: Index, start: Floats, course: _Course
) -> tuple[Floats, Floats]:
    y, x = disc(course.grid)
    best = np.full(len(i), -1.0, np.float32)
    found, now = start.copy(), start.copy()
    fixed, _, _ = _sampled(images, i, y + MIDDLE, x + MIDDLE)
    active = np.arange(len(i))
    for floor in (*course.floors, None):
        here = now[active]
        at_y, at_x, weight = moved(here, y, x)
        moving, dx, dy = _sampled(images, j[active], at_y, at_x)
        rows = np.empty((len(active), 9, len(y)), np.float32)
        rows[:, _ONE] = weight
        np.multiply(fixed[active], weight, out=rows[:, _FIXED])
        np.multiply(moving, weight, out=rows[:, _MOVING])
        if floor is not None:
            np.multiply(dx, weight, out=rows[:, 4])
            np.multiply(dy, weight, out=rows[:, 5])
            for row, (slope, along) in enumerate(((4, x), (4, y), (5, x), (5, y))):
                np.multiply(rows[:, slope], along, out=rows[:, row])
        sums = products(rows[:, _MOVING:] if floor is None else rows)
        fit = correlation(sums[:, -3:, -3:], len(y))
        better = fit > best[active]
        changed = active[better]
        best[changed], found[changed] = fit[better], here[better]
        if floor is None:
            break
        kept = best[active] > floor
        move = _step(sums[kept])
        active = active[kept]
        now[active] += move
        far = np.linalg.norm(move[:, :4], axis=1) * (_DISC * SIDE / 2)
        active = active[far + np.hypot(move[:, 4], move[:, 5]) > course.settled]
        if not len(active):
            break
    return best, found


def _sampled(images: Packed, index: Index, y: Floats, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return bilinear values and their slopes in x and y, shape `(n, points)` each."""
    y, x = np.clip(y, 0, SIDE - 1.001), np.clip(x, 0, SIDE - 1.001)
    y0, x0 = y.astype(np.int32), x.astype(np.int32)
    fy, fx = y - y0.astype(np.float32), x - x0.astype(np.float32)
    place = index[:, None] * (SIDE * SIDE) + (y0 * SIDE + x0)
    corners = images.reshape(-1).take(place, mode="clip")
    here, right, below = (((corners << shift) >> 24).astype(np.float32) for shift in (24, 16, 8))
    right -= here
    twist = (corners >> 24).astype(np.float32) - below - right  # change of `right`, a row below
    below -= here
    dy = twist * fx + below
    dx = twist * fy + right
    here += right * fx + dy * fy
    return here, dx, dy


def _step(sums: Floats) -> Floats:
    """Solve the normal equations for a step of the six parameters, no longer than allowed."""
    normal = sums[:, :_FIXED, :_FIXED]
    diagonal = np.arange(_FIXED)
    normal[:, diagonal, diagonal] = normal[:, diagonal, diagonal] * (1 + _DAMPING) + _DAMPING
    solved = np.linalg.solve(normal, sums[:, :_FIXED, _FIXED:])[..., 0]
    gain = np.where(np.abs(solved[:, _MOVING]) < 0.3, 0.3, solved[:, _MOVING])[:, None]
    return np.asarray(
        np.clip(solved[:, :_MOVING] / gain, -_LARGEST_STEP, _LARGEST_STEP), np.float32
    )
