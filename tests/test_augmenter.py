"""SyntheticAugmenter: training, sampling, resampling, files."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import synthray as sr
from synthray._adam import adam
from synthray.augmenter import progress, resampling
from toys import assert_equal_weights, bars

tiny = functools.partial(sr.DCGAN, width=0.125)


def make(**arguments: Any) -> sr.SyntheticAugmenter:
    return sr.SyntheticAugmenter(tiny, **({"epochs": 1, "random_state": 0} | arguments))


@pytest.fixture(scope="module")
def fitted() -> sr.SyntheticAugmenter:
    return make().fit(bars(21), verbose=0)


def test_init_only_stores() -> None:
    augmenter = sr.SyntheticAugmenter()
    assert augmenter.generator is sr.R3GAN
    assert not [name for name in vars(augmenter) if name.endswith("_")]
    with pytest.raises(RuntimeError, match="Call fit"):
        augmenter.sample(3)


def test_fitted_attributes(fitted: sr.SyntheticAugmenter) -> None:
    assert fitted.class_names_ == ("upright", "lying")
    assert fitted.n_train_ == {"upright": 11, "lying": 10}
    assert fitted.image_shape_ == (16, 16, 1)
    assert set(fitted.generators_) == {"upright", "lying"}
    assert len(fitted.histories_["lying"]["g_loss"]) == 1
    upright, lying = (fitted.generators_[k].sample(1, seed=0) for k in fitted.class_names_)
    assert not np.array_equal(upright, lying)


def test_each_class_is_drawn_by_its_own_generator() -> None:
    augmenter = sr.SyntheticAugmenter(
        lambda **k: _compiled(tiny(**k), keras.optimizers.Adam(1e-3, beta_1=0.5)),
        epochs=100,
        batch_size=16,
        random_state=0,
    )
    augmenter.fit(bars(64), verbose=0)
    drawn = augmenter.sample({"upright": 20, "lying": 20}, seed=0)
    # A bar makes its rows (lying) or columns (upright) differ in brightness.
    images = drawn.images[..., 0].astype(float)
    rows, columns = images.mean(2).std(1), images.mean(1).std(1)
    assert ((rows > columns) == drawn.labels).mean() > 0.9


def _compiled(gan: sr.DCGAN, optimizer: keras.Optimizer) -> sr.DCGAN:
    gan.compile(optimizer)
    return gan


def test_sample_marks_and_counts(fitted: sr.SyntheticAugmenter) -> None:
    drawn = fitted.sample(10, seed=3)
    assert drawn.class_counts == {"upright": 5, "lying": 5}
    assert drawn.synthetic.all()
    assert drawn.provenance["source"] == "synthray.SyntheticAugmenter"
    np.testing.assert_array_equal(drawn.images, fitted.sample(10, seed=3, batch_size=3).images)
    assert not np.array_equal(drawn.images, fitted.sample(10, seed=4).images)
    assert fitted.sample({"lying": 2}).class_counts == {"upright": 0, "lying": 2}
    assert fitted.sample({0: 1, "lying": 2}).class_counts == {"upright": 1, "lying": 2}
    assert len(fitted.sample(0)) == 0
    with pytest.raises(ValueError, match=r"No class is called 'oblique'.*upright"):
        fitted.sample({"oblique": 1})
    for wrong in (-1, {"lying": -1}):
        with pytest.raises(ValueError, match="0 or more"):
            fitted.sample(wrong)


def test_shares_follow_training() -> None:
    assert resampling.share_out(10, {"a": 2, "b": 1}) == {"a": 7, "b": 3}
    assert resampling.share_out(7, {"a": 1, "b": 1, "c": 1}) == {"a": 3, "b": 2, "c": 2}


def test_fit_refuses_what_it_cannot_learn() -> None:
    data = bars(8)
    with pytest.raises(ValueError, match=r"\['lying'\] have none"):
        make().fit(data.select(data.labels == 0))
    with pytest.raises(ValueError, match="8 of 8 images are synthetic"):
        make().fit(replace(data, synthetic=np.ones(8, bool)))
    with pytest.raises(ValueError, match="Labels are missing"):
        make().fit(data.images)
    with pytest.raises(ValueError, match="leave y out"):
        make().fit(data, data.labels)
    with pytest.raises(ValueError, match="one-hot rows"):
        make().fit(data.images, np.full((8, 2), 0.5))
    with pytest.raises(ValueError, match="whole numbers"):
        make().fit(data.images, np.full(8, 0.5))
    with pytest.raises(ValueError, match="Labels must be integers"):
        make().fit(data.images, np.zeros((2, 2, 2)))


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {"a": 0, "b": 6, "c": 8}),
        ("minority", {"a": 0, "b": 0, "c": 8}),
        ({"c": 5, 20: 4}, {"a": 0, "b": 0, "c": 3}),
        ({"a": 12}, {"a": 2, "b": 0, "c": 0}),
    ],
)
def test_sampling_strategies(strategy: Any, expected: dict[str, int]) -> None:
    have = {"a": 10, "b": 4, "c": 2}
    assert resampling.missing_images(strategy, have, [10, 20, 30]) == expected


def test_float_strategy_is_the_ratio_of_two() -> None:
    assert resampling.missing_images(0.5, {"a": 2, "b": 10}, [0, 1]) == {"a": 3, "b": 0}
    with pytest.raises(ValueError, match=r"already have a ratio of 0\.200"):
        resampling.missing_images(0.1, {"a": 2, "b": 10}, [0, 1])
    with pytest.raises(ValueError, match="for 3 classes"):
        resampling.missing_images(0.5, {"a": 2, "b": 10, "c": 1}, [0, 1, 2])
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        resampling.missing_images(1.5, {"a": 2, "b": 10}, [0, 1])
    with pytest.raises(ValueError, match="none is taken away"):
        resampling.missing_images({"b": 3}, {"a": 2, "b": 10}, [0, 1])
    with pytest.raises(ValueError, match="sampling_strategy must be"):
        resampling.missing_images("majority", {"a": 2, "b": 10}, [0, 1])


def test_fit_resample_balances_like_imbalanced_learn() -> None:
    data = bars(24).select(np.r_[0:24:2, 1:9:2])  # 12 upright, 4 lying
    both = make().fit_resample(data, verbose=0)
    assert both.class_counts == {"upright": 12, "lying": 12}
    np.testing.assert_array_equal(both.images[:16], data.images)
    assert both.synthetic.sum() == 8

    images = data.images.astype("float32")[..., 0] / 255
    words = np.array(["upright", "lying"])[data.labels]
    X, y = make(sampling_strategy={"lying": 6}).fit_resample(images, words, verbose=0)
    assert (X.shape, X.dtype) == ((18, 16, 16), np.float32)
    assert X.max() <= 1
    np.testing.assert_array_equal(X[:16], images)
    assert y.tolist()[16:] == ["lying", "lying"]


def test_an_unfitted_copy_has_the_arguments_and_nothing_learnt(
    fitted: sr.SyntheticAugmenter,
) -> None:
    class Own(sr.SyntheticAugmenter):
        def __init__(self, *arguments: Any, note: str = "", **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.note = note

    copy = fitted.unfitted_copy(random_state=5)
    assert vars(copy) == vars(make(random_state=5))
    assert fitted.random_state == 0
    assert len(fitted.sample(2)) == 2
    with pytest.raises(RuntimeError, match="Call fit"):
        copy.sample(2)
    own = Own(tiny, note="kept", epochs=7)
    own.generators_ = {}
    again = own.unfitted_copy(random_state=None)
    assert type(again) is Own
    assert (again.note, again.epochs, again.random_state) == ("kept", 7, None)
    assert not hasattr(again, "generators_")


class _Subclass(sr.SyntheticAugmenter):
    pass


@keras.saving.register_keras_serializable(package="test_augmenter")
class _OtherDCGAN(sr.DCGAN):
    pass


SHAPE = (16, 16, 1)
# One change each to what `make` and `tiny` give, and how an error names it.
OTHER_GENERATORS: dict[str, tuple[Any, str]] = {
    "width": (
        functools.partial(sr.DCGAN, width=0.25),
        r"generator\.config\.width \(0\.125, now 0\.25\)",
    ),
    "dtype": (
        functools.partial(tiny, dtype="mixed_bfloat16"),
        r"generator\.dtype \('float32', now 'mixed_bfloat16'\)",
    ),
    "learning rate": (
        lambda **k: _compiled(tiny(**k), adam(1e-3)),
        r"generator\.optimizer\.config\.learning_rate \(0\.0001, now 0\.001\)",
    ),
    "class": (
        functools.partial(_OtherDCGAN, width=0.125),
        r"generator\.class \('synthray\.\S+DCGAN', now '\S+_OtherDCGAN'\)",
    ),
}


def test_fingerprints_differ_where_the_images_will() -> None:
    base = make().fingerprint(SHAPE)
    same = [
        make(),
        make(sampling_strategy="minority"),
        sr.SyntheticAugmenter(lambda **k: tiny(**k), epochs=1, random_state=0),
        make(random_state=np.int64(0)),
        sr.SyntheticAugmenter(
            functools.partial(tiny, dtype=keras.DTypePolicy("float32")), epochs=1, random_state=0
        ),
    ]
    assert {augmenter.fingerprint(SHAPE) for augmenter in same} == {base}
    other = [
        make(epochs=2),
        make(batch_size=16),
        make(random_state=1),
        make(random_state=None),
        _Subclass(tiny, epochs=1, random_state=0),
        *(sr.SyntheticAugmenter(g, epochs=1, random_state=0) for g, _ in OTHER_GENERATORS.values()),
    ]
    prints = [base, make().fingerprint((24, 16, 1)), *(o.fingerprint(SHAPE) for o in other)]
    assert len(set(prints)) == len(prints)
    with pytest.raises(ValueError, match=r"fingerprint\(image_shape="):
        make().fingerprint()


def test_a_fitted_fingerprint_counts_the_weights(
    fitted: sr.SyntheticAugmenter, tmp_path: Path
) -> None:
    before = fitted.fingerprint()
    assert before != make().fingerprint(SHAPE)
    assert fitted.fingerprint(image_shape=(64, 64, 3)) == before
    fitted.save(tmp_path / "augmenter")
    back = sr.SyntheticAugmenter.load(tmp_path / "augmenter")
    assert back.fingerprint() == before
    for name in back.class_names_:
        variable = back.generators_[name].generator.weights[-1]
        value = variable.numpy()
        variable.assign(value + 1)
        assert back.fingerprint() != before
        variable.assign(value)
        assert back.fingerprint() == before
    back.epochs = 2
    assert back.fingerprint() != before


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = "from test_augmenter import SHAPE, make; print(make().fingerprint(SHAPE))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == make().fingerprint(SHAPE)


@keras.saving.register_keras_serializable(package="test_augmenter")
class _OfNetworks(sr.GAN):
    """Holds its networks in its config, with the names and seeds that Keras gives them."""

    def get_config(self) -> dict[str, Any]:
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return {k: keras.saving.serialize_keras_object(v) for k, v in networks.items()}


def _of_networks(units: int, rate: float, **arguments: Any) -> sr.GAN:
    latent, image = keras.Input((4,)), keras.Input(SHAPE)
    hidden = keras.layers.Dense(units, activation="relu")(latent)
    pixels = keras.layers.Dense(256, activation="sigmoid", dtype=keras.DTypePolicy("float32"))(
        hidden
    )
    flat = keras.layers.Dropout(rate, seed=arguments["seed"])(keras.layers.Flatten()(image))
    return _OfNetworks(
        keras.Model(latent, keras.layers.Reshape(SHAPE)(pixels)),
        keras.Model(image, keras.layers.Dense(1)(flat)),
        seed=arguments["seed"],
    )


def test_names_that_keras_counts_up_do_not_count() -> None:
    def of(units: int, rate: float) -> str:
        generator = functools.partial(_of_networks, units, rate)
        return sr.SyntheticAugmenter(generator, random_state=0).fingerprint(SHAPE)

    assert of(3, 0.2) == of(3, 0.2)
    assert len({of(3, 0.2), of(4, 0.2), of(3, 0.3)}) == 3


def test_save_and_load(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    fitted.save(tmp_path / "augmenter")
    fitted.save(tmp_path / "augmenter")  # over its own earlier save
    back = sr.SyntheticAugmenter.load(tmp_path / "augmenter")
    np.testing.assert_array_equal(back.sample(4, seed=0).images, fitted.sample(4, seed=0).images)
    assert back.n_train_ == fitted.n_train_
    assert back.histories_ == fitted.histories_
    assert (back.epochs, back.random_state, back.classes_) == (1, 0, [0, 1])
    manifest = json.loads((tmp_path / "augmenter" / "manifest.json").read_text())
    assert manifest["versions"]["synthray"] == sr.__version__
    assert manifest["generators"]["lying"]["generator"].endswith("DCGAN")


def test_changed_folders_are_refused(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    folder = tmp_path / "augmenter"
    fitted.save(folder)
    with (folder / "lying.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match="SHA-256 differs"):
        sr.SyntheticAugmenter.load(folder)
    (folder / "lying.keras").unlink()
    with pytest.raises(ValueError, match="is missing"):
        sr.SyntheticAugmenter.load(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        sr.SyntheticAugmenter.load(folder)
    (folder / "manifest.json").write_text('{"format": "else"}')
    with pytest.raises(ValueError, match="says 'else'"):
        sr.SyntheticAugmenter.load(folder)
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        sr.SyntheticAugmenter.load(tmp_path)
    (tmp_path / "photo.png").touch()
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        fitted.save(tmp_path)


def test_sample_to_folder(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    counts = {"upright": 3, "lying": 2}
    fitted.sample_to_folder(tmp_path / "drawn", counts, seed=2, batch_size=2, verbose=0)
    files = sorted(p.relative_to(tmp_path / "drawn") for p in tmp_path.rglob("*.png"))
    assert [f.as_posix() for f in files] == [
        *(f"lying/synthetic_{i:06d}.png" for i in range(2)),
        *(f"upright/synthetic_{i:06d}.png" for i in range(3)),
    ]
    pixels = np.asarray(Image.open(tmp_path / "drawn" / "upright" / "synthetic_000002.png"))
    np.testing.assert_array_equal(pixels, fitted.sample(counts, seed=2).images[2, ..., 0])
    manifest = json.loads((tmp_path / "drawn" / "manifest.json").read_text())
    assert manifest["synthetic"] is True
    assert manifest["counts"] == counts
    with pytest.raises(ValueError, match="is not empty"):
        fitted.sample_to_folder(tmp_path / "drawn", 2)


def test_class_names_that_are_no_file_names(tmp_path: Path) -> None:
    data = replace(bars(8), class_names=("not fractured", "../fractured"))
    make().fit(data, verbose=0).sample_to_folder(tmp_path / "d", 2, verbose=0)
    assert len(list((tmp_path / "d").glob("*/*.png"))) == 2
    assert not list(tmp_path.glob("*.png"))


def test_a_long_fit_says_what_it_will_cost(capsys: pytest.CaptureFixture[str]) -> None:
    estimate = progress.CostEstimate(1_011, "Training", verbose=1)
    for _ in range(3):
        estimate.on_train_batch_end(0)
    estimate._started -= 8 * 3.6  # eight steps of 3.6 s
    for _ in range(8):
        estimate.on_train_batch_end(0)
    assert "Training: about 60 min to go" in capsys.readouterr().out
    assert progress.describe(3 * 3600) == "3.0 h"
    short = progress.CostEstimate(20, "Training", verbose=1)
    for _ in range(20):
        short.on_train_batch_end(0)
    assert not capsys.readouterr().out


KILLED_FIT = """
import os, signal, sys
import keras
import synthray as sr
from test_augmenter import make
from toys import bars

