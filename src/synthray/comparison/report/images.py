"""Pictures inside a page, as PNG data URIs of a limited size."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from synthray.comparison.pictures import Pictures
    from synthray.comparison.result import ComparisonResult

_BUDGET = 450_000  # characters, for the examples and for the pairs
_SIDES = (160, 112, 80, 56, 40, 28)
_MOST = 96  # pictures, of all classes together


def classes(pictures: Pictures | None) -> list[dict[str, Any]]:
    """Return examples by class: its name, real and drawn pictures as lists of (URI, text)."""
    if pictures is None:
        return []
    names = list(dict.fromkeys([*pictures.real, *pictures.synthetic]))
    count = max(2, _MOST // (2 * max(len(names), 1)))
    rows = {
        (name, kind): list(shown.get(name, ()))[:count]
        for name in names
        for kind, shown in (("real", pictures.real), ("drawn", pictures.synthetic))
    }
    uris = iter(encoded([image for row in rows.values() for image in row]))
    found = {
        (name, kind): [(next(uris), f"{kind} image {i + 1} of {name}") for i in range(len(row))]
        for (name, kind), row in rows.items()
    }
    return [
        {"name": name, "real": found[name, "real"], "drawn": found[name, "drawn"]} for name in names
    ]


def pairs(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return leaked pairs: URI of a judging image, URI of its twin from training."""
    leaked = () if result.pictures is None else result.pictures.leaked
    uris = iter(encoded([image for pair in leaked for image in pair]))
    return list(zip(uris, uris, strict=True))


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
