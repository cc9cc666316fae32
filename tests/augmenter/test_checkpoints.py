"""`fit(workdir=)`: a stopped training goes on where it was, and never as another one."""

from __future__ import annotations

import fcntl
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.tiny import Break, BrokenGAN, TinyGAN, tiny_augmenter
from helpers.toys import assert_equal_weights, bars
from synthray.exceptions import DivergenceError, DivergenceWarning


class StopAt(keras.callbacks.Callback):
    """Raises an error before a step of a training."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise InterruptedError


def assert_same_training(a: sr.SyntheticAugmenter, b: sr.SyntheticAugmenter) -> None:
    for name in a.class_names_:
        assert_equal_weights(a.generators_[name], b.generators_[name])
    assert a.histories_ == b.histories_
    assert a.fingerprint() == b.fingerprint()


@pytest.mark.backend
def test_a_stopped_fit_goes_on_where_it_was(tmp_path: Path) -> None:
    make = functools.partial(tiny_augmenter, epochs=3, batch_size=4)
    with pytest.raises(InterruptedError):
        make().fit(
            bars(16),
            workdir=tmp_path,
            callbacks=lambda name: [StopAt(4)] if name == "lying" else [],
            verbose=0,
        )
    epochs = {p.parent.name: json.loads(p.read_text())["epochs"] for p in tmp_path.glob("*/*.json")}
    assert epochs == {"upright": 3, "lying": 1}
    resumed = make().fit(bars(16), workdir=tmp_path, verbose=0)
    assert_same_training(resumed, make().fit(bars(16), verbose=0))
    with pytest.raises(ValueError, match="trained for 3 epochs"):
        make(epochs=2).fit(bars(16), workdir=tmp_path)
    with pytest.raises(ValueError, match=r"another batch_size \(4, now 8\)"):
        make(batch_size=8).fit(bars(16), workdir=tmp_path)
    with pytest.raises(ValueError, match="another random_state"):
        make(random_state=1).fit(bars(16), workdir=tmp_path)
    with pytest.raises(ValueError, match="another images"):
        make().fit(bars(24, seed=9), workdir=tmp_path)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a training whose callback has lowered the learning rate."""
    folder = tmp_path_factory.mktemp("workdir")
    slower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    tiny_augmenter().fit(bars(8), workdir=folder, callbacks=lambda name: [slower], verbose=0)
    return folder


def test_a_learning_rate_that_a_callback_changed_is_no_other_generator(workdir: Path) -> None:
    resumed = tiny_augmenter().fit(bars(8), workdir=workdir, verbose=0)
    rate = float(resumed.generators_["lying"].optimizer.learning_rate.numpy())
    planned = float(TinyGAN().default_optimizer().learning_rate.numpy())
    assert rate == pytest.approx(planned / 2)


@keras.saving.register_keras_serializable(package="synthray_tests")
class OtherGAN(TinyGAN):
    pass


def with_rate(**arguments: Any) -> sr.GAN:
    gan = TinyGAN(**arguments)
    gan.compile(keras.optimizers.Adam(0.01))
    return gan


OTHERS: dict[str, tuple[Any, str]] = {
    "an argument": (functools.partial(TinyGAN, units=8), r"generator\.units \(4, now 8\)"),
    "the dtype": (functools.partial(TinyGAN, dtype="float16"), r"\('float32', now 'float16'\)"),
    "the optimizer": (with_rate, r"learning_rate \(\S+, now 0\.01\)"),
    "the class": (OtherGAN, r"now '\S+OtherGAN'\)"),
}


@pytest.mark.parametrize("change", OTHERS)
def test_a_workdir_of_another_generator_is_refused(workdir: Path, change: str) -> None:
    generator, named = OTHERS[change]
    other = tiny_augmenter(generator=generator, epochs=2)
    with pytest.raises(ValueError, match=rf"another .*{named}.*remove"):
        other.fit(bars(8), workdir=workdir, verbose=0)
    assert not hasattr(other, "generators_")


