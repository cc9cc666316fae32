from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.base import clone

import synthray as sr
from helpers.comparisons import Note, TenLines, assert_equal, dense, images, quick
from helpers.tiny import BrokenGAN, tiny_augmenter
from synthray.exceptions import DivergenceError

TRAIN, TEST, SYNTHETIC = images(50, 0), images(24, 1), images(70, 2, synthetic=True)


def compare(**arguments: Any) -> sr.ComparisonResult:
    training = arguments.pop("training", quick())
    options = {"arms": ["original"], "leakage": "off", "verbose": 0, **arguments}
    return sr.run_comparison(TRAIN, TEST, training=training, **options)


@pytest.mark.backend
def test_four_arms_take_equal_steps_and_repeat(tmp_path: Path) -> None:
    log = tmp_path / "log"
    training = quick(epochs=4, callbacks=lambda arm, seed: [Note(log, arm)])
    options: dict[str, Any] = {"arms": sr.ARMS, "augmenter": SYNTHETIC, "seeds": (0, 3)}
    result = compare(training=training, **options)
    steps = 4 * 7
    assert result.arms == ("original", "augmented", "mixed", "warm_start")
    assert {run.steps for run in result.runs} == {steps}
    assert result["warm_start"][0].phase_steps == (14, 14)
    assert {line.split()[-1] for line in log.read_text().splitlines()} == {"14", "28"}
    assert [len(run.history["loss"]) for run in result.runs] == [4] * 8
    assert_equal(result, compare(training=training, **options))
    again = compare(training=training, **options, n_jobs=None)
    assert not np.array_equal(again["mixed"][0].probabilities, again["mixed"][1].probabilities)


