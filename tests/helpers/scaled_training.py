"""A training that the tests run on one or two devices.

`scaled_training.py FORM FOLDER [FOLDER ...]` trains each kind of generator, writes what it found
and the images that it generates to a folder of that name in the first FOLDER, and saves the model.
Then it loads the models of the other folders, and samples from them too. FORM is "one", "mirrored"
(TensorFlow), "parallel" (JAX), or "process:PORT:NUMBER", one of two processes (JAX).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import synthray as sr
from helpers.toys import bars

KINDS = ("DCGAN", "R3GAN")
IMAGES, EPOCHS, BATCH = 40, 2, 16  # the last batch is smaller


def scope_of(form: str) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Make two devices, and return what makes the scope to make a model in."""
    if form == "mirrored":
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * 2
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, devices)
        return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope
    if form.startswith("process"):
        import jax

        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        _, port, number = form.split(":")
        keras.distribution.initialize(f"127.0.0.1:{port}", 2, int(number))
    if form != "one":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    return contextlib.nullcontext


def make(kind: str) -> Any:
    """Make a model whose every random number counts."""
    if kind == "DCGAN":
        gan = sr.DCGAN((16, 16, 1), latent_dim=8, width=0.125, seed=0)
        last = gan.generator.get_layer("image_logits")
        last.set_weights([50 * weights for weights in last.get_weights()])  # more than one gray
        return gan
    # Each device penalises every fourth of its images: together those that one device would.
    return sr.R3GAN((8, 8, 1), width=0.125, seed=0, augment_strength=0.5)


def train(form: str, kind: str, folder: Path, others: list[Path], scope: Any) -> None:
    """Train, sample, save; load and sample."""
    with scope():
        gan = make(kind)
    training = bars(IMAGES, size=gan.image_shape[0]).images
    history = gan.fit(training, batch_size=BATCH, epochs=EPOCHS, verbose=0).history
    found: dict[str, Any] = {key: [float(v) for v in values] for key, values in history.items()}
    found["steps"] = int(gan.optimizer.iterations.numpy())
    if kind == "R3GAN":
        found["images_seen"] = int(gan.images_seen.numpy())
    if form == "mirrored":
        import tensorflow as tf

        found["devices"] = gan.distribute_strategy.num_replicas_in_sync
        found["cores"] = len(tf.config.list_logical_devices("CPU"))
    elif form != "one":
        found["devices"] = len(keras.distribution.list_devices())
    images = {"own": gan.sample(5, seed=1, batch_size=5)}
    folder.mkdir()
    gan.save(folder / "gan.keras")  # all processes do, or the one that does waits for them
    for other in others:
        file = str(other / kind / "gan.keras")
        images[file] = keras.saving.load_model(file).sample(5, seed=1, batch_size=5)
    np.savez(folder / "images.npz", **images)
    (folder / "found.json").write_text(json.dumps(found))


def main(form: str, folder: Path, *others: Path) -> None:
    """Train all kinds, one after the other."""
    scope = scope_of(form)
    for kind in KINDS:
        train(form, kind, folder / kind, list(others), scope)


if __name__ == "__main__":
    if sys.argv[1] == "parallel":  # before JAX starts
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    main(sys.argv[1], *map(Path, sys.argv[2:]))
