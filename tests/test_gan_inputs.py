"""What `fit` of a generator takes, and the callbacks around it."""

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
from PIL import Image

import synthray as sr
from synthray.generators import losses
from test_dcgan import small
from toys import assert_equal_weights, bars

TF_ONLY = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="feeds tf.data to the TensorFlow backend"
)


def losses_on(images: Any, **arguments: Any) -> Any:
    gan = small()
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


def test_a_second_fit_in_another_scale_is_understood() -> None:
    images = bars(8).images
    one, two = small(), small()
    for gan, second in ((one, images.astype("float32")), (two, images / np.float32(255))):
        gan.fit(images.astype("float32"), epochs=1, verbose=0)
        gan.fit(second, epochs=1, verbose=0)
    for a, b in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-3)


def test_a_reloaded_model_knows_the_scale_of_floats(tmp_path: Path) -> None:
    images = bars(8).images / np.float32(255)
    gan = small()
    gan.fit(images, epochs=1, verbose=0)
    gan.save(tmp_path / "gan.keras")
    back = keras.saving.load_model(tmp_path / "gan.keras")
    judged = [model.evaluate(images, verbose=0, return_dict=True) for model in (gan, back)]
    assert judged[0]["d_loss"] == pytest.approx(judged[1]["d_loss"], rel=1e-5)


@pytest.mark.backend
def test_a_generator_is_as_good_as_its_batches() -> None:
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
        parts = small()
        super().__init__(parts.generator, parts.discriminator, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        super().build(input_shape)

    def call(self, images: Any, training: bool = False, half: Any = None) -> Any:
        if training:
            self.count.assign_add(1.0)
        return super().call(images, training, half)

    def losses_from_logits(self, logits: Any) -> Any:
        return (
            losses.non_saturating_discriminator_loss(logits["real"], logits["fake"]),
            losses.non_saturating_generator_loss(logits["generated"]),
        )


@pytest.mark.backend
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
    store: dict[str, Any] = {}
    gan.save_own_variables(store)
    del store["own0"]
    with pytest.raises(ValueError, match=r"no 'own0'.*Train the Counting anew"):
        Counting().load_own_variables(store)


def test_files_of_an_earlier_version_are_refused() -> None:
    gan = small()
    store: dict[str, Any] = {}
    gan.save_own_variables(store)
    small().load_own_variables(store)
    del store["float_range"]
    with pytest.raises(ValueError, match=r"earlier version of synthray.*Train the DCGAN anew"):
        small().load_own_variables(store)


def test_a_new_generator_must_define_its_losses() -> None:
    gan = small()
    bare = sr.GAN(gan.generator, gan.discriminator, seed=0)
    with pytest.raises(NotImplementedError, match="GAN must define losses_from_logits"):
        bare.compute_loss(y_pred={"fake": None, "generated": None})


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 8, 8, 1), "uint8"), ValueError, r"\(n, 16, 16, 1\).*resize\(16, 16\)"),
        (np.zeros((2, 16, 16, 3), "uint8"), ValueError, r"to_grayscale\(\)"),
        (np.zeros((0, 16, 16, 1), "uint8"), ValueError, "at least one image"),
        (np.full((2, 16, 16, 1), 300), ValueError, "values 0 to 255, got 300"),
        (np.full((2, 16, 16, 1), -4.0), ValueError, r"0 \.\.\. 1.*got values from -4"),
        (np.full((2, 16, 16, 1), np.nan), ValueError, "NaN"),
        (17, TypeError, "got int"),
        ([], ValueError, "at least one batch"),
    ],
)
def test_bad_images_are_refused(images: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small().fit(images, verbose=0)


def test_batch_size_is_for_arrays() -> None:
    with pytest.raises(ValueError, match="already in batches"):
        small().fit(bars(8).to_py_dataset(4), batch_size=4, verbose=0)


def test_validation_and_weights() -> None:
    data = bars(16)
    history = small().fit(data, epochs=1, validation_data=bars(8, seed=1), verbose=0).history
    assert history["val_loss"][0] > 0
    full, none = (
        small().compute_loss(
            y_pred={k: np.array([1.0, -1.0], "float32") for k in ("real", "fake", "generated")},
            sample_weight=np.array(w, "float32"),
        )
        for w in ([1, 1], [0, 0])
    )
    assert float(full) > 0
    assert float(none) == 0


def test_sample_grid_writes_fixed_latents(tmp_path: Path) -> None:
    gan = small()
    grid = sr.SampleGrid(tmp_path, n=6, columns=3, every=2)
    gan.fit(bars(8), epochs=3, verbose=0, callbacks=[grid])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch_00002.png", "epoch_00003.png"]
    picture = np.asarray(Image.open(tmp_path / "epoch_00003.png"))
    assert picture.shape == (2 * 16 + 2, 3 * 16 + 2 * 2)
    latents = np.random.default_rng(0).standard_normal((6, 128))
    np.testing.assert_array_equal(picture[:16, :16], gan.generate(latents)[0, ..., 0])
    colour = small(image_shape=(16, 16, 3))
    colour.fit(bars(8).to_rgb(), epochs=1, verbose=0, callbacks=sr.SampleGrid(tmp_path / "c"))
    assert np.asarray(Image.open(tmp_path / "c" / "epoch_00001.png")).ndim == 3
    with pytest.raises(ValueError, match="1 or more"):
        sr.SampleGrid(tmp_path, every=0)


KILLED_FIT = """
import os, signal, sys
import keras
import synthray as sr
from toys import bars

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


def test_a_killed_fit_resumes_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_FIT, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    killed = subprocess.run([*command, "kill"], env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert not (tmp_path / "gan.keras").exists()
    subprocess.run([*command, "go on"], env=environment, capture_output=True, check=True)
    resumed = keras.saving.load_model(tmp_path / "gan.keras")
    straight = small()
    straight.fit(bars(20), batch_size=8, epochs=4, verbose=0)
    assert_equal_weights(resumed, straight)
