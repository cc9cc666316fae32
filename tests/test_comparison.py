from __future__ import annotations

import functools
import random
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest

from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison.arms import CONTROLS, Arm
from synthray.comparison.phases import Phase
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.dcgan import DCGAN
from toys import bars

SHAPE = (32, 32, 1)


def toy(n: int, seed: int, *, synthetic: bool = False) -> ImageDataset:
    data = replace(bars(n, size=32, seed=seed), groups=None)
    return replace(data, synthetic=np.full(n, synthetic))


def tiny_model() -> keras.Model:
    """A classifier that any number of tests can afford."""
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid")])


@pytest.fixture(scope="module")
def train() -> ImageDataset:
    return toy(50, 0)


@pytest.fixture(scope="module")
def test() -> ImageDataset:
    return replace(toy(24, 1), names=np.asarray([f"image{i}" for i in range(24)]))


@pytest.fixture(scope="module")
def drawn() -> ImageDataset:
    return toy(70, 2, synthetic=True)


@pytest.fixture
def compare(train: ImageDataset, test: ImageDataset) -> Callable[..., ComparisonResult]:
    def run(**arguments: Any) -> ComparisonResult:
        defaults = {"classifier": tiny_model, "epochs": 1, "batch_size": 16, "verbose": 0}
        # To look for twins among so many small bars, which are alike, takes seconds.
        defaults |= {"audit": "off", "arms": ["original"]}
        return run_comparison(train, test, **{**defaults, **arguments})

    return run


def counting(found: list[tuple[str, int, int]]) -> Callable[[str, int], list[Any]]:
    """Callbacks that note the optimizer's own count of steps at the end of each fit."""

    def callbacks(arm: str, seed: int) -> list[Any]:
        class Count(keras.callbacks.Callback):
            def on_train_end(self, logs: Any = None) -> None:
                steps = keras.ops.convert_to_numpy(self.model.optimizer.iterations.value)
                found.append((arm, seed, int(steps)))

        return [Count()]

    return callbacks


@pytest.mark.backend
def test_four_arms_take_equal_steps_and_repeat(
    train: ImageDataset, test: ImageDataset, drawn: ImageDataset
) -> None:
    counts: list[tuple[str, int, int]] = []
    results = [
        run_comparison(
            train,
            test,
            augmenter=drawn,
            classifier=tiny_model,
            epochs=3,
            batch_size=16,
            seeds=seeds,
            callbacks=counting(counts),
            audit="off",
            verbose=0,
        )
        for seeds in ((0, 5), (5,))
    ]
    result = results[0]
    arms = ("original", "augmented", "synthetic", "warm_start")
    assert result.arms == arms
    assert result.seeds == (0, 5)
    assert counts == [(arm, seed, 12) for seed in (0, 5, 5) for arm in arms]  # 3 x ceil(50 / 16)
    assert all(len(run.history["loss"]) == 3 for run in result.runs)
    assert [run.phase_steps for run in result["warm_start"]] == [(6, 6)] * 2
    np.testing.assert_array_equal(result.labels, test.labels)
    assert result.names is not None
    assert result.names[3] == "image3"
    for arm in arms:  # the same seed gives the same numbers in another comparison
        again, first = results[1][arm][0], result[arm][1]
        np.testing.assert_array_equal(again.probabilities, first.probabilities)
        assert again.history == first.history
        assert again.scores == first.scores
        assert not np.array_equal(result[arm][0].probabilities, first.probabilities)


@pytest.mark.backend
def test_original_arm_is_the_plain_fit(train: ImageDataset, test: ImageDataset) -> None:
    result = run_comparison(
        train, test, arms="original", epochs=2, batch_size=16, seeds=[3], audit="off", verbose=0
    )
    model = FractureClassifier(image_shape=SHAPE, seed=3)
    history = model.fit(train, epochs=2, batch_size=16, verbose=0).history
    expected = keras.ops.convert_to_numpy(model(test.images, training=False))[:, 0]
    run = result["original"][0]
    np.testing.assert_allclose(run.probabilities[:, 1], expected, atol=1e-6)
    np.testing.assert_allclose(run.history["loss"], history["loss"], rtol=1e-5)
    assert run.probabilities.shape == (24, 2)
    assert result.settings["classifier"] == "FractureClassifier"


