from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from helpers.toys import bars
from synthray._keras.backend import steps_at_once
from synthray._keras.batches import ArrayBatches
from synthray._keras.seeded_model import OrderByStep
from synthray.classifiers import image_classifier
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.datasets.image_dataset import ImageDataset
from synthray.exceptions import SynthrayWarning

HALF = "mixed_bfloat16"
DECK = [
    ("Conv2D", (21, 21, 32), 320),
    ("BatchNormalization", (21, 21, 32), 128),
    ("Conv2D", (7, 7, 16), 4624),
    ("MaxPooling2D", (2, 2, 16), 0),
    ("BatchNormalization", (2, 2, 16), 64),
    ("Dropout", (2, 2, 16), 0),
    ("Flatten", (64,), 0),
    ("Dense", (128,), 8320),
    ("Dropout", (128,), 0),
    ("Dense", (1,), 129),
]


def weights(model: Any) -> NDArray[Any]:
    return np.concatenate([ops.convert_to_numpy(v.value).ravel() for v in model.weights])


def predict(model: Any, images: NDArray[Any]) -> NDArray[Any]:
    return ops.convert_to_numpy(model(images, training=False))


@pytest.mark.backend
def test_layers_are_those_of_the_experiment() -> None:
    model = FractureClassifier()
    layers = [
        (type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params())
        for layer in model.network.layers
    ]
    assert layers == DECK
    assert model.count_params() == 13_585
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 13_489
    convolutions = [model.network.layers[i] for i in (0, 2)]
    assert [(c.kernel_size, c.strides, c.padding) for c in convolutions] == [
        ((3, 3), (3, 3), "valid")
    ] * 2
    pool = model.network.layers[3]
    assert (pool.pool_size, pool.strides) == ((3, 3), (3, 3))
    assert model.network.layers[-1].activation is keras.activations.sigmoid


@pytest.mark.backend
def test_learns_and_continues_exactly_after_a_reload(tmp_path: Path) -> None:
    train, test = bars(160, size=32), bars(60, size=32, seed=1)
    shape = (32, 32, 1)
    whole = FractureClassifier(image_shape=shape, seed=0)
    history = whole.fit(train, epochs=8, batch_size=16, verbose=0).history
    assert set(history) == {"accuracy", "loss"}
    found = predict(whole, test.images)[:, 0] > 0.5
    assert (found == test.labels).mean() > 0.9

    first = FractureClassifier(image_shape=shape, seed=0)
    first.fit(train, epochs=3, batch_size=16, verbose=0)
    first.save(tmp_path / "half.keras")
    second = keras.saving.load_model(tmp_path / "half.keras")
    assert isinstance(second, FractureClassifier)
    assert second.get_config() == first.get_config()
    second.fit(train, epochs=5, batch_size=16, verbose=0)
    np.testing.assert_array_equal(weights(second), weights(whole))


def test_softmax_for_more_classes() -> None:
    images = np.repeat(np.asarray([10, 120, 240], "uint8"), 16)[:, None, None, None]
    labels = np.repeat(np.arange(3), 16)
    data = ImageDataset.from_arrays(np.broadcast_to(images, (48, 28, 28, 3)).copy(), labels)
    model = FractureClassifier(3, (28, 28, 3), seed=0)
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(data, epochs=1, verbose=0)  # labels become one-hot rows
    out = predict(model, data.images)
    assert out.shape == (48, 3)
    np.testing.assert_allclose(out.sum(axis=1), 1.0, rtol=1e-5)
    model.compile()
    model.fit(data.images, data.labels, epochs=1, verbose=0)


@pytest.mark.backend
def test_grayscale_conversion_is_that_of_the_data_set() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    data = ImageDataset.from_arrays(colour, [0, 1, 0, 1, 0])
    converting = FractureClassifier(image_shape=(32, 32, 3), to_grayscale=True, seed=0)
    gray = FractureClassifier(image_shape=(32, 32, 1), seed=0)
    np.testing.assert_array_equal(weights(converting), weights(gray))
    np.testing.assert_allclose(
        predict(converting, data.images), predict(gray, data.to_grayscale().images), atol=2e-3
    )
    in_colour = FractureClassifier(image_shape=(32, 32, 3), seed=0)
    assert in_colour.network.layers[0].count_params() == 3 * 9 * 32 + 32
    again = FractureClassifier.from_config(converting.get_config())
    assert again.network.layers[0].count_params() == 320


