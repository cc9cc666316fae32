"""TrainingGuard: breakdowns are noticed, reported and undone; in the end it says what to change."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from test_r3gan import tiny, tiny_bars


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
    gan, seen = tiny(), Remember()
    with pytest.warns(
        RuntimeWarning, match=r"not finite, after 9 steps. Back to the state after 6"
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
    gan = tiny()
    guard = sr.TrainingGuard(every=1)
    with pytest.warns(RuntimeWarning, match="Back to the state after 0 steps"):
        history = gan.fit(
            tiny_bars(40), batch_size=8, epochs=1, verbose=0, callbacks=[BreakAt(0), guard]
        )
    assert guard.rollbacks == 1
    assert np.isfinite(history.history["loss"]).all()
    assert int(gan.images_seen.numpy()) == 32  # of 40: the broken step does not count


def test_gives_up_with_advice() -> None:
    gan = tiny()
    breaks = [BreakAt(0, 1, 2), sr.TrainingGuard(max_rollbacks=1)]
    with (
        pytest.warns(RuntimeWarning, match=r"rollback 1 of at most 1"),
        pytest.raises(RuntimeError, match=r"breakdown 2 .* Lower the learning rate .* raise gamma"),
    ):
        gan.fit(tiny_bars(8), batch_size=8, epochs=3, verbose=0, callbacks=breaks)
    assert all(np.isfinite(v.numpy()).all() for v in gan.weights)


def test_collapse_is_noticed() -> None:
    gan = tiny()
    for layer in ("dense", "pixels"):
        kernel = gan.generator.get_layer(layer).kernel
        kernel.assign(np.zeros(kernel.shape, "float32"))
    gan.compile(keras.optimizers.SGD(0.0))
    with (
        pytest.warns(RuntimeWarning, match="collapsed: its images vary 0"),
        pytest.raises(RuntimeError, match="breakdown 2 of this training"),
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

    with pytest.warns(RuntimeWarning, match="Weights are not finite, after 1 steps"):
        tiny().fit(tiny_bars(8), epochs=1, verbose=0, callbacks=[BreakAverage()])


def test_can_be_left_out_and_watches_other_gans() -> None:
    gan = tiny()
    history = gan.fit(
        tiny_bars(8), epochs=1, verbose=0, guard=False, callbacks=[BreakAt(0)]
    ).history
    assert np.isnan(history["loss"][0])
    plain = sr.DCGAN((8, 8, 1), width=0.125, seed=0)
    with pytest.warns(RuntimeWarning, match="The losses are not finite, after 2 steps"):
        plain.fit(tiny_bars(8), epochs=2, verbose=0, callbacks=[BreakAt(1), sr.TrainingGuard()])
    assert np.isfinite(plain.generator.weights[0].numpy()).all()


@pytest.mark.parametrize("arguments", [{"max_rollbacks": -1}, {"every": 0}, {"min_diversity": 1}])
def test_impossible_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected max_rollbacks >= 0"):
        sr.TrainingGuard(**arguments)
