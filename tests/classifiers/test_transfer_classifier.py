from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray

import synthray as sr
from helpers.toys import assert_equal_weights, bars
from helpers.transfer import SHAPE, count_passed, edges, small
from synthray.classifiers import feature_cache
from synthray.classifiers.transfer_classifier import TransferClassifier


def values(model: Any) -> list[NDArray[Any]]:
    return [np.array(v.numpy()) for v in model.variables]


def predict(model: Any, images: NDArray[Any]) -> NDArray[Any]:
    return ops.convert_to_numpy(model(images, training=False))


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return count_passed(monkeypatch)


@pytest.mark.backend
def test_learns_with_the_library_s_backbone_and_continues_after_a_reload(tmp_path: Path) -> None:
    train, test = bars(96, size=32), bars(60, size=32, seed=1)

    def new() -> TransferClassifier:
        return TransferClassifier(image_shape=SHAPE, size=32, seed=0)

    whole, first = new(), new()
    before = values(whole.backbone)
    history = whole.fit(train, epochs=6, batch_size=16, verbose=0).history
    assert set(history) == {"accuracy", "loss"}
    assert ((predict(whole, test.images)[:, 0] > 0.5) == test.labels).mean() > 0.9
    assert not whole.backbone.trainable_variables
    assert [v.path for v in whole.trainable_variables] == [
        v.path for v in whole.network.trainable_variables
    ]
    for old, now in zip(before, values(whole.backbone), strict=True):
        np.testing.assert_array_equal(old, now)
    assert whole.features(train.images).shape == (96, 864)

    first.fit(train, epochs=2, batch_size=16, verbose=0)
    first.save(tmp_path / "half.keras")
    assert (tmp_path / "half.keras").stat().st_size < 15e6
    second = keras.saving.load_model(tmp_path / "half.keras")
    assert isinstance(second, TransferClassifier)
    assert second.get_config() == first.get_config()
    second.fit(train, epochs=4, batch_size=16, verbose=0)
    assert_equal_weights(second, whole)


@pytest.mark.backend
@pytest.mark.parametrize("fine_tune", ["none", "last", "all"])
def test_trains_what_it_says(fine_tune: Any) -> None:
    model, data = small(fine_tune=fine_tune), bars(32, size=32)
    weighted = [layer for layer in model.backbone.layers if layer.weights]
    trained = [bool(layer.trainable_weights) for layer in weighted]
    expected = {"none": [False] * 4, "last": [False] * 3 + [True], "all": [True] * 4}
    assert trained == expected[fine_tune]
    before = [values(layer) for layer in weighted]
    model.compile()
    rate = float(model.optimizer.learning_rate)
    assert rate == pytest.approx(1e-3 if fine_tune == "none" else 1e-4)
    model.fit(data, epochs=2, verbose=0)
    changed = [
        any((a != b).any() for a, b in zip(old, values(layer), strict=True))
        for old, layer in zip(before, weighted, strict=True)
    ]
    assert changed == trained


@pytest.mark.backend
def test_images_features_and_streams_give_the_same() -> None:
    model, data = small(), bars(40, size=32)
    model.fit(data, epochs=1, verbose=0)
    expected = predict(model, data.images)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(
        model.predict(data.to_py_dataset(16), verbose=0), expected, atol=1e-5
    )
    np.testing.assert_allclose(predict(model, model.features(data.images)), expected, atol=1e-5)
    np.testing.assert_allclose(predict(model, data.images[..., 0]), expected, atol=1e-5)
    scores = model.evaluate(data, verbose=0)
    assert model.evaluate(data.images, data.labels, verbose=0) == pytest.approx(scores, rel=1e-5)
    held_out = model.fit(data, validation_data=data, epochs=1, verbose=0).history
    assert held_out["val_loss"] == [pytest.approx(model.evaluate(data, verbose=0)[0], rel=1e-4)]
    assert np.isfinite(model.fit(data.to_py_dataset(16), verbose=0).history["loss"][0])


def test_channels_scales_and_sizes_of_pixels() -> None:
    gray = bars(6, size=32)
    rgb = gray.to_rgb()
    found = small().features(gray.images)
    unit = small(value_range=(0, 1)).features(gray.images.astype("float32") / 255)
    np.testing.assert_allclose(unit, found, rtol=1e-4, atol=1e-5)
    in_colour = small(image_shape=(32, 32, 3)).features(rgb.images)
    np.testing.assert_allclose(in_colour, found, rtol=1e-3, atol=1e-3)
    wide = small(backbone=edges(3))
    np.testing.assert_allclose(
        wide.features(gray.images),
        small(backbone=edges(3), image_shape=(32, 32, 3)).features(rgb.images),
        rtol=1e-5,
    )
    fixed = keras.Sequential([keras.Input((20, 24, 1)), layers.Flatten()])
    assert small(backbone=fixed).features(gray.images).shape == (6, 480)
    assert small(image_shape=(40, 23, 1)).features(np.zeros((0, 40, 23), "uint8")).shape == (0, 32)


