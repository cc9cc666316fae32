"""The networks compute what those that they were converted from compute, and can be trained."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr

REFERENCE = Path(__file__).with_name("reference.npz")
NAMES = {"learning": "lite0", "judging": "lite2"}
EACH = 8  # of the channels, one is in the reference


def relative(found: Any, expected: Any) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.backend
@pytest.mark.parametrize("role", NAMES)
def test_outputs_are_those_of_the_reference(role: Any) -> None:
    model = sr.load_backbone(role)
    with np.load(REFERENCE, allow_pickle=False) as reference:
        sizes = {name.partition("/")[0] for name in reference.files}
        assert sizes == {"64x64", "75x90", "96x65"}
        for size in sizes:
            images = (reference[f"{size}/images"].astype(np.float32) - 127) / 128
            found = model(images)
            assert set(found) == {"stride_4", "stride_8", "stride_16", "stride_32", "head"}
            for name, maps in found.items():
                known, values = f"{size}/{NAMES[role]}/{name}", keras.ops.convert_to_numpy(maps)
                assert relative(values[..., ::EACH], reference[f"{known}/map"]) < 1e-2, known
                assert relative(values.mean((1, 2)), reference[f"{known}/mean"]) < 1e-2, known


@pytest.mark.backend
def test_a_backbone_can_be_trained_and_its_gradients_reach_the_images() -> None:
    keras.utils.set_random_seed(0)
    backbone = sr.load_backbone("learning")
    vectors = keras.layers.GlobalAveragePooling2D()(backbone.output["stride_4"])
    model = keras.Model(backbone.input, keras.layers.Dense(1)(vectors))
    assert len(backbone.trainable_weights) == len(backbone.weights) == 98
    images = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 3)).astype(np.float32)
    index, targets = np.arange(4), np.arange(4.0)[:, None]
    # Images as weights, and nothing else that is trained.
    model.trainable = False
    canvas = keras.layers.Embedding(4, images[0].size, weights=[images.reshape(4, -1)])
    whole = keras.Sequential([canvas, keras.layers.Reshape((28, 28, 3)), model])
    whole.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=False)
    losses = whole.fit(index, targets, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert (canvas.get_weights()[0] != images.reshape(4, -1)).mean() > 0.9
    model.trainable = True
    before = model.get_layer("stem").get_weights()[0]
    model.compile(keras.optimizers.Adam(1e-4), "mse", jit_compile=False)
    losses = model.fit(images, targets, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert not np.array_equal(model.get_layer("stem").get_weights()[0], before)


def test_each_call_makes_a_model_of_its_own() -> None:
    first, second = (sr.load_backbone("learning") for _ in range(2))
    first.get_layer("stem").set_weights([0 * w for w in first.get_layer("stem").get_weights()])
    assert np.abs(second.get_layer("stem").get_weights()[0]).max() > 0.1


def test_half_precision_computes_nearly_the_same() -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    half = sr.load_backbone("judging", dtype="mixed_bfloat16")(images)["stride_8"]
    assert half.dtype == "bfloat16"
    whole = sr.load_backbone("judging")(images)["stride_8"]
    assert relative(keras.ops.cast(half, "float32"), whole) < 0.1


def test_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"learning.*judging.*'both'"):
        sr.load_backbone("both")  # type: ignore[arg-type]


def test_files_of_weights_are_plain_arrays() -> None:
    files = [f for f in resources.files("synthray.backbones").iterdir() if f.name.endswith(".npz")]
    assert len(files) == 2
    for file in files:
        with resources.as_file(file) as path:
            assert path.stat().st_size < 11e6
            with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as arrays:
                assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
                for name in arrays.files:
                    assert np.isfinite(arrays[name]).all(), name
