"""Descriptions of radiographs that a rotation or a flip does not change.

Around the centre, a rotation is a shift along the angle and a flip reverses it; neither changes
magnitudes of the Fourier series along the angle (the polar half of Fourier-Mellin: Reddy and
Chatterji 1996, doi:10.1109/83.506761). Radii are kept apart: content counts, not only its spectrum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.datasets import _pixels

Floats = NDArray[np.float32]
Spectra = NDArray[np.complex64]

SIDE = 64
"""Height and width that images are compared at, in pixels."""

ANGLES = 64
_RADII = 16
_ORDERS = 16  # finer detail along the angle does not survive a shift of a pixel or two
_REACH = 0.92  # of half the side: what lies outside, a rotation cuts off


def working_copies(images: NDArray[np.uint8]) -> Floats:
    """Return gray images of `SIDE` x `SIDE`, shape `(n, SIDE, SIDE)`, 0 to 255.

    Images that are not square are padded with black, not stretched: a rotation stays one.
    """
    n, height, width, channels = images.shape
    side = max(height, width)
    copies = np.empty((n, SIDE, SIDE), np.float32)
    for start in range(0, n, 512):
        part = images[start : start + 512]
        if channels == 3:
            part = _pixels.to_grayscale(part)
        if height != width:
            top, left = (side - height) // 2, (side - width) // 2
            padding = ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0))
            part = np.pad(part, padding)
        if side != SIDE:
            part = _pixels.resize(part, SIDE, SIDE)
        copies[start : start + 512] = part[..., 0]
    return copies


def spreads(images: NDArray[np.uint8], copies: Floats) -> Floats:
    """Return the deviation of each image's gray values, without what padding adds.

    Args:
        images: `uint8`, shape `(n, h, w, c)`.
        copies: What `working_copies` made of them.
    """
    _, height, width, _ = images.shape
    if height == width:
        return copies.std((1, 2))
    inner = [max(round(SIDE * length / max(height, width)), 1) for length in (height, width)]
    found = np.empty(len(images), np.float32)
    for start in range(0, len(images), 512):
        part = _pixels.to_grayscale(images[start : start + 512])
        small = _pixels.resize(part, *inner)
        found[start : start + 512] = small.astype(np.float32).std((1, 2, 3))
    return found


def spectra(copies: Floats, zoom: float = 1.0) -> Spectra:
    """Return Fourier series along the angle for each radius, shape `(n, radii, orders)`.

    Means are taken out and energies are 1: brightness and contrast do not count.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
        zoom: Radii are this many times as long: an image cropped to `1 / zoom` of its size, and
            enlarged again, then looks the same.
    """
    from scipy.sparse import csr_array

    radii = (np.arange(_RADII) + 0.5) / _RADII * _REACH * (SIDE / 2) * zoom
    angles = np.arange(ANGLES) / ANGLES * 2 * np.pi
    y, x = np.outer(radii, np.sin(angles)).ravel(), np.outer(radii, np.cos(angles)).ravel()
    columns, weights = _bilinear(y, x)
    rows = np.repeat(np.arange(len(y)), 4)
    shape = (len(y), SIDE * SIDE)
    sampler = csr_array((weights.ravel(), (rows, columns.ravel())), shape=shape)
    area = (radii / radii.sum()).astype(np.float32)[None, :, None]
    found = np.empty((len(copies), _RADII, _ORDERS + 1), np.complex64)
    for start in range(0, len(copies), 1024):
        part = copies[start : start + 1024].reshape(-1, SIDE * SIDE)
        polar = (sampler @ part.T).T.reshape(-1, _RADII, ANGLES)
        polar = polar - (polar * area).sum((1, 2), keepdims=True) / ANGLES
        series = np.fft.rfft(polar, axis=2)[:, :, : _ORDERS + 1] * np.sqrt(area)
        energy = (np.abs(series[:, :, 0]) ** 2).sum(1)
        energy += 2 * (np.abs(series[:, :, 1:]) ** 2).sum((1, 2))
        found[start : start + 1024] = series / np.sqrt(energy + 1e-6)[:, None, None]
    return found


def embeddings(found: Spectra) -> Floats:
    """Return unit vectors whose products tell how alike images are, whatever their rotation."""
    magnitudes = np.abs(found)
    magnitudes[:, :, 1:] *= np.sqrt(2)  # each order stands for two, k and -k
    flat = magnitudes.reshape(len(found), -1).astype(np.float32)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(norms, 1e-6), np.float32)


def best_rotations(a: Spectra, b: Spectra) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
        series = np.zeros((len(a), ANGLES // 2 + 1), np.complex64)
        series[:, : product.shape[1]] = product
        curve = np.fft.irfft(series, ANGLES, axis=1) * ANGLES
        fits.append(curve.max(1))
        angles.append((-1 if flipped else 1) * curve.argmax(1) / ANGLES * 2 * np.pi)
    return np.stack(fits, 1).astype(np.float32), np.stack(angles, 1).astype(np.float32)


def _bilinear(
    y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the four pixels around points (from the centre) and their weights, `(n, 4)` each."""
    middle = (SIDE - 1) / 2
    y, x = np.clip(y + middle, 0, SIDE - 1.001), np.clip(x + middle, 0, SIDE - 1.001)
    y0, x0 = y.astype(np.int64), x.astype(np.int64)
    fy, fx = y - y0, x - x0
    first = y0 * SIDE + x0
    columns = np.stack([first, first + 1, first + SIDE, first + SIDE + 1], 1)
    weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], 1)
    return columns, weights.astype(np.float32)
