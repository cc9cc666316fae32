"""Decoded images to their places in the result, at their size there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthray.datasets._layout import Box

TOGETHER = 4

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def resize_into(
    out: NDArray[np.uint8],
    image: Image.Image,
    size: tuple[int, int],
    box: Box,
    orientation: int = 1,
) -> None:
    """Resize `box` of an image to `size`, turn it upright and put it into the middle of `out`.

    Args:
        out: Shape `(height, width, 1 or 3)`.
        image: Of mode L, which is repeated to all channels; or of RGB or RGBa for three.
        size: Width and height, before the image is turned.
        box: In pixels of the image.
        orientation: As EXIF has it, 1 to 8.
    """
    small = _resized(image, size, box)
    if orientation != 1:
        small = small.transpose(_TRANSPOSES[orientation])
    pixels = _pixels(small)
    if pixels.shape[-1] == 1:
        _fill(out, pixels[..., 0])
    else:
        _middle(out, small.size)[...] = pixels[..., :3]


def resize_together(
    outs: Sequence[NDArray[np.uint8]],
    images: Sequence[Image.Image],
    size: tuple[int, int],
    box: Box,
) -> None:
    """Do `resize_into` with four images of mode L that are all of one size.

    Each channel of an image is resized by itself, and four channels take two thirds of the time
    of four images: so gray images go as the channels of one.
    """
    pixels = _pixels(_resized(Image.merge("CMYK", images), size, box))
    for channel, out in enumerate(outs):
        _fill(out, pixels[..., channel])


def _resized(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    # Bilinear, which Pillow widens to the scale when it shrinks: antialiased, and no overshoot.
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    # Not by np.asarray, which asks the image for more than its bytes.
    return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)


def _middle(out: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    left, top = (out.shape[1] - size[0]) // 2, (out.shape[0] - size[1]) // 2
    return out[top : top + size[1], left : left + size[0]]


def _fill(out: NDArray[np.uint8], gray: NDArray[np.uint8]) -> None:
    place = _middle(out, (gray.shape[1], gray.shape[0]))
    for channel in range(out.shape[2]):  # four times as fast as one assignment to all of them
        place[..., channel] = gray
