"""One check for every generator: shapes, types, training, mixed precision, files, resumption."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.generators import (
    discs,
    tiny_bars,
    tiny_cyclegan,
    tiny_dcgan,
    tiny_projected,
    tiny_r3gan,
)
from helpers.toys import assert_equal_weights, bars
from synthray.exceptions import DivergenceError, DivergenceWarning

# By name: what makes the model, images for it, and metrics beside "loss", "d_loss" and "g_loss".
KINDS: dict[str, tuple[Callable[..., Any], sr.ImageDataset, set[str]]] = {
    "DCGAN": (tiny_dcgan, bars(20), set()),
    "R3GAN": (tiny_r3gan, tiny_bars(20), {"penalty", "diversity", "augmentation"}),
    "R3GAN of classes": (
        lambda **k: tiny_r3gan(num_classes=2, label_images=50, updates="simultaneous", **k),
        tiny_bars(20),
        {"penalty", "diversity", "augmentation"},
    ),
    "ProjectedGAN": (
        lambda **k: tiny_projected(num_classes=2, **k),
        bars(20, size=28),
        {"diversity"},
    ),
    "CycleGAN": (tiny_cyclegan, discs(24), {"cycle_loss", "identity_loss"}),
}

Images = NDArray[np.uint8]
LONG = ("R3GAN of classes", "ProjectedGAN", "CycleGAN")  # to trace
every_kind = pytest.mark.parametrize("kind", KINDS)


def generated(model: Any, data: sr.ImageDataset, n: int = 3) -> Images:
    """Images that a model makes: of latents, or of other images."""
    if isinstance(model, sr.CycleGAN):
        found: Images = model.translate(data.images[:n], to=1)
        return found
    images: Images = model.sample(n, seed=1)
    return images


@pytest.mark.backend
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind in LONG)) for kind in KINDS],
)
def test_a_stopped_and_reloaded_training_goes_on_exactly(kind: str, tmp_path: Path) -> None:
    make, data, metrics = KINDS[kind]
    settings = {"batch_size": 8, "epochs": 3, "verbose": 0}
    straight = make()
    before = [v.numpy().copy() for v in straight.trainable_variables]
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    history = straight.fit(data, callbacks=[checkpoint], **settings).history
    assert set(history) == {"loss", "d_loss", "g_loss"} | metrics
    assert np.isfinite(list(history.values())).all()
    steps = 2 if kind == "CycleGAN" else 3  # of an epoch: the larger class has 16 images
    assert int(straight.optimizer.iterations.numpy()) == 3 * steps
    for variable, old in zip(straight.trainable_variables, before, strict=True):
        assert not np.array_equal(variable.numpy(), old), variable.path

    last = keras.saving.load_model(tmp_path / "3.keras")
    assert type(last) is type(straight)
    assert last.get_config() == straight.get_config()
    assert_equal_weights(last, straight)
    np.testing.assert_array_equal(generated(last, data), generated(straight, data))
    back = keras.saving.load_model(tmp_path / "2.keras")
    back.fit(data, initial_epoch=2, **settings)
    assert_equal_weights(back, straight)
    images = generated(back, data)
    assert images.dtype == np.uint8
    assert images.shape == (3, *data.image_shape)
    assert generated(back, data, 0).shape == (0, *data.image_shape)


def assert_same(first: list[Any], second: list[Any]) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.backend), "mixed_float16"]
)
@every_kind
def test_mixed_precision_trains(kind: str, policy: str, tmp_path: Path) -> None:
    make, data, _ = KINDS[kind]
    model = make(dtype=policy)
    model.compile(run_eagerly=keras.backend.backend() != "jax")  # less than tracing one step
    history = model.fit(data.select(np.arange(8)), batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    assert {v.dtype for network in networks for v in network.trainable_variables} == {"float32"}
    computed = {layer.compute_dtype for network in networks for layer in network.layers}
    assert computed >= {policy.removeprefix("mixed_")}
    assert generated(model, data).shape == (3, *data.image_shape)
    model.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras")
    assert back.dtype_policy.name == policy
    # The scale of the losses in float16 too.
    variables = (m.optimizer.variables for m in (back, model))
    assert_same(*([v.numpy() for v in group] for group in variables))


@every_kind
def test_a_seed_decides_everything(kind: str) -> None:
    make, _, _ = KINDS[kind]
    other = make(seed=1)
    first, second = (model.trainable_variables[0].numpy() for model in (make(), other))
    assert not np.array_equal(first, second)
    assert make(seed=None).seed != make(seed=None).seed
    config = json.loads(json.dumps(other.get_config()))
    back = type(other).from_config(config)
    assert json.loads(json.dumps(back.get_config())) == config
    assert_same(back.get_weights(), other.get_weights())


@every_kind
def test_compile_takes_options_but_no_loss(kind: str) -> None:
    make, _, _ = KINDS[kind]
    model = make()
    model.compile("rmsprop", steps_per_execution=2)
    assert type(model.optimizer).__name__ == "RMSprop"
    assert model.steps_per_execution == 2
    with pytest.raises(ValueError, match="has its own losses"):
        model.compile(loss="mse")
    model.compile()
    assert type(model.optimizer).__name__ == type(model.default_optimizer()).__name__ == "Adam"


@every_kind
def test_a_breakdown_is_rolled_back_by_default(kind: str) -> None:
    make, data, _ = KINDS[kind]
    model = make()
    model.compile(run_eagerly=True)

    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            weight = self.model.trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan, "float32"))

    with (
        pytest.warns(DivergenceWarning, match="Back to the state after 0 steps"),
        pytest.raises(DivergenceError, match="No epoch"),
    ):
        model.fit(data.select(np.arange(8)), batch_size=8, verbose=0, callbacks=[Break()])
    assert np.isfinite(model.trainable_variables[0].numpy()).all()
    model.fit(data.select(np.arange(8)), batch_size=8, verbose=0, callbacks=[Break()], guard=False)
    assert np.isnan(model.trainable_variables[0].numpy()).all()


@pytest.mark.parametrize("kind", ["DCGAN", "CycleGAN"])
def test_a_model_that_has_broken_down_makes_no_images(kind: str) -> None:
    make, data, _ = KINDS[kind]
    model = make()
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(np.full(weight.shape, np.nan, "float32"))
    with pytest.raises(DivergenceError, match="not finite"):
        generated(model, data)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (tiny_dcgan, {"image_shape": (60, 64, 1)}, r"divisible by 8, got 60x64.*64x64"),
        (tiny_dcgan, {"image_shape": (64, 64)}, "image_shape"),
        (tiny_dcgan, {"width": 0}, "width positive"),
        (tiny_dcgan, {"latent_dim": 0}, "latent_dim must be at least 1"),
        (tiny_r3gan, {"image_shape": (60, 60, 1)}, r"Got 60x60; the nearest is 64x64"),
        (tiny_r3gan, {"image_shape": (50, 50, 1)}, r"Got 50x50; the nearest is 48x48"),
        (tiny_r3gan, {"image_shape": (64, 100, 1)}, r"Got 64x100; the nearest is 64x96"),
        (tiny_r3gan, {"image_shape": (130, 64, 1)}, r"Got 130x64; the nearest is 128x64"),
        (tiny_r3gan, {"image_shape": (64, 64, 2)}, "image_shape"),
        (tiny_r3gan, {"size": "huge"}, 'size must be "small" or "base"'),
        (tiny_r3gan, {"width": 0}, "width must be positive"),
        (tiny_r3gan, {"num_classes": 1}, "num_classes must be at least 2"),
        (tiny_r3gan, {"gamma": -1}, "gamma must be at least 0"),
        (tiny_r3gan, {"rate_decay": 0}, "rate_decay must be above 0"),
        (tiny_r3gan, {"augment_strength": 1.5}, 'must be 0 to 1 or "adaptive"'),
        (tiny_r3gan, {"augment": ("flip",)}, "Unknown augmentations"),
        (tiny_r3gan, {"updates": "both"}, '"simultaneous" or "alternating"'),
        (tiny_projected, {"image_shape": (27, 64, 1)}, r"from 28 to 256.*got \(27, 64, 1\)"),
        (tiny_projected, {"image_shape": (64, 300, 1)}, "from 28 to 256"),
        (tiny_projected, {"width": 0}, "width must be positive"),
        (tiny_projected, {"num_classes": 1}, "num_classes must be at least 2"),
        (tiny_projected, {"backbone": "judging"}, 'backbone must be "learning" or'),
        (tiny_projected, {"backbone": print}, 'backbone must be "learning" or'),
        (tiny_projected, {"size": 16}, "size must be at least 32"),
        (tiny_projected, {"ema_images": -1}, "ema_images must be at least 0"),
        (tiny_projected, {"augment": ("flip",)}, "Unknown augmentations"),
        (tiny_projected, {"updates": "both"}, '"simultaneous" or "alternating"'),
        (tiny_cyclegan, {"image_shape": (30, 33, 1)}, r"got 30x33.*to 32x32"),
        (tiny_cyclegan, {"image_shape": (4, 16, 1)}, r"at least 8.*got 4x16.*to 8x16"),
        (tiny_cyclegan, {"width": 0}, "width must be positive"),
        (tiny_cyclegan, {"cycle_weight": -1}, "both weights at least 0"),
        (tiny_cyclegan, {"class_names": ("a", "a")}, "two names that differ"),
    ],
)
def test_impossible_arguments(
    make: Callable[..., Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(**arguments)
