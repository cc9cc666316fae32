"""TrainingGuard: breakdowns are noticed, reported and undone; in the end it says what to change."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.generators import tiny_bars, tiny_r3gan
from helpers.tiny import TinyGAN
from helpers.toys import bars
from synthray.exceptions import DivergenceError, DivergenceWarning


class BreakAt(keras.callbacks.Callback):
    """Puts NaN into a weight before the first batch of some epochs."""

    def __init__(self, *epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._epoch in self._epochs and batch == 0:
            weight = self.model.generator.weights[0]
            weight.assign(np.full(weight.shape, np.nan, "float32"))


class Remember(keras.callbacks.Callback):
    """Weights, optimizer state, counter and random state at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        gan = self.model
        self.states.append(
            {
                "values": [v.numpy().copy() for v in [*gan.weights, *gan.optimizer.variables]],
                "images": int(gan.images_seen.numpy()),
                "seed": gan.seed_generator.state.numpy().copy(),
            }
        )


@pytest.mark.backend
def test_nan_is_reported_and_rolled_back() -> None:
    gan, seen = tiny_r3gan(), Remember()
    with pytest.warns(
        DivergenceWarning, match=r"not finite, after 9 steps. Back to the state after 6"
    ):
        gan.fit(tiny_bars(24), batch_size=8, epochs=4, verbose=0, callbacks=[BreakAt(2), seen])
    good, rolled_back = seen.states[1], seen.states[2]
    assert rolled_back["images"] == good["images"] == 48
    rates = {i for i, v in enumerate(good["values"]) if v.shape == () and v.dtype == np.float32}
    for i, (a, b) in enumerate(zip(good["values"], rolled_back["values"], strict=True)):
        if i not in rates:  # the learning rate and the strength are scalars; the rate moves on
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(good["seed"], rolled_back["seed"])
    assert seen.states[3]["images"] == 72
    assert all(np.isfinite(v).all() for v in seen.states[3]["values"])


@pytest.mark.backend
def test_nan_within_an_epoch_ends_there() -> None:
    gan = tiny_r3gan()
    guard = sr.TrainingGuard(every=1)
    with pytest.warns(DivergenceWarning, match="Back to the state after 0 steps"):
        history = gan.fit(
            tiny_bars(40), batch_size=8, epochs=1, verbose=0, callbacks=[BreakAt(0), guard]
        )
    assert guard.rollbacks == 1
    assert np.isfinite(history.history["loss"]).all()
    assert int(gan.images_seen.numpy()) == 32  # of 40: the broken step does not count


def test_gives_up_with_advice() -> None:
    gan = tiny_r3gan()
    breaks = [BreakAt(0, 1, 2), sr.TrainingGuard(max_rollbacks=1)]
    with (
        pytest.warns(DivergenceWarning, match=r"rollback 1 of at most 1"),
        pytest.raises(
            DivergenceError, match=r"breakdown 2 .* Lower the learning rate .* raise gamma"
        ),
    ):
        gan.fit(tiny_bars(8), batch_size=8, epochs=3, verbose=0, callbacks=breaks)
    assert all(np.isfinite(v.numpy()).all() for v in gan.weights)


def test_collapse_is_noticed() -> None:
    gan = tiny_r3gan()
    for layer in ("dense", "pixels"):
        kernel = gan.generator.get_layer(layer).kernel
        kernel.assign(np.zeros(kernel.shape, "float32"))
    gan.compile(keras.optimizers.SGD(0.0))
    with (
        pytest.warns(DivergenceWarning, match="collapsed: its images vary 0"),
        pytest.raises(DivergenceError, match="breakdown 2 of this training"),
    ):
        gan.fit(
            tiny_bars(16),
            epochs=5,
            verbose=0,
            callbacks=[sr.TrainingGuard(max_rollbacks=1)],
        )


def test_broken_weights_are_noticed_where_no_loss_shows_them() -> None:
    class BreakAverage(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            weight = self.model.ema_generator.weights[0]
            weight.assign(np.full(weight.shape, np.inf, "float32"))

    with (
        pytest.warns(DivergenceWarning, match="Weights are not finite, after 1 steps"),
        pytest.raises(DivergenceError, match="No epoch"),
    ):
        tiny_r3gan().fit(tiny_bars(8), epochs=1, verbose=0, callbacks=[BreakAverage()])


@pytest.mark.parametrize("place", ["weights", "optimizer"])
def test_a_beginning_that_is_not_finite_is_refused_at_once(place: str) -> None:
    gan, breaking = TinyGAN(), BreakAt(0)
    gan.compile()
    if place == "weights":
        breaking.set_model(gan)
        breaking.on_epoch_begin(0)
        breaking.on_train_batch_begin(0)
    else:
        moment = gan.optimizer.variables[-1]
        moment.assign(np.full(moment.shape, np.inf, "float32"))
    with pytest.raises(DivergenceError, match="before this training begins"):
        gan.fit(bars(8), epochs=5, verbose=0)


def test_a_training_that_ends_where_it_began_is_an_error() -> None:
    gan, guard = TinyGAN(), sr.TrainingGuard()
    with (
        pytest.warns(DivergenceWarning, match="Back to the state after 0 steps"),
        pytest.raises(DivergenceError, match=r"No epoch .* Lower the"),
    ):
        gan.fit(bars(8), epochs=3, verbose=0, callbacks=[BreakAt(0, 1, 2), guard])
    assert guard.rollbacks == 3
    assert all(np.isfinite(v.numpy()).all() for v in gan.weights)


def test_a_breakdown_in_the_last_epoch_is_taken_back() -> None:
    gan = TinyGAN()
    with pytest.warns(DivergenceWarning, match="Back to the state after 2 steps"):
        gan.fit(bars(8), epochs=3, verbose=0, callbacks=[BreakAt(2)])
    assert all(np.isfinite(v.numpy()).all() for v in gan.weights)


@pytest.mark.parametrize("arguments", [{"max_rollbacks": -1}, {"every": 0}, {"min_diversity": 1}])
def test_impossible_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected max_rollbacks >= 0"):
        sr.TrainingGuard(**arguments)
