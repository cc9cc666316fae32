"""Labels of any kind: given back as they came, or a clear error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

import synthray as sr
from helpers.counts import count
from helpers.strategies import attempt, labels, share
from helpers.tiny import tiny_augmenter
from helpers.toys import Still

N = 6
IMAGES = np.arange(N, dtype=np.uint8).reshape(N, 1, 1) * np.ones((1, 8, 8), np.uint8)


def plain(given_labels: Any) -> list[Any] | None:
    """Labels as a list of Python values, one an image; `None` if they are nothing of the kind."""
    if isinstance(given_labels, list):
        return given_labels
    array = np.asarray(given_labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return array.tolist() if array.ndim == 1 else None


def arrayed(given_labels: Any) -> NDArray[Any]:
    try:
        return np.asarray(given_labels)
    except ValueError:  # of lists of several lengths
        return np.empty(len(given_labels), object)


def alike(values: list[Any], kinds: tuple[type, ...]) -> bool:
    return len(values) == N and all(isinstance(value, kinds) for value in values)


def kind_of(array: NDArray[Any]) -> str:
    return "number" if array.dtype.kind in "iubf" else array.dtype.kind


@share(1 / 10)
@given(given_labels=labels(N))
def test_codes_come_back(given_labels: Any) -> None:
    count("labels")
    found, message, warned = attempt(lambda: sr.ImageDataset.from_arrays(IMAGES, given_labels))
    assert warned == []
    values = plain(given_labels)
    narrow = arrayed(given_labels).dtype.kind in "iub"
    fit = values is not None and alike(values, (int, np.integer)) and narrow
    if fit and values is not None and min(values) >= 0 and max(values) < 2**16:
        assert found is not None, message
        assert found.labels.tolist() == values
        assert found.num_classes == max(values) + 1
    else:
        assert found is None, found
        assert "label" in message or "inhomogeneous" in message, message


@pytest.mark.backend
@share(1 / 5)
@given(given_labels=labels(N))
def test_an_augmenter_gives_labels_back(given_labels: Any) -> None:
    count("labels")

    def augmented() -> Any:
        augmenter = tiny_augmenter(generator=Still)
        images, found = augmenter.fit_resample(IMAGES, given_labels, verbose=0)
        return augmenter, images, found, augmenter.augment((IMAGES, given_labels), ratio=1)[1]

    result, message, warned = attempt(augmented)
    assert warned == []
    values = plain(given_labels)
    array = arrayed(given_labels)
    if values is None and array.ndim == 2 and array.dtype.kind in "iubf" and len(array) == N:
        one_hot = ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all()
        if one_hot and array.any(axis=0).all():
            assert result is not None, message
            np.testing.assert_array_equal(result[2][:N], array)
            assert result[2].dtype == array.dtype
            return
    fit = values is not None and (
        alike(values, (str,))
        or alike(values, (bytes,))
        or (array.dtype.kind in "iubf" and alike(values, (int, float, np.number, np.bool_)))
    )
    if fit and values is not None and not isinstance(values[0], str | bytes):
        fit = all(float(value).is_integer() and -(2**63) <= value < 2**64 for value in values)
        fit = fit and (array.dtype.kind != "f" or max(map(abs, values)) < 2**53)
    if fit and values is not None and isinstance(values[0], bytes):
        fit = b"\xff" not in values
    if not fit or values is None or "\ud800" in values:
        assert result is None, result[0].classes_
        assert any(w in message for w in ("abels", "class", "inhomogeneous")), message
        return
    assert result is not None, message
    augmenter, images, found, mixed = result
    assert found[:N].reshape(-1).tolist() == values  # real ones first, as they came
    assert found.shape[1:] == array.shape[1:]
    assert kind_of(found) == kind_of(array)
    assert len(images) == len(found)
    expected = sorted(set(values))
    if isinstance(values[0], bytes):
        expected = sorted(value.decode() for value in expected)
    assert augmenter.classes_ == expected
    counts = [found.reshape(-1).tolist().count(value) for value in sorted(set(values))]
    assert len(set(counts)) == 1  # "auto" fills all classes up
    assert set(mixed.reshape(-1).tolist()) == set(values)
    assert len(mixed) == 2 * N