class KillAt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1 and int(self.model.optimizer.iterations) > 2:
            os.kill(os.getpid(), signal.SIGKILL)

make(epochs=3, batch_size=4).fit(
    bars(16), workdir=sys.argv[1], verbose=0,
    callbacks=lambda name: [KillAt()] if name == sys.argv[2] else [])
"""


def test_a_killed_fit_goes_on_where_it_was(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", KILLED_FIT, str(tmp_path), "lying"]
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    epochs = {p.parent.name: json.loads(p.read_text())["epochs"] for p in tmp_path.glob("*/*.json")}
    assert epochs == {"upright": 3, "lying": 1}
    resumed = make(epochs=3, batch_size=4).fit(bars(16), workdir=tmp_path, verbose=0)
    straight = make(epochs=3, batch_size=4).fit(bars(16), verbose=0)
    for name in straight.class_names_:
        assert_equal_weights(resumed.generators_[name], straight.generators_[name])
    assert resumed.histories_ == straight.histories_
    with pytest.raises(ValueError, match="trained for 3 epochs"):
        make(epochs=2, batch_size=4).fit(bars(16), workdir=tmp_path)
    with pytest.raises(ValueError, match="another batch_size"):
        make(epochs=3, batch_size=8).fit(bars(16), workdir=tmp_path)
    with pytest.raises(ValueError, match="another images_sha256"):
        make(epochs=3, batch_size=4).fit(bars(24, seed=9), workdir=tmp_path)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `make` has been fitted in, by a callback that lowers the learning rate."""
    folder = tmp_path_factory.mktemp("workdir")
    slower = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    make().fit(bars(8), workdir=folder, callbacks=lambda name: [slower], verbose=0)
    return folder


