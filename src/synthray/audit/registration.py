"""Registration of pairs: the similarity that lays one image on another, and how well it fits.

The transform (rotation, scale, shift) and a linear change of gray values are refined together by
Gauss-Newton steps on a band-passed image, as in Lucas & Kanade 1981 (see Baker & Matthews 2004,
doi:10.1023/B:VISI.0000011205.11775.fd). The fit is then judged on fine structure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.audit.alignment import (
    LEVELS,
    Course,
    Index,
    Packed,
    blurred,
    packed,
    refined,
)
from synthray.audit.embedding import Floats
from synthray.audit.structure import Structure

# Pairs are given up where copies never are: of 12,000 planted pairs that are linked, none fell
# below a floor; of 76 copies that were blurred or bent as no kind of copy is, one was lost.
_COARSE = Course(grid=3.0, floors=(-1, 0.5, 0.66, 0.68, 0.68), settled=0.1)
_FINE = Course(grid=1.5, floors=(0.65, 0.72, 0.74), settled=0.03)


class Registration:
    """Lays pairs of images on each other.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.

    Attributes:
        structure: Judges the pairs.
    """

    def __init__(self, copies: Floats) -> None:
        self.structure = Structure(copies)
        self._coarse = _bands(copies, 1.5, 7.0)
        self._fine = _bands(copies, 0.7, 4.0)

    def align(
        self, i: Index, j: Index, flipped: NDArray[np.bool_], start: Floats, *, coarse: bool
    ) -> tuple[Floats, Floats]:
        """Refine transforms from image `i` to image `j`.

        Pairs that are certainly of two radiographs take fewer steps.

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
        images, course = (self._coarse, _COARSE) if coarse else (self._fine, _FINE)
        return refined(images, i, j, flipped, start, course)


def starting_points(
    flipped: NDArray[np.bool_], angles: Floats, scales: Floats, right: Floats, down: Floats
) -> Floats:
    """Return the parameters of a shift of the first image, then rotation and scale, `(n, 4)`."""
    cosine, sine = scales * np.cos(angles), scales * np.sin(angles)
    turned = np.where(flipped, -1, 1) * down
    shifts = [cosine * right - sine * turned, sine * right + cosine * turned]
    return np.stack([cosine, sine, *shifts], 1).astype(np.float32)


def _bands(copies: Floats, low: float, high: float) -> Packed:
    """Return band-passed images, packed."""
    found = np.empty((len(copies), copies[0].size), np.int32)
    for start in range(0, len(copies), 512):
        part = copies[start : start + 512]
        band = blurred(part, low) - blurred(part, high)
        band /= band.std((1, 2), keepdims=True) + 1e-3
        found[start : start + 512] = packed(
            np.clip(np.rint(band * LEVELS), -127, 127).astype(np.int8)
        )
    return found
