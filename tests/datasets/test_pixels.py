"""The one rule of value ranges, in every entry point that takes images."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.tiny import TinyGAN
from synthray._keras.batches import ArrayBatches
from synthray.augmenter.labels import as_dataset
from synthray.datasets.pixels import infer_value_range, to_pixels, to_unit
from synthray.exceptions import SynthrayWarning
from synthray.generators.cyclegan_data import two_classes
from synthray.generators.inputs import prepare_images

SHAPE = (8, 8, 1)
UNIT = np.linspace(0, 1, 2 * 64).reshape(2, *SHAPE)


@functools.cache
def gan() -> TinyGAN:
    return TinyGAN(SHAPE, seed=0)


def by_gan(given: Any, images: NDArray[Any]) -> NDArray[Any]:
    options: dict[str, Any] = {"batch_size": None, "value_range": None}
    black, white = prepare_images(gan(), given, None, **options).value_range or (0.0, 255.0)
    return np.clip(np.rint(255 * to_unit(images, (black, white))), 0, 255)


ENTRIES: dict[str, Callable[[Any], Any]] = {
    "from_arrays": lambda x: sr.ImageDataset.from_arrays(x, [0, 1]).images,
    "from_batches": lambda x: sr.ImageDataset.from_batches([(x, [0, 1])]).images,
    "SyntheticAugmenter.fit": lambda x: as_dataset(x, ["a", "b"])[0].images,
    "CycleGAN.fit": lambda x: np.concatenate(two_classes(x, [0, 1], SHAPE, None)[0]),
    "GAN.fit": lambda x: by_gan(x, x),
    "GAN.fit, a stream": lambda x: by_gan(iter([x[1:], x[:1]]), x),
}
TAKEN: list[tuple[float, float, str, tuple[float, float]]] = [
    (0, 255, "uint8", (0, 255)),
    (0, 255, "float32", (0, 255)),
    (0, 17, "float64", (0, 255)),
    (3, 200, "int16", (0, 255)),
    (0, 255, "uint16", (0, 255)),
    (0, 1, "float16", (0, 1)),
    (0.2, 0.6, "float32", (0, 1)),
    (0, 1.002, "float32", (0, 1)),
    (-0.01, 1, "float64", (0, 1)),
    (-0.1, 1.1, "float32", (0, 1)),
    (-1, 1, "float32", (-1, 1)),
    (-0.11, 0.9, "float64", (-1, 1)),
    (-1.1, 1.1, "float32", (-1, 1)),
]
REFUSED: list[tuple[float, float, str]] = [
    *((0, high, "float32") for high in (1.11, 1.5, 16, 255.5, 4095, np.nan, np.inf)),
    *((low, 1, "float32") for low in (-1.11, -1000)),
    *((-0.01, 200, "float64"), (0, 4095, "int16"), (0, 65535, "uint16"), (-5, 100, "int64")),
]


def spread(low: float, high: float, dtype: str) -> NDArray[Any]:
    """Images from low to high, both of which the second shows."""
    images = low + UNIT * ((high if np.isfinite(high) else 1) - low)
    images[1, 0, 0, 0], images[1, -1, -1, 0] = low, high
    return images.astype(dtype)


@pytest.mark.parametrize("entry", ENTRIES)
def test_extremes_decide(entry: str) -> None:
    for low, high, dtype, (black, white) in TAKEN:
        images = spread(low, high, dtype)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = ENTRIES[entry](images)
        by_hand = np.clip((images.astype("float64") - black) / (white - black), 0, 1) * 255
        assert np.abs(np.asarray(found, float) - by_hand).max() <= 0.51, (low, high, dtype)
        beyond = low < black or high > white
        assert [w.category for w in caught] == [SynthrayWarning] * beyond, (low, high, dtype)


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_fits_no_range_is_refused(entry: str) -> None:
    for low, high, dtype in REFUSED:
        images = spread(low, high, dtype)
        seen = "nan" if np.isnan(high) else f"to {images.max():.6g}"
        with pytest.raises(ValueError, match=rf"{seen}.*value_range="):
            ENTRIES[entry](images)
    for other in ("bool", "complex64", "object", "U1"):
        with pytest.raises(ValueError, match="integers or floats, got"):
            ENTRIES[entry](np.ones((2, *SHAPE)).astype(other))


@pytest.mark.parametrize("entry", ENTRIES)
def test_bytes_of_0_and_1_are_asked_for(entry: str) -> None:
    masks = (UNIT > 0.7).astype("uint8")
    with pytest.warns(SynthrayWarning, match=r"0 to 1\..*by 255") as caught:
        ENTRIES[entry](masks)
    assert len(caught) == 1
    assert not np.any(ENTRIES[entry](masks * 0))  # black: without a warning


def test_a_stream_is_read_until_it_shows_its_range() -> None:
    for low, high, dtype, _ in TAKEN:
        if low in (0, -1, 0.2):  # not beyond, which warns
            images = spread(low, min(high, 255 if high > 2 else 1), dtype)
            dark = images[:1] * 0
            found = by_gan(iter([dark, dark, images]), images)
            np.testing.assert_array_equal(found, by_gan(images, images))


def streams(images: NDArray[Any]) -> dict[str, Callable[[], Any]]:
    """Forms of a stream of two images a batch, each made anew."""
    rows = [images[i : i + 2] for i in range(0, len(images), 2)]
    found: dict[str, Callable[[], Any]] = {
        "PyDataset": lambda: ArrayBatches(images, batch_size=2),
        "generator": lambda: (part for part in rows),
    }
    with contextlib.suppress(ImportError):
        import tensorflow as tf

        found["tf.data"] = lambda: tf.data.Dataset.from_tensor_slices(images).batch(2)
    with contextlib.suppress(ImportError):
        import torch

        found["DataLoader"] = lambda: torch.utils.data.DataLoader(torch.tensor(images), 2)
    return found


def test_later_images_of_a_stream_beyond_its_range_are_told_once() -> None:
    images = np.full((12, *SHAPE), 0.5, "float32")
    images[8, 0, 0], images[10] = 3, -2
    for form, make in streams(images).items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SynthrayWarning)
            gan().fit(make(), epochs=1, steps_per_epoch=6, verbose=0)
        told = [str(w.message) for w in caught if w.category is SynthrayWarning]
        assert len(told) == 1, (form, told)
        # Keras shuffles the batches of some streams: either image may come first.
        assert any(f"0 ... 1 hold {found}" in told[0] for found in ("0.5 to 3", "-2 to 0.5")), form
    gan().fit(streams(images[:8])["PyDataset"](), epochs=1, verbose=0)  # without a warning


def test_a_given_range_is_taken() -> None:
    images = spread(0, 4095, "int16")
    expected = np.rint(images / 4095 * 255)
    options: dict[str, Any] = {"value_range": (0, 4095)}
    for found in (
        sr.ImageDataset.from_arrays(images, [0, 1], **options).images,
        as_dataset(images, [0, 1], **options)[0].images,
        np.concatenate(two_classes(images, [0, 1], SHAPE, (0, 4095))[0]),
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.warns(SynthrayWarning, match="hold 0 to 4095"):
        assert to_pixels(images, (0, 2000)).max() == 255
    for wrong in ((1, 0), (0, np.inf)):
        with pytest.raises(ValueError, match="black < white"):
            infer_value_range(images, wrong)
    with pytest.raises(ValueError, match="nan"):
        infer_value_range(spread(0, np.nan, "float32"), (0, 1))