def test_a_learning_rate_that_a_callback_changed_is_no_other_generator(workdir: Path) -> None:
    resumed = make().fit(bars(8), workdir=workdir, verbose=0)
    rate = float(resumed.generators_["lying"].optimizer.learning_rate.numpy())
    assert rate == pytest.approx(5e-5)


@pytest.mark.parametrize("change", OTHER_GENERATORS)
def test_a_workdir_of_another_generator_is_refused(workdir: Path, change: str) -> None:
    generator, named = OTHER_GENERATORS[change]
    other = sr.SyntheticAugmenter(generator, epochs=2, random_state=0)
    with pytest.raises(ValueError, match=rf"another {named}\. Use another workdir, or remove"):
        other.fit(bars(8), workdir=workdir, verbose=0)
    with pytest.raises(RuntimeError, match="Call fit"):
        other.sample(1)


def test_a_workdir_of_an_earlier_version_is_refused(workdir: Path, tmp_path: Path) -> None:
    shutil.copytree(workdir, tmp_path / "old")
    for file in (tmp_path / "old").glob("*/state.json"):
        state = json.loads(file.read_text())
        del state["settings"]["generator"]
        file.write_text(json.dumps(state))
    with pytest.raises(ValueError, match=r"earlier version.*record generator.*another workdir"):
        make().fit(bars(8), workdir=tmp_path / "old", verbose=0)


