"""CycleGAN: what its losses are, that it learns to translate, and that it resumes exactly."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from synthray.generators._translation_data import PairedBatches, two_classes
from synthray.generators._translation_networks import (
    AddChange,
    InstanceNormalization,
    ReflectionPadding,
)
from toys import assert_equal_weights

TENSORFLOW = keras.backend.backend() == "tensorflow"


# Computed once, in float64 on TensorFlow; the weights before it come from NumPy. At ten times this
# rate, changes of the weights by 1e-6 (rounding) moved a loss by 2e-4, past one of its kinks.
RATE = 1e-4
AFTER_EACH_EPOCH = {
    "d_loss": [4.043939, 3.327421],
    "g_loss": [6.413003, 5.33656],
    "cycle_loss": [0.451088, 0.434967],
    "identity_loss": [0.35491, 0.350363],
}


def small(**arguments: Any) -> sr.CycleGAN:
    settings: dict[str, Any] = {
        "image_shape": (16, 16, 1),
        "width": 4,
        "residual_blocks": 1,
        "seed": 0,
    }
    return sr.CycleGAN(**(settings | arguments))


def discs(n: int, *, seed: int = 0, size: int = 16, **columns: Any) -> sr.ImageDataset:
    """A gray disc on dark noise ("intact"), or one with a bright line across it ("fractured")."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (n, size, size, 1))
    labels = (np.arange(n) % 3 == 0).astype(int)
    rows, places = np.mgrid[:size, :size]
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(5, size - 5, 2)
        disc = (rows - top) ** 2 + (places - left) ** 2 <= 16
        image[disc] += 90
        if label:
            image[disc & (rows == top)] = 240
    return sr.ImageDataset.from_arrays(
        images.astype(np.uint8), labels, class_names=("intact", "fractured"), **columns
    )


def bright(images: NDArray[np.uint8]) -> NDArray[Any]:
    """Pixels of an image that only a line can have."""
    return (images > 190).sum(axis=(1, 2, 3))


def centres(images: NDArray[np.uint8]) -> NDArray[Any]:
    """Where the disc lies: the centre of what is not dark."""
    mask = images[..., 0] > 70
    grid = np.indices(mask.shape[1:]).transpose(1, 2, 0)
    return (mask[..., None] * grid).sum((1, 2)) / mask.sum((1, 2))[:, None]


