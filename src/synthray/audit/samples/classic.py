"""Mild classic augmentation, as a yardstick for drawn images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROTATION, _SHIFT, _ZOOM, _CONTRAST = 10.0, 0.05, 0.1, 0.2


def changed_copies(images: NDArray[np.uint8], *, seed: int) -> NDArray[np.uint8]:
    """Return each image turned by up to 10 degrees, shifted, zoomed, of other contrast.

    Amounts as those of `classic_augmentation`, uniform.

    Args:
        images: `uint8`, shape `(n, h, w, c)`.
        seed: Of the amounts.
    """
    from scipy.ndimage import affine_transform

    rng = np.random.default_rng(seed)
    found = np.empty_like(images)
    size = np.asarray(images.shape[1:3])
    middle = (size - 1) / 2
    for k, image in enumerate(images.astype(np.float32)):
        angle = np.deg2rad(rng.uniform(-_ROTATION, _ROTATION))
        zoom = np.exp(rng.uniform(-1, 1) * np.log1p(_ZOOM))
        turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        offset = middle - turn @ middle + rng.uniform(-_SHIFT, _SHIFT, 2) * size
        contrast = 1 + rng.uniform(-_CONTRAST, _CONTRAST)
        for channel in range(image.shape[-1]):
            moved = affine_transform(image[..., channel], turn, offset, order=1)
            level = (moved - moved.mean()) * contrast + moved.mean()
            found[k, ..., channel] = np.clip(np.rint(level), 0, 255)
    return found