@pytest.mark.backend
def test_original_arm_is_the_plain_fit() -> None:
    train, test = images(40, 0, size=27), images(10, 1, size=27)
    plain = sr.FractureClassifier(image_shape=(27, 27, 1), seed=5)
    plain.fit(train, epochs=2, batch_size=16, verbose=0)
    result = sr.run_comparison(
        train,
        test,
        arms=["original"],
        training=sr.Training(epochs=2, batch_size=16),
        seeds=[5],
        leakage="off",
        verbose=0,
    )
    np.testing.assert_allclose(
        result["original"][0].probabilities[:, 1:],
        plain.predict(test.images, verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_it_learns_and_knows_what_judged() -> None:
    result = compare(training=quick(epochs=20))
    assert result["original"][0].scores.accuracy == 1.0
    assert result["original"][0].probabilities.shape == (24, 2)
    np.testing.assert_array_equal(result.labels, TEST.labels)
    assert result.settings["epochs"] == 20
    assert "dense" in result.settings["classifier"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [("equal_steps", {"original": (28,), "mixed": (28,), "warm_start": (14, 14)}),
     ("epochs", {"original": (28,), "mixed": (70,), "warm_start": (42, 28)})],
)  # fmt: skip
def test_budgets(budget: Any, expected: dict[str, tuple[int, ...]]) -> None:
    found = compare(
        arms=list(expected), augmenter=SYNTHETIC, training=quick(epochs=4, budget=budget)
    )
    assert {arm: found[arm][0].phase_steps for arm in found.arms} == expected


def test_an_arm_sees_its_images_in_its_order() -> None:
    seen: list[float] = []

    def bright(batch: Any) -> Any:
        seen.append(float(batch.max()))
        return batch

    def source(value: int) -> Any:
        def made(train: sr.ImageDataset, synthetic: Any) -> sr.ImageDataset:
            return replace(train, images=np.full_like(train.images, value))

        return made

    phases = [sr.Phase(source(v), augment=True, share=s) for v, s in ((9, 1), (7, 3))]
    compare(arms=[sr.Arm("own", phases)], training=quick(epochs=4, augmentation=bright))
    assert seen == [9.0] * 7 + [7.0] * 21


def test_controls_train_on_the_right_images() -> None:
    sizes = {
        name: [len(phase.data(TRAIN, SYNTHETIC)) for phase in arm]
        for name, arm in sr.CONTROLS.items()
    }
    assert sizes == {
        "duplicated": [120],
        "real_warm_start": [70, 50],
        "augmented_mixed": [120],
        "augmented_warm_start": [70, 50],
        "synthetic_only": [70],
    }
    copies = sr.Phase("copies").data(TRAIN, SYNTHETIC)
    assert copies.class_counts == SYNTHETIC.class_counts
    assert not copies.synthetic.any()


def test_any_keras_model_and_three_classes() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = (rng.integers(0, 40, (60, 8, 8)) + 70 * labels[:, None, None]).astype(np.uint8)
    data = sr.ImageDataset.from_arrays(pixels, labels)
    result = sr.run_comparison(
        data, cv=2, arms=["original"], training=quick(epochs=8), leakage="off", verbose=0
    )
    assert result.positive_class is None
    assert result.probabilities("original").shape == (1, 60, 3)
    assert np.nanmean(result.scores("original")["auc"]) > 0.8

    def integers() -> keras.Model:
        model = dense((8, 8, 1), 3)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    other = sr.run_comparison(
        data, cv=2, arms=["original"], training=quick(classifier=integers), leakage="off", verbose=0
    )
    assert other["original"][0].steps == 4


def test_class_weights_change_the_training() -> None:
    found = [
        compare(training=quick(class_weight=w))["original"][0].probabilities
        for w in (None, "balanced", {0: 1.0, 1: 1.0}, {np.int64(0): 1.0, np.int64(1): 9.0})
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)  # the classes are balanced
    np.testing.assert_allclose(found[0], found[2], atol=1e-6)
    assert found[3][:, 1].mean() > found[0][:, 1].mean()


def test_validation_enters_the_histories_alone() -> None:
    shares = compare(training=quick(epochs=2, validation=0.3))
    history = shares["original"][0].history
    assert set(history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    held = compare(training=quick(epochs=2, validation=images(10, 5)))
    np.testing.assert_array_equal(
        held["original"][0].probabilities,
        compare(training=quick(epochs=2))["original"][0].probabilities,
    )


def test_a_callback_may_stop_a_fit() -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch >= 1

    training = quick(epochs=6, callbacks=lambda arm, seed: [Stop()])
    with pytest.warns(sr.SynthrayWarning, match="phase 2"):
        found = compare(arms=["warm_start"], augmenter=SYNTHETIC, training=training)
    assert found["warm_start"][0].phase_steps == (14, 0)


def test_a_diverged_fit_warns_and_keeps_its_place() -> None:
    def broken(image_shape: Any) -> keras.Model:
        model = dense(image_shape)
        model.compile(keras.optimizers.SGD(1e38), "binary_crossentropy", metrics=["accuracy"])
        model.layers[-1].kernel.assign(model.layers[-1].kernel * np.nan)
        return model

    with pytest.warns(sr.DivergenceWarning, match="diverged"):
        found = compare(training=quick(classifier=broken))
    assert found["original"][0].scores == sr.Scores()
    assert "no verdict" in str(found.statistics()) or "only arm" in str(found)


def test_augmenters_of_anybody_are_cloned_for_each_fold_and_seed() -> None:
    augmenter = TenLines()
    result = sr.run_comparison(
        images(40),
        cv=2,
        augmenter=augmenter,
        arms=["mixed"],
        training=quick(),
        seeds=(0, 1),
        leakage="off",
        verbose=0,
    )
    assert not hasattr(augmenter, "seen")
    assert len(result.runs) == 4
    assert result.settings["synthetic"]["class_counts"] == {"upright": 10, "lying": 10}


@pytest.mark.slow
def test_with_a_real_augmenter() -> None:
    make = functools.partial(sr.DCGAN, width=0.03, latent_dim=4)
    augmenter = sr.SyntheticAugmenter(make, epochs=1, batch_size=16)
    assert clone(augmenter).get_params()["epochs"] == 1
    options: dict[str, Any] = {"arms": ["mixed"], "seeds": (0, 1), "n_synthetic": 12}
    unfitted = compare(augmenter=augmenter, **options)
    assert not hasattr(augmenter, "generators_")
    fitted = compare(augmenter=augmenter.fit(TRAIN, verbose=0), **options)
    for result in (unfitted, fitted):
        assert sum(result.settings["synthetic"]["class_counts"].values()) == 12
        assert result.pictures is not None
        assert set(result.pictures.synthetic) == {"upright", "lying"}
        first, second = (run.probabilities for run in result["mixed"])
        assert not np.array_equal(first, second)


def test_no_arm_trains_on_images_of_a_generator_that_has_broken_down() -> None:
    options: dict[str, Any] = {"augmenter": tiny_augmenter(generator=BrokenGAN), "seeds": (0,)}
    for function in (sr.run_comparison, sr.tune):
        with pytest.raises(DivergenceError, match="broken down"):
            function(
                images(16),
                arms=["original", "mixed"],
                training=quick(),
                cv=2,
                leakage="off",
                verbose=0,
                **options,
            )


def interrupt(*of: Any) -> list[Any]:
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            raise KeyboardInterrupt

    return [Interrupt()]


def test_an_interrupted_call_says_that_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_training: dict[str, Any] = {"training": quick(callbacks=interrupt)}
    fit = functools.partial(tiny_augmenter().fit, TRAIN, callbacks=interrupt)
    for call in (functools.partial(compare, **of_training), fit):
        for options, times in (
            ({"workdir": tmp_path, "verbose": 1}, 1),
            ({"workdir": tmp_path, "verbose": 0}, 0),
            ({"verbose": 1}, 0),
        ):
            with pytest.raises(KeyboardInterrupt):
                call(**options)
            assert capsys.readouterr().out.count("call with this workdir goes on") == times


def test_the_positive_class_is_the_data_sets() -> None:
    test = TEST.with_positive_class("upright")
    train = TRAIN.with_positive_class("upright")
    found = sr.run_comparison(
        train, test, arms=["original"], training=quick(), leakage="off", verbose=0
    )
    other = compare()
    assert (found.positive_class, other.positive_class) == ("upright", "lying")
    one, two = found["original"][0].scores, other["original"][0].scores
    assert (one.sensitivity, one.specificity) == (two.specificity, two.sensitivity)


def test_it_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    compare(verbose=1, leakage="warn")
    told = capsys.readouterr().out
    assert "test images" in told
    assert "\r" not in told.replace("\r\n", "\n").strip() or told.count("\n") < 40


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"arms": ["mixed"]}, ValueError, "augmenter"),
        ({"arms": ["no_such"]}, ValueError, "no_such"),
        ({"arms": ["original", "original"]}, ValueError, "different"),
        ({"arms": []}, ValueError, "arms"),
        ({"augmenter": 3}, TypeError, "augmenter"),
        ({"augmenter": TRAIN}, ValueError, "synthetic"),
        ({"augmenter": SYNTHETIC, "n_synthetic": 5}, ValueError, "n_synthetic"),
        ({"augmenter": images(8, synthetic=True, size=24)}, ValueError, "shape"),
        ({"augmenter": TenLines(), "arms": ["mixed"], "n_synthetic": 0}, ValueError, "none"),
        ({"augmenter": TenLines(), "n_synthetic": {"other": 5}}, ValueError, "other"),
        ({"seeds": ()}, ValueError, "seeds"),
        ({"seeds": (1, 1)}, ValueError, "seeds"),
        ({"leakage": "maybe"}, ValueError, "leakage"),
        ({"training": {"epochs": 3}}, TypeError, "Training"),
        ({"arms": ["warm_start"], "augmenter": SYNTHETIC}, ValueError, "epochs"),
        ({"arms": [sr.Arm("few", sr.Phase("both", ratio=9.0))], "augmenter": SYNTHETIC},
         ValueError, "ratio"),
        ({"training": quick(class_weight={0: 1.0})}, ValueError, "class_weight"),
        ({"training": quick(classifier=lambda: 3)}, TypeError, "keras.Model"),
        ({"training": quick(classifier=lambda: dense((16, 16, 1), 3))}, ValueError, "output"),
    ],
)  # fmt: skip
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        compare(**arguments)