class Stop(keras.callbacks.Callback):
    """Ends a training after its second epoch; looks at every second one."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch % 2:
            logs["look"] = float(epoch)
            self.model.stop_training = True


def test_a_training_that_a_callback_has_ended_does_not_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: dict[str, Any] = {"workdir": tmp_path, "callbacks": lambda name: [Stop()]}
    first = make(epochs=5).fit(bars(8), **arguments, verbose=0)
    again = make(epochs=5).fit(bars(8), **arguments, verbose=0)
    for name in ("upright", "lying"):
        assert len(first.histories_[name]["g_loss"]) == 2
        assert again.histories_[name] == first.histories_[name]
        assert_equal_weights(again.generators_[name], first.generators_[name])
    # Asked for more epochs, it goes on, and forgets no metric that was not taken since.
    more = make(epochs=7).fit(bars(8), workdir=tmp_path, verbose=0)
    assert len(more.histories_["lying"]["g_loss"]) == 7
    assert more.histories_["lying"]["look"] == [1.0]


def test_annotations_that_cannot_be_joined_are_told_before_the_training() -> None:
    data = replace(bars(8), annotations={"view": np.array(["ap"] * 8)})
    with pytest.raises(ValueError, match="Drawn images have no annotation 'view'"):
        make(epochs=10**6).fit_resample(data, verbose=0)


def test_numbers_of_numpy_and_strategies_by_label_survive_a_file(tmp_path: Path) -> None:
    strategy = {np.int64(0): 6, np.int64(1): 7}
    numbers = {"epochs": np.int64(1), "batch_size": np.int64(4), "random_state": np.int64(3)}
    own = make(sampling_strategy=strategy, **numbers)
    own.fit(bars(8), workdir=tmp_path / "work", verbose=0)
    own.save(tmp_path / "saved")
    back = sr.SyntheticAugmenter.load(tmp_path / "saved")
    assert back.sampling_strategy == {0: 6, 1: 7}
    assert (back.epochs, back.batch_size, back.random_state) == (1, 4, 3)
    taken_up = make(epochs=1, batch_size=4, random_state=3)
    taken_up.fit(bars(8), workdir=tmp_path / "work", verbose=0)
    assert_equal_weights(taken_up.generators_["lying"], own.generators_["lying"])