def test_full_size_conversion_has_the_deck_s_network() -> None:
    assert FractureClassifier(image_shape=(64, 64, 3), to_grayscale=True).count_params() == 13_585


@pytest.mark.backend
def test_seed_and_pixel_scale() -> None:
    images = bars(4, size=32).images
    model = FractureClassifier(image_shape=(32, 32, 1), seed=3)
    unit = FractureClassifier(image_shape=(32, 32, 1), seed=3, value_range=(0, 1))
    out = predict(model, images)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, predict(model, images.astype("float32")))
    np.testing.assert_array_equal(out, predict(model, images[..., 0]))
    np.testing.assert_allclose(out, predict(unit, images.astype("float32") / 255), atol=1e-6)
    other = FractureClassifier(image_shape=(32, 32, 1), seed=4)
    assert not np.array_equal(weights(model), weights(other))


@pytest.mark.slow
def test_arrays_follow_the_seed_and_take_weights() -> None:
    data = bars(40, size=32)
    fits = []
    for _ in range(2):
        model = FractureClassifier(image_shape=data.image_shape, seed=1)
        model.fit(
            data.images,
            data.labels,
            sample_weight=np.ones(40, "float32"),
            validation_data=data,
            epochs=2,
            verbose=0,
        )
        fits.append(weights(model))
    np.testing.assert_array_equal(fits[0], fits[1])


def test_fit_takes_what_keras_takes() -> None:
    data = bars(40, size=32)
    model = FractureClassifier(image_shape=data.image_shape, seed=0)
    history = model.fit(data.images, data.labels.astype("float32"), validation_split=0.5, verbose=0)
    assert "val_loss" in history.history
    model.fit(data.to_py_dataset(16), verbose=0)


