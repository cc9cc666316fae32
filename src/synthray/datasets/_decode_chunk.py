"""A few image files to pixels, each in the shortest way there is for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthray.datasets._decode import ImageTooLargeError, UnreadableImageError, decode_into
from synthray.datasets._layout import Fit, JpegPlan
from synthray.datasets._plain_jpeg import load_plain_jpeg
from synthray.datasets._resize import TOGETHER, resize_into, resize_together

# Only small images wait for others: those of a chunk are held in memory together.
_MOST_WAITING_PIXELS = 2**16


def decode_chunk(
    outs: Sequence[NDArray[np.uint8]], paths: Sequence[str], *, fit: Fit, max_pixels: int
) -> list[Exception | None]:
    """Decode each of `paths` into its array of `outs`, as `decode_into` does.

    Returns:
        What `decode_into` raises for a file, or `None`.
    """
    waiting: defaultdict[JpegPlan, list[tuple[Image.Image, NDArray[np.uint8]]]] = defaultdict(list)
    errors: list[Exception | None] = []
    for out, path in zip(outs, paths, strict=True):
        errors.append(None)
        height, width, channels = out.shape
        plain = load_plain_jpeg(path, (width, height), channels, fit=fit, max_pixels=max_pixels)
        if plain is None:
            try:
                decode_into(out, path, fit=fit, max_pixels=max_pixels)
            except (UnreadableImageError, ImageTooLargeError) as error:
                errors[-1] = error
            continue
        image, plan = plain
        if image.mode != "L" or image.width * image.height > _MOST_WAITING_PIXELS:
            resize_into(out, image, plan.size, plan.box)
            continue
        alike = waiting[plan]
        alike.append((image, out))
        if len(alike) == TOGETHER:
            images, places = zip(*waiting.pop(plan), strict=True)
            resize_together(places, images, plan.size, plan.box)
    for plan, alike in waiting.items():
        for image, out in alike:
            resize_into(out, image, plan.size, plan.box)
    return errors
