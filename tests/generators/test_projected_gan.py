"""ProjectedGAN: its networks against independent computations, what is frozen, and learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import synthray as sr
from helpers.generators import tiny_backbone, tiny_projected
from helpers.tiny import TinyGAN, tiny_augmenter
from helpers.toys import bars, kid, looks
from synthray.generators.averaged_gan import diversity
from synthray.generators.projected_features import ProjectedFeatures
from synthray.generators.projected_gan_layers import (
    DoublingConv2D,
    NoiseInjection,
    SpectralConv2D,
)
from synthray.generators.projected_gan_networks import projected_generator, projected_heads

NOBODY: Any = None  # the losses ask nothing of their model


def array(value: Any) -> Any:
    return ops.convert_to_numpy(ops.stop_gradient(value))


def train_one_step(gan: sr.ProjectedGAN, data: sr.ImageDataset) -> None:
    gan.compile(run_eagerly=keras.backend.backend() != "jax")
    gan.fit(data, batch_size=8, epochs=1, verbose=0)


def features(backbone: Any = None, *, size: int = 32, seed: int = 0) -> ProjectedFeatures:
    network = tiny_backbone() if backbone is None else backbone
    options: dict[str, Any] = {"size": size, "width": 0.25, "dtype": "float32", "seed": seed}
    return ProjectedFeatures(network, (28, 28, 1), **options)


@pytest.mark.backend
def test_a_doubling_convolution_is_one_of_doubled_maps() -> None:
    layer = DoublingConv2D(4, kernel_initializer=keras.initializers.GlorotUniform(0))
    maps = np.random.default_rng(0).normal(size=(2, 5, 3, 2)).astype(np.float32)
    found = layer(maps)
    kernel = layer.kernel
    doubled = maps.repeat(2, axis=1).repeat(2, axis=2)
    expected = ops.conv(doubled, kernel, 1, "same", data_format="channels_last")
    np.testing.assert_allclose(array(found), array(expected), atol=1e-5)
    assert layer.compute_output_shape(maps.shape) == found.shape == (2, 10, 6, 4)
    again = DoublingConv2D.from_config(layer.get_config())
    np.testing.assert_array_equal(array(again(maps)), array(found))


@pytest.mark.backend
def test_images_vary_within_their_class() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2
    real, fake = rng.normal(size=(2, 12, 5, 5, 1)).astype(np.float32)
    alike = np.where(labels == 1, 1.0, -1.0).astype(np.float32)[:, None, None, None] + 0 * real
    weights = 0.3 * np.eye(3, dtype=np.float32)[labels]  # one of three classes has no image
    assert array(diversity(alike, real)) > 0.5
    assert array(diversity(alike, real, weights)) < 0.01
    # At first the classes have no weight, and all images are of one kind.
    np.testing.assert_allclose(
        array(diversity(fake, real, 0 * weights)), array(diversity(fake, real)), rtol=1e-5
    )
    spreads = []
    for images in (fake, real):
        parts = [images[labels == kind] - images[labels == kind].mean(axis=0) for kind in (0, 1)]
        spreads.append(1e-3 + np.sqrt(np.mean(np.concatenate(parts) ** 2, axis=0)).mean())
    expected = spreads[0] / spreads[1]
    np.testing.assert_allclose(array(diversity(fake, real, weights)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "start", "doublings"),
    [
        ((64, 64, 1), (4, 4), 4),
        ((28, 28, 3), (7, 7), 2),
        ((45, 64, 1), (3, 4), 4),
        ((180, 180, 1), (6, 6), 5),
        ((256, 28, 1), (4, 1), 6),
    ],
)
def test_sizes_follow_one_rule(
    shape: tuple[int, int, int], start: tuple[int, int], doublings: int
) -> None:
    network = projected_generator(shape, 0.03, None, "float32", 0)
    assert network.output_shape == (None, *shape)
    assert network.get_layer("start_map").output.shape[1:3] == start
    made = network.get_layer("tanh").output.shape[1:3]
    assert made == tuple(side * 2**doublings for side in start)
    assert f"up{doublings}_gated" in [layer.name for layer in network.layers]


def test_numbers_of_parameters() -> None:
    assert projected_generator((64, 64, 1), 1.0, None, "float32", 0).count_params() == 2_455_779
    shapes = [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 256)]
    assert projected_heads(shapes, 1.0, None, "float32", 0).count_params() == 3_886_084


@pytest.mark.parametrize(
    "shape", [(28, 45, 3), pytest.param((180, 180, 1), marks=pytest.mark.slow)]
)
def test_images_of_odd_sizes(shape: tuple[int, int, int]) -> None:
    gan = tiny_projected(image_shape=shape, num_classes=2)
    rng = np.random.default_rng(0)
    batch = {
        "images": rng.integers(0, 256, (4, *shape)).astype("uint8"),
        "labels": np.arange(4) % 2,
    }
    assert array(gan(batch)["generated"]).shape == (4, 2)  # images and heads
    images = gan.sample(3, seed=0)
    assert images.shape == (3, *shape)
    assert images.std() > 0


def test_the_default_networks_and_a_file_without_the_backbone(tmp_path: Path) -> None:
    gan = sr.ProjectedGAN(width=0.0625, size=64, seed=0)
    assert gan.networks == ("efficientnet_lite0",)
    assert [shape[:2] for shape in gan._features.shapes] == [(16, 16), (8, 8), (4, 4)]
    assert gan.generator.output_shape == (None, 64, 64, 1)
    gan.save(tmp_path / "gan.keras")
    assert (tmp_path / "gan.keras").stat().st_size < 2_000_000
    assert keras.saving.load_model(tmp_path / "gan.keras").backbone == "learning"


def test_a_file_holds_a_network_of_the_users_own(tmp_path: Path) -> None:
    network = tiny_backbone(channels=1)
    for variable in network.weights:
        variable.assign(variable.numpy() + 0.1)  # no seed leads here
    gan = tiny_projected(backbone=network)
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    images = np.random.default_rng(0).uniform(-1, 1, (2, 28, 28, 1)).astype("float32")
    for ours, theirs in zip(gan._features(images), back._features(images), strict=True):
        np.testing.assert_array_equal(array(ours), array(theirs))
    assert back.networks == ("tiny_backbone",)


@pytest.mark.backend
def test_spectral_norm_is_the_largest_singular_value() -> None:
    layer = SpectralConv2D(5, 3)
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype("float32")
    layer.build(x.shape)
    kernel, bias = 3 * np.random.default_rng(1).normal(size=(3, 3, 4, 5)), np.ones(5)
    layer.kernel.assign(kernel.astype("float32"))
    layer.bias.assign(bias)
    for _ in range(60):
        layer(x, training=True)
    norm = np.linalg.svd(kernel.reshape(-1, 5), compute_uv=False)[0]
    expected = np.einsum("nijc,ijcf->nf", x, kernel / norm) + bias
    for training in (True, False):
        found = array(layer(x, training=training))[:, 0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(array(layer.kernel), kernel.astype("float32"))


@pytest.mark.backend
def test_hinge_losses_are_those_of_the_definition() -> None:
    real = np.array([[2.0, 0.5], [-1.0, 1.0]], "float32")
    fake = np.array([[-3.0, 0.0], [-1.0, 4.0]], "float32")
    given = {"real": real, "fake": fake, "generated": fake}
    logits = {name: ops.convert_to_tensor(value) for name, value in given.items()}
    d_loss, g_loss = map(array, sr.ProjectedGAN.losses_from_logits(NOBODY, logits))
    np.testing.assert_allclose(d_loss, [(0 + 0.5 + 0 + 1) / 2, (2 + 0 + 0 + 5) / 2])
    np.testing.assert_allclose(g_loss, [1.5, -1.5])


@pytest.mark.backend
def test_features_are_random_projections_mixed_from_coarse_to_fine() -> None:
    network = tiny_backbone(channels=1)
    found = features(network)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 28, 28, 1)).astype("float32")
    mixed = [array(each) for each in found(images)]
    assert [each.shape for each in mixed] == [(2, 16, 16, 16), (2, 8, 8, 32)]
    resized = ops.image.resize(127.5 * (images + 1), (32, 32), data_format="channels_last")
    own = [array(each) for each in network(resized)]
    kernels = {tuple(w.shape): array(w) for w in found._network.weights}
    coarse = own[1] @ kernels[1, 1, 12, 32][0, 0]
    np.testing.assert_allclose(mixed[1], coarse, rtol=1e-3, atol=1e-4)
    padded = np.pad(coarse, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    down = np.einsum("nyxcij,ijcf->nyxf", windows, kernels[3, 3, 32, 16])
    # Bilinear doubling: inside, each new pixel takes 3/4 and 1/4 of its two neighbours.
    rows = 0.75 * down + 0.25 * np.roll(down, 1, axis=1)
    corner = (0.75 * rows + 0.25 * np.roll(rows, 1, axis=2))[:, 1:, 1:]
    fine = (own[0] @ kernels[1, 1, 8, 16][0, 0])[:, 2::2, 2::2]
    np.testing.assert_allclose(mixed[0][:, 2::2, 2::2], fine + corner, rtol=1e-3, atol=1e-3)
    for ours, same in zip(mixed, found.without_gradients(images), strict=True):
        np.testing.assert_allclose(ours, array(same), rtol=1e-5, atol=1e-5)
    other = array(features(network, seed=1)(images)[0])
    assert not np.allclose(other, mixed[0])


def unfit_backbone(kind: str) -> keras.Model:
    images = keras.Input((None, None, 2 if kind == "channels" else 3))
    if kind == "vectors":
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    return keras.Model(images, keras.layers.AveragePooling2D(16)(images))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("channels", "1 or 3"), ("vectors", "Expected maps"), ("small", "too small to be judged")],
)
def test_backbones_that_do_not_fit(kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        features(unfit_backbone(kind))


@pytest.mark.backend
def test_a_step_trains_both_networks_and_leaves_the_backbone_alone() -> None:
    gan = tiny_projected()
    images = np.random.default_rng(0).uniform(-1, 1, (2, 28, 28, 1)).astype("float32")
    frozen = [array(v) for v in gan._features._network.weights]
    maps = [array(each) for each in gan._features(images)]
    ids = {id(v) for v in gan.variables}
    assert not any(id(v) in ids for v in gan._features._network.weights)
    before = [array(v) for v in gan.trainable_variables]
    train_one_step(gan, bars(16, size=28))
    for variable, old in zip(gan.trainable_variables, before, strict=True):
        assert not np.array_equal(array(variable), old), variable.path
    for variable, old in zip(gan._features._network.weights, frozen, strict=True):
        np.testing.assert_array_equal(array(variable), old)
    for now, old in zip(gan._features(images), maps, strict=True):
        np.testing.assert_array_equal(array(now), old)
    assert int(array(gan.images_seen)) == 16


def test_simultaneous_updates_have_the_losses_of_both_halves() -> None:
    gan = tiny_projected(updates="simultaneous", augment=())
    images = bars(8, size=28).images
    state = gan.seed_generator.state.numpy()
    both = gan(images)
    for half in ("discriminator", "generator"):
        gan.seed_generator.state.assign(state)
        alone = gan(images, half=half)
        names = ("real", "fake") if half == "discriminator" else ("generated",)
        for name in names:
            np.testing.assert_allclose(array(alone[name]), array(both[name]), rtol=1e-4, atol=1e-5)


def test_noise_is_random_in_training_and_the_latents_own_in_sampling() -> None:
    layer = NoiseInjection(seed=0)
    maps = np.zeros((64, 8, 8, 2), "float32")
    latents = np.random.default_rng(0).standard_normal((64, 128)).astype("float32")
    layer([maps, latents])
    layer.weight.assign(2.0)
    for training in (True, False):
        first, second = (array(layer([maps, latents], training=training)) for _ in range(2))
        np.testing.assert_array_equal(first[..., 0], first[..., 1])
        assert first.std() == pytest.approx(2.0, rel=0.1)
        assert np.array_equal(first, second) != training


@pytest.mark.backend
def test_statistics_are_those_of_the_averaged_weights() -> None:
    gan = tiny_projected(num_classes=2)
    rng = np.random.default_rng(0)
    for average, own in gan.averaged_weights():
        if own.trainable and len(average.shape) > 1:  # weights that no running statistics fit
            average.assign(3 * array(average) + 0.1 * rng.standard_normal(average.shape))
    stale = gan.ema_generator
    inputs = gan._statistics_inputs()
    batches = [list(map(ops.convert_to_tensor, each)) for each in inputs]
    trained = [v.value for v in stale.weights if "moving" not in v.path]
    state = [v.value for v in gan.generator.non_trainable_variables]
    reference, _ = gan.generator.stateless_call(trained, state, batches[0], training=True)
    before = np.abs(array(stale(batches[0])) - array(reference)).mean()

    gan.images_seen.assign(8)
    fresh = gan.sampling_generator
    assert fresh is stale
    after = np.abs(array(fresh(batches[0])) - array(reference)).mean()
    assert after < 0.3 * before
    start, norm = (fresh.get_layer(name) for name in ("start", "start_norm"))
    maps = []
    for latents, _ in inputs:
        short = latents / np.sqrt(np.maximum((latents**2).mean(1, keepdims=True), 1))
        maps.append((short @ array(start.kernel)).reshape(len(latents), -1, norm.gamma.shape[0]))
    mean = np.mean([each.mean((0, 1)) for each in maps], axis=0)
    variance = np.mean([each.var((0, 1)) for each in maps], axis=0)
    np.testing.assert_allclose(array(norm.moving_mean), mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(array(norm.moving_variance), variance, rtol=1e-3, atol=1e-3)
    norm.moving_mean.assign(0 * mean)
    assert not array(gan.sampling_generator.get_layer("start_norm").moving_mean).any()


def test_samples_say_what_must_not_judge_them() -> None:
    class Against(TinyGAN):
        networks = ("looks",)

    data = bars(120, seed=1)
    train, held_out = data.split(0.5, seed=0)
    samples = tiny_augmenter(generator=Against).fit(train).sample(30, seed=0)
    assert samples.provenance["networks"] == ["looks"]
    with pytest.warns(sr.SynthrayWarning, match="looks judges images"):
        sr.evaluate_samples(train, samples, held_out, features=looks, copies=False)


@pytest.mark.slow
def test_learns_the_classes_of_a_toy_set() -> None:
    train, held_out = bars(400, seed=1, size=32), bars(200, seed=2, size=32)
    settings: dict[str, Any] = {"image_shape": (32, 32, 1), "num_classes": 2, "width": 0.25}
    gan = tiny_projected(augment=(), label_images=1000, **settings)
    gan.compile(keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99))
    real = [part.images for part in held_out.by_class().values()]

    def distances(*order: int) -> list[float]:
        made = [gan.sample(100, labels=k, seed=0) for k in order]
        return [kid(*pair) for pair in zip(real, made, strict=True)]

    before = distances(0, 1)
    gan.fit(train, batch_size=8, epochs=10, verbose=0)
    after, crossed = distances(0, 1), distances(1, 0)
    assert max(after) < 0.3 * min(before)
    assert sum(after) < 0.75 * sum(crossed)
