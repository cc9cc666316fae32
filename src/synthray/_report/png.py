"""Pictures inside a page, as PNG data URIs of a limited size."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

_BUDGET = 450_000  # characters, for all pictures of one kind
_SIDES = (160, 112, 80, 56, 40, 28)


def encoded(images: list[NDArray[np.uint8]]) -> list[str]:
    """Return data URIs, the images as large as all of them together may be."""
    uris: list[str] = []
    for side in _SIDES:
        uris = [png(image, side) for image in images]
        if sum(map(len, uris)) <= _BUDGET:
            break
    return uris


def png(image: NDArray[np.uint8], longest: int) -> str:
    """Return an image `(h, w, c)` as the data URI of a PNG.

    Args:
        image: Gray or colour; of other numbers of channels the first is shown.
        longest: Side that a larger image is shrunk to.
    """
    from PIL import Image

    pixels = image if image.shape[-1] == 3 else image[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scale = longest / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
