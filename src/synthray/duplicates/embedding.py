"""Working copies of images, and descriptions of them that a rotation or a flip does not change.

Around the centre, a rotation is a shift along the angle and a flip reverses it; neither changes
magnitudes of the Fourier series along the angle (the polar half of Fourier-Mellin: Reddy and
Chatterji 1996, doi:10.1109/83.506761). Radii are kept apart: content counts, not only its spectrum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.datasets import pixels

Floats = NDArray[np.float32]
Index = NDArray[np.int64]
Spectra = NDArray[np.complex64]

SIDE = 64
"""Height and width of working copies, in pixels."""

MIDDLE = np.float32((SIDE - 1) / 2)

_ANGLES = 64
_RADII = 16
_ORDERS = 16  # finer detail along the angle does not survive a shift of a pixel or two
_REACH = 0.92  # of half the side: a rotation cuts off what lies outside
_FLAT = 2.0  # gray levels of spread, below which there is nothing to compare
_AT_ONCE = 512


def working_copies(images: NDArray[np.uint8]) -> Floats:
    """Return gray images of `SIDE` x `SIDE`, shape `(n, SIDE, SIDE)`, 0 to 255.

    Images that are not square are padded with black, not stretched: a rotation stays one.
    """
    gray = pixels.to_grayscale(images)
    _, height, width, _ = gray.shape
    if height != width:
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        rows, columns = (top, side - height - top), (left, side - width - left)
        gray = np.pad(gray, ((0, 0), rows, columns, (0, 0)))
    return pixels.resize(gray, SIDE, SIDE)[..., 0].astype(np.float32)


def has_content(images: NDArray[np.uint8], copies: Floats) -> NDArray[np.bool_]:
    """Return whether gray values of each image vary enough to compare, shape `(n,)`.

    Padding does not count.

    Args:
        images: `uint8`, shape `(n, h, w, c)`.
        copies: `working_copies(images)`.
    """
    _, height, width, _ = images.shape
    if height == width:
        return np.asarray(copies.std((1, 2)) > _FLAT)
    small = [max(round(SIDE * length / max(height, width)), 1) for length in (height, width)]
    gray = pixels.resize(pixels.to_grayscale(images), *small)
    return np.asarray(gray.astype(np.float32).std((1, 2, 3)) > _FLAT)


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


def spectra(copies: Floats, zoom: float = 1.0) -> Spectra:
    """Return Fourier series along the angle for each radius, shape `(n, radii, orders)`.

    Means are taken out and energies are 1: brightness and contrast do not count.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
        zoom: Radii are this many times as long: an image cropped to `1 / zoom` of its size, and
            enlarged again, then looks the same.
    """
    radii = (np.arange(_RADII) + 0.5) / _RADII * _REACH * (SIDE / 2) * zoom
    angles = np.arange(_ANGLES) / _ANGLES * 2 * np.pi
    y, x = (
        (np.outer(radii, turn(angles)).ravel() + MIDDLE).astype(np.float32)
        for turn in (np.sin, np.cos)
    )
    area = (radii / radii.sum()).astype(np.float32)[None, :, None]
    found = np.empty((len(copies), _RADII, _ORDERS + 1), np.complex64)
    for start in range(0, len(copies), _AT_ONCE):
        part = copies[start : start + _AT_ONCE].reshape(-1, SIDE * SIDE, 1)
        polar = interpolated(part, np.arange(len(part)), y, x).reshape(-1, _RADII, _ANGLES)
        polar = polar - (polar * area).sum((1, 2), keepdims=True) / _ANGLES
        series = np.fft.rfft(polar, axis=2)[:, :, : _ORDERS + 1] * np.sqrt(area)
        energy = (np.abs(series[:, :, 0]) ** 2).sum(1)
        energy += 2 * (np.abs(series[:, :, 1:]) ** 2).sum((1, 2))
        found[start : start + _AT_ONCE] = series / np.sqrt(energy + 1e-6)[:, None, None]
    return found


def embeddings(found: Spectra) -> Floats:
    """Return unit vectors whose products tell how alike images are, whatever their rotation."""
    magnitudes = np.abs(found)
    magnitudes[:, :, 1:] *= np.sqrt(2)  # each order stands for two, k and -k
    flat = magnitudes.reshape(len(found), -1).astype(np.float32)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(norms, 1e-6), np.float32)


def nearest(queries: Floats, points: Floats, k: int, *, others: bool = True) -> Index:
    """Return the places of the `k` nearest points of each query, shape `(m, k)`.

    Args:
        queries: Unit vectors, shape `(m, d)`.
        points: Unit vectors, shape `(n, d)`.
        k: How many; fewer where there are fewer points.
        others: Whether both are of the same images: a query's own place then does not count.
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(k + others, len(points))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points)
    found = search.kneighbors(queries, return_distance=False)
    if others:
        own = found == np.arange(len(queries))[:, None]
        own[~own.any(1), -1] = True
        found = found[~own].reshape(len(found), k - 1)
    return np.asarray(found, np.int64)


def best_rotations(a: Spectra, b: Spectra) -> tuple[Floats, Floats]:
    """Return how well pairs fit at their best rotation, and that rotation.

    Args:
        a: Series of the first images, shape `(n, radii, orders)`.
        b: Series of the second.

    Returns:
        Correlations of -1 to 1 and angles in radians, both of shape `(n, 2)`: as they are, and with
        the second image flipped. A point at angle t of the first lies at angle + t (or at
        angle - t) of the second.
    """
    fits, angles = [], []
    for flipped in (False, True):
        product = (np.conj(a) * (np.conj(b) if flipped else b)).sum(1)
        curve = np.fft.irfft(product, _ANGLES, axis=1) * _ANGLES  # pads with zeros
        fits.append(curve.max(1))
        angles.append((-1 if flipped else 1) * curve.argmax(1) / _ANGLES * 2 * np.pi)
    return np.stack(fits, 1).astype(np.float32), np.stack(angles, 1).astype(np.float32)
