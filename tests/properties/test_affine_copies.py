"""Copies that are sheared, turned, shifted or flipped: the original is named."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.planted import changed, textured
from helpers.strategies import share
from synthray.duplicates.duplicates import find_copies

ORIGINALS = textured(6, side=64, seed=21)[..., None]
WARPS = ("shear", "turn", "shift", "flip")


@share(2)
@given(st.sampled_from(WARPS), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_the_original_of_any_warped_copy_is_named(kind: str, place: int, seed: int) -> None:
    image = Image.fromarray(ORIGINALS[place, :, :, 0])
    copy = np.asarray(changed(image, kind, np.random.default_rng(seed)))
    assert find_copies(copy[None, ..., None], ORIGINALS).tolist() == [place]
