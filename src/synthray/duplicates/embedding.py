"""Descriptions of windows that a rotation or a flip does not change, and their neighbours.

Around the centre, a rotation is a shift along the angle and a flip reverses it; neither changes
magnitudes of the Fourier series along the angle (the polar half of Fourier-Mellin: Reddy and
Chatterji 1996, doi:10.1109/83.506761). Radii are kept apart: content counts, not only its spectrum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthray._parts import in_threads, slices
from synthray.duplicates.windows import Windows
from synthray.duplicates.working import MIDDLE, SIDE, Copies, Floats, Index, interpolated

Spectra = NDArray[np.complex64]

_TURNS = 64  # rotations that are told apart
_AT_ONCE = 2048
_CELLS = 3  # times the root of the number of points
_PROBES = 6  # cells that are searched, at least
_SEARCHED = 2048  # points that are compared with each, at least


class Detail(NamedTuple):
    """How finely a window is described: finer detail does not survive a shift of a pixel or two."""

    radii: int
    angles: int
    orders: int


def spectra(copies: Copies, windows: Windows, detail: Detail) -> Spectra:
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


def embeddings(copies: Copies, windows: Windows, detail: Detail) -> Floats:
    """Return unit vectors whose products tell how alike windows are, whatever their rotation."""
    found = np.empty((len(windows.image), detail.radii * (detail.orders + 1)), np.float32)

    def describe(at: slice) -> None:
        magnitudes = np.abs(spectra(copies, windows.take(at), detail))
        magnitudes[:, :, 1:] *= np.sqrt(2)  # each order stands for two, k and -k
        rows = magnitudes.reshape(at.stop - at.start, -1)
        found[at] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)

    in_threads(describe, slices(len(found), _AT_ONCE))
    return found


class Neighbours:
    """Finds the points that are likest to queries.

    Points are put into cells around a part of them; of large sets, only the cells that are likest
    to a query are searched.

    Args:
        points: Unit vectors, shape `(n, d)`.
        images: The image of each point, shape `(n,)`.
    """

    def __init__(self, points: Floats, images: Index) -> None:
        n = len(points)
        self._points, self._images = points, images
        self._cells = max(1, int(_CELLS * np.sqrt(n)) if n > _SEARCHED else 1)
        self._looked = min(self._cells, max(_PROBES, _SEARCHED * self._cells // max(n, 1)))
        self._centres = points[np.linspace(0, n - 1, self._cells).astype(int)] if n else points
        homes = in_threads(lambda at: (points[at] @ self._centres.T).argmax(1), slices(n, _AT_ONCE))
        home = np.concatenate([np.zeros(0, np.int64), *homes])
        self._order = np.argsort(home, kind="stable")
        self._ends = np.searchsorted(home[self._order], np.arange(self._cells + 1))

    def of(self, queries: Floats, images: Index, k: int) -> tuple[Index, Floats]:
        """Return the places of the `k` likeliest points of each query, and how alike they are.

        Args:
            queries: Unit vectors, shape `(m, d)`.
            images: The image of each query: its own points are no neighbours.
            k: How many.

        Returns:
            Both of shape `(m, k)`; the likeness is -1 where there are fewer.
        """
        m, looked = len(queries), self._looked
        places = np.zeros((m, looked, k), np.int64)
        likeness = np.full((m, looked, k), -1, np.float32)
        near = np.zeros((m, looked), np.int32)
        for at in slices(m if len(self._points) else 0, _AT_ONCE):
            near[at], _ = _largest(queries[at] @ self._centres.T, looked)
        rows, slots = np.divmod(np.argsort(near.ravel(), kind="stable"), looked)
        asking = np.searchsorted(near[rows, slots], np.arange(self._cells + 1))
        for cell in range(self._cells):
            members = self._order[self._ends[cell] : self._ends[cell + 1]]
            at = slice(asking[cell], asking[cell + 1])
            row, slot = rows[at], slots[at]
            if not len(members) or not len(row):
                continue
            alike = queries[row] @ self._points[members].T
            alike[images[row, None] == self._images[members]] = -1
            few = min(k, len(members))
            best, likeness[row, slot, :few] = _largest(alike, few)
            places[row, slot, :few] = members[best]
        best, fits = _largest(likeness.reshape(m, looked * k), k)
        return np.take_along_axis(places.reshape(m, looked * k), best, 1), fits


def _largest(values: Floats, k: int) -> tuple[Index, Floats]:
    """Return the columns of the largest values of each row, and these; overwrites the values.

    For few of many, repeated maxima take less time than a partition.
    """
    rows, shape = np.arange(len(values)), (len(values), k)
    columns, found = np.empty(shape, np.int64), np.empty(shape, np.float32)
    for rank in range(k):
        columns[:, rank] = values.argmax(1)
        found[:, rank] = values[rows, columns[:, rank]]
        values[rows, columns[:, rank]] = -np.inf
    return columns, found


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
