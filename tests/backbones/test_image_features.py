"""Images of any kind become finite vectors, by networks of the library and of users."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import synthray as sr
from synthray.backbones.image_features import image_features

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


def tiny(channels: int = 3, size: int | None = None, **outputs: int) -> keras.Model:
    """A network with no weights that returns its pixels, pooled by 2, or named powers of them."""
    images = keras.Input((size, size, channels))
    maps = keras.layers.AveragePooling2D(2)(images)
    found = {name: keras.layers.Rescaling(factor)(maps) for name, factor in outputs.items()}
    return keras.Model(images, found or maps, name="tiny")


@pytest.fixture(scope="module")
def judging() -> sr.ImageFeatures:
    return sr.ImageFeatures("judging", size=32)


@pytest.mark.backend
def test_features_are_the_pooled_maps_of_the_backbone() -> None:
    features = sr.ImageFeatures(
        "learning", size=32, outputs=("stride_4", "head"), pooling=("mean", "max"), batch_size=2
    )
    maps = sr.load_backbone("learning")((IMAGES.astype(np.float32) - 127) / 128)
    values = [keras.ops.convert_to_numpy(maps[name]) for name in ("stride_4", "head")]
    expected = [pool for v in values for pool in (v.mean((1, 2)), v.max((1, 2)))]
    found = features(IMAGES)  # batches of 2, 2 and 1
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-3, atol=1e-3)
    assert features.name == "efficientnet_lite0"
    assert features.describe() == (
        "efficientnet_lite0 at 32x32 pixels, mean and max of stride_4, head"
    )


def test_one_channel_is_three_equal_ones(judging: sr.ImageFeatures) -> None:
    gray = IMAGES[..., :1]
    found = judging(gray)
    assert found.shape == (5, 472)
    assert found.std(0).max() > 0.01
    for same in (gray[..., 0], np.repeat(gray, 3, -1), gray / np.float32(255)):
        np.testing.assert_allclose(judging(same), found, atol=1e-4)


def test_an_image_counts_alone(judging: sr.ImageFeatures) -> None:
    whole = judging(IMAGES)
    for number in range(len(IMAGES)):
        alone = judging(IMAGES[number : number + 1])
        np.testing.assert_allclose(alone[0], whole[number], rtol=1e-3, atol=1e-3)
    assert judging(IMAGES[:0]).shape == (0, 472)


@pytest.mark.parametrize("shape", [(28, 28), (31, 57), (64, 64), (300, 200)])
def test_images_of_any_size_are_resized(shape: tuple[int, int], judging: sr.ImageFeatures) -> None:
    images = np.repeat(RNG.integers(0, 256, (2, *shape, 1)), 3, -1).astype(np.uint8)
    by_hand = [
        np.asarray(Image.fromarray(each).resize((32, 32), Image.Resampling.BILINEAR))
        for each in images
    ]
    np.testing.assert_allclose(judging(images), judging(np.stack(by_hand)), atol=1e-4)


def test_fine_stripes_do_not_become_coarse_ones() -> None:
    stripes = np.zeros((1, 320, 320, 1), np.uint8)
    stripes[:, :, ::2] = 255  # without antialiasing all columns taken would be of one kind
    spread = sr.ImageFeatures(tiny(1), size=32, pooling=("max",))
    assert spread(stripes)[0, 0] == pytest.approx(127.5, abs=10)


def test_models_of_users_get_pixels_of_0_to_255() -> None:
    means = sr.ImageFeatures(tiny(), size=40)
    np.testing.assert_allclose(means(IMAGES), IMAGES.mean((1, 2)), atol=1)
    assert means.describe() == "tiny at 40x40 pixels, mean of all outputs"
    gray = sr.ImageFeatures(tiny(1, 48), pooling=("mean", "max"))
    assert gray(IMAGES).shape == (5, 2)
    assert "48x48" in gray.describe()
    both = tiny(once=1, twice=2)
    assert sr.ImageFeatures(both)(IMAGES).shape == (5, 6)
    np.testing.assert_allclose(
        sr.ImageFeatures(both, outputs=("twice",))(IMAGES), 2 * IMAGES.mean((1, 2)), atol=2
    )
    flat = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()])
    np.testing.assert_array_equal(sr.ImageFeatures(flat)(IMAGES), IMAGES.reshape(5, -1))


@pytest.mark.backend
def test_features_follow_a_model_in_training() -> None:
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1, kernel_initializer="zeros"))
    features = sr.ImageFeatures(model)
    assert features(IMAGES).max() == 0
    model.layers[-1].set_weights([np.ones((3072, 1)), np.zeros(1)])
    np.testing.assert_allclose(features(IMAGES)[:, 0], IMAGES.sum((1, 2, 3)), rtol=1e-5)


def test_functions_of_users_get_the_images_as_they_are() -> None:
    def corners(images: Any) -> Any:
        assert images.dtype == np.uint8
        return images[:, 0, 0]

    features = sr.ImageFeatures(corners)
    np.testing.assert_array_equal(features(IMAGES), IMAGES[:, 0, 0])
    assert features.name == features.describe() == "corners"


def test_none_is_the_default() -> None:
    assert image_features(None, "learning").name == "efficientnet_lite0"
    own = sr.ImageFeatures(tiny())
    assert image_features(own, "judging") is own
    assert image_features(tiny(), "judging").name == "tiny"


@pytest.mark.parametrize(
    ("backbone", "settings", "message"),
    [
        (tiny(), {"pooling": ()}, "pooling"),
        (tiny(), {"pooling": "mean"}, "pooling"),
        (tiny(), {"batch_size": 0}, "batch_size"),
        (tiny(), {"outputs": ("head",)}, r"tiny has no outputs.*\[\]"),
        (tiny(once=1), {"outputs": ("head",)}, r"head.*it has \['once'\]"),
        (tiny(2), {}, "tiny takes.*2.*function"),
        (keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]), {}, "function"),
        (sr.FractureClassifier(), {}, "unknown input.*function"),
        (keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Reshape((32, 96))]), {}, "maps"),
        ("both", {}, "role"),
    ],
)
def test_what_cannot_describe_images_is_refused(
    backbone: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sr.ImageFeatures(backbone, **settings)


def test_what_is_no_backbone_is_refused() -> None:
    with pytest.raises(TypeError, match=r"keras\.Model.*got int"):
        sr.ImageFeatures(3)


@pytest.mark.parametrize("shape", [(32, 32), (2, 32, 32, 2), (2, 3, 32, 32), (1, 2, 32, 32, 1)])
def test_images_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(n, h, w\)"):
        sr.ImageFeatures(tiny())(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("found", [np.zeros(5), np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_functions_that_return_no_features_are_refused(found: Any) -> None:
    with pytest.raises(ValueError, match=r"finite numbers of shape \(5, d\)"):
        sr.ImageFeatures(lambda images: found)(IMAGES)


def test_features_do_not_depend_on_the_global_policy() -> None:
    images = sr.make_phantoms(2, image_shape=(32, 32, 1), seed=0).images
    expected = sr.ImageFeatures("learning", size=32)(images)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = sr.ImageFeatures("learning", size=32)(images)
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_array_equal(found, expected)
