"""Gauss-Newton steps of many pairs at once: the inner loop of registration.

A pixel is kept with its right, lower and lower right neighbours in the four bytes of one integer,
so that a bilinear value, and both of its slopes, cost one look-up. All sums that a step needs, for
the correlation as for the normal equations, are entries of one small matrix of products a pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthray.audit.embedding import SIDE, Floats

Index = NDArray[np.int64]
Packed = NDArray[np.int32]

LEVELS = 32.0
"""Of an integer of 8 bits, a standard deviation."""

_DAMPING = 1e-3
_LARGEST_STEP = np.array([0.12, 0.12, 3.0, 3.0], np.float32)
_OVERLAP = 0.7  # share of the compared disc that must lie inside both images
_DISC = 0.88
_AT_ONCE = (
    32_768  # points: as many as the fast memory of a core holds, with all that is made of them
)
_MIDDLE = np.float32((SIDE - 1) / 2)
_MOVING, _ONE, _FIXED = 4, 5, 6  # rows behind the four slopes


@dataclass(frozen=True)
class Course:
    """How to refine.

    Attributes:
        grid: Distance of the compared points, in pixels.
        floors: Correlations that must have been met before each Gauss-Newton step; pairs below
            take no more. There are as many steps, at most.
        settled: Pixels; a pair that no point moves further in a step takes no more steps.
    """

    grid: float
    floors: tuple[float, ...]
    settled: float


def disc(grid: float) -> tuple[Floats, Floats]:
    """Return the points that are compared, from the centre: y and x, shape `(points,)`."""
    steps = np.arange(0, SIDE, grid, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    inside = np.hypot(y, x) <= _DISC * SIDE / 2
    return y[inside], x[inside]


def blurred(images: Floats, sigma: float) -> Floats:
    """Return images smoothed by a Gaussian, shape `(n, SIDE, SIDE)`."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(images, (0, sigma, sigma), mode="nearest"), np.float32)


def packed(images: NDArray[np.int8]) -> Packed:
    """Return each pixel with its right, lower and lower right neighbours, lowest byte first.

    Args:
        images: Shape `(n, SIDE, SIDE)`.
    """
    wide = np.pad(images, ((0, 0), (0, 1), (0, 1)), mode="edge").view(np.uint8).astype(np.uint32)
    parts = wide[:, :-1, :-1], wide[:, :-1, 1:], wide[:, 1:, :-1], wide[:, 1:, 1:]
    found = parts[0] | parts[1] << 8 | parts[2] << 16 | parts[3] << 24
    return found.view(np.int32).reshape(len(images), -1)