@pytest.mark.parametrize(
    ("train", "test", "error", "word"),
    [
        (TRAIN.images, TEST, TypeError, "from_arrays"),
        (TRAIN, TEST.select([]), ValueError, "no image"),
        (TRAIN.concatenate(SYNTHETIC), TEST, ValueError, "synthetic"),
        (TRAIN, TEST.resize(8, 8), ValueError, "resize"),
        (TRAIN.select(TRAIN.labels == 0), TEST, ValueError, "classes"),
    ],
)
def test_wrong_data(train: Any, test: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        sr.run_comparison(train, test, arms=["original"], training=quick(), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"classifier": dense((8, 8, 1))}, TypeError, "function"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"batch_size": 2.5}, TypeError, "batch_size"),
        ({"budget": "time"}, ValueError, "budget"),
        ({"augmentation": 3}, TypeError, "augmentation"),
        ({"class_weight": "heavy"}, ValueError, "class_weight"),
        ({"validation": 1.5}, ValueError, "validation"),
        ({"validation": "some"}, TypeError, "validation"),
    ],
)
def test_wrong_trainings(arguments: dict[str, Any], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        sr.Training(**arguments)


def test_train_classifier_gives_what_the_comparison_judged() -> None:
    training = quick(epochs=2)
    options: dict[str, Any] = {"training": training, "augmenter": SYNTHETIC, "verbose": 0}
    for arm in ("augmented", "warm_start"):
        model = sr.train_classifier(TRAIN, arm, seed=3, **options)
        found = model.predict(TEST.images.astype("float32"), verbose=0)[:, 0]
        judged = compare(arms=[arm], seeds=[3], training=training, augmenter=SYNTHETIC)
        np.testing.assert_allclose(judged[arm][0].probabilities[:, 1], found, atol=1e-6)
    with pytest.raises(ValueError, match="augmenter"):
        sr.train_classifier(TRAIN, "mixed", training=training)
