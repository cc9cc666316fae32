"""Pixels: the shape that an argument asks for, and changes of size, channels and depth."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._parts import slices
from synthray.exceptions import SynthrayWarning

Images = NDArray[np.uint8]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in PIL's convert("L")
_CHUNK = 1024
_PART = 2**14
_WINDOW_PERCENTILES = (0.5, 99.5)


def checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `(height, width, channels)` as plain integers.

    Raises:
        ValueError: If these are not three positive integers, the last of them 1 or 3.
    """
    try:
        height, width, channels = (operator.index(value) for value in image_shape)
    except (TypeError, ValueError):
        height = width = channels = 0
    if min(height, width) < 1 or channels not in (1, 3):
        raise ValueError(
            "Expected image_shape as three integers (height, width, channels), height and width "
            f"of at least 1 and 1 or 3 channels, got {image_shape!r}."
        )
    return height, width, channels


def resize(images: Images, height: int, width: int) -> Images:
    """Resize `(n, h, w, c)` with antialiasing (scikit-image), a bounded chunk at a time."""
    if min(height, width) < 1:
        raise ValueError(f"Expected a height and width of at least 1, got ({height}, {width}).")
    if images.shape[1:3] == (height, width):
        return images
    from skimage.transform import resize as skimage_resize

    out = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    for rows in slices(len(images), _CHUNK):
        part, pixels = out[rows], images[rows].astype(np.float32)
        # Bilinear, with values in their own range.
        part[...] = to_uint8(
            skimage_resize(pixels, part.shape, order=1, anti_aliasing=True, preserve_range=True)
        )
    return out


def to_grayscale(images: Images) -> Images:
    """Turn `(n, h, w, 3)` into `(n, h, w, 1)` by ITU-R BT.601 luma; gray images pass through."""
    if images.shape[-1] == 1:
        return images
    gray = np.empty((*images.shape[:3], 1), np.uint8)
    for rows in slices(len(images), _CHUNK):
        gray[rows, ..., 0] = to_uint8(images[rows].astype(np.float32) @ LUMA)
    return gray


def to_rgb(images: Images) -> Images:
    """Repeat the gray channel of `(n, h, w, 1)` three times; colour images pass through."""
    return images if images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)


def with_channels(images: Images, channels: int) -> Images:
    """Convert to 1 or 3 channels."""
    return to_grayscale(images) if channels == 1 else to_rgb(images)


