"""Windows: the parts of images that are searched in other images.

An image is described whole, and by windows around its most distinctive blobs (Lindeberg 1998,
doi:10.1023/A:1008045108935), which it shares with copies that are shifted, cropped or zoomed. A
window is as elongated as its content, so that a shear or a stretch changes the window with it
(Lindeberg & Garding 1997, doi:10.1016/S0262-8856(97)01144-6; Mikolajczyk & Schmid 2004).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from synthray._parts import in_threads, slices
from synthray.duplicates.working import MIDDLE, SIDE, Copies, Floats, Index, filtered

_BLOBS = 56  # windows of an image
_SIGMAS = (2.0, 2.8, 4.0, 5.6, 8.0)  # of blobs, in pixels
_REACH = 4.0  # of a window, in sigmas of its blob
_WHOLE = 0.92  # of half the side: a rotation cuts off what lies outside
_EDGE = 3  # pixels; nothing nearer to the border is a blob
_ROUNDER = 0.7  # how much of the elongation of the content a window follows
_LONGEST = 16.0  # elongation of the content, as a ratio of squared slopes
_AT_ONCE = 32


class Windows(NamedTuple):
    """Elliptic parts of images.

    Attributes:
        image: The image of each window, shape `(m,)`.
        centre: `(x, y)`, in pixels from the centre of the image, shape `(m, 2)`.
        frame: Takes the unit disc to the window, less its centre, shape `(m, 2, 2)`.
    """

    image: Index
    centre: Floats
    frame: Floats

    def take(self, at: Index | slice) -> Windows:
        """Return some of the windows."""
        return Windows(self.image[at], self.centre[at], self.frame[at])


def whole(places: Index) -> Windows:
    """Return one round window of each image."""
    m = len(places)
    frame = np.tile(np.eye(2, dtype=np.float32) * np.float32(_WHOLE * SIDE / 2), (m, 1, 1))
    return Windows(places, np.zeros((m, 2), np.float32), frame)


def distinctive(copies: Copies, places: Index) -> Windows:
    """Return windows around the strongest blobs of each image, up to `_BLOBS` of them.

    Args:
        copies: Gray images, shape `(n, SIDE, SIDE)`.
        places: Which of them to look at.
    """
    parts = in_threads(
        lambda at: _around_blobs(copies[places[at]], places[at]), slices(len(places), _AT_ONCE)
    )
    return Windows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def transforms(first: Windows, second: Windows, angles: Floats, flipped: Index) -> Floats:
    """Return the transforms that take windows to others, turned by angles, shape `(n, 6)`.

    See `registration.align` for their form.
    """
    cosine, sine = np.cos(angles), np.sin(angles)
    mirror = np.where(flipped, -1, 1)
    turn = np.stack([cosine, -sine * mirror, sine, cosine * mirror], 1).reshape(-1, 2, 2)
    matrix = second.frame @ turn @ np.linalg.inv(first.frame)
    shift = second.centre - (matrix @ first.centre[..., None])[..., 0]
    return np.concatenate([matrix.reshape(-1, 4), shift], 1).astype(np.float32)


def inverse(found: Floats) -> Floats:
    """Return the transforms of the other direction."""
    matrix = np.linalg.inv(found[:, :4].reshape(-1, 2, 2))
    shift = -(matrix @ found[:, 4:, None])[..., 0]
    return np.concatenate([matrix.reshape(-1, 4), shift], 1).astype(np.float32)


def _around_blobs(copies: Copies, places: Index) -> Windows:
    """Find the highest determinants of the Hessian, and how elongated the content there is."""
    strength, y, x, sigma, slopes = [], [], [], [], []
    even = copies.astype(np.float32)
    even -= even.mean((1, 2), keepdims=True)
    even /= even.std((1, 2), keepdims=True) + 1e-3
    for width in _SIGMAS:
        stride = 2 if width >= 4 else 1
        bent = filtered(even, width, down=2, stride=stride)
        bent *= filtered(even, width, right=2, stride=stride)
        bent -= filtered(even, width, down=1, right=1, stride=stride) ** 2
        dx, dy = filtered(even, width / 2, right=1), filtered(even, width / 2, down=1)
        around = [filtered(each, 2 * width, stride=stride) for each in (dx * dx, dx * dy, dy * dy)]
        highest = maximum_filter(bent, (1, 3, 3) if stride == 2 else (1, 5, 5), mode="nearest")
        side = np.arange(0, SIDE, stride)
        inside = (side >= _EDGE) & (side < SIDE - _EDGE)
        blob = (bent == highest) & (bent > 0) & inside[:, None] & inside
        strength.append(np.where(blob, bent * width**4, 0).reshape(len(copies), -1))
        rows, columns = np.meshgrid(side, side, indexing="ij")
        y.append(rows.ravel())
        x.append(columns.ravel())
        sigma.append(np.full(rows.size, width))
        slopes.append(np.stack(around, -1).reshape(len(copies), -1, 3))
    found = np.concatenate(strength, 1)
    best = np.argpartition(-found, _BLOBS, axis=1)[:, :_BLOBS]
    image, rank = np.nonzero(np.take_along_axis(found, best, 1) > 0)
    at = best[image, rank]
    centre = np.stack([np.concatenate(x)[at], np.concatenate(y)[at]], 1) - MIDDLE
    size = _REACH * np.concatenate(sigma)[at]
    frame = _rounding(np.concatenate(slopes, 1)[image, at]) * size[:, None, None]
    return Windows(places[image], centre.astype(np.float32), frame.astype(np.float32))


def _rounding(slopes: Floats) -> Floats:
    """Return what makes a disc as elongated as content, from mean squares of its slopes."""
    xx, xy, yy = slopes.T.astype(np.float64)
    values, vectors = np.linalg.eigh(np.stack([xx, xy, xy, yy], 1).reshape(-1, 2, 2))
    ratio = np.clip(values[:, 1] / np.maximum(values[:, 0], 1e-9), 1, _LONGEST) ** (_ROUNDER / 4)
    lengths = np.stack([ratio, 1 / ratio], 1)  # long where slopes are low
    return (vectors * lengths[:, None]) @ vectors.transpose(0, 2, 1)
