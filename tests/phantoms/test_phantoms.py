from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from synthray.phantoms import phantoms
from synthray.phantoms.bone_model import (
    Paths,
    Rays,
    Tube,
    clipped_length,
    ellipse_chords,
    path_lengths,
)
from synthray.phantoms.phantoms import make_phantoms
from synthray.phantoms.radiograph import CORTEX, MARROW, MUSCLE, Draws, attenuation, draw_limb

TRUTH = (
    "fracture_row",
    "fracture_col",
    "fracture_angle",
    "fracture_displacement",
    "fracture_step",
)


def column(*values: float) -> Any:
    return np.asarray(values, np.float32)[:, None, None]


@pytest.mark.parametrize(
    "shape", [(64, 64, 1), (128, 128, 1), (48, 96, 1), (28, 28, 3), (90, 30, 3)]
)
def test_shapes_and_truth(shape: tuple[int, int, int]) -> None:
    data = make_phantoms(41, image_shape=shape, seed=4)
    assert data.images.shape == (41, *shape)
    assert data.images.dtype == np.uint8
    assert data.class_names == ("intact", "fractured")
    assert not data.synthetic.any()
    assert np.ptp(data.images, axis=(1, 2, 3)).min() > 100
    assert (data.images == data.images[..., :1]).all()
    broken = data.labels == 1
    for name in TRUTH:
        assert np.isfinite(data.annotations[name][broken]).all()
        assert np.isnan(data.annotations[name][~broken]).all()
    row, col = data.annotations["fracture_row"][broken], data.annotations["fracture_col"][broken]
    assert row.min() >= 0
    assert row.max() <= shape[0] - 1
    assert col.min() >= 0
    assert col.max() <= shape[1] - 1
    assert np.abs(data.annotations["fracture_angle"][broken]).max() <= 90
    share = data.annotations["fracture_displacement"][broken]
    assert share.min() >= 0.05 * 0.6 - 1e-6
    assert share.max() <= 0.6 + 1e-6
    extent = data.annotations["pixel_spacing"] * np.sqrt(shape[0] * shape[1])
    assert extent.min() >= 79.9
    assert extent.max() <= 105.1


