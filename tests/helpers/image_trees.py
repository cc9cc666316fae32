"""Folders of image files, some of them copies of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.planted import textured

TEXTURES = textured(8, side=64, seed=5)
"""Eight different images."""


def write_tree(root: Path, files: Mapping[str, int]) -> Path:
    """Write textures by file name, and return the folder; the copy of -1 - k is turned."""
    for name, k in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = TEXTURES[k] if k >= 0 else np.rot90(TEXTURES[-1 - k])
        Image.fromarray(pixels).save(path, format="PNG")
    return root


LEAKY = {
    "train/healthy/0.png": 0,
    "train/healthy/1.png": 1,
    "train/ill/2.png": 2,
    "train/ill/3.png": 3,
    "test/healthy/0 turned.png": -1,  # a leak
    "test/healthy/4.png": 4,
    "test/ill/1 turned.png": -2,  # a leak, of another class
    "test/ill/5.png": 5,
    "val/healthy/6.png": 6,
    "val/healthy/6 again.png": 6,  # a copy within a split
    "val/ill/7.png": 7,
    "val/ill/6 turned.png": -7,  # of another class
}
"""Three splits with a pair of each kind."""
