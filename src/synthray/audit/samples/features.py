"""Descriptions of images that need no download: a fixed random convolutional network."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synthray.datasets import _pixels

Features = NDArray[np.float64]
Describe = Callable[[NDArray[np.uint8]], NDArray[np.floating]]

_FILTERS = (16, 32, 64, 96)
_CELLS = 2  # each map is described by the means of as many by as many cells, and their spread
_AT_ONCE = 128
_SEED = 20_260_101


def random_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe images by a random convolutional network whose weights never change.

    Four 3x3 convolutions of stride 2 with orthogonal random filters and ReLU, on gray values of -1
    to 1; the mean and the deviation of every map over four quarters. Distances in random
    features rank generators much as those in learnt ones do (arXiv 2208.09218), and they are the
    same everywhere, without a download. They know nothing of medicine.

    Args:
        images: `uint8`, shape `(n, h, w)` or `(n, h, w, c)`, at least 17 pixels a side.

    Returns:
        Shape `(n, 1664)`.

    Raises:
        ValueError: If the images are too small.

    Examples:
        >>> import synthray as sr
        >>> sr.random_features(sr.make_phantoms(2, image_shape=(32, 32, 1), seed=0).images).shape
        (2, 1664)
    """
    gray = _pixels.to_grayscale(images if images.ndim == 4 else images[..., None])
    side = (_CELLS - 1) * 2 ** len(_FILTERS) + 1
    if min(gray.shape[1:3]) < side:
        raise ValueError(
            f"random_features needs images of at least {side}x{side} pixels, got "
            f"{gray.shape[1]}x{gray.shape[2]}. Enlarge them, or pass features= of your own."
        )
    parts = [_describe(gray[start : start + _AT_ONCE]) for start in range(0, len(gray), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, 2 * _CELLS**2 * sum(_FILTERS)), "f4")


def _describe(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    maps = gray.astype(np.float32) / 127.5 - 1
    described = []
    for weights in _weights():
        maps = _convolved(maps, weights)
        for rows in np.array_split(np.arange(maps.shape[1]), _CELLS):
            for columns in np.array_split(np.arange(maps.shape[2]), _CELLS):
                cell = maps[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                described += [cell.mean((1, 2)), cell.std((1, 2))]
    return np.concatenate(described, axis=1).astype(np.float32)


def _convolved(maps: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 3x3 convolution of stride 2 with zeros around, and ReLU."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    flat = windows.reshape(-1, weights.shape[0])  # copies: (pixels, channels * 9)
    found = np.maximum(flat @ weights, 0).reshape(*windows.shape[:3], -1)
    return np.asarray(found, np.float32)


@functools.cache  # every batch needs them
def _weights() -> tuple[NDArray[np.float32], ...]:
    """Return matrices `(channels * 9, filters)` with orthogonal columns or rows."""
    rng = np.random.default_rng(_SEED)
    found, channels = [], 1
    for filters in _FILTERS:
        shape = (channels * 9, filters)
        u, _, v = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
        # As much variance out as in, behind a ReLU.
        gain = np.sqrt(2 * shape[0] / min(shape)) if shape[0] < shape[1] else np.sqrt(2)
        found.append((u @ v * gain).astype(np.float32))
        channels = filters
    return tuple(found)


def standardised(*sets: NDArray[np.floating]) -> tuple[Features, ...]:
    """Centre features on the first set and scale them to a mean variance of 1 there.

    One scale serves all features: those that hardly vary among real images would otherwise drown
    the others as soon as they vary among drawn ones.
    """
    first = np.asarray(sets[0], np.float64)
    mean, scale = first.mean(0), np.sqrt(first.var(0).mean())
    scale = scale if scale > 1e-9 else 1.0
    return tuple((np.asarray(each, np.float64) - mean) / scale for each in sets)