def test_learns(compare: Any, drawn: ImageDataset) -> None:
    result = compare(classifier=FractureClassifier, augmenter=drawn, arms=["synthetic"], epochs=30)
    assert result.scores("synthetic")["accuracy"] > 0.9


def test_budget_of_epochs_is_per_phase(compare: Any, drawn: ImageDataset) -> None:
    counts: list[tuple[str, int, int]] = []
    result = compare(
        arms=["original", "synthetic", "warm_start"],
        augmenter=drawn,
        epochs=2,
        budget="epochs",
        callbacks=counting(counts),
    )
    # 50 real images are 4 steps, 70 drawn 5, both together 8.
    assert [run.phase_steps for run in result.runs] == [(8,), (16,), (10, 8)]
    # The warm start's 18 steps are four whole entries of its history and one of two steps.
    assert [len(run.history["loss"]) for run in result.runs] == [2, 4, 5]
    assert counts == [
        ("original", 0, 8),
        ("synthetic", 0, 16),
        ("warm_start", 0, 16),
        ("warm_start", 0, 18),
    ]


def test_own_arm_sees_its_images_in_its_order(compare: Any, drawn: ImageDataset) -> None:
    seen: list[float] = []

    def brightness(batch: Any) -> Any:
        seen.append(float(batch.mean()))
        return batch

    def dark_twins(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
        assert synthetic is drawn
        return replace(train, images=train.images // 4)

    arm = Arm("mine", [Phase(dark_twins, augment=True, share=3), Phase(augment=True, share=1)])
    result = compare(arms=[arm], augmenter=drawn, epochs=2, augmentation=brightness)
    assert result["mine"][0].phase_steps == (6, 2)
    # Keras looks at the first batches once more to learn their shapes.
    assert min(seen[-2:]) > 2 * max(seen[:-2])
    phases = result.settings["arms"]["mine"]
    assert [phase["share"] for phase in phases] == [3, 1]
    assert phases[0]["source"].endswith("dark_twins")
    assert result.settings["augmentation"].endswith("brightness")


def test_any_classifier(compare: Any) -> None:
    made: list[Any] = []

    def softmax(image_shape: Any, num_classes: int) -> keras.Model:
        layers = [keras.layers.Flatten(), keras.layers.Dense(num_classes, activation="softmax")]
        model = keras.Sequential([keras.layers.Rescaling(1 / 255), *layers])  # not built
        model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy")
        made.append((image_shape, model))
        return model

    state = random.getstate()
    result = compare(classifier=softmax, seeds=(0, 1), class_weight="balanced")
    assert random.getstate() == state
    assert made[0][0] == SHAPE
    assert isinstance(made[0][1].optimizer, keras.optimizers.SGD)
    np.testing.assert_allclose(result.runs[0].probabilities.sum(axis=1), 1, rtol=1e-5)
    kernels = [keras.ops.convert_to_numpy(model.weights[0].value) for _, model in made]
    assert len(kernels) == 3  # one is made to look at
    assert not np.array_equal(kernels[1], kernels[2])


def linear(image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    layers = [keras.Input(image_shape), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(num_classes, activation="softmax")])


def test_more_than_two_classes() -> None:
    levels = np.repeat(np.asarray([10, 120, 240], "uint8"), 10)[:, None, None]
    images = np.broadcast_to(levels, (30, 28, 28)).copy()
    images[:, 0, 0] = np.arange(30)
    labels = np.repeat(np.arange(3), 10)
    data = ImageDataset.from_arrays(images, labels)
    train, test = data.split(0.3, seed=0)
    result = run_comparison(
        train, test, arms=["original"], classifier=linear, epochs=2, audit="off", verbose=0
    )
    assert result.positive_class is None
    assert result.runs[0].probabilities.shape == (len(test), 3)
    assert result.runs[0].scores.auc is not None
    assert "means over classes" in str(result)


def test_class_weights_change_the_training(compare: Any) -> None:
    losses = [
        compare(class_weight=weight).runs[0].history["loss"][0]
        for weight in (None, "balanced", {0: 1.0, 1: 3.0})
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)  # 25 images of each class
    assert losses[2] != losses[0]
    with pytest.raises(ValueError, match="a weight for each label"):
        compare(class_weight={0: 1.0})


def test_numbers_of_numpy_are_numbers(compare: Any, tmp_path: Path) -> None:
    weights = dict(zip(np.arange(2), np.array([1.0, 3.0]), strict=True))
    result = compare(class_weight=weights, epochs=np.int64(1), batch_size=np.int64(16))
    plain = compare(class_weight={0: 1.0, 1: 3.0})
    np.testing.assert_array_equal(result.runs[0].probabilities, plain.runs[0].probabilities)
    result.save(tmp_path / "result.json")
    found = ComparisonResult.load(tmp_path / "result.json").settings
    assert (found["epochs"], found["class_weight"]) == (1, {"0": 1.0, "1": 3.0})


def test_steps_are_those_that_were_taken(compare: Any, drawn: ImageDataset) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 0

    def stopping(arm: str, seed: int) -> list[Any]:
        return [Stop()] if seed else []

    given: dict[str, Any] = {"augmenter": drawn, "seeds": (0, 1), "epochs": 3, "batch_size": 16}
    with pytest.warns(UserWarning, match=r"'warm_start' with seed 1 before phase 2 of its 2"):
        result = compare(arms=["original", "warm_start"], callbacks=stopping, **given)
    assert [run.phase_steps for run in result["original"]] == [(12,), (4,)]
    assert [run.phase_steps for run in result["warm_start"]] == [(6, 6), (4, 0)]
    assert "4 to 12" in str(result)
    for run in result.runs:
        assert run.steps == run.steps_per_entry * len(run.history["loss"])
    # A rate of its own makes the second phase another fit, whatever stopped the first.
    slow = Arm("slow", [Phase("synthetic", share=0.5), Phase("real", share=0.5, rate=0.5)])
    result = compare(arms=[slow], callbacks=stopping, **given)
    assert [run.phase_steps for run in result["slow"]] == [(6, 6), (4, 6)]


def test_what_an_arm_will_lack_is_said_before_generators_train(
    compare: Any, train: ImageDataset, artist: Artist
) -> None:
    many = Arm("many", Phase("mixed", ratio=2.0))
    with pytest.raises(ValueError, match="asks for 100 drawn images and there are 50"):
        compare(arms=[many], augmenter=artist)
    with pytest.raises(ValueError, match="No class is called 'broken'"):
        compare(arms=["synthetic"], augmenter=artist, n_synthetic={"broken": 3})
    assert artist.fitted_on == []
    compare(arms=[many], augmenter=artist, n_synthetic=100)
    assert artist.asked == [(100, 0)]


def test_annotations_that_drawn_images_lack_are_no_obstacle(
    train: ImageDataset, test: ImageDataset, drawn: ImageDataset
) -> None:
    views = {"view": np.array(["front"] * len(train)), "age": np.zeros(len(train))}
    annotated = replace(train, annotations=views)
    settings: dict[str, Any] = {"classifier": tiny_model, "epochs": 1, "audit": "off", "verbose": 0}
    results = [
        run_comparison(data, test, augmenter=drawn, arms=["synthetic"], **settings)
        for data in (train, annotated)
    ]
    one, other = (result.runs[0].probabilities for result in results)
    np.testing.assert_array_equal(one, other)


def test_half_precision_probabilities_are_scored(drawn: ImageDataset) -> None:
    rng = np.random.default_rng(0)
    three = ImageDataset.from_arrays(rng.integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 3)

    def half() -> keras.Model:
        layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        return keras.Sequential([*layers, keras.layers.Dense(3, "softmax", dtype="mixed_bfloat16")])

    result = run_comparison(
        *(three.select(rows) for rows in (np.arange(30), np.arange(30, 60))),
        classifier=half, arms=["original"], epochs=1, audit="off", verbose=0,
    )  # fmt: skip
    np.testing.assert_allclose(result.runs[0].probabilities.sum(axis=1), 1, atol=1e-6)
    assert 0 <= result.scores("original")["auc"][0] <= 1


def test_classifiers_that_scale_their_loss_are_reused(compare: Any) -> None:
    def scaling() -> keras.Model:
        model = tiny_model()
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3))
        model.compile(optimizer, "binary_crossentropy")
        return model

    arm = Arm("anew", [Phase(), Phase(reset=("optimizer",))])
    given: dict[str, Any] = {"classifier": scaling, "arms": ["original", arm], "epochs": 2}
    both, alone = compare(**given, seeds=(0, 1)), compare(**given, seeds=(1,))
    for name in ("original", "anew"):
        np.testing.assert_array_equal(both.probabilities(name)[1], alone.probabilities(name)[0])