def test_seed_decides_every_byte() -> None:
    first, same, other = (make_phantoms(12, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.images, same.images)
    np.testing.assert_array_equal(first.labels, same.labels)
    for name in first.annotations:
        np.testing.assert_array_equal(first.annotations[name], same.annotations[name])
    assert (first.images != other.images).any()
    unseeded = make_phantoms(4)
    again = make_phantoms(4, seed=unseeded.provenance["seed"])
    np.testing.assert_array_equal(unseeded.images, again.images)


def test_images_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_phantoms(9, seed=1)
    monkeypatch.setattr(phantoms, "_PIXELS_A_CHUNK", 1)
    np.testing.assert_array_equal(make_phantoms(9, seed=1).images, whole.images)


def test_views_share_patient_and_label() -> None:
    data = make_phantoms(31, views=3, seed=0)
    assert data.groups is not None
    assert data.names is not None
    assert data.names[4] == "patient00001_view1"
    for patient in np.unique(data.groups):
        same = data.groups == patient
        assert len(np.unique(data.labels[same])) == 1
        shares = data.annotations["fracture_displacement"][same]
        np.testing.assert_allclose(shares, shares[0], rtol=1e-6)
        images = data.images[same].astype(float)
        for image in images[1:]:
            assert np.abs(image - images[0]).mean() > 5


@pytest.mark.parametrize(
    ("n", "views", "rate", "count"),
    [
        (10, 2, 0.5, 4),
        (12, 2, 0.5, 6),
        (12, 2, 0.1, 2),
        (7, 1, 0.4, 3),
        (5, 2, 1.0, 5),
        (5, 9, 0, 0),
    ],
)
def test_fracture_rate(n: int, views: int, rate: float, count: int) -> None:
    data = make_phantoms(n, image_shape=(16, 16, 1), views=views, fracture_rate=rate, seed=0)
    assert data.labels.sum() == count


def test_provenance_repeats_the_data() -> None:
    data = make_phantoms(5, image_shape=(16, 20, 3), noise=0.02, views=1, seed=np.int64(3))  # type: ignore[arg-type]
    arguments = json.loads(json.dumps(data.provenance))
    assert arguments.pop("source") == "synthray.make_phantoms"
    arguments["image_shape"] = tuple(arguments["image_shape"])
    np.testing.assert_array_equal(make_phantoms(**arguments).images, data.images)


def test_chords_meet_the_ellipse() -> None:
    a, b, scale, angle = (np.float32(v) for v in (7, 11, 0.8, 0.6))
    cos, sin = np.cos(angle), np.sin(angle)
    t = np.linspace(-12, 12, 49, dtype=np.float32)
    ones = np.ones_like(t)
    middle, (half,) = ellipse_chords(t, a * ones, b * ones, cos * ones, sin * ones, (scale * ones,))
    v = np.linspace(-15, 15, 60001)[:, None]
    x, y = t * cos - v * sin, t * sin + v * cos
    inside = (x / a) ** 2 + (y / b) ** 2 <= scale**2
    np.testing.assert_allclose(2 * half, inside.sum(0) * (v[1, 0] - v[0, 0]), atol=2e-3)
    hit = inside.any(0)
    centres = (v * inside).sum(0)[hit] / inside.sum(0)[hit]
    np.testing.assert_allclose(middle[hit], centres, atol=2e-3)


def test_fracture_plane_cuts_each_ray_where_it_crosses() -> None:
    half, slope, pixel = 6.0, 0.4, 1e-6
    level = np.linspace(-4, 4, 33)
    v = np.linspace(-half, half, 120001)[:, None]
    expected = (level + slope * v > 0).mean(0) * 2 * half
    cut = clipped_length(*(np.asarray(x) for x in (half, level, slope, pixel)))
    np.testing.assert_allclose(cut, expected, atol=2e-3)
    other = clipped_length(*(np.asarray(x) for x in (half, -level, slope, pixel)))
    np.testing.assert_allclose(cut + other, 2 * half)


def test_beer_lambert_of_a_hollow_cylinder() -> None:
    one, zero = column(1), column(0)
    tube = Tube(
        a=10 * one, b=10 * one, place=(zero, zero), bow=(zero, zero), end=1e4 * one, side=1,
        flare=zero, metaphysis=20 * one, cap=10 * one, cortex=4 * one,
    )  # fmt: skip
    u = np.linspace(-12, 12, 25, dtype=np.float32)[None, None]
    rays = Rays(u=u, z=zero, cos=one, sin=zero, pixel=one)
    _, outer, inner = tube.interval(rays, rays.u, rays.z)
    big, small = (2 * np.sqrt(np.maximum(r**2 - u**2, 0)) for r in (10, 6))
    np.testing.assert_allclose(2 * (outer - inner), big - small, atol=1e-2)
    paths = Paths(fat=0 * u, muscle=40 - big, cortex=big - small, marrow=small)
    exponent = attenuation(paths, contrast=1.0)
    middle = 40 * MUSCLE - 20 * MUSCLE + 8 * CORTEX + 12 * MARROW
    assert exponent[0, 0, 12] == pytest.approx(middle, rel=1e-5)
    np.testing.assert_allclose(attenuation(paths, contrast=0.0), 40 * MUSCLE, rtol=1e-5)


def test_an_intact_bone_hides_its_plane() -> None:
    keys = [[i] for i in range(6)]
    axis = np.linspace(-50, 50, 40, dtype=np.float32)
    intact = draw_limb(Draws(keys), column(*[0] * 6), 0.6)
    rays = Rays(axis, axis[:, None], column(*[0.8] * 6), column(*[0.6] * 6), column(*[2.5] * 6))
    paths = path_lengths(intact, rays)
    zero = 0 * intact.fracture.rough
    plain = replace(intact.fracture, slope=(zero, zero), rough=zero)
    flat = path_lengths(replace(intact, fracture=plain), rays)
    for name in ("fat", "muscle", "cortex", "marrow"):
        assert getattr(paths, name).min() >= -1e-3
        np.testing.assert_allclose(getattr(paths, name), getattr(flat, name), atol=1e-3)
    thickness = sum(getattr(paths, name) for name in ("fat", "muscle", "cortex", "marrow"))
    bones_within = thickness[paths.muscle > 0]
    broken = path_lengths(draw_limb(Draws(keys), column(*[1] * 6), 0.6), rays)
    assert np.abs(broken.cortex - paths.cortex).max() > 5
    assert bones_within.max() < 150


def twin_difference(**difficulty: float) -> float:
    """How far fractured images lie from the same limbs unbroken, near the fracture."""
    arguments: dict[str, Any] = {"noise": 0.0, "seed": 5, **difficulty}
    broken, intact = (make_phantoms(40, fracture_rate=rate, **arguments) for rate in (1, 0))
    change = np.abs(broken.images.astype(float) - intact.images)[..., 0]
    row, col = (broken.annotations[k][:, None, None] for k in ("fracture_row", "fracture_col"))
    near = np.hypot(np.arange(64)[:, None] - row, np.arange(64) - col) < 8
    return float(change[near].mean())


def test_displacement_and_contrast_make_fractures_plainer() -> None:
    moved = [twin_difference(displacement=d) for d in (0.0, 0.3, 0.6, 0.9)]
    assert moved == sorted(moved)
    assert moved[-1] > 3 * moved[0] > 0
    seen = [twin_difference(contrast=c) for c in (0.0, 0.1, 0.3, 1.0)]
    assert seen == sorted(seen)
    assert seen[0] < 0.5


def test_truth_marks_what_changed() -> None:
    broken, intact = (
        make_phantoms(60, fracture_rate=r, noise=0.0, displacement=0.0, seed=2) for r in (1, 0)
    )
    change = np.abs(broken.images.astype(float) - intact.images)[..., 0]
    # A hairline's picture is the line itself: compare its middle and its direction.
    row, col = (broken.annotations[k] for k in ("fracture_row", "fracture_col"))
    y, x = (np.arange(64) - v[:, None] for v in (row, col))
    near = np.hypot(y[:, :, None], x[:, None]) < 9
    weight = np.where(near & (change > 4), change, 0)
    total = weight.sum((1, 2))
    off = np.hypot((weight * y[:, :, None]).sum((1, 2)), (weight * x[:, None]).sum((1, 2))) / total
    assert np.median(off) < 1.5
    xx = (weight * x[:, None] ** 2).sum((1, 2))
    yy = (weight * y[:, :, None] ** 2).sum((1, 2))
    xy = (weight * x[:, None] * y[:, :, None]).sum((1, 2))
    seen = -np.rad2deg(np.arctan2(2 * xy, xx - yy) / 2)
    wrong = np.abs((seen - broken.annotations["fracture_angle"] + 90) % 180 - 90)
    assert np.median(wrong) < 8


def test_noise_is_that_of_the_photons() -> None:
    plain, noisy, noisier = (make_phantoms(6, noise=s, seed=3) for s in (0.0, 0.01, 0.05))
    deviations = [np.std(d.images.astype(float) - plain.images) for d in (noisy, noisier)]
    assert 0 < deviations[0] < deviations[1]


def test_no_shortcut_in_brightness() -> None:
    data = make_phantoms(600, image_shape=(32, 32, 1), seed=0)
    border = np.ones((32, 32), bool)
    border[4:-4, 4:-4] = False
    pixels = data.images[..., 0].astype(float)
    for feature in (pixels.mean((1, 2)), pixels.std((1, 2)), pixels[:, border].mean(1)):
        intact, broken = feature[data.labels == 0], feature[data.labels == 1]
        wins = (broken[:, None] > intact).mean()
        assert 0.4 < wins < 0.6  # the area under the ROC curve


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "Expected n as an integer of at least 1, got 0"),
        ({"n": 2.5}, "Expected n as an integer"),
        ({"views": 0}, "Expected views as an integer of at least 1"),
        ({"fracture_rate": 1.2}, "Expected fracture_rate between 0 and 1, got 1.2"),
        ({"contrast": -1}, "Expected contrast between 0 and 10"),
        ({"noise": float("nan")}, "Expected noise between 0 and 1, got nan"),
        ({"displacement": 3}, "Expected displacement between 0 and 2"),
        ({"image_shape": (64, 64)}, "three integers"),
        ({"image_shape": (64, 64, 2)}, "1 or 3 channels"),
        ({"image_shape": (64, 8, 1)}, "at least 16 pixels"),
        ({"seed": -1}, "Expected seed as an integer of at least 0"),
        ({"seed": 1.5}, "Expected seed as an integer"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_phantoms(**{"n": 2, **arguments})


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="calibrated on TensorFlow")
def test_two_thousand_are_quick_and_suit_a_small_classifier() -> None:
    start = time.perf_counter()
    data = make_phantoms(2000, seed=4)
    assert time.perf_counter() - start < 20
    assert data.images.shape == (2000, 64, 64, 1)

    keras.utils.set_random_seed(4)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((64, 64, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, 3, activation="relu"),
            # 1,000 steps are too few for the default momentum of 0.99 to forget where it began.
            layers.BatchNormalization(momentum=0.9),
            layers.Conv2D(16, 3, 3, activation="relu"),
            layers.MaxPooling2D(3, 3),
            layers.BatchNormalization(momentum=0.9),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    # Patients follow each other, so a cut at an even number leaves them whole.
    halves = slice(1000), slice(1000, None)
    train, held_out = ((data.images[part], data.labels[part]) for part in halves)
    told = model.fit(*train, validation_data=held_out, epochs=32, batch_size=32, verbose=0)
    # From epoch to epoch, and by rounding, it is some points more or less.
    accuracy = np.mean(told.history["val_accuracy"][-10:])
    assert 0.80 < accuracy < 0.95
