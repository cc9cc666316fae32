"""Snapshots: images of earlier states of a generator."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.toys import bars
from synthray._seeds import spawn_seeds


class Noted(keras.callbacks.Callback):
    """What each state generates with the seeds that it will be given."""

    def __init__(self, shares: list[int], seed: int) -> None:
        super().__init__()
        self.plans = list(zip(shares, spawn_seeds(seed, len(shares)), strict=True))
        self.images: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        gan: Any = self.model
        self.images.append([gan.sample(n, seed=s, batch_size=2) for n, s in self.plans])


def test_samples_from_the_states_it_kept() -> None:
    gan = sr.R3GAN((8, 8, 1), width=0.125, seed=0, ema_images=0)
    gan.compile(run_eagerly=True)
    snapshots, noted = sr.Snapshots(keep=3, every=2), Noted([2, 2, 3], seed=5)
    gan.fit(bars(8, size=8), epochs=8, batch_size=4, verbose=0, callbacks=[snapshots, noted])
    assert snapshots.epochs == [4, 6, 8]
    expected = [noted.images[epoch - 1][place] for place, epoch in enumerate([4, 6, 8])]
    before = gan.sample(3, seed=1)
    found = snapshots.sample(7, seed=5, batch_size=2)
    np.testing.assert_array_equal(found, np.concatenate(expected))
    assert not np.array_equal(noted.images[3][0], noted.images[7][0])  # they do differ
    sizes = []
    for batch in snapshots.sample_batches(7, seed=5, batch_size=2):
        sizes.append(len(batch))
        np.testing.assert_array_equal(gan.sample(3, seed=1), before)  # in between, and after
    assert sizes == [2, 2, 2, 1]
    assert snapshots.sample(0, seed=0).shape == (0, 8, 8, 1)
    gan.fit(bars(8, size=8), epochs=1, batch_size=4, verbose=0, callbacks=[snapshots])
    assert snapshots.epochs == []  # forgot the other training; epoch 1 is not due


def test_labels_may_be_one_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    gan = sr.R3GAN((8, 8, 1), width=0.125, num_classes=2, seed=0)
    gan.compile(run_eagerly=True)
    snapshots = sr.Snapshots(keep=2)
    gan.fit(bars(8, size=8), epochs=2, batch_size=8, verbose=0, callbacks=[snapshots])
    wanted = [0, 1, 1, 0, 1]
    given = []
    sample_batches = gan.sample_batches

    def noting(n: int, *, labels: Any, **arguments: Any) -> Any:
        given.append(list(np.broadcast_to(labels, n)))
        return sample_batches(n, labels=labels, **arguments)

    monkeypatch.setattr(gan, "sample_batches", noting)
    assert snapshots.sample(5, seed=0, labels=wanted).shape == (5, 8, 8, 1)
    assert given == [[0, 1], [1, 0, 1]]
    assert snapshots.sample(1, seed=0, labels=wanted[:1]).shape == (1, 8, 8, 1)
    assert given[2:] == [[], [0]]
    del given[2:]
    assert snapshots.sample(4, seed=0, labels=1).shape == (4, 8, 8, 1)
    assert given[2:] == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="a label for each of 4 images, got 5"):
        snapshots.sample(4, labels=wanted)


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match="keep and every must be 1 or more"):
        sr.Snapshots(keep=0)
    with pytest.raises(RuntimeError, match="No state has been kept"):
        sr.Snapshots().sample(3)
