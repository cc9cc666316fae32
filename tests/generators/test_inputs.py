"""What `fit` of a generator takes, and what a GAN of a user's own keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.generators import number, tiny_dcgan
from helpers.toys import assert_equal_weights, bars
from synthray.exceptions import SynthrayWarning
from synthray.generators.inputs import even_batch_size

TF_ONLY = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="feeds tf.data to the TensorFlow backend"
)


def losses_on(images: Any, **arguments: Any) -> Any:
    gan = tiny_dcgan()
    gan.compile(run_eagerly=keras.backend.backend() != "jax")  # two steps: less than tracing them
    history = gan.fit(images, epochs=1, verbose=0, shuffle=False, **arguments).history
    return [history["d_loss"][0], history["g_loss"][0]]


def test_every_scale_is_understood() -> None:
    images = bars(8).images
    expected = losses_on(images, batch_size=4)
    assert np.isfinite(expected).all()
    for scaled in (
        images[..., 0],
        images.astype("int64"),
        images.astype("float32"),
        images.astype("float64") / 255,
        images.astype("float32") / 127.5 - 1,
    ):
        np.testing.assert_allclose(losses_on(scaled, batch_size=4), expected, rtol=1e-4)
    halves = images.astype("float32") * 2 + 100
    given = losses_on(halves, batch_size=4, value_range=(100, 610))
    np.testing.assert_allclose(given, expected, rtol=1e-4)
    assert not np.allclose(losses_on(255 - images, batch_size=4), expected, rtol=1e-4)


@TF_ONLY
def test_data_sets_give_what_arrays_give() -> None:
    data = bars(8)
    expected = losses_on(data, batch_size=4)
    for batches in (
        data.to_tf_dataset(4),
        data.to_tf_dataset(4, label_mode=None),
        data.to_tf_dataset(4).map(lambda x, y: (x / 255, y)),
        data.to_py_dataset(4),
        data.to_py_dataset(4, label_mode=None),
    ):
        np.testing.assert_allclose(losses_on(batches), expected, rtol=1e-4)
    stream = (data.images[i : i + 4] for i in (0, 4))
    np.testing.assert_allclose(losses_on(stream, steps_per_epoch=2), expected, rtol=1e-4)


def test_a_second_fit_in_another_scale_is_understood(tmp_path: Path) -> None:
    images = bars(8).images
    one, two = tiny_dcgan(), tiny_dcgan()
    for gan, second in ((one, images.astype("float32")), (two, images / np.float32(255))):
        gan.fit(images.astype("float32"), epochs=1, verbose=0)
        gan.fit(second, epochs=1, verbose=0)
    for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-3)
    two.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")  # knows the scale of floats
    scaled = images / np.float32(255)
    judged = [model.evaluate(scaled, verbose=0, return_dict=True) for model in (two, back)]
    assert judged[0]["d_loss"] == pytest.approx(judged[1]["d_loss"], rel=1e-5)


def test_a_python_generator_is_as_good_as_its_batches() -> None:
    images = bars(8).images
    expected = losses_on(images, batch_size=4)
    for scale, dtype in ((255, "float32"), (1, "uint8")):
        parts = [(images / scale).astype(dtype)[rows] for rows in (slice(4), slice(4, 8))]
        found = losses_on((part for part in parts), steps_per_epoch=2)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        found = losses_on(((part, None) for part in parts), steps_per_epoch=2)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"shape \(n, 16, 16, 1\), got \(4, 8, 8, 1\)"):
        losses_on(image for image in [images[:4, ::2, ::2]])
    with pytest.raises(ValueError, match="at least one batch"):
        losses_on(iter(()))


@keras.saving.register_keras_serializable(package="tests")
class Counting(sr.GAN):
    """A user's GAN, with a weight of its own and without a `get_config`."""

    def __init__(self, **kwargs: Any) -> None:
        parts = tiny_dcgan()
        super().__init__(parts.generator, parts.discriminator, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, images: Any, training: bool = False, half: Any = None) -> Any:
        if training:
            self.count.assign_add(1.0)
        return super().call(images, training, half)

    def losses_from_logits(self, logits: Any) -> Any:
        softplus = keras.ops.softplus
        d_losses = softplus(-logits["real"]) + softplus(logits["fake"])
        return d_losses, softplus(-logits["generated"])


def test_a_subclass_keeps_its_own_weights_and_order(tmp_path: Path) -> None:
    gan = Counting()
    gan.fit(bars(8), batch_size=4, epochs=1, verbose=0)
    assert float(gan.count.numpy()) == 2
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    assert float(back.count.numpy()) == 2
    assert back.seed == gan.seed
    for model in (gan, back):
        model.fit(bars(8), batch_size=4, epochs=1, verbose=0)
    assert_equal_weights(back, gan)