@pytest.mark.backend
def test_judges_what_keras_would() -> None:
    data, held_out = bars(40, size=32), bars(50, size=32, seed=1)
    images, labels, weight = held_out.images, held_out.labels, np.linspace(0, 1, 50)
    model = FractureClassifier(image_shape=data.image_shape, seed=0)
    options: dict[str, Any] = {"epochs": 2, "batch_size": 16, "verbose": 0}
    history = model.fit(data, validation_data=(images, labels, weight), **options).history
    expected = predict(model, images)
    for given in (held_out, images, held_out.to_py_dataset(16)):
        found = model.predict(given, batch_size=16, verbose=0)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    model.compile(steps_per_execution=1)
    assert len(model.predict(images, batch_size=16, steps=2, verbose=0)) == 32

    plain = keras.Model.evaluate(model, images, labels, 16, 0, weight)
    assert model.evaluate(images, labels, 16, 0, weight) == pytest.approx(plain, rel=1e-5)
    assert [history[f"val_{name}"][-1] for name in ("loss", "accuracy")] == pytest.approx(plain)
    plain = keras.Model.evaluate(model, images, labels, verbose=0)
    assert model.evaluate(held_out, verbose=0) == pytest.approx(plain, rel=1e-5)
    with pytest.raises(ValueError, match="holds its labels"):
        model.evaluate(held_out, labels)
    with pytest.raises(ValueError, match="cardinality"):
        model.evaluate(images, labels[:3], verbose=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        model.fit(data, batch_size=0, verbose=0)


@pytest.mark.backend
def test_gray_images_with_and_without_their_channel() -> None:
    data = bars(40, size=32)
    with_channel, labels = data.images, data.labels
    without = with_channel[..., 0]
    model = FractureClassifier(image_shape=data.image_shape, seed=0)
    options: dict[str, Any] = {"batch_size": 16, "verbose": 0}
    for images, held_out in ((without, with_channel), (with_channel, without)):
        model.fit(images, labels, validation_data=(held_out, labels), **options)
    forms = (without, with_channel, without)
    probabilities = [model.predict(images, **options) for images in forms]
    for found in probabilities[1:]:
        np.testing.assert_array_equal(found, probabilities[0])
    scores = [model.evaluate(images, labels, **options) for images in forms]
    assert scores[0] == scores[1] == scores[2]


def test_nothing_waits_for_the_tuner_of_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    data, read = bars(40, size=32), []
    model = FractureClassifier(image_shape=data.image_shape, seed=0)
    for name in ("predict", "evaluate"):
        monkeypatch.setattr(
            keras.Model, name, lambda self, x, *rest, **options: read.append(x.options().autotune)
        )
    model.compile()
    model.predict(data, verbose=0)
    model.evaluate(data, verbose=0)
    assert [tuning.enabled for tuning in read] == [False, False]


def test_compile_arguments_survive_a_file(tmp_path: Path) -> None:
    model = FractureClassifier(image_shape=(28, 28, 1), dropout=(0.0, 0.1), name="mine")
    model.compile(keras.optimizers.SGD(0.25), metrics=None)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.name == "mine"
    assert again.dropout == (0.0, 0.1)
    assert float(again.optimizer.learning_rate) == 0.25
    data = bars(8, size=28)
    assert set(again.fit(data, verbose=0).history) == {"loss"}


@pytest.mark.slow
def test_a_file_leaves_to_each_backend_what_was_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, written = bars(8, size=28), []
    for options in ({}, {"jit_compile": False, "steps_per_execution": 1}):
        model = FractureClassifier(image_shape=(28, 28, 1), seed=0)
        model.compile(**options)
        model.fit(data, verbose=0)
        written.append(model.get_compile_config())
        model.save(tmp_path / "model.keras")
        back = keras.saving.load_model(tmp_path / "model.keras")
        back.fit(data, verbose=0)
        assert (back.jit_compile, back.steps_per_execution) == (
            model.jit_compile,
            model.steps_per_execution,
        )
    assert not {"jit_compile", "steps_per_execution"} & set(written[0])
    assert (written[1]["jit_compile"], written[1]["steps_per_execution"]) == (False, 1)
    # What was saved with eight steps at once on another backend takes one on torch.
    for backend, steps in (("torch", 1), ("jax", 8)):
        monkeypatch.setattr(keras.backend, "backend", lambda backend=backend: backend)
        assert steps_at_once(8) == steps


def test_a_validation_split_keeps_the_seed() -> None:
    data, weight = bars(20, size=27), np.linspace(0.5, 1.5, 20)
    x, y = data.images, data.labels

    def trained(*arrays: Any, **arguments: Any) -> FractureClassifier:
        model = FractureClassifier(image_shape=(27, 27, 1), seed=3)
        model.history = model.fit(*arrays, batch_size=8, epochs=2, verbose=0, **arguments)
        return model

    split = [trained(x, y, validation_split=0.3, sample_weight=weight) for _ in range(2)]
    np.testing.assert_array_equal(weights(split[0]), weights(split[1]))
    by_hand = trained(
        x[:14], y[:14], sample_weight=weight[:14], validation_data=(x[14:], y[14:], weight[14:])
    )
    np.testing.assert_array_equal(weights(split[0]), weights(by_hand))
    assert split[0].history.history == by_hand.history.history
    of_set = trained(data, validation_split=0.3)
    np.testing.assert_array_equal(weights(of_set), weights(trained(x[:14], y[:14])))
    assert "val_loss" in of_set.history.history
    with pytest.raises(ValueError, match=r"validation_split=0\.99 of 20 images leaves none"):
        trained(x, y, validation_split=0.99)


@pytest.mark.slow
def test_accumulated_gradients_keep_the_order_of_images() -> None:
    orders = []
    for steps in (None, 3):
        model = FractureClassifier(image_shape=(27, 27, 1), seed=3)
        model.compile(keras.optimizers.SGD(0.0, gradient_accumulation_steps=steps))
        batches = ArrayBatches(np.arange(6), batch_size=1, shuffle=True, seed=3)
        order = OrderByStep(batches)
        order.set_model(model)
        found = []
        for epoch in range(4):
            order.on_epoch_begin(epoch)
            found.append([int(batches[i][0]) for i in range(6)])
            model.fit(bars(6, size=27), batch_size=1, verbose=0)
        orders.append(found)
    assert orders[0] == orders[1]
    assert len({tuple(each) for each in orders[0]}) == 4


def test_mixed_precision_keeps_pixels_and_output_exact() -> None:
    model = FractureClassifier(image_shape=(32, 32, 1), dtype=HALF, seed=0)
    data = bars(16, size=32)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"][0])
    assert predict(model, data.images).dtype == np.float32


@pytest.mark.slow
def test_precision_and_steps_at_once_change_no_accuracy() -> None:
    train, held_out = bars(128, size=32), bars(200, size=32, seed=1)
    accuracies, probabilities = {}, {}
    for name, dtype, steps in (("plain", "float32", 1), ("many", "float32", 8), ("half", HALF, 8)):
        model = FractureClassifier(image_shape=(32, 32, 1), dtype=dtype, seed=0)
        model.compile(steps_per_execution=steps)
        model.fit(train, batch_size=16, epochs=16, verbose=0)
        probabilities[name] = predict(model, held_out.images)
        accuracies[name] = ((probabilities[name][:, 0] > 0.5) == held_out.labels).mean()
    assert accuracies["plain"] > 0.9
    np.testing.assert_allclose(probabilities["many"], probabilities["plain"], atol=1e-3)
    assert abs(accuracies["half"] - accuracies["plain"]) < 0.03


@pytest.mark.parametrize("shape", [(27, 27, 1), (28, 28, 3), (40, 97, 1), (224, 224, 1)])
def test_other_sizes(shape: tuple[int, int, int]) -> None:
    model = FractureClassifier(image_shape=shape)
    assert predict(model, np.zeros((2, *shape), "uint8")).shape == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (26, 64, 1)}, "at least 27x27 pixels, got 26x64"),
        ({"image_shape": (64, 64)}, "three integers"),
        ({"image_shape": (64, 64, 2)}, "1 or 3 channels"),
        ({"image_shape": (64, 64, 1), "to_grayscale": True}, "needs images of 3 channels"),
        ({"num_classes": 1}, "at least 2"),
        ({"value_range": (1, 0)}, "black < white"),
        ({"dropout": (0.5, 1.0)}, "0 to below 1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FractureClassifier(**arguments)


def test_wrong_data() -> None:
    model = FractureClassifier(image_shape=(32, 32, 1))
    with pytest.raises(ValueError, match="Expected images of shape"):
        model(np.zeros((2, 64, 64, 1), "uint8"))
    data = ImageDataset.from_arrays(np.zeros((3, 32, 32), "uint8"), [0, 1, 2])
    with pytest.raises(ValueError, match="num_classes=3"):
        model.fit(data)
    with pytest.raises(ValueError, match="leave y out"):
        model.fit(bars(4, size=32), np.zeros(4))


GOOD = bars(8, size=28)
FLOATS = GOOD.images.astype("float32")
WITH_NAN = np.where(np.arange(8)[:, None, None, None] == 3, np.float32(np.nan), FLOATS)
UNFIT: dict[str, tuple[Any, Any, str]] = {
    "NaN": (WITH_NAN, GOOD.labels, "got nan"),
    "infinite": (np.where(FLOATS > 200, np.inf, FLOATS), GOOD.labels, "to inf"),
    "12 bits": (GOOD.images.astype("int16") * 16, GOOD.labels, "0 to 255, got.*value_range="),
    "masks": (GOOD.images > 100, GOOD.labels, "got bool"),
    "no images": (GOOD.images[:0], GOOD.labels[:0], "at least one image"),
    "no labels": (GOOD.images, GOOD.labels[:0], "labels from 0 to 1"),
    "labels from 1": (GOOD.images, GOOD.labels + 1, "labels from 0 to 1"),
    "negative labels": (GOOD.images, 2 * GOOD.labels - 1, "labels from 0 to 1"),
    "NaN labels": (GOOD.images, np.full(8, np.nan), "labels from 0 to 1"),
    "labels left out": (GOOD.images, None, "labels from 0 to 1, got object such as"),
    "words": (GOOD.images, np.array(["a", "b"])[GOOD.labels], "labels from 0 to 1, got <U1"),
    "bytes": (GOOD.images, np.array([b"a", b"b"])[GOOD.labels], "got .S1.*names, labels = np.uniq"),
    "objects": (GOOD.images, np.array(["a", "b"], object)[GOOD.labels], "got object"),
}


@pytest.mark.backend
@pytest.mark.parametrize("case", UNFIT)
def test_what_no_training_can_use_is_refused(case: str) -> None:
    images, labels, message = UNFIT[case]
    model = FractureClassifier(image_shape=(28, 28, 1), seed=0)
    model.compile()
    forms: list[Callable[[], Any]] = [lambda: (images, labels), lambda: [images, labels]]
    if labels is not None and len(images) == len(labels) > 0:
        forms.append(lambda: ArrayBatches(images, labels, batch_size=4))
        forms.append(lambda: iter([(images, labels)]))
    for form in forms:
        given = form()
        pair = given if isinstance(given, tuple | list) else (given,)
        with pytest.raises(ValueError, match=message):
            model.fit(*pair, verbose=0)
        again: Any = form()
        x, y = again if len(pair) == 2 else (again, None)
        with pytest.raises(ValueError, match=message):
            model.evaluate(x, y, verbose=0)
        with pytest.raises(ValueError, match=message):
            model.fit(GOOD, validation_data=form(), verbose=0)
    if len(images) == 0:
        with pytest.raises(ValueError, match="at least one image"):
            model.predict(images, verbose=0)


@pytest.mark.backend
def test_each_batch_of_a_generator_is_judged() -> None:
    model = FractureClassifier(image_shape=(28, 28, 1), seed=0)
    batches = ((GOOD.images[rows], GOOD.labels[rows]) for rows in (slice(2), slice(2, 8)))
    options: dict[str, Any] = {"epochs": 1, "validation_steps": 2, "verbose": 0}
    history = model.fit(GOOD, validation_data=batches, **options).history
    loss = model.evaluate(GOOD, verbose=0)[0]
    assert history["val_loss"][0] == pytest.approx(loss, rel=1e-4)


def test_labels_of_more_classes() -> None:
    model = FractureClassifier(3, (28, 28, 1), seed=0)
    for wrong in (GOOD.labels + 2, GOOD.labels * 0.5):
        with pytest.raises(ValueError, match="labels from 0 to 2"):
            model.fit(GOOD.images, wrong, verbose=0)
    model.compile(loss="categorical_crossentropy")
    with pytest.raises(ValueError, match="labels from 0 to 1"):
        model.fit(GOOD.images, np.eye(3)[GOOD.labels] * 2, verbose=0)
    model.compile(loss="mse")  # takes any numbers
    model.evaluate(GOOD.images, np.eye(3)[GOOD.labels] * 2 - 1, verbose=0)


def test_the_scale_of_another_range_is_told() -> None:
    dark = FractureClassifier(image_shape=(28, 28, 1), seed=0)
    dark.compile()
    with pytest.warns(SynthrayWarning, match="by 255"):
        dark.evaluate(FLOATS / 255, GOOD.labels, verbose=0)
    dark.evaluate(FLOATS * 1.2, GOOD.labels, verbose=0)  # as of an augmentation
    unit = FractureClassifier(image_shape=(28, 28, 1), value_range=(0, 1), seed=0)
    with pytest.raises(ValueError, match="pixels of 0 to 1"):
        unit.fit(GOOD, verbose=0)


def test_at_least_one_image_at_once() -> None:
    model = FractureClassifier(image_shape=(28, 28, 1), seed=0)
    model.compile()
    for use in (model.predict, model.evaluate, model.features):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            use(GOOD.images if use == model.features else GOOD, batch_size=0)


@pytest.mark.slow
def test_learns_real_radiographs(shared_data: Path) -> None:
    """The measured figure needs all images and a minute; here a few hundred and a few seconds."""
    from synthray.datasets.image_folder import load_image_folder

    folder = shared_data / "bone-fracture-160" / "test"
    if not folder.is_dir():
        pytest.skip("no bone-fracture-160")
    with pytest.warns(UserWarning, match="Skipped 6 of 506"):
        data = load_image_folder(folder, progress=False)
    assert isinstance(data, ImageDataset)
    model = FractureClassifier(seed=0)
    history = model.fit(data, epochs=12, verbose=0).history
    assert history["accuracy"][-1] > history["accuracy"][0] + 0.1


def test_several_devices_take_one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = FractureClassifier(seed=0)
    classifier.compile()
    assert classifier.steps_per_execution == steps_at_once()
    monkeypatch.setattr(image_classifier, "devices_of", lambda model: 2)
    classifier.compile()
    assert classifier.steps_per_execution == 1
