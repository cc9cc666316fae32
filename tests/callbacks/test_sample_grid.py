"""SampleGrid: a picture of fixed latents after every so many epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import synthray as sr
from helpers.generators import tiny_dcgan
from helpers.toys import bars


def test_sample_grid_writes_fixed_latents(tmp_path: Path) -> None:
    gan = tiny_dcgan()
    grid = sr.SampleGrid(tmp_path, n=6, columns=3, every=2)
    gan.compile(run_eagerly=True)
    gan.fit(bars(8), epochs=3, verbose=0, callbacks=[grid])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch_00002.png", "epoch_00003.png"]
    picture = np.asarray(Image.open(tmp_path / "epoch_00003.png"))
    assert picture.shape == (2 * 16 + 2, 3 * 16 + 2 * 2)
    latents = np.random.default_rng(0).standard_normal((6, 128))
    np.testing.assert_array_equal(picture[:16, :16], gan.generate(latents)[0, ..., 0])
    colour = tiny_dcgan(image_shape=(16, 16, 3))
    colour.compile(run_eagerly=True)
    colour.fit(bars(8).to_rgb(), epochs=1, verbose=0, callbacks=sr.SampleGrid(tmp_path / "c"))
    assert np.asarray(Image.open(tmp_path / "c" / "epoch_00001.png")).ndim == 3
    with pytest.raises(ValueError, match="1 or more"):
        sr.SampleGrid(tmp_path, every=0)
