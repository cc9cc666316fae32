"""`find_duplicates`: which images show the same radiograph."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray.audit.embedding import spreads, working_copies
from synthray.audit.families import Families
from synthray.audit.matching import View, compare
from synthray.audit.registration import Registration
from synthray.datasets.image_dataset import ImageDataset

_log = logging.getLogger("synthray")

FLAT = 2.0  # gray levels of spread, below which there is nothing to compare
_FIRST = (View(neighbours=4),)
_ZOOMED = tuple(View(zoom) for zoom in (1.0, 0.72, 0.85, 1.18, 1.39))
_CROPPED = tuple(View(1.1, x, y, neighbours=5) for x in (-3, 3) for y in (-3, 3))
ALL_VIEWS = _ZOOMED + _CROPPED
_REPRESENTATIVES = 3
_UNITS = 1000
_WORTH_SAYING = 4000


def find_duplicates(
    data: ImageDataset | NDArray[np.uint8], *, verbose: Any = "auto"
) -> NDArray[np.int64]:
    """Group images that show the same radiograph, whatever was done to the file.

    Found are copies that are byte-equal, re-encoded, resized, brighter, darker, of other contrast,
    flipped, rotated by any angle (with black or cropped corners), or cropped a little. Two
    exposures of one patient are two radiographs. Names, labels and groups are not looked at.

    Images are compared at 64 x 64 pixels in two stages: nearest neighbours of descriptions that a
    rotation or flip does not change (Fourier magnitudes along the angle, Reddy & Chatterji 1996),
    at several scales; then registration of each likely pair, judged on fine structure. Families
    join only if the pairs between them agree, so that chains do not weld them. Images without
    content (one gray level) count as copies only where they are byte-equal.

    Args:
        data: An `ImageDataset`, or `uint8` images, shape `(n, h, w)` or `(n, h, w, c)`.
        verbose: 0 for silence, 1 or `"auto"` for a progress bar where there are thousands.

    Returns:
        One number an image, shape `(n,)`: `0 ... n_families - 1`, in order of first appearance.
        It does not depend on the order of the images otherwise, and takes no random numbers.

    Raises:
        TypeError: If it is neither.
        ValueError: If the array is of another type or shape, or empty.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> data = sr.make_phantoms(4, seed=0)
        >>> turned = np.rot90(data.images, axes=(1, 2))[:2]
        >>> sr.find_duplicates(np.concatenate([data.images, turned])).tolist()
        [0, 1, 2, 3, 0, 1]
    """
    images = _checked(data)
    digests = [blake2b(image.tobytes(), digest_size=16).digest() for image in images]
    # In the order of their contents, so that the order of the files changes nothing.
    unique = sorted(set(digests))
    number = {digest: k for k, digest in enumerate(unique)}
    codes = np.asarray([number[digest] for digest in digests])
    first = np.zeros(len(unique), np.int64)
    first[codes[::-1]] = np.arange(len(images))[::-1]
    families = _families(images[first], verbose)[codes]
    _, places, inverse = np.unique(families, return_index=True, return_inverse=True)
    rank = np.empty(len(places), np.int64)
    rank[np.argsort(places)] = np.arange(len(places))
    return np.asarray(rank[inverse], np.int64)


def _families(images: NDArray[np.uint8], verbose: Any) -> NDArray[np.int64]:
    """Return families of images that are all different."""
    copies = working_copies(images)
    families = Families(len(images))
    places = np.flatnonzero(spreads(images, copies) > FLAT)
    if len(places) < 2:
        return families.labels()
    began = time.perf_counter()
    progress = _Progress(len(images), verbose)
    registration = Registration(copies)
    # Most copies are found by a first look; the rest needs only a few of each family.
    near = compare(
        copies,
        registration,
        places,
        views=_FIRST,
        hypotheses=1,
        advance=progress.part(0.0, 0.3),
    )
    families.grow([near])
    kept = _representatives(families.labels(), places)
    far = compare(
        copies,
        registration,
        kept,
        views=ALL_VIEWS,
        hypotheses=2,
        advance=progress.part(0.3, 1.0),
    )
    families.grow([near, far])
    _log.info(
        "find_duplicates: %d different images, %d pairs registered, %.1f s",
        *(len(images), len(near.i) + len(far.i), time.perf_counter() - began),
    )
    return families.labels()


def _representatives(labels: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a few places of each family, evenly spaced."""
    order = places[np.argsort(labels[places], kind="stable")]
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    kept = []
    for family in np.split(order, ends):
        at = np.linspace(0, len(family) - 1, min(_REPRESENTATIVES, len(family))).round()
        kept.append(family[at.astype(np.int64)])
    return np.sort(np.concatenate(kept))


def _checked(data: ImageDataset | NDArray[np.uint8]) -> NDArray[np.uint8]:
    images = data.images if isinstance(data, ImageDataset) else data
    if not isinstance(images, np.ndarray):
        raise TypeError(
            f"Expected an ImageDataset or a uint8 array of images, got {type(data).__name__}."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "Expected uint8 images of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), got "
            f"{images.dtype} of shape {images.shape}. Scale floats to 0 ... 255 and convert them: "
            "np.rint(x).astype('uint8')."
        )
    if not len(images):
        raise ValueError("There is no image to compare.")
    return images


class _Progress:
    def __init__(self, n: int, verbose: Any) -> None:
        self._bar = None
        if verbose and n >= _WORTH_SAYING:
            sys.stdout.write(f"Looking for duplicates among {n:,} different images\n")
            self._bar = keras.utils.Progbar(_UNITS, unit_name="per mille")

    def part(self, start: float, end: float) -> Callable[[float], None]:
        def advance(share: float) -> None:
            if self._bar is not None:
                done = round(_UNITS * (start + (end - start) * share))
                self._bar.update(done, finalize=done == _UNITS)

        return advance
