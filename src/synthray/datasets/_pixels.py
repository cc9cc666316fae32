"""Changes to pixels that keep 8 bits: size, channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in PIL's convert("L")
_CHUNK = 1024


def resize(images: Images, height: int, width: int) -> Images:
    """Resize `(n, h, w, c)` with antialiasing (scikit-image), a bounded chunk at a time."""
    if min(height, width) < 1:
        raise ValueError(f"Expected a height and width of at least 1, got ({height}, {width}).")
    if images.shape[1:3] == (height, width):
        return images
    from skimage.transform import resize as skimage_resize

    out = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        resized = skimage_resize(
            chunk.astype(np.float32),
            (len(chunk), height, width, images.shape[3]),
            order=1,
            anti_aliasing=True,
            preserve_range=True,
        )
        out[start : start + len(chunk)] = to_uint8(resized)
    return out


def to_grayscale(images: Images) -> Images:
    """Turn `(n, h, w, 3)` into `(n, h, w, 1)` by ITU-R BT.601 luma; gray images pass through."""
    if images.shape[-1] == 1:
        return images
    gray = np.empty((*images.shape[:3], 1), np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].astype(np.float32)
        gray[start : start + len(chunk), ..., 0] = to_uint8(chunk @ _LUMA)
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