def to_uint8(values: NDArray[np.floating]) -> Images:
    """Round values of 0 to 255 to `uint8`, clipping what lies outside."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def window_to_8_bit(values: NDArray[Any], *, inverted: bool = False) -> NDArray[np.uint8]:
    """Map gray values of more than 8 bits to 0 ... 255 by a window of the image's own.

    The window is linear, from the 0.5th to the 99.5th percentile of the finite values, so that
    neither a hot pixel nor unused bits make the image dark; values outside are clipped. Where
    both percentiles are equal, it is the minimum to the maximum. A constant image and
    not-a-number become black.

    Args:
        values: Any real type, shape `(height, width)`.
        inverted: Whether small values are bright.

    Returns:
        `uint8`, shape `(height, width)`.
    """
    flat, out = values.reshape(-1), np.zeros(values.size, np.uint8)
    finite = flat.copy() if flat.dtype.kind in "iu" else flat[np.isfinite(flat)]
    if finite.size == 0:
        return out.reshape(values.shape)
    # Not by np.percentile, where the difference of two int32 may overflow.
    at = np.divide(_WINDOW_PERCENTILES, 100) * (finite.size - 1)
    near = np.stack([np.floor(at), np.ceil(at)]).astype(np.intp)
    finite.partition(near.ravel())
    below, above = finite[near].astype(np.float64)
    low, high = below + (above - below) * (at - near[0])
    if not high > low:
        low, high = float(finite.min()), float(finite.max())
    # In parts: as float64, all of a 16-bit image takes four times its size for each step.
    for start in range(0, flat.size if high > low else 0, _PART):
        part = slice(start, start + _PART)
        unit = np.clip((flat[part].astype(np.float64) - low) / (high - low), 0.0, 1.0)
        if inverted:
            unit = 1.0 - unit
        out[part] = np.rint(np.nan_to_num(unit, nan=0.0) * 255.0)
    return out.reshape(values.shape)


ValueRange = tuple[float, float]

_BEYOND = 0.1  # that 0 ... 1 and -1 ... 1 are overshot by, as after a resize
_DARK = 16.0  # up to here, it takes more images to tell 0 ... 255


def checked_value_range(value_range: Sequence[float]) -> ValueRange:
    """Return the values of black and white as floats.

    Raises:
        ValueError: If they are not finite, or white is not above black.
    """
    black, white = (float(value) for value in value_range)
    if not -np.inf < black < white < np.inf:
        raise ValueError(f"value_range must be two numbers, black < white, got {value_range}.")
    return black, white


def extremes(images: NDArray[Any]) -> ValueRange:
    """Return the smallest and the largest value of images; both are NaN if a value is.

    Raises:
        ValueError: If there is no image, or they are neither integers nor floats.
    """
    number = images.dtype.kind in "iu" or "float" in images.dtype.name  # bfloat16 has another kind
    if images.size == 0 or not number:
        raise ValueError(
            f"Expected at least one image of integers or floats, got {images.dtype} of shape "
            f"{images.shape}. Convert others first; masks by images.astype('uint8') * 255."
        )
    # In single precision, 1.1 is a little more.
    return round(float(images.min()), 6), round(float(images.max()), 6)


def shows_range(images: NDArray[Any]) -> bool:
    """Whether images tell the range of all of a stream: not if they are black, or very dark."""
    low, high = extremes(images)
    known = low < -_BEYOND or _BEYOND < high <= 1 + _BEYOND or high > _DARK
    return bool(images.dtype == np.uint8 or known)


def infer_value_range(
    images: NDArray[Any], value_range: Sequence[float] | None = None, *, warn: bool = True
) -> ValueRange:
    """Return the values of black and white in images: the one rule of the library.

    `uint8` is 0 to 255. Of all others the extremes decide, unless a range is given: within -0.1 to
    1.1 it is 0 to 1, else within -1.1 to 1.1 it is -1 to 1, and from 0 to a maximum above 16 and
    up to 255 it is 0 to 255.

    Args:
        images: Images of any shape.
        value_range: The range, if it is known.
        warn: As `warn_of_range` does.

    Raises:
        ValueError: If the values fit none of the three, or are not finite.
    """
    low, high = extremes(images)
    if images.dtype == np.uint8:
        found = 0.0, 255.0
    elif value_range is not None and np.isfinite([low, high]).all():
        found = checked_value_range(value_range)
    elif low >= -1 - _BEYOND and high <= 1 + _BEYOND:
        found = 0.0 if low >= -_BEYOND else -1.0, 1.0
    elif low >= 0 and _DARK < high <= 255:
        found = 0.0, 255.0
    else:
        raise ValueError(
            f"Images must be of 0 ... 1, -1 ... 1 or 0 ... 255, got values from {low:.6g} to "
            f"{high:.6g}. Repair NaN, or rescale them, or pass value_range=(black, white)."
        )
    if warn:
        warn_of_range(low, high, found)
    return found


def warn_of_range(low: float, high: float, value_range: ValueRange) -> None:
    """Warn if values lie beyond a range, or if images of 0 to 255 look like images of 0 to 1."""
    black, white = value_range
    dark = black == 0 < high <= 1 and white > _DARK
    if dark or low < black or high > white:
        text = f"Multiply images of 0 ... 1 by {white:g}." if dark else "What lies beyond is cut."
        text = f"Images of {black:g} ... {white:g} hold {low:.6g} to {high:.6g}. {text}"
        warnings.warn(text, SynthrayWarning, stacklevel=4)


def to_pixels(images: ArrayLike, value_range: Sequence[float] | None = None) -> Images:
    """Return images as `uint8`, by the rule of `infer_value_range`; what lies beyond is clipped."""
    array = np.atleast_1d(np.asarray(images))
    if array.size or array.dtype.kind not in "iuf":
        found = infer_value_range(array, value_range)
        if array.dtype != np.uint8:
            flat, out = array.reshape(-1), np.empty(array.size, np.uint8)
            for start in range(0, flat.size, _PART):  # as floats, all take several times the memory
                part = slice(start, start + _PART)
                out[part] = to_uint8(to_unit(flat[part], found) * np.float32(255))
            array = out.reshape(array.shape)
    return array.astype(np.uint8, copy=False)


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
