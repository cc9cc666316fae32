"""What tests of comparisons train: bars that a dense layer tells apart, in a blink."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

import synthray as sr
from helpers.toys import bars


def dense(
    image_shape: tuple[int, int, int], num_classes: int = 2, seed: int | None = None
) -> keras.Model:
    """A classifier of one dense layer."""
    k, end = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    layers = [keras.Input(image_shape), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    start = keras.initializers.GlorotUniform(seed)
    return keras.Sequential([*layers, keras.layers.Dense(k, end, kernel_initializer=start)])


def images(n: int, seed: int = 0, *, synthetic: bool = False, size: int = 16) -> sr.ImageDataset:
    """Bars without groups."""
    data = replace(bars(n, seed=seed, size=size), groups=None)
    return replace(data, synthetic=np.full(n, synthetic))


def quick(**arguments: Any) -> sr.Training:
    """A training that takes a blink."""
    return sr.Training(**{"classifier": dense, "epochs": 1, "batch_size": 8, **arguments})


class TenLines:
    """An augmenter of somebody else: real images, darker by a random amount."""

    def fit(self, train: sr.ImageDataset) -> Self:
        self.seen = train
        return self

    def sample(self, counts: dict[str, int], *, seed: int) -> sr.ImageDataset:
        rng = np.random.default_rng(seed)
        names = list(self.seen.class_names)
        rows = [rng.choice(np.flatnonzero(self.seen.labels == names.index(c)), n)
                for c, n in counts.items()]  # fmt: skip
        data = self.seen.select(np.concatenate(rows))
        darker = (data.images * rng.uniform(0.7, 1.0)).astype(np.uint8)
        return replace(data, images=darker, synthetic=np.ones(len(data), bool), groups=None)


class Note(keras.callbacks.Callback):
    """Adds a line to a file at the end of each fit."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__()
        self.path = path
        self.text = text

    def on_train_end(self, logs: Any = None) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{self.text} {int(self.model.optimizer.iterations)}\n")
            file.flush()
            os.fsync(file.fileno())


def probabilities(result: sr.ComparisonResult) -> dict[tuple[str, int, int], NDArray[Any]]:
    """The predictions of each fit, by arm, seed and fold."""
    return {(run.arm, run.seed, run.fold): run.probabilities for run in result.runs}


def assert_equal(one: sr.ComparisonResult, other: sr.ComparisonResult) -> None:
    """Bit for bit."""
    left, right = probabilities(one), probabilities(other)
    if left.keys() != right.keys():
        raise AssertionError(f"{sorted(left)} and {sorted(right)}")
    for key, values in left.items():
        np.testing.assert_array_equal(values, right[key], err_msg=str(key))


def killed(workdir: Path, log: Path) -> sr.ComparisonResult:
    """A comparison that tests kill: each fit leaves a line in the log."""
    import functools

    return sr.run_comparison(
        images(24),
        cv=2,
        augmenter=sr.SyntheticAugmenter(
            functools.partial(sr.DCGAN, width=0.03, latent_dim=4), epochs=2, batch_size=4
        ),
        training=quick(epochs=2, callbacks=lambda arm, seed: [Note(log, f"{arm} {seed}")]),
        arms=("original", "augmented", "warm_start", "real_warm_start"),
        leakage="off",
        workdir=workdir,
        verbose=0,
    )
