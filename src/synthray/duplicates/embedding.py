"""Descriptions of windows that a rotation or a flip does not change, and their neighbours.

Around the centre, a rotation is a shift along the angle and a flip reverses it; neither changes
magnitudes of the Fourier series along the angle (the polar half of Fourier-Mellin: Reddy and
Chatterji 1996, doi:10.1109/83.506761). Radii are kept apart: content counts, not only its spectrum.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthray.duplicates.windows import Windows
from synthray.duplicates.working import MIDDLE, SIDE, Floats, Index, interpolated

Spectra = NDArray[np.complex64]

_TURNS = 64  # rotations that are told apart
_AT_ONCE = 2048
_CELLS = 3  # times the root of the number of points
_PROBES = 6  # cells that are searched, at least
_SEARCHED = 2048  # points that are compared with each, at least
_QUERIES = 32_768


class Detail(NamedTuple):
    """How finely a window is described: finer detail does not survive a shift of a pixel or two."""

    radii: int
    angles: int
    orders: int


def spectra(copies: Floats, windows: Windows, detail: Detail) -> Spectra:
    """Return Fourier series along the angle for each radius, shape `(m, radii, orders + 1)`.

    Means are taken out and energies are 1: brightness and contrast do not count.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
        windows: The parts to describe.
        detail: How finely.
    """
    radii = (np.arange(detail.radii) + 0.5) / detail.radii
    angles = np.arange(detail.angles) / detail.angles * 2 * np.pi
    disc = np.stack([np.outer(radii, turn(angles)).ravel() for turn in (np.cos, np.sin)])
    area = (radii / radii.sum()).astype(np.float32)[None, :, None]
    x, y = (windows.frame @ disc.astype(np.float32) + windows.centre[..., None] + MIDDLE).transpose(
        1, 0, 2
    )
    polar = interpolated(copies.reshape(-1, SIDE * SIDE, 1), windows.image, y, x)
    polar = polar.reshape(-1, detail.radii, detail.angles)
    polar -= (polar * area).sum((1, 2), keepdims=True) / detail.angles
    series = np.fft.rfft(polar, axis=2)[:, :, : detail.orders + 1] * np.sqrt(area)
    energy = (np.abs(series[:, :, 0]) ** 2).sum(1)
    energy += 2 * (np.abs(series[:, :, 1:]) ** 2).sum((1, 2))
    return np.asarray(series / np.sqrt(energy + 1e-6)[:, None, None], np.complex64)


def embeddings(copies: Floats, windows: Windows, detail: Detail) -> Floats:
    """Return unit vectors whose products tell how alike windows are, whatever their rotation."""
    found = np.empty((len(windows.image), detail.radii * (detail.orders + 1)), np.float32)
    for start in range(0, len(found), _AT_ONCE):
        part = windows.take(np.arange(start, min(start + _AT_ONCE, len(found))))
        magnitudes = np.abs(spectra(copies, part, detail))
        magnitudes[:, :, 1:] *= np.sqrt(2)  # each order stands for two, k and -k
        found[start : start + _AT_ONCE] = magnitudes.reshape(len(part.image), -1)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return found


def nearest(
    queries: Floats, points: Floats, k: int, images: tuple[Index, Index]
) -> tuple[Index, Floats]:
    """Return the places of the `k` likeliest points of each query, and how alike they are.

    Points are put into cells around a part of them; of large sets, only the cells that are likest
    to a query are searched.

    Args:
        queries: Unit vectors, shape `(m, d)`.
        points: Unit vectors, shape `(n, d)`.
        k: How many.
        images: The image of each query and of each point: those of one image are no neighbours.

    Returns:
        Both of shape `(m, k)`; the likeness is -1 where there are fewer.
    """
    if not len(queries) or not len(points):
        return np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
    cells = max(1, int(_CELLS * np.sqrt(len(points))) if len(points) > _SEARCHED else 1)
    centres = points[np.linspace(0, len(points) - 1, cells).astype(int)]
    looked = min(cells, max(_PROBES, _SEARCHED * cells // len(points)))

    def parts(vectors: Floats) -> list[Floats]:
        return [vectors[start : start + _AT_ONCE] for start in range(0, len(vectors), _AT_ONCE)]

    def likest(vectors: Floats, count: int) -> NDArray[np.int32]:
        alike = vectors @ centres.T
        return np.argpartition(-alike, count - 1, axis=1)[:, :count].astype(np.int32)

    home = np.concatenate([likest(part, 1)[:, 0] for part in parts(points)])
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(cells + 1))
    blocks = [slice(start, start + _QUERIES) for start in range(0, len(queries), _QUERIES)]

    def search(block: slice) -> tuple[Index, Floats]:
        part, own = queries[block], images[0][block]
        near = np.concatenate([likest(each, looked) for each in parts(part)])
        places = np.zeros((len(part), looked, k), np.int64)
        likeness = np.full((len(part), looked, k), -1, np.float32)
        rows, slots = np.divmod(np.argsort(near.ravel(), kind="stable"), looked)
        at = np.searchsorted(near[rows, slots], np.arange(cells + 1))
        for cell in range(cells):
            members, asking = order[ends[cell] : ends[cell + 1]], slice(at[cell], at[cell + 1])
            row, slot = rows[asking], slots[asking]
            if not len(members) or not len(row):
                continue
            alike = part[row] @ points[members].T
            alike[own[row, None] == images[1][members]] = -1
            few = min(k, len(members))
            best = np.argpartition(-alike, few - 1, axis=1)[:, :few]
            places[row, slot, :few] = members[best]
            likeness[row, slot, :few] = np.take_along_axis(alike, best, 1)
        merged, fits = places.reshape(len(part), -1), likeness.reshape(len(part), -1)
        best = np.argsort(-fits, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(merged, best, 1), np.take_along_axis(fits, best, 1)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found, alike = zip(*threads.map(search, blocks), strict=True)
    return np.concatenate(found), np.concatenate(alike)


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
        curve = np.fft.irfft(product, _TURNS, axis=1) * _TURNS  # pads with zeros
        fits.append(curve.max(1))
        angles.append((-1 if flipped else 1) * curve.argmax(1) / _TURNS * 2 * np.pi)
    return np.stack(fits, 1).astype(np.float32), np.stack(angles, 1).astype(np.float32)
