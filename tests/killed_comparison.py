"""A comparison with a workdir, which the tests kill: `killed_comparison.py WORKDIR [RESULT]`.

Each fit and each generator's epoch that is computed leaves a line in `WORKDIR/log`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.dcgan import DCGAN
from toys import bars

SHAPE = (16, 16, 1)
ARMS = ("original", "augmented", "warm_start", "real_warm_start")
LOG = Path()


def tiny_model(seed: int) -> keras.Model:
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    layers += [keras.layers.Dense(4, "relu"), keras.layers.Dropout(0.3)]
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])


class Note(keras.callbacks.Callback):
    """Writes down each fit that ends."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def on_train_end(self, logs: Any = None) -> None:
        with LOG.open("a", encoding="utf-8") as file:
            file.write(f"{self.what}\n")
            file.flush()
            os.fsync(file.fileno())


def noting(arm: str, seed: int) -> list[Any]:
    return [Note(f"{arm} {seed}")]


def darker(images: Any, seed: int) -> Any:
    return images * np.random.default_rng(seed).uniform(0.5, 1.0)


class SmallDCGAN(DCGAN):
    """The smallest there is."""

    def __init__(self, image_shape: Any = SHAPE, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(image_shape=image_shape, latent_dim=4, width=0.03, seed=seed, **kwargs)


def data() -> ImageDataset:
    return bars(16)


def main(workdir: Path, *, keep: bool = True) -> ComparisonResult:
    """Compare, `keep` in a workdir."""
    global LOG
    LOG = workdir / "log"
    workdir.mkdir(exist_ok=True)
    return run_comparison(
        data(),
        folds=2,
        augmenter=SyntheticAugmenter(SmallDCGAN, epochs=2, batch_size=4),
        classifier=tiny_model,
        arms=ARMS,
        augmentation=darker,
        callbacks=noting,
        seeds=(0,),
        epochs=2,
        batch_size=4,
        audit="off",
        workdir=workdir if keep else None,
        verbose=0,
    )


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        found.save(sys.argv[2])
