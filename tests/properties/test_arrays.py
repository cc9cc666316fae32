"""Arrays of any type, shape, range and order: one rule, stated anew here, or a clear error."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import synthray as sr
from helpers.counts import count
from helpers.generators import set_weights
from helpers.strategies import arrays, attempt, shapes, share
from helpers.tiny import tiny_augmenter
from helpers.toys import Still
from synthray.datasets.pixels import infer_value_range
from synthray.exceptions import SynthrayWarning

Range = tuple[float, float]


def is_number(images: NDArray[Any]) -> bool:
    return images.dtype.kind in "iuf"


def extremes(images: NDArray[Any]) -> Range:
    """To six decimals: 1.1 in single precision is 1.1."""
    return round(float(images.min()), 6), round(float(images.max()), 6)


def expected_range(images: NDArray[Any]) -> Range | None:
    """The rule of value ranges; `None` for an error."""
    if images.size == 0 or not is_number(images):
        return None
    low, high = extremes(images)
    if images.dtype == np.uint8:
        return 0, 255
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if low >= -0.1 and high <= 1.1:
        return 0, 1
    if -1.1 <= low < -0.1 and high <= 1.1:
        return -1, 1
    return (0, 255) if low >= 0 and 16 < high <= 255 else None


def warns(images: NDArray[Any], black: float, white: float) -> bool:
    """Where something is cut, or all bytes are 0 and 1."""
    low, high = extremes(images)
    return low < black or high > white or (images.dtype == np.uint8 and high == 1)


def names_what_came(message: str, images: NDArray[Any]) -> bool:
    """Whether a message holds the type, the shape or the values."""
    told = [str(images.dtype), str(images.shape), str(images.shape or (1,))]
    if images.size and is_number(images):
        told += [f"{value:.6g}" for value in extremes(images)]
    return any(part in message for part in told)


def bytes_of(images: NDArray[Any]) -> tuple[Any, ...]:
    content = repr(images.tolist()) if images.dtype.hasobject else images.tobytes()
    return content, images.dtype, images.shape, images.strides, images.flags.writeable


def by_fit(images: NDArray[Any], labels: Any) -> NDArray[np.uint8]:
    """What generators are given to learn from; one class, so that the order stays."""
    augmenter = tiny_augmenter(generator=Still).fit(images, labels, verbose=0)
    (still,) = augmenter.generators_.values()
    return still.seen.images


ENTRIES: dict[str, Callable[[Any, Any], NDArray[np.uint8]]] = {
    "from_arrays": lambda x, y: sr.ImageDataset.from_arrays(x, y).images,
    "from_batches": lambda x, y: sr.ImageDataset.from_batches([(x, y)]).images,
    "SyntheticAugmenter.fit": by_fit,
}


@share(1 / 5)
@given(images=arrays(shapes(9)))
def test_the_range_of_an_array_follows_the_rule(images: NDArray[Any]) -> None:
    count("arrays")
    before, expected = bytes_of(images), expected_range(images)
    found, message, warned = attempt(lambda: infer_value_range(images))
    assert found == expected
    assert bytes_of(images) == before
    if expected is None:
        assert names_what_came(message, images), message
        assert warned == []
    else:
        assert warned == [SynthrayWarning] * warns(images, *expected)


@pytest.mark.backend
@pytest.mark.parametrize("entry", ENTRIES)
@share(1 / 3)
@given(images=arrays(shapes(9)))
def test_images_follow_the_rule(entry: str, images: NDArray[Any]) -> None:
    count("arrays")
    before, given_range = bytes_of(images), expected_range(images)
    labels = np.zeros(images.shape[:1], int)
    found, message, warned = attempt(lambda: ENTRIES[entry](images, labels))
    assert bytes_of(images) == before
    right_shape = images.ndim in (3, 4) and (*images.shape, 1)[3] in (1, 3)
    none = images.size == 0 and is_number(images) and entry != "SyntheticAugmenter.fit"
    if not right_shape or (given_range is None and not none):
        assert names_what_came(message, images) or images.size == 0, message
        assert set(warned) <= {SynthrayWarning}
        return
    assert found is not None, message
    assert found.dtype == np.uint8
    assert found.shape == (*images.shape, 1)[: 4 if images.ndim == 3 else None][:4]
    if given_range is None:
        assert warned == []
        return
    black, white = given_range
    unit = (images.astype("float64") - black) / (white - black)
    by_hand = np.clip(unit, 0, 1).reshape(found.shape) * 255
    assert np.abs(found - by_hand).max() <= 0.501
    assert warned == [SynthrayWarning] * warns(images, black, white)
    if images.flags.writeable:
        kept = found.copy()
        images[...] = 0
        np.testing.assert_array_equal(found, kept)


SIDE = 27


@functools.cache
def classifier() -> tuple[sr.FractureClassifier, list[NDArray[Any]]]:
    """A classifier that is not traced, with weights that every backend shares."""
    model = sr.FractureClassifier(image_shape=(SIDE, SIDE, 1), dropout=(0, 0), seed=0)
    model.compile(run_eagerly=True)
    set_weights(model)
    return model, [np.asarray(weight.numpy()) for weight in model.weights]


def probabilities(images: NDArray[Any], weights: list[NDArray[Any]]) -> NDArray[Any]:
    """The network in plain NumPy: each layer's stride is its size, so no windows overlap."""
    x = images.reshape(-1, SIDE, SIDE, 1).astype("float64") / 255
    (k1, b1, g1, s1, m1, v1), (k2, b2, g2, s2, m2, v2), (w1, c1, w2, c2) = (
        weights[:6],
        weights[6:12],
        weights[12:16],
    )

    def thirds(x: NDArray[Any]) -> NDArray[Any]:
        n, side, _, channels = x.shape
        cut = x.reshape(n, side // 3, 3, side // 3, 3, channels)
        return cut.transpose(0, 1, 3, 2, 4, 5)

    def conv(x: NDArray[Any], kernel: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
        return np.maximum(np.einsum("nijabc,abcd->nijd", thirds(x), kernel) + bias, 0)

    x = (conv(x, k1, b1) - m1) / np.sqrt(v1 + 1e-3) * g1 + s1
    x = thirds(conv(x, k2, b2)).max((3, 4))
    x = ((x - m2) / np.sqrt(v2 + 1e-3) * g2 + s2).reshape(len(x), -1)
    return 1 / (1 + np.exp(-(np.maximum(x @ w1 + c1, 0) @ w2 + c2)))


def classifier_takes(images: NDArray[Any]) -> bool:
    if not is_number(images) or images.size == 0:
        return False
    low, high = extremes(images)
    inside = low >= -25.5 and high <= 280.5  # a tenth of 0 ... 255 beyond it
    shape = images.shape[1:]
    return inside and shape in ((SIDE, SIDE), (SIDE, SIDE, 1))


TARGETS: dict[str, Callable[[int], Any]] = {
    "whole": lambda n: np.arange(n) % 2,
    "bool": lambda n: np.arange(n) % 2 == 0,
    "float": lambda n: (np.arange(n) % 2).astype("float64"),
    "column": lambda n: (np.arange(n) % 2).reshape(-1, 1).astype("int8"),
    "soft": lambda n: np.linspace(0, 1, n).astype("float32"),
    "from 1": lambda n: 2 - np.arange(n) % 2,
    "negative": lambda n: -(np.arange(n) % 2) - 1,
    "nan": lambda n: np.where(np.arange(n) == n - 1, np.nan, 0.0),
    "text": lambda n: np.resize(["0", "1"], n),
    "objects": lambda n: np.resize(np.array([None, 1], object), n),
    "complex": lambda n: np.zeros(n, complex),
    "too many": lambda n: np.zeros(n + 1, int),
    "pairs": lambda n: np.zeros((n, 2), int),
}
GOOD = ("whole", "bool", "float", "column", "soft")
SHAPES = st.sampled_from(
    [(1, SIDE, SIDE), (3, SIDE, SIDE, 1), (3, SIDE, SIDE), *[(3, SIDE, SIDE, 1)] * 3]
) | st.sampled_from(
    [(0, SIDE, SIDE, 1), (2, SIDE, SIDE, 3), (2, 9, SIDE, 1), (SIDE, SIDE), (), (5,), (1,) * 5]
)


@pytest.mark.backend
@share(2)
@given(images=arrays(SHAPES), kind=st.sampled_from([*TARGETS, *GOOD]))
def test_a_classifier_answers_by_the_rule_on_every_backend(images: NDArray[Any], kind: str) -> None:
    count("arrays")
    model, weights = classifier()
    before, n = bytes_of(images), len(images) if images.ndim else 1
    targets = TARGETS[kind](n)
    for variable, value in zip(model.weights, weights, strict=True):
        variable.assign(value)
    taken = classifier_takes(images)
    dark = taken and 0 < extremes(images)[1] <= 1
    found, message, warned = attempt(lambda: model.predict(images, verbose=0))
    told = message
    assert (found is not None) == taken, message
    judged, message, more = attempt(
        lambda: model.evaluate(images, targets, verbose=0, return_dict=True)
    )
    assert (judged is not None) == (taken and kind in GOOD), message
    trained, told_last, most = attempt(lambda: model.fit(images, targets, verbose=0))
    assert (trained is not None) == (judged is not None), told_last
    assert bytes_of(images) == before
    for said in (told,) if taken else (told, message, told_last):
        assert not said or names_what_came(said, images), said
    for categories, ran in ((warned, found), (more, judged), (most, trained)):
        assert categories == [SynthrayWarning] * dark if ran is not None else True
        assert set(categories) <= {SynthrayWarning}
    if found is not None:
        by_hand = probabilities(images, weights)
        np.testing.assert_allclose(found, by_hand, atol=2e-4)
    if found is not None and judged is not None and trained is not None:
        y, p = np.asarray(targets, float).reshape(-1, 1), np.clip(by_hand, 1e-7, 1 - 1e-7)
        loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        np.testing.assert_allclose(judged["loss"], loss, rtol=1e-3, atol=1e-3)
        assert np.isfinite(trained.history["loss"]).all()