class End(keras.callbacks.Callback):
    """Ends a training after its second epoch; looks at every second one."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch % 2:
            logs["look"] = float("nan")
            self.model.stop_training = True


def test_a_training_that_a_callback_has_ended_does_not_go_on(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"workdir": tmp_path, "callbacks": lambda name: [End()]}
    first = tiny_augmenter(epochs=5).fit(bars(8), **arguments, verbose=0)
    again = tiny_augmenter(epochs=5).fit(bars(8), **arguments, verbose=0)
    for name in ("upright", "lying"):
        assert len(first.histories_[name]["g_loss"]) == 2
        assert again.histories_[name]["g_loss"] == first.histories_[name]["g_loss"]
        assert_equal_weights(again.generators_[name], first.generators_[name])
    # Asked for more epochs, it goes on, and forgets no metric that was not taken since.
    more = tiny_augmenter(epochs=7).fit(bars(8), workdir=tmp_path, verbose=0)
    assert len(more.histories_["lying"]["g_loss"]) == 7
    assert np.isnan(more.histories_["lying"]["look"]).tolist() == [True]


def test_epochs_that_broke_down_are_not_kept(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"workdir": tmp_path, "verbose": 0}
    augmenter = tiny_augmenter(epochs=2)
    with (
        pytest.warns(DivergenceWarning, match="Back to the state after 0 steps"),
        pytest.raises(DivergenceError, match="No epoch"),
    ):
        augmenter.fit(bars(8), callbacks=lambda name: [Break(0, 1)], **arguments)
    assert not hasattr(augmenter, "generators_")
    assert not list(tmp_path.glob("[!.]*"))  # nothing that the next call would take for trained
    with pytest.warns(DivergenceWarning, match="Back to the state after 1 steps"):
        augmenter.fit(bars(8), callbacks=lambda name: [Break(1)], **arguments)
    for name, gan in augmenter.generators_.items():
        assert all(np.isfinite(weight).all() for weight in gan.get_weights())
        losses = augmenter.histories_[name]["loss"]
        assert len(losses) == 1
        assert np.isfinite(losses).all()
    assert_same_training(tiny_augmenter(epochs=2).fit(bars(8), **arguments), augmenter)


def test_a_generator_that_has_broken_down_is_never_returned(tmp_path: Path) -> None:
    for workdir in (None, tmp_path):
        augmenter = tiny_augmenter(generator=BrokenGAN)
        with pytest.raises(DivergenceError, match="'upright' has broken down"):
            augmenter.fit(bars(8), workdir=workdir, verbose=0)
        assert not hasattr(augmenter, "generators_")


def test_a_long_training_says_once_what_it_will_cost(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise InterruptedError

    for epochs, times in ((3, 0), (10**7, 1)):
        with pytest.raises(InterruptedError):
            tiny_augmenter(epochs=epochs, batch_size=2).fit(
                bars(8), callbacks=lambda name: [Interrupt()], verbose=2
            )
        assert capsys.readouterr().out.count("Training generators: about") == times


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="in use"):
            tiny_augmenter().fit(bars(8), workdir=tmp_path, verbose=0)


def test_a_damaged_state_is_named(workdir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(workdir, tmp_path / "work")
    state = folder / "lying" / "state.json"
    state.write_text(state.read_text().replace('"epochs": 1', '"epochs": 7'))
    with pytest.raises(sr.FileFormatError, match=r"lying/state\.json .* SHA-256"):
        tiny_augmenter().fit(bars(8), workdir=folder, verbose=0)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    numbers = {"epochs": np.int64(1), "batch_size": np.int64(4), "random_state": np.int64(3)}
    own = tiny_augmenter(**numbers).fit(bars(8), workdir=tmp_path, verbose=0)
    again = tiny_augmenter(epochs=1, batch_size=4, random_state=3)
    assert_same_training(again.fit(bars(8), workdir=tmp_path, verbose=0), own)