def test_validation_enters_the_histories(compare: Any) -> None:
    result = compare(validation=toy(10, 7), epochs=2)
    assert set(result.runs[0].history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    plain = compare(epochs=2)
    np.testing.assert_array_equal(plain.runs[0].probabilities, result.runs[0].probabilities)


class Artist:
    """An augmenter that draws noise, and notes what it was given."""

    fitted_on: ClassVar[list[ImageDataset]] = []
    asked: ClassVar[list[Any]] = []

    def fit(self, data: ImageDataset, *, verbose: Any) -> None:
        self.fitted_on.append(data)
        self.class_names_, self.image_shape_ = data.class_names, data.image_shape

    def sample(self, n: Any, *, seed: int) -> ImageDataset:
        self.asked.append((n, seed))
        counts = list(n.values()) if isinstance(n, dict) else [n // 2, n - n // 2]
        images = np.random.default_rng(seed).integers(0, 256, (sum(counts), *SHAPE), np.uint8)
        labels = np.repeat([0, 1], counts)
        return ImageDataset.from_arrays(
            images, labels, class_names=self.class_names_, synthetic=True
        )


@pytest.fixture
def artist() -> Artist:
    Artist.fitted_on.clear()
    Artist.asked.clear()
    return Artist()


def test_augmenter_learns_from_train_anew_for_each_seed(
    compare: Any, train: ImageDataset, artist: Artist
) -> None:
    result = compare(arms=["synthetic", "warm_start"], augmenter=artist, seeds=(4, 5), epochs=2)
    assert len(artist.fitted_on) == 2
    assert all(data is train for data in artist.fitted_on)
    each = {"upright": 25, "lying": 25}
    assert artist.asked == [(each, 4), (each, 5)]  # both arms train on the same drawn images
    assert not hasattr(artist, "class_names_")  # what was given stays unfitted
    assert result.settings["synthetic"]["class_counts"] == each
    compare(arms=["warm_start"], augmenter=artist, n_synthetic=10, epochs=2)
    assert artist.asked[-1] == (10, 0)
    compare(arms=["original"], augmenter=artist)  # nobody needs drawn images
    assert len(artist.fitted_on) == 3


def test_fitted_augmenter_draws_anew_for_each_seed(
    compare: Any, train: ImageDataset, artist: Artist
) -> None:
    artist.fit(train.select(np.arange(20)), verbose=0)
    result = compare(arms=["synthetic"], augmenter=artist, seeds=(1, 3))
    assert len(artist.fitted_on) == 1
    assert [seed for _, seed in artist.asked] == [1, 3]
    assert not np.array_equal(*result.probabilities("synthetic"))


def tinier_model() -> keras.Model:
    return linear((16, 16, 1), 2)


def test_with_a_real_augmenter() -> None:
    train, test = bars(20, seed=0), bars(10, seed=1)
    small = functools.partial(DCGAN, latent_dim=4, width=0.03)
    runs = []
    for random_state in (77, 78):  # follows from the seed of the comparison: it changes nothing
        augmenter = SyntheticAugmenter(small, epochs=1, random_state=random_state)
        result = run_comparison(
            *(train, test),
            augmenter=augmenter,
            classifier=tinier_model,
            arms=["synthetic"],
            seeds=(3,),
            epochs=1,
            audit="off",
            verbose=0,
        )
        assert not hasattr(augmenter, "generators_")
        assert augmenter.random_state == random_state
        assert result.settings["synthetic"]["provenance"]["seed"] == 3
        runs.append(result.runs[0])
    np.testing.assert_array_equal(runs[0].probabilities, runs[1].probabilities)


def test_controls_train_on_the_right_images(compare: Any, train: ImageDataset) -> None:
    drawn = toy(70, 2, synthetic=True)
    drawn = drawn.select([*np.flatnonzero(drawn.labels == 0).tolist(), 1, 3, 5])  # 35 and 3
    copies = Phase("copies").data(train, drawn)
    assert copies.class_counts == drawn.class_counts
    assert not copies.synthetic.any()
    upright = train.images[train.labels == 0]
    np.testing.assert_array_equal(copies.images[:25], upright)  # all 25, then from the first on
    np.testing.assert_array_equal(copies.images[25:35], upright[:10])
    np.testing.assert_array_equal(copies.images[35:], train.images[train.labels == 1][:3])
    both = Phase("duplicated").data(train, drawn)
    np.testing.assert_array_equal(both.images, np.concatenate([train.images, copies.images]))
    np.testing.assert_array_equal(both.labels, np.concatenate([train.labels, copies.labels]))
    assert Phase("copies").data(train, None) is train  # nothing drawn, nothing to equal
    arms = ["synthetic", "warm_start", *CONTROLS]
    for budget, total in (("equal_steps", 8), ("epochs", None)):
        result = compare(arms=arms, augmenter=drawn, epochs=2, budget=budget)
        steps = {arm: result[arm][0].phase_steps for arm in arms}
        if total is not None:
            assert {sum(each) for each in steps.values()} == {total}
        # A control differs from its arm in the images alone.
        assert steps["duplicated"] == steps["synthetic"] == steps["augmented_synthetic"]
        assert steps["real_warm_start"] == steps["warm_start"] == steps["augmented_warm_start"]
        assert steps["warm_start"] == ((4, 4) if budget == "equal_steps" else (6, 8))
        found = [result.probabilities(arm) for arm in arms]
        assert len({p.tobytes() for p in found}) == len(arms)


def deep(image_shape: tuple[int, int, int]) -> keras.Model:
    layers = [keras.Input(image_shape), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    layers += [keras.layers.Dense(8, "relu"), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dropout(0.5), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential(layers)


def test_other_threads_take_no_draws(compare: Any) -> None:
    """Keras draws default seeds from `random`, as the event loop of a dask worker does."""
    plain = compare(classifier=deep)
    ended = threading.Event()

    def draw() -> None:
        while not ended.is_set():
            random.random()

    other = threading.Thread(target=draw)
    other.start()
    try:
        disturbed = compare(classifier=deep)
    finally:
        ended.set()
        other.join()
    np.testing.assert_array_equal(disturbed.runs[0].probabilities, plain.runs[0].probabilities)
    assert random.random.__self__ is random.randint.__self__  # type: ignore[attr-defined]


def slowing(arm: str, seed: int) -> list[Any]:
    """A callback that leaves another learning rate behind than it found."""

    def rate(epoch: int, lr: float) -> float:
        return 0.02 if epoch == 0 else lr / (2 + seed)

    return [keras.callbacks.LearningRateScheduler(rate)]


@pytest.mark.parametrize("callbacks", [None, pytest.param(slowing, marks=pytest.mark.backend)])
def test_reused_models_give_the_numbers_of_fresh_ones(
    compare: Any, drawn: ImageDataset, monkeypatch: pytest.MonkeyPatch, callbacks: Any
) -> None:
    made: list[Any] = []

    def counted(image_shape: tuple[int, int, int]) -> keras.Model:
        made.append(deep(image_shape))
        return made[-1]

    def run() -> ComparisonResult:
        arms = ["original", "warm_start"]
        return compare(
            arms=arms, augmenter=drawn, classifier=counted, epochs=2, seeds=(0, 1, 2),
            callbacks=callbacks,
        )  # fmt: skip

    def trained() -> list[bool]:
        return [int(keras.ops.convert_to_numpy(m.optimizer.iterations.value)) > 0 for m in made]

    reused = run()
    assert trained() == [True, *[False] * 6]  # the first, which shows mistakes early, serves all
    monkeypatch.setattr("synthray.comparison.models._plan", lambda model: None)
    made.clear()
    fresh = run()
    assert trained() == [False, *[True] * 6]
    for one, other in zip(reused.runs, fresh.runs, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert one.history == other.history
    assert len({run.probabilities.tobytes() for run in fresh.runs}) == 6


def test_positive_class(compare: Any) -> None:
    scores = [compare(positive_class=c).runs[0].scores for c in (None, "upright", 0)]
    assert scores[0].sensitivity == scores[1].specificity == scores[2].specificity
    assert compare().positive_class == "lying"
    with pytest.raises(ValueError, match="positive_class must be one of"):
        compare(positive_class="broken")


def test_divergence_is_said_and_survived(compare: Any) -> None:
    def diverging() -> keras.Model:
        model = tiny_model()
        model.compile(keras.optimizers.SGD(float("nan")), "binary_crossentropy")
        return model

    with pytest.warns(UserWarning, match="diverged"):
        result = compare(classifier=diverging)
    assert result.runs[0].scores.accuracy is None
    assert " - " in str(result)


def test_progress(compare: Any, capsys: pytest.CaptureFixture[str]) -> None:
    compare(verbose=0)
    assert capsys.readouterr().out == ""
    compare(verbose="auto", epochs=2, seeds=(0, 1))
    assert "16/16" in capsys.readouterr().out
    compare(verbose=2)
    assert "4/4 - " in capsys.readouterr().out


def test_wrong_arguments(compare: Any, train: ImageDataset, drawn: ImageDataset) -> None:
    same = tiny_model()

    def logits() -> keras.Model:
        return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), bright_logit()])

    def bright_logit() -> Any:
        return keras.layers.Dense(1, kernel_initializer="ones")

    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"arms": ["warm_start"]}, ValueError, "Pass augmenter="),
        ({"arms": ["other"]}, ValueError, "names of"),
        ({"arms": []}, ValueError, "one or more arms"),
        ({"arms": ["original", "original"]}, ValueError, "different names"),
        ({"seeds": 3}, ValueError, "range"),
        ({"seeds": (1, 1)}, ValueError, "different integers"),
        ({"epochs": 0}, ValueError, "1 or more"),
        ({"epochs": 20.0}, TypeError, "must be integers, got 20.0 and 16"),
        ({"budget": "steps"}, ValueError, "budget must be"),
        ({"arms": ["warm_start"], "augmenter": drawn, "batch_size": 64}, ValueError, "too few"),
        ({"augmenter": object()}, TypeError, "SyntheticAugmenter"),
        ({"augmenter": train}, ValueError, "synthetic=True"),
        ({"augmenter": drawn, "n_synthetic": 3}, ValueError, "select"),
        ({"augmenter": drawn.resize(28, 28)}, ValueError, "same training"),
        ({"augmentation": 3}, TypeError, "Keras layer"),
        ({"classifier": same}, TypeError, "function that makes"),
        ({"classifier": lambda: same}, ValueError, "same model twice"),
        ({"classifier": lambda: 3}, TypeError, "keras.Model"),
        ({"classifier": logits}, ValueError, "no probabilities"),
        ({"classifier": lambda: FractureClassifier(4, SHAPE)}, ValueError, "must be"),
        ({"arms": [Arm("x", Phase(lambda *_: drawn.resize(28, 28)))]}, ValueError, "must return"),
        ({"arms": ["duplicated"]}, ValueError, "Pass augmenter="),
        ({"validation": 2.0}, ValueError, "between 0 and 1"),
        ({"validation": 1}, TypeError, r"a share of the training images such as 0\.15"),
        ({"validation": drawn}, ValueError, "are synthetic"),
        ({"protocol": "other"}, ValueError, "protocol must be one of"),
        ({"audit": "loud"}, ValueError, "audit must be one of"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message), warnings.catch_warnings():
            compare(**arguments)


def test_wrong_data(train: ImageDataset, test: ImageDataset, drawn: ImageDataset) -> None:
    none: list[int] = []
    cases: list[tuple[Any, Any, type[Exception], str]] = [
        (train.images, test, TypeError, "from_arrays"),
        (train, test.select(none), ValueError, "holds no image"),
        (train, drawn, ValueError, "are synthetic"),
        (train, test.resize(28, 28), ValueError, "Load them alike"),
        (train.select(train.labels == 0), test, ValueError, "two or more classes"),
    ]
    for wrong_train, wrong_test, error, message in cases:
        with pytest.raises(error, match=message):
            run_comparison(wrong_train, wrong_test, arms=["original"], verbose=0)
    with pytest.raises(TypeError, match="from_arrays"):
        run_comparison(train.images, arms=["original"], verbose=0)  # type: ignore[arg-type]


def test_wrong_arms() -> None:
    with pytest.raises(ValueError, match="source must be"):
        Phase("fake")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="share must be positive"):
        Phase(share=0)
    with pytest.raises(ValueError, match="at least one Phase"):
        Arm("none", [])
    with pytest.raises(ValueError, match="needs a name"):
        Arm("")