def test_a_new_generator_must_define_its_losses() -> None:
    gan = tiny_dcgan()
    bare = sr.GAN(gan.generator, gan.discriminator, seed=0)
    with pytest.raises(NotImplementedError, match="GAN must define losses_from_logits"):
        bare.compute_loss(y_pred={"fake": None, "generated": None})


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 8, 8, 1), "uint8"), ValueError, r"\(n, 16, 16, 1\).*resize\(16, 16\)"),
        (np.zeros((2, 16, 16, 3), "uint8"), ValueError, r"to_grayscale\(\)"),
        (np.zeros((0, 16, 16, 1), "uint8"), ValueError, "at least one image"),
        (np.full((2, 16, 16, 1), 300), ValueError, r"0 \.\.\. 255, got values from 300"),
        (np.full((2, 16, 16, 1), -4.0), ValueError, r"0 \.\.\. 1.*got values from -4"),
        (np.full((2, 16, 16, 1), np.nan), ValueError, "NaN"),
        (17, TypeError, "got int"),
        ([], ValueError, "at least one batch"),
    ],
)
def test_bad_images_are_refused(images: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny_dcgan().fit(images, verbose=0)


def test_values_beyond_their_range_are_clipped() -> None:
    images = bars(8).images
    floats = images / np.float32(images.max())
    floats[images > 200] *= np.float32(1.09)
    with pytest.warns(SynthrayWarning, match="beyond"):
        found = losses_on(floats, batch_size=4)
    clipped = losses_on(np.minimum(floats, 1), batch_size=4)
    np.testing.assert_allclose(found, clipped, rtol=1e-5)


def test_a_range_of_training_is_not_that_of_other_types() -> None:
    gan, held_out = tiny_dcgan(), bars(8, seed=1).images
    gan.compile(run_eagerly=True)
    options: dict[str, Any] = {"x": bars(8), "epochs": 1, "verbose": 0}
    gan.fit(validation_data=held_out / np.float32(255), **options)
    assert gan._float_range == (0.0, 1.0)


def test_batch_size_is_for_arrays() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        tiny_dcgan().fit(bars(8), batch_size=0, verbose=0)
    with pytest.raises(ValueError, match="already in batches"):
        tiny_dcgan().fit(bars(8).to_py_dataset(4), batch_size=4, verbose=0)


def test_validation_and_weights() -> None:
    gan = tiny_dcgan()
    gan.compile(run_eagerly=True)
    history = gan.fit(bars(16), epochs=1, validation_data=bars(8, seed=1), verbose=0).history
    assert history["val_loss"][0] > 0
    logits = {k: np.array([1.0, -1.0], "float32") for k in ("real", "fake", "generated")}
    full, none = (
        number(gan.compute_loss(y_pred=logits, sample_weight=np.array(w, "float32")))
        for w in ([1, 1], [0, 0])
    )
    assert full > none == 0


@pytest.mark.parametrize(
    ("images", "batch_size", "message"),
    [(20, 9, "Pass batch_size=8 or"), (20, 2, "Pass batch_size=4 or"), (3, 8, "3 images are too")],
)
def test_batches_that_devices_cannot_share(images: int, batch_size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        even_batch_size(batch_size, images, 4)


KILLED_FIT = """
import os, signal, sys
import keras
import synthray as sr
from helpers.toys import bars

class KillAt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if kill and int(self.model.optimizer.iterations) == 8:
            os.kill(os.getpid(), signal.SIGKILL)

folder, kill = sys.argv[1], sys.argv[2] == "kill"
gan = sr.DCGAN((16, 16, 1), width=0.125, seed=0)
backup = keras.callbacks.BackupAndRestore(folder + "/backup")
gan.fit(bars(20), batch_size=8, epochs=4, verbose=0, callbacks=[backup, KillAt()])
gan.save(folder + "/gan.keras")
"""


@pytest.mark.slow
def test_a_killed_fit_resumes_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_FIT, str(tmp_path)]
    folders = (Path(__file__).parents[1], Path(sr.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    killed = subprocess.run([*command, "kill"], env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert not (tmp_path / "gan.keras").exists()
    subprocess.run([*command, "go on"], env=environment, capture_output=True, check=True)
    resumed = keras.saving.load_model(tmp_path / "gan.keras")
    straight = tiny_dcgan()
    straight.fit(bars(20), batch_size=8, epochs=4, verbose=0)
    assert_equal_weights(resumed, straight)
