"""Sizes and channels that a generator and a data set do not share."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray._progress import say
from synthray.datasets.pixels import resize, with_channels
from synthray.exceptions import SynthrayWarning

_DISTORTED = 0.1  # relative difference of height to width

Shape = tuple[int, ...]


def in_shape(images: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """Return images `(n, h, w, c)` with the height, width and channels of `shape`."""
    height, width, channels = shape
    return resize(with_channels(images, channels), height, width)


def check_proportions(made: Shape, wanted: Shape) -> None:
    """Raise a `ValueError` if resizing would distort images.

    Args:
        made: Height and width, and more, that a generator makes.
        wanted: Those of a data set.
    """
    if abs(made[0] / made[1] / (wanted[0] / wanted[1]) - 1) > _DISTORTED:
        raise ValueError(
            f"The generators make images of {made[0]}x{made[1]}, but this data set has "
            f"{wanted[0]}x{wanted[1]}, another shape, which would distort them. Pad or crop to "
            "the same proportions, as load_image_folder(path, size=...) does."
        )


def tell_of_sizes(made: Shape, wanted: Shape, verbose: Any = "auto", *, stacklevel: int) -> None:
    """Say that synthetic images are resized; warn if they are enlarged.

    Args:
        made: As in `check_proportions`.
        wanted: As in `check_proportions`.
        verbose: 0 for silence, but for a warning.
        stacklevel: Of the warning.
    """
    if made[:2] == wanted[:2]:
        return
    sizes = f"from {made[0]}x{made[1]} to {wanted[0]}x{wanted[1]}, the size of this data set"
    if wanted[0] * wanted[1] < made[0] * made[1]:
        say(f"Synthetic images are reduced {sizes}.", verbose=verbose)
        return
    warnings.warn(
        f"Synthetic images are enlarged {sizes}: they are softer than real ones, and a classifier "
        "may learn that. Train generators of that size, or reduce the data set to "
        f"{made[0]}x{made[1]}.",
        SynthrayWarning,
        stacklevel=stacklevel + 1,
    )
