"""SampleMonitor: the numbers of evaluate_samples at each look, and the best generator kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import synthray as sr
from helpers.toys import bars, looks
from synthray.evaluation import distances


class Shades(keras.Model):
    """Generates images of one shade each, around a shade that is its only weight."""

    def __init__(self) -> None:
        super().__init__()
        self.shade = self.add_weight(shape=(), initializer="zeros", name="shade")

    def sample(self, n: int, seed: int) -> NDArray[np.uint8]:
        spread = np.random.default_rng(seed).normal(0, 3, n)
        values = np.clip(float(self.shade.numpy()) + spread, 0, 255)
        return np.broadcast_to(values[:, None, None, None], (n, 4, 4, 1)).astype(np.uint8)


def shade_of(images: NDArray[np.uint8]) -> NDArray[Any]:
    return images[:, :1, 0, 0].astype(float)


HELD_OUT = (100 + np.arange(40) % 8).astype(np.uint8)[:, None, None, None] * np.ones(
    (1, 4, 4, 1), np.uint8
)


def train(shades: list[float], *, first: int = 0, **arguments: Any) -> tuple[Any, Any, list[Any]]:
    """Go through epochs that end with these shades, as Keras would."""
    model, logs_seen = Shades(), []
    monitor = sr.SampleMonitor(HELD_OUT, features=shade_of, **arguments)
    monitor.set_model(model)
    model.stop_training = False
    monitor.on_train_begin()
    for epoch, shade in enumerate(shades, start=first):
        monitor.on_epoch_begin(epoch)
        model.shade.assign(shade)
        logs: dict[str, float] = {}
        monitor.on_epoch_end(epoch, logs)
        logs_seen.append(logs)
        if model.stop_training:
            break
    monitor.on_train_end()
    return model, monitor, logs_seen


def test_the_best_look_is_kept() -> None:
    model, monitor, logs = train([0.0, 60.0, 104.0, 200.0])
    assert float(model.shade.numpy()) == 104
    assert monitor.best["epoch"] == 3
    assert [look["epoch"] for look in monitor.looks] == [1, 2, 3, 4]
    kid = [look["kid"] for look in monitor.looks]
    assert kid == [log["val_kid"] for log in logs]
    assert kid[0] > kid[1] > kid[2] < kid[3]
    assert logs[0]["val_coverage"] == 0
    assert logs[2]["val_coverage"] > 0.5
    last, _, _ = train([104.0, 200.0], restore_best=False)
    assert float(last.shade.numpy()) == 200


def test_looks_when_it_should_and_ends_when_it_gets_no_better() -> None:
    _, monitor, logs = train([104.0, 0.0, 104.0, 0.0, 0.0], every=2, n=30)
    assert [look["epoch"] for look in monitor.looks] == [2, 4]
    assert [bool(log) for log in logs] == [False, True, False, True, False]
    model, monitor, logs = train([60.0, 104.0, 0.0, 0.0, 0.0, 104.0], patience=2)
    assert len(logs) == 4
    assert float(model.shade.numpy()) == 104


def test_a_training_that_goes_on_knows_its_best(tmp_path: Path) -> None:
    path = tmp_path / "looks" / "best.npz"
    train([60.0, 104.0, 0.0], path=path)
    model, monitor, _ = train([0.0, 60.0], first=3, path=path)
    assert [look["epoch"] for look in monitor.looks] == [1, 2, 3, 4, 5]
    assert monitor.best["epoch"] == 2
    assert float(model.shade.numpy()) == 104
    # From the state after one epoch: what came later never was.
    model, monitor, _ = train([0.0], first=1, path=path)
    assert [look["epoch"] for look in monitor.looks] == [1, 2]
    assert float(model.shade.numpy()) == 0
    # A training from the start forgets.
    _, monitor, _ = train([0.0], path=path)
    assert len(monitor.looks) == 1
    assert [file.name for file in path.parent.iterdir()] == ["best.npz"]


def test_says_what_evaluate_samples_says() -> None:
    train_set, held_out = bars(40, size=32), bars(40, size=32, seed=1)
    gan = sr.R3GAN((32, 32, 1), width=0.125, seed=0)
    monitor = sr.SampleMonitor(held_out, seed=3, features=looks)
    gan.compile(run_eagerly=True)
    history = gan.fit(train_set, epochs=2, batch_size=20, verbose=0, callbacks=[monitor]).history
    assert history["val_kid"] == [look["kid"] for look in monitor.looks]
    report = sr.evaluate_samples(
        held_out, gan.sample(40, seed=3), held_out, features=looks, copies=False
    )
    drawn = report.scores["synthetic"]
    assert monitor.best["kid"] == pytest.approx(drawn.kid, rel=1e-6)
    assert monitor.best["coverage"] == pytest.approx(drawn.coverage)


def test_looks_by_the_learning_backbone() -> None:
    model = Shades()
    images = np.repeat(np.repeat(HELD_OUT, 8, axis=1), 8, axis=2)
    model.sample = lambda n, seed: np.resize(images, (n, *images.shape[1:]))  # type: ignore[method-assign]
    monitor = sr.SampleMonitor(images, n=12)
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_end(0)
    learning = sr.ImageFeatures("learning")(images)
    real, found = distances.standardised(learning, learning[:12])
    assert monitor.best["kid"] == pytest.approx(distances.kernel_distance(real, found), rel=1e-3)


def test_mistakes_are_explained() -> None:
    with pytest.raises(ValueError, match="at least 6 held-out images"):
        sr.SampleMonitor(HELD_OUT[:5])
    with pytest.raises(ValueError, match="patience of 1 or more"):
        sr.SampleMonitor(HELD_OUT, features=shade_of, patience=0)
    synthetic = sr.ImageDataset.from_arrays(HELD_OUT, np.zeros(40, int), synthetic=True)
    with pytest.raises(ValueError, match="real ones"):
        sr.SampleMonitor(synthetic)
