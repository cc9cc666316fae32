"""Pixel value ranges: 8-bit integers, and the three float scales in use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ValueRange = tuple[float, float]

_TOLERANCE = 1e-3


def infer_value_range(images: NDArray[Any]) -> ValueRange:
    """Return the range that images are scaled to: (0, 255), (0, 1) or (-1, 1).

    Integers are taken as 0 to 255. Floats are judged by their extremes.

    Raises:
        ValueError: If the values fit none of the three, or are not finite.
    """
    if images.dtype.kind in "iub":
        if images.dtype != np.uint8 and images.size and (images.min() < 0 or images.max() > 255):
            raise ValueError(
                f"Integer images must hold values 0 to 255, got {images.min()} to {images.max()}. "
                "Window them to 8 bits first."
            )
        return 0.0, 255.0
    if images.size == 0:
        raise ValueError("Cannot tell the value range of no images.")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("Images hold NaN or infinite values. Remove or repair them first.")
    if low >= -_TOLERANCE and high <= 1.0 + _TOLERANCE:
        return 0.0, 1.0
    if low >= -1.0 - _TOLERANCE and high <= 1.0 + _TOLERANCE:
        return -1.0, 1.0
    if low >= -_TOLERANCE and high <= 255.0 + _TOLERANCE:
        return 0.0, 255.0
    raise ValueError(
        "Float images must be scaled to 0 ... 1, -1 ... 1 or 0 ... 255, got values from "
        f"{low:.4g} to {high:.4g}. Rescale them, or pass value_range=(low, high)."
    )


def from_unit(images: NDArray[Any], value_range: ValueRange, dtype: Any) -> NDArray[Any]:
    """Scale floats of 0 to 1 to a range; integer types are rounded."""
    low, high = value_range
    scaled = images * np.float32(high - low) + np.float32(low)
    if np.issubdtype(dtype, np.integer):
        scaled = np.rint(scaled)
    return scaled.astype(dtype)


def to_unit(images: NDArray[Any], value_range: ValueRange) -> NDArray[np.float32]:
    """Scale values of a range to floats of 0 to 1."""
    low, high = value_range
    return (images.astype(np.float32) - np.float32(low)) / np.float32(high - low)