def test_a_backbone_of_the_user_s_own_is_copied_and_saved(tmp_path: Path) -> None:
    own, data = edges(), bars(32, size=32)
    before = values(own)
    model = small(backbone=own, fine_tune="all")
    model.fit(data, epochs=2, verbose=0)
    for old, now in zip(before, values(own), strict=True):
        np.testing.assert_array_equal(old, now)
    model.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(predict(again, data.images), predict(model, data.images))
    assert again.fine_tune == "all"


def test_features_are_computed_once(passed: list[int]) -> None:
    data, known = bars(20, size=32), bars(40, size=32, seed=5)
    more = known.select(range(30))
    for seed in (0, 1):
        model = small(seed=seed)
        model.fit(data, epochs=2, validation_data=more, verbose=0)
        model.predict(data, verbose=0)
    assert sum(passed) == 20 + 30
    model.predict(known, verbose=0)  # 30 of them were
    assert sum(passed) == 20 + 30 + 10
    small(backbone=edges(seed=1)).features(data.images)
    small(size=16).features(data.images)
    assert sum(passed) == 60 + 20 + 20
    tuned = small(fine_tune="last", backbone=edges(seed=2))
    first = tuned.features(data.images)
    tuned.fit(data, epochs=2, verbose=0)  # the first step moves the last layer, which is zero
    assert (tuned.features(data.images) != first).any()
    assert sum(passed) == 100 + 20 + 20


def test_what_is_remembered_has_a_bound(passed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = small(), bars(8, size=32)
    monkeypatch.setattr(feature_cache, "_MOST_BYTES", 5 * 4 * 32)  # of five images
    found = [model.features(data.images) for _ in range(2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert sum(passed) == 8 + 3


def test_augmented_copies_follow_from_the_image(passed: list[int]) -> None:
    model, data = small(augmented_copies=3), bars(10, size=32)
    shift = sr.RandomAffine(shift=0.2)
    found = model.augmented_features(data.images, shift)
    assert found.shape == (10, 3, 32)
    assert sum(passed) == 30
    assert len(np.unique(found.reshape(30, -1), axis=0)) == 30
    backwards = model.augmented_features(data.images[::-1], shift)
    np.testing.assert_array_equal(backwards[::-1], found)
    again = small(augmented_copies=3, seed=9)
    np.testing.assert_array_equal(again.augmented_features(data.images, shift), found)
    assert sum(passed) == 30
    feature_cache._rows.clear()
    order = np.random.default_rng(0).permutation(10)
    anew = again.augmented_features(data.images[order], shift)
    np.testing.assert_allclose(anew, found[order], rtol=1e-4, atol=1e-5)
    plain = again.augmented_features(data.images, lambda images: images)
    np.testing.assert_allclose(plain[:, 0], model.features(data.images), rtol=1e-5, atol=1e-5)


def test_more_classes() -> None:
    images = np.repeat(np.asarray([10, 120, 240], "uint8"), 16)[:, None, None, None]
    labels = np.repeat(np.arange(3), 16)
    data = sr.ImageDataset.from_arrays(np.broadcast_to(images, (48, *SHAPE)).copy(), labels)
    model = small(num_classes=3)
    model.fit(data, epochs=1, verbose=0)
    np.testing.assert_allclose(predict(model, data.images).sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fine_tune": "some"}, "fine_tune must be one of"),
        ({"backbone": "resnet"}, "role must be"),
        ({"backbone": np.mean}, "role must be"),
        ({"augmented_copies": 0}, "augmented_copies must be 1 or more"),
        ({"dropout": 1.0}, "dropout 0 to below 1"),
        ({"size": 0}, "size and augmented"),
        ({"num_classes": 1}, "at least 2"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**arguments)


def test_wrong_data() -> None:
    model = small()
    with pytest.raises(ValueError, match="Expected images of shape"):
        model.features(np.zeros((2, 16, 16, 1), "uint8"))
    with pytest.raises(ValueError, match="pixels of 0 to 255"):
        model.fit(np.full((4, *SHAPE), np.nan, "float32"), np.arange(4) % 2)
