"""One check of the `image_shape` argument, for every loader."""

from __future__ import annotations

import operator
from collections.abc import Sequence


def checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `(height, width, channels)` as plain integers.

    Raises:
        ValueError: If these are not three positive integers, the last of them 1 or 3.
    """
    try:
        height, width, channels = (operator.index(value) for value in image_shape)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected image_shape as three integers (height, width, channels), got "
            f"{image_shape!r}."
        ) from error
    if min(height, width) < 1 or channels not in (1, 3):
        raise ValueError(
            f"Expected image_shape with a height and width of at least 1 and 1 or 3 channels, "
            f"got {image_shape!r}."
        )
    return height, width, channels