def refined(
    images: Packed, i: Index, j: Index, flipped: NDArray[np.bool_], start: Floats, course: Course
) -> tuple[Floats, Floats]:
    """Refine transforms from image `i` to image `j`; see `Registration.align`."""
    y, x = disc(course.grid)
    rows = max(1, _AT_ONCE // len(y))
    parts = []
    for k in range(0, len(i), rows):
        at = slice(k, k + rows)
        parts.append(_refined(images, i[at], j[at], flipped[at], start[at], y, x, course))
    if not parts:
        return np.zeros(0, np.float32), start
    return np.concatenate([fit for fit, _ in parts]), np.concatenate([found for _, found in parts])


def _refined(
    images: Packed,
    i: Index,
    j: Index,
    flipped: NDArray[np.bool_],
    start: Floats,
    y: Floats,
    x: Floats,
    course: Course,
) -> tuple[Floats, Floats]:
    mirror = np.where(flipped, -1, 1).astype(np.float32)[:, None]
    best = np.full(len(i), -1.0, np.float32)
    found, now = start.copy(), start.copy()
    fixed, _, _ = _sampled(images, i, y + _MIDDLE, x + _MIDDLE)
    plane = np.stack([x, y, np.ones_like(x)])
    active = np.arange(len(i))
    for step in range(len(course.floors) + 1):
        here = now[active]
        cosine, sine, right, down = here.T
        turn = mirror[active, 0]
        at_y = np.stack([sine, cosine * turn, down + _MIDDLE], 1) @ plane
        at_x = np.stack([cosine, -sine * turn, right + _MIDDLE], 1) @ plane
        last = step == len(course.floors)
        rows = np.empty((len(active), 7, len(y)), np.float32)
        moving, dx, dy = _sampled(images, j[active], at_y, at_x)
        weight = rows[:, _ONE]
        _inside(at_y, at_x, out=weight)
        np.multiply(fixed[active], weight, out=rows[:, _FIXED])
        np.multiply(moving, weight, out=rows[:, _MOVING])
        if last:
            products = _products(rows[:, _MOVING:])
        else:
            dx *= weight
            dy *= weight
            rows[:, 2], rows[:, 3] = dx, dy
            turned = turn[:, None] * y
            np.multiply(dx, x, out=rows[:, 0])
            rows[:, 0] += dy * turned
            np.multiply(dy, x, out=rows[:, 1])
            rows[:, 1] -= dx * turned
            products = _products(rows)
        fit = _correlation(products[:, -3:, -3:], len(y))
        better = fit > best[active]
        changed = active[better]
        best[changed], found[changed] = fit[better], here[better]
        if last:
            break
        kept = best[active] > course.floors[step]
        move = _step(products[kept])
        active = active[kept]
        now[active] += move
        far = np.hypot(move[:, 0], move[:, 1]) * (_DISC * SIDE / 2)
        active = active[far + np.hypot(move[:, 2], move[:, 3]) > course.settled]
        if not len(active):
            break
    return best, found


def _sampled(images: Packed, index: Index, y: Floats, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return bilinear values and their slopes in x and y, shape `(n, points)` each."""
    y, x = np.clip(y, 0, SIDE - 1.001), np.clip(x, 0, SIDE - 1.001)
    y0, x0 = y.astype(np.int32), x.astype(np.int32)
    fy, fx = y - y0.astype(np.float32), x - x0.astype(np.float32)
    y0 *= SIDE
    y0 += x0
    corners = images.reshape(-1).take(index[:, None] * (SIDE * SIDE) + y0, mode="clip")
    first, right, below = (((corners << shift) >> 24).astype(np.float32) for shift in (24, 16, 8))
    across = (corners >> 24).astype(np.float32)
    right -= first  # change to the right, above
    across -= below
    across -= right  # how that change differs below
    below -= first
    dy = across * fx
    dy += below
    across *= fy
    across += right
    right *= fx
    first += right
    first += dy * fy
    return first, across, dy


def _inside(y: Floats, x: Floats, *, out: Floats) -> None:
    limit = np.float32(SIDE - 1)
    found = y >= 0
    found &= y <= limit
    found &= x >= 0
    found &= x <= limit
    out[...] = found


def _products(rows: Floats) -> Floats:
    """Return all products of rows, shape `(n, k, k)`.

    The last column is left out of the matrix product: of a matrix with itself, BLAS makes a
    symmetric update instead, which is ten times slower at this size.
    """
    k = rows.shape[1]
    found = np.empty((len(rows), k, k), np.float32)
    np.matmul(rows, rows[:, :-1].transpose(0, 2, 1), out=found[:, :, :-1])
    found[:, :-1, -1] = found[:, -1, :-1]
    np.einsum("np,np->n", rows[:, -1], rows[:, -1], out=found[:, -1, -1])
    return found


def _step(products: Floats) -> Floats:
    """Solve the normal equations for a step of the four parameters, no longer than allowed."""
    normal = products[:, :_FIXED, :_FIXED]
    diagonal = np.arange(_FIXED)
    normal[:, diagonal, diagonal] = normal[:, diagonal, diagonal] * (1 + _DAMPING) + _DAMPING
    solved = np.linalg.solve(normal, products[:, :_FIXED, _FIXED:])[..., 0]
    gain = np.where(np.abs(solved[:, 4]) < 0.3, 0.3, solved[:, 4])[:, None]
    return np.asarray(np.clip(solved[:, :4] / gain, -_LARGEST_STEP, _LARGEST_STEP), np.float32)


def _correlation(products: Floats, points: int) -> Floats:
    """Return correlations from sums over products of the moving values, one, and the fixed ones."""
    sums = products.astype(np.float64)
    total = sums[:, 1, 1] + 1e-6
    moving, fixed = sums[:, 0, 1], sums[:, 2, 1]
    both = sums[:, 0, 2] - moving * fixed / total
    spread = (sums[:, 0, 0] - moving**2 / total) * (sums[:, 2, 2] - fixed**2 / total)
    fit = both / np.sqrt(np.maximum(spread, 0) + 1e-6)
    return np.where(total > _OVERLAP * points, fit, -1).astype(np.float32)