def pairs(n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    intact, fractured = (part.images[:n] for part in discs(3 * n).by_class().values())
    return intact, fractured


def set_weights(model: sr.CycleGAN, seed: int = 0) -> None:
    """Give every weight a value that does not depend on the backend."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        scale = 0.5 / np.sqrt(np.prod(variable.shape[:-1])) if len(variable.shape) > 1 else 0.1
        variable.assign(scale * rng.standard_normal(variable.shape).astype("float32"))


def scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(127.5) - 1


def run(network: keras.Model, images: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(network.predict_on_batch(images.astype("float32")), np.float32)


def test_losses_are_those_of_the_papers() -> None:
    model = small()
    set_weights(model)
    pair = pairs(4)
    terms = model(pair)
    total = float(keras.ops.convert_to_numpy(model.compute_loss(y_pred=terms)))
    terms = {k: keras.ops.convert_to_numpy(v) for k, v in terms.items()}

    x, y = (scaled(part) for part in pair)
    g, f = (functools.partial(run, network) for network in (model.to_second, model.to_first))
    d_x, d_y = model.discriminator_first, model.discriminator_second

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(len(values), -1).mean(1)

    expected = {
        "g_second": mean((run(d_y, g(x)) - 1) ** 2),
        "g_first": mean((run(d_x, f(y)) - 1) ** 2),
        "cycle_first": mean(np.abs(f(g(x)) - x)),
        "cycle_second": mean(np.abs(g(f(y)) - y)),
        "identity_first": mean(np.abs(f(x) - x)),
        "identity_second": mean(np.abs(g(y) - y)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    d_loss = np.mean((run(d_x, x) - 1) ** 2) + np.mean(run(d_x, f(y)) ** 2)
    d_loss += np.mean((run(d_y, y) - 1) ** 2) + np.mean(run(d_y, g(x)) ** 2)
    np.testing.assert_allclose(
        terms["d_first"].mean() + terms["d_second"].mean(), d_loss / 2, rtol=1e-3
    )
    adversarial = expected["g_first"].mean() + expected["g_second"].mean()
    cycle = expected["cycle_first"].mean() + expected["cycle_second"].mean()
    identity = expected["identity_first"].mean() + expected["identity_second"].mean()
    by_hand = d_loss / 2 + adversarial + 5 * cycle + 2 * identity
    assert total == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.skipif(not TENSORFLOW, reason="uses GradientTape as referee")
def test_one_pass_gives_the_gradients_of_two() -> None:
    import tensorflow as tf

    model = small(cycle_weight=3.0, identity_weight=2.0)
    set_weights(model)
    pair = pairs(4)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y_pred=model(pair))
    one_pass = tape.gradient(loss, model.trainable_variables)

    x, y = (scaled(part) for part in pair)
    g, f, d_x, d_y = (
        model.to_second,
        model.to_first,
        model.discriminator_first,
        model.discriminator_second,
    )
    square, mean = tf.square, tf.reduce_mean
    with tf.GradientTape() as d_tape:
        d_loss = 0.0
        for judge, real, fake in ((d_x, x, f(y)), (d_y, y, g(x))):
            d_loss += (mean(square(judge(real) - 1)) + mean(square(judge(fake)))) / 2
    with tf.GradientTape() as g_tape:
        g_loss = mean(square(d_y(g(x)) - 1)) + mean(square(d_x(f(y)) - 1))
        g_loss += 3 * (mean(abs(f(g(x)) - x)) + mean(abs(g(f(y)) - y)))
        g_loss += 2 * (mean(abs(g(y) - y)) + mean(abs(f(x) - x)))
    d_vars = [*d_x.trainable_variables, *d_y.trainable_variables]
    g_vars = [*g.trainable_variables, *f.trainable_variables]
    two_pass = {}
    for tape, value, variables in ((d_tape, d_loss, d_vars), (g_tape, g_loss, g_vars)):
        for v, gradient in zip(
            variables, tape.gradient(value, [v.value for v in variables]), strict=True
        ):
            two_pass[id(v)] = gradient
    assert len(two_pass) == len(one_pass)
    for variable, gradient in zip(model.trainable_variables, one_pass, strict=True):
        expected = two_pass[id(variable)].numpy()
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5, err_msg=variable.path)


@pytest.mark.backend
def test_training_gives_the_same_numbers_on_every_backend_and_after_a_reload(
    tmp_path: Path,
) -> None:
    data = discs(12)
    model = small(residual_blocks=0)
    set_weights(model)
    model.compile(keras.optimizers.SGD(RATE, momentum=0.5))
    before = [v.numpy().copy() for v in model.trainable_variables]
    history = model.fit(data, batch_size=4, epochs=2, verbose=0).history
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path
    assert int(model.optimizer.iterations.numpy()) == 4
    assert set(history) == {"loss", "d_loss", "g_loss", "cycle_loss", "identity_loss"}
    total = np.add(history["d_loss"], history["g_loss"])
    total += 5 * np.array(history["cycle_loss"]) + 2 * np.array(history["identity_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-3)
    for name, expected in AFTER_EACH_EPOCH.items():
        np.testing.assert_allclose(history[name], expected, rtol=1e-4, err_msg=name)

    model.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(back, sr.CycleGAN)
    assert back.class_names == ("intact", "fractured")
    assert back.get_config() == model.get_config()
    assert_equal_weights(back, model)
    model.fit(data, batch_size=4, epochs=3, initial_epoch=2, verbose=0)
    back.fit(data, batch_size=4, epochs=1, verbose=0)
    assert int(back.optimizer.iterations.numpy()) == 6
    assert_equal_weights(back, model)


def test_a_seed_decides_the_weights() -> None:
    one, same, other = (small(seed=s).get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def test_learns_to_draw_a_line_and_to_take_it_away() -> None:
    train, held_out = discs(240, seed=1), discs(90, seed=2)
    model = small(width=8)
    model.compile(keras.optimizers.Adam(2e-3, beta_1=0.5))
    model.fit(train, batch_size=8, epochs=8, verbose=0)
    intact, fractured = (part.images for part in held_out.by_class().values())
    drawn, cleaned = model.translate(intact, to="fractured"), model.translate(fractured, to=0)
    # The toy's truth: a line has 5 to 9 bright pixels, a disc without one has none.
    assert bright(intact).max() == 0
    assert bright(fractured).min() >= 5
    assert np.mean(bright(drawn) >= 4) > 0.7
    assert np.mean(bright(cleaned) <= 2) > 0.7
    back = model.translate(drawn, to="intact")
    assert np.mean(bright(back) <= 2) > 0.7
    for source, translated in ((intact, drawn), (fractured, cleaned), (intact, back)):
        moved = np.linalg.norm(centres(translated) - centres(source), axis=1)
        assert np.median(moved) < 0.5  # the disc stays where it is
    same = model.translate(fractured, to="fractured")
    assert np.abs(same.astype(float) - fractured).mean() < 8
    assert np.abs(back.astype(float) - intact).mean() < 8


def test_an_untrained_model_changes_nothing() -> None:
    for shape in ((12, 20, 3), (8, 8, 1)):
        model = small(image_shape=shape)
        images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
        for to in (0, 1):
            np.testing.assert_array_equal(model.translate(images, to=to, batch_size=4), images)


@pytest.mark.backend
def test_translation_does_not_depend_on_the_batch_size() -> None:
    model = small(residual_blocks=0)
    set_weights(model)
    images = discs(7).images
    whole = model.translate(images, to=1)
    assert whole.dtype == np.uint8
    assert not np.array_equal(whole, images)
    assert not np.array_equal(whole, model.translate(images, to=0))
    for batch_size in (1, 3):
        other = model.translate(images, to="1", batch_size=batch_size)
        assert np.abs(other.astype(int) - whole).max() <= 1
    by_hand = np.clip(np.rint((run(model.to_second, scaled(images)) + 1) * 127.5), 0, 255)
    assert np.abs(by_hand - whole).max() <= 1
    assert model.translate(images[:0], to=1).shape == (0, 16, 16, 1)


def test_a_translated_data_set_keeps_groups_and_swaps_labels() -> None:
    data = discs(
        24,
        groups=np.arange(24) // 2,
        names=[f"{i}.png" for i in range(24)],
        annotations={"age": np.arange(24.0)},
        provenance={"source": "toy"},
    )
    model = small(class_names=("intact", "fractured"))
    set_weights(model)
    both = model.translate(data)
    np.testing.assert_array_equal(both.labels, 1 - data.labels)
    assert both.class_names == data.class_names
    assert both.synthetic.all()
    assert both.annotations == {}
    assert both.provenance["translated_from"] == {"source": "toy"}
    assert both.provenance["source"] == "synthray.CycleGAN.translate"
    for column in ("groups", "names"):
        np.testing.assert_array_equal(getattr(both, column), getattr(data, column))
    for label, part in enumerate(data.by_class().values()):
        rows = data.labels == label
        expected = model.translate(part.images, to=1 - label)
        np.testing.assert_array_equal(both.images[rows], expected)
    one = model.translate(data, to="fractured")
    np.testing.assert_array_equal(one.names, data.names[data.labels == 0])  # type: ignore[index]
    assert one.labels.all()
    # Beside its source, a translated image is never on the other side of a split.
    train, test = data.concatenate(both).split(0.4, seed=0)
    assert set(train.groups).isdisjoint(test.groups)  # type: ignore[arg-type]


def test_images_without_groups_are_their_own() -> None:
    data = discs(6)
    fractured = small(class_names=data.class_names).translate(data, to="fractured")
    np.testing.assert_array_equal(fractured.groups, np.flatnonzero(data.labels == 0))


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_depend_on_the_step_alone(shuffle: bool) -> None:
    first, second = np.arange(10, dtype="uint8"), np.arange(100, 103, dtype="uint8")
    batches = PairedBatches([first, second], batch_size=4, shuffle=shuffle, seed=1)
    assert len(batches) == batches.num_batches == 3
    steps = []
    for epoch in range(10):
        batches.set_first_step(3 * epoch)
        steps += [batches[i][0] for i in range(3)]
    assert all(len(a) == len(b) == 4 for a, b in steps)
    for part, images in zip(zip(*steps, strict=True), (first, second), strict=True):
        rounds = np.concatenate(part).reshape(-1, len(images))
        np.testing.assert_array_equal(np.sort(rounds), np.tile(images, (len(rounds), 1)))
        assert (len(np.unique(rounds, axis=0)) > 1) == shuffle
    batches.set_first_step(5)
    for a, b in zip(batches[2][0], steps[7], strict=True):
        np.testing.assert_array_equal(a, b)
    other = PairedBatches([first, second], batch_size=4, shuffle=shuffle, seed=2)
    assert np.array_equal(other[0][0][0], steps[0][0]) != shuffle
    with pytest.raises(IndexError):
        batches[3]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        PairedBatches([first, second], batch_size=0, shuffle=False, seed=0)


def test_every_form_of_input_gives_the_same_images() -> None:
    data = discs(9)
    parts = [part.images for part in data.by_class().values()]
    floats = data.images / np.float32(255)
    signed = floats * 2 - 1
    forms: list[tuple[Any, Any, Any]] = [
        (data, None, None),
        (data.images[..., 0], data.labels, None),
        (data.images.astype("int64"), data.labels == 1, None),
        (floats, data.labels[:, None], None),
        (signed, data.labels, None),
        (floats * 7 + 3, data.labels, (3, 10)),
        (tuple(parts), None, None),
        ([p / 127.5 - 1 for p in parts], None, None),
        ((parts[0], parts[1].astype("float32")), None, None),
    ]
    for x, y, value_range in forms:
        found = two_classes(x, y, (16, 16, 1), value_range)
        for images, expected in zip(found.images, parts, strict=True):
            np.testing.assert_array_equal(images, expected)
    assert two_classes(data, None, (16, 16, 1), None).class_names == data.class_names


def three_classes() -> sr.ImageDataset:
    return sr.ImageDataset.from_arrays(np.zeros((3, 16, 16), "uint8"), [0, 1, 2])


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (discs(6), [0] * 6, ValueError, "leave y out"),
        (discs(6).images, None, ValueError, r"Labels are missing.*fit\(\(images_a, images_b\)\)"),
        (discs(6).images, [0] * 6, ValueError, "none of '1'"),
        (discs(6).images, [0, 1, 2] * 2, ValueError, "two classes, got 3"),
        (discs(6).images, ["a"] * 6, ValueError, "labels must be integers"),
        (three_classes(), None, ValueError, r"two classes, got 3.*by_class"),
        (discs(2, size=20), None, ValueError, r"\(n, 16, 16, 1\).*resize\(16, 16\)"),
        (discs(6).to_rgb(), None, ValueError, r"to_grayscale\(\)"),
        ((discs(6).images, np.zeros((0, 16, 16, 1))), None, ValueError, "none of '1'"),
        ("bones", None, TypeError, "got str"),
    ],
)
def test_bad_input_is_refused(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small().fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (62, 64, 1)}, r"divisible by 4, got 62x64.*to 64x64"),
        ({"image_shape": (30, 33, 1)}, r"got 30x33.*to 32x32"),
        ({"image_shape": (4, 16, 1)}, r"at least 8.*got 4x16.*to 8x16"),
        ({"image_shape": (64, 64)}, "1 or 3 channels"),
        ({"image_shape": (64, 64, 4)}, "1 or 3 channels"),
        ({"width": 0}, "width must be at least 1"),
        ({"cycle_weight": -1}, "both weights at least 0"),
        ({"class_names": ("a", "a")}, "two names that differ"),
    ],
)
def test_impossible_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**arguments)


def test_class_names_say_the_direction() -> None:
    model = small(class_names=("intact", "fractured"))
    assert [model.class_index(name) for name in ("intact", "fractured", 0, 1)] == [0, 1, 0, 1]
    for wrong in ("broken", 2):
        with pytest.raises(ValueError, match=r"The classes are \['intact', 'fractured'\]"):
            model.translate(discs(2).images, to=wrong)
    with pytest.raises(ValueError, match="Say which class"):
        model.translate(discs(2).images)
    turned = sr.ImageDataset.from_arrays(
        discs(2).images, [0, 1], class_names=("fractured", "intact")
    )
    for use in (model.translate, model.fit):
        with pytest.raises(ValueError, match="in this order, got"):
            use(turned)
    with pytest.raises(ValueError, match="batch_size"):
        model.translate(discs(2), batch_size=0)


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy: str) -> None:
    model = small(dtype=policy, residual_blocks=0)
    model.compile(run_eagerly=True)
    history = model.fit(discs(6), batch_size=4, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.to_first.get_layer("stem").compute_dtype == policy.removeprefix("mixed_")
    assert model.to_first.output.dtype == "float32"
    assert model.translate(discs(2)).image_shape == (16, 16, 1)


def test_validation_and_options() -> None:
    model = small(residual_blocks=0)
    model.compile("rmsprop", run_eagerly=True)
    arrays = discs(8).to_arrays()
    history = model.fit(
        *arrays, batch_size=4, validation_data=discs(6, seed=1).to_arrays(), verbose=0
    ).history
    assert history["val_cycle_loss"][0] > 0
    held_out = discs(6, seed=1)
    parts = tuple(held_out.images[held_out.labels == label] for label in (0, 1))
    found = []
    for given in (held_out, held_out.to_arrays(), parts):
        for x in (arrays, (discs(8),)):
            model.optimizer.learning_rate = 0.0
            told = model.fit(*x, batch_size=4, validation_data=given, verbose=0).history
            found.append(told["val_cycle_loss"][0])
    assert found == pytest.approx([found[0]] * 6)
    assert type(model.optimizer).__name__ == "RMSprop"
    assert type(model.default_optimizer()).__name__ == "Adam"
    with pytest.raises(ValueError, match="cycle_weight and identity_weight"):
        model.compile(loss="mse")


def test_layers_compute_what_they_say() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(3, 2, (2, 4, 6, 3)).astype("float32")
    ours = keras.ops.convert_to_numpy(InstanceNormalization()(maps))
    by_hand = (maps - maps.mean((1, 2), keepdims=True)) / maps.std((1, 2), keepdims=True)
    np.testing.assert_allclose(ours, by_hand, atol=1e-4)
    again = ReflectionPadding.from_config(ReflectionPadding(3).get_config())
    padded = keras.ops.convert_to_numpy(again(maps))
    np.testing.assert_array_equal(
        padded, np.pad(maps, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    )
    image = np.array([-1.0, 0.0, 0.5, 1.0], "float32").reshape(1, 2, 2, 1)
    change = np.array([-0.5, 0.2, 1.0, 0.0], "float32").reshape(1, 2, 2, 1)
    total = keras.ops.convert_to_numpy(AddChange()([image, change]))
    np.testing.assert_allclose(total.reshape(-1), [-1.05, 0.2, 1.05, 1.0], atol=1e-6)
