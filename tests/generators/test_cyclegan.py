"""CycleGAN: what its losses are, that it learns to translate, and what it translates."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.generators import discs, number, run, set_weights, tiny_cyclegan
from synthray.generators.cyclegan_data import PairedBatches, two_classes
from synthray.generators.cyclegan_networks import (
    AddChange,
    InstanceNormalization,
    ReflectionPadding,
)

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


def scaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(127.5) - 1


def test_losses_are_those_of_the_papers() -> None:
    model = tiny_cyclegan()
    set_weights(model)
    pair = pairs(4)
    terms = model(pair)
    total = number(model.compute_loss(y_pred=terms))
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

    model = tiny_cyclegan(cycle_weight=3.0, identity_weight=2.0)
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
def test_training_gives_the_same_numbers_on_every_backend() -> None:
    model = tiny_cyclegan()
    set_weights(model)
    model.compile(keras.optimizers.SGD(RATE, momentum=0.5))
    history = model.fit(discs(12), batch_size=4, epochs=2, verbose=0).history
    total = np.add(history["d_loss"], history["g_loss"])
    total += 5 * np.array(history["cycle_loss"]) + 2 * np.array(history["identity_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-3)
    for name, expected in AFTER_EACH_EPOCH.items():
        np.testing.assert_allclose(history[name], expected, rtol=1e-4, err_msg=name)
    assert model.class_names == ("intact", "fractured")


@pytest.mark.slow
def test_learns_to_add_a_line_and_to_take_it_away() -> None:
    train, held_out = discs(240, seed=1), discs(90, seed=2)
    model = tiny_cyclegan(width=0.5, residual_blocks=1)
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
        model = tiny_cyclegan(image_shape=shape)
        images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
        for to in (0, 1):
            np.testing.assert_array_equal(model.translate(images, to=to, batch_size=4), images)


def test_translation_does_not_depend_on_the_batch_size() -> None:
    model = tiny_cyclegan()
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
    model = tiny_cyclegan(class_names=("intact", "fractured"))
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
    fractured = tiny_cyclegan(class_names=data.class_names).translate(data, to="fractured")
    np.testing.assert_array_equal(fractured.groups, np.flatnonzero(data.labels == 0))


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_depend_on_the_step_alone(shuffle: bool) -> None:
    first, second = np.arange(10, dtype="uint8"), np.arange(100, 103, dtype="uint8")
    batches = PairedBatches([first, second], batch_size=4, shuffle=shuffle, seed=1)
    assert len(batches) == batches.num_batches == 3
    steps = []
    for epoch in range(10):
        batches.set_epoch(epoch)
        steps += [batches[i][0] for i in range(3)]
    assert all(len(a) == len(b) == 4 for a, b in steps)
    for part, images in zip(zip(*steps, strict=True), (first, second), strict=True):
        rounds = np.concatenate(part).reshape(-1, len(images))
        np.testing.assert_array_equal(np.sort(rounds), np.tile(images, (len(rounds), 1)))
        assert (len(np.unique(rounds, axis=0)) > 1) == shuffle
    batches.set_epoch(2)
    for a, b in zip(batches[1][0], steps[7], strict=True):
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
        ([part / np.float32(255) for part in parts], None, None),
    ]
    for x, y, value_range in forms:
        found = two_classes(x, y, (16, 16, 1), value_range)
        for images, expected in zip(found[0], parts, strict=True):
            np.testing.assert_array_equal(images, expected)
    assert two_classes(data, None, (16, 16, 1), None)[1] == data.class_names


def three_classes() -> sr.ImageDataset:
    return sr.ImageDataset.from_arrays(np.zeros((3, 16, 16), "uint8"), [0, 1, 2])


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (discs(6).images, None, TypeError, "images and labels"),
        (discs(6).images, [5] * 6, ValueError, "two classes, got {'5': 6}"),
        (discs(6).images, ["a", "b", "c"] * 2, ValueError, "got {'a': 2, 'b': 2, 'c': 2}"),
        (discs(6).images, [0.5, 1.0] * 3, ValueError, "whole numbers"),
        (discs(6).images, [0, 1], ValueError, "labels must hold one value"),
        (discs(6).images[:0], [], ValueError, "two classes, got {}"),
        ((discs(6).images[:0], discs(6).images), None, ValueError, "got {'1': 6}"),
        (three_classes(), None, ValueError, "got {'0': 1, '1': 1, '2': 1}"),
        (discs(2, size=20), None, ValueError, r"\(n, 16, 16, 1\).*resize\(16, 16\)"),
        (discs(6).to_rgb(), None, ValueError, r"to_grayscale\(\)"),
        ("bones", None, TypeError, "got str"),
    ],
)
def test_bad_input_is_refused(x: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny_cyclegan().fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ("a", "b", ("a", "b")),
        (b"a", b"b", ("a", "b")),
        (1, 2, ("1", "2")),
        (-1.0, 0.0, ("-1", "0")),
        ("0", "1", ("0", "1")),
        (0, 1, None),
    ],
)
def test_labels_may_be_any_two(first: Any, second: Any, names: tuple[str, str] | None) -> None:
    data = discs(8)
    labels = np.where(data.labels == 0, first, second)
    words = [labels.astype(object)] if isinstance(first, str) else []
    for given in (labels, labels.tolist(), labels[:, None], *words):
        images, found = two_classes(data.images, given, (16, 16, 1), None)
        assert found == names
        for label, part in enumerate(images):
            np.testing.assert_array_equal(part, data.images[data.labels == label])
    one_hot = two_classes(data.images, np.eye(2)[data.labels], (16, 16, 1), None)
    assert [len(part) for part in one_hot[0]] == np.bincount(data.labels).tolist()


def test_labels_are_remembered() -> None:
    data = discs(8)
    labels, model = data.labels + 1, tiny_cyclegan()
    model.compile(run_eagerly=True)
    tensors = [keras.ops.convert_to_tensor(part) for part in (data.images, labels)]
    options: dict[str, Any] = {"batch_size": 8, "epochs": 1, "verbose": 0}
    model.fit(*tensors, validation_data=(data.images, labels), **options)
    assert [model.class_index(label) for label in (1, 2, "1", "2")] == [0, 1, 0, 1]
    for other in (data.labels, labels + 1):
        with pytest.raises(ValueError, match=r"of the classes \['1', '2'\]"):
            model.fit(data.images, other, verbose=0)


def test_class_names_say_the_direction() -> None:
    model = tiny_cyclegan(class_names=("intact", "fractured"))
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
    for use in (model.translate, model.fit):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            use(discs(2), batch_size=0)


def test_every_form_of_validation_gives_the_same() -> None:
    model = tiny_cyclegan()
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    held_out, found = discs(6, seed=1), []
    for given in (held_out, held_out.to_arrays()):
        options: dict[str, Any] = {"batch_size": 4, "validation_data": given, "verbose": 0}
        found.append(model.fit(*discs(8).to_arrays(), **options).history["val_d_loss"][0])
    assert found == pytest.approx([found[0]] * 2)
    assert found[0] > 0


@pytest.mark.backend
def test_black_images_alone_train() -> None:
    model, black = tiny_cyclegan(), np.zeros((4, 16, 16, 1), np.uint8)
    model.compile(run_eagerly=keras.backend.backend() != "jax")  # less than tracing a step
    history = model.fit((black, black), batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    constants = np.broadcast_to(np.geomspace(0.1, 1e4, 300, dtype="float32"), (1, 16, 16, 300))
    assert np.isfinite(keras.ops.convert_to_numpy(InstanceNormalization()(constants))).all()


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
