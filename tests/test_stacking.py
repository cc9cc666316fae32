"""Fits of a comparison as one program: the numbers of fits that are trained one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison import cost, execution, stack_program, stacking
from synthray.comparison.arms import Arm
from synthray.comparison.phases import Phase
from synthray.comparison.result import ComparisonResult
from synthray.comparison.stack import Stack, _runs
from synthray.datasets.image_dataset import ImageDataset
from test_executors import Noise, compare, darker, slowing
from toys import bars

SHAPE = (16, 16, 1)
jax_alone = pytest.mark.skipif(keras.backend.backend() != "jax", reason="stacks are of JAX")
MANY = [
    "original",
    "duplicated",
    "augmented",
    "warm_start",
    "real_warm_start",
    Arm("half", Phase("mixed", augment=True, ratio=0.5, weight=0.5)),
    Arm(
        "anew",
        [
            Phase("synthetic", augment=True, share=0.4),
            Phase("real", rate=0.3, reset=("optimizer", "head"), share=0.6),
        ],
    ),
    Arm("apart", Phase("mixed", apart=True)),
    Arm("soft", Phase("synthetic", labels="teachers")),
]


def small(seed: int, image_shape: tuple[int, ...] = SHAPE) -> keras.Model:
    layers = [keras.Input(image_shape), keras.layers.Rescaling(1 / 255)]
    layers += [keras.layers.AveragePooling2D(2), keras.layers.Flatten()]
    layers += [keras.layers.Dense(8), keras.layers.BatchNormalization(momentum=0.8)]
    layers += [keras.layers.ReLU(), keras.layers.Dropout(0.3, seed=seed)]
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])


def shifting() -> keras.Layer:
    return keras.layers.RandomTranslation(0.2, 0.2, fill_mode="constant", seed=5)


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return bars(27)  # folds of different sizes; batches of six leave a rest


stacked = functools.partial(
    compare, classifier=small, augmentation=None, callbacks=None, executor="stacked"
)
alone = functools.partial(stacked, executor=None)


def assert_near(one: ComparisonResult, other: ComparisonResult) -> None:
    for a, b in zip(one.runs, other.runs, strict=True):
        assert (a.arm, a.seed, a.fold) == (b.arm, b.seed, b.fold)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=2e-4, err_msg=a.arm)
        assert (list(a.history), a.phase_steps) == (list(b.history), b.phase_steps)
        for name, values in a.history.items():
            np.testing.assert_allclose(values, b.history[name], atol=2e-4, err_msg=name)
    np.testing.assert_array_equal(one.folds, other.folds)
    assert one.settings == other.settings


@jax_alone
def test_stacks_compute_what_fits_alone_compute(data: ImageDataset) -> None:
    arguments: dict[str, Any] = {
        "arms": MANY,
        "augmentation": shifting(),
        "validation": 0.5,
        "class_weight": "balanced",
        "teachers": 2,
        "epochs": 3,
        "test": bars(9, seed=1),
        "folds": None,
    }
    one, other = stacked(data, **arguments), alone(data, **arguments)
    assert_near(one, other)
    found = {run.probabilities.tobytes() for run in one.runs}
    assert len(found) == len(one.runs) == 2 * len(MANY)  # each fit is one of its own


@jax_alone
def test_classes_and_stacks_of_limited_size(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_three(num_classes: int, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
        return keras.Sequential([*layers, keras.layers.Softmax()])

    three = ImageDataset.from_arrays(
        data.images, np.arange(len(data)) % 3, class_names=("a", "b", "c"), groups=data.groups
    )
    monkeypatch.setattr(stacking, "_MODELS", 2)
    monkeypatch.setattr(stacking, "_IMAGES", 1)  # one cell at a time
    monkeypatch.setattr("synthray.comparison.stack._BATCHES", 2 * 6 * 256)  # a step a call
    arguments: dict[str, Any] = {"classifier": of_three, "arms": ["original", "warm_start"]}
    arguments |= {"augmenter": Three()}
    assert_near(stacked(three, **arguments), alone(three, **arguments))


class Three(Noise):
    """Draws noise of three classes."""

    def sample(self, n: dict[str, int], *, seed: int) -> ImageDataset:
        count = sum(n.values())
        images = np.random.default_rng(seed).integers(0, 99, (count, *SHAPE), np.uint8)
        labels = np.repeat([0, 1, 2], list(n.values()))
        return ImageDataset.from_arrays(
            images, labels, class_names=self.class_names_, synthetic=True
        )


@jax_alone
def test_a_stack_learns() -> None:
    result = stacked(bars(120), arms=["original"], epochs=25, folds=3)
    assert result.scores("original")["accuracy"].min() > 0.9


@jax_alone
def test_what_has_ended_is_kept(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    slow = Arm("slow", [Phase("real"), Phase("real", rate=0.1)])
    arguments: dict[str, Any] = {"arms": ["original", slow], "augmenter": None, "workdir": tmp_path}
    whole = stacked(data, **{**arguments, "workdir": None})
    judged = Stack.trained
    stacks: list[Any] = []

    def stopped(self: Any) -> Any:
        stacks.append(self)
        if len(stacks) == 3:
            raise StoppedError
        yield from judged(self)

    monkeypatch.setattr(Stack, "trained", stopped)
    with pytest.raises(StoppedError):
        stacked(data, **arguments)
    monkeypatch.setattr(Stack, "trained", judged)
    again = compute_counted(monkeypatch)
    assert_near(whole, stacked(data, **arguments))
    assert 0 < sum(again) < 8  # of 2 folds, 2 seeds and 2 arms
    again.clear()
    assert_near(whole, stacked(data, **arguments))
    assert again == []


def compute_counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    compute = stacking.Stacking.compute

    def counted(self: Any, jobs: Any, **more: Any) -> Any:
        counts.append(sum(len(arms) for _, arms in jobs))
        return compute(self, jobs, **more)

    monkeypatch.setattr(stacking.Stacking, "compute", counted)
    return counts


@jax_alone
def test_it_says_what_it_costs(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cost, "_WORTH_TIMING", 1)
    stacked(data, arms=["original", "augmented"], augmentation=shifting(), verbose=1)
    output = capsys.readouterr().out
    assert "Cost, by a few timed steps: 8 fits of 48 steps in all: about " in output
    assert "48/48" in output
    assert "one after the other" not in output


@jax_alone
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"callbacks": slowing}, "Training 2 fits one after the other: callbacks follow"),
        ({"augmentation": darker}, "Training 1 fits one after the other: an augmentation that is"),
        ({"classifier": lambda: Own()}, "Training 2 fits one after the other: the classifiers may"),
        ({"classifier": lambda: eager()}, "Training 2 fits one after the other: the classifier is"),
        ({"classifier": lambda: averaged()}, "Training 2 fits one after the other: the optimizer"),
        ({"verbose": 2}, "Training 2 fits one after the other: verbose=2"),
    ],
)
def test_what_cannot_be_stacked_is_told_and_trained_alone(
    data: ImageDataset,
    arguments: dict[str, Any],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {"arms": ["original", "augmented"], "augmentation": shifting(), "verbose": 1}
    given |= {"test": bars(9, seed=1), "folds": None, "seeds": (0,)}
    arguments = given | arguments
    one = stacked(data, **arguments)
    assert told in capsys.readouterr().out
    assert_near(one, alone(data, **{**arguments, "verbose": 0}))


@keras.saving.register_keras_serializable(package="tests")
class Own(keras.Model):
    """A model of the user's own class: who knows what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = keras.layers.Dense(1, "sigmoid")

    def call(self, images: Any) -> Any:
        return self.layer(keras.ops.mean(images, (1, 2)) / 255)


def averaged() -> keras.Model:
    model = small(0)
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def eager() -> keras.Model:
    model = small(0)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


@jax_alone
def test_a_distribution_is_for_one_classifier(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.distribution, "distribution", object)
    recipe = cell_of(data).recipe
    assert stacking.why_not(recipe, 0) == "a distribution shares out the batches of one classifier"
    monkeypatch.setattr(keras.distribution, "distribution", lambda: None)
    assert stacking.why_not(recipe, 0) is None


def cell_of(data: ImageDataset) -> Any:
    seen: list[Any] = []

    def first(jobs: Any, *args: Any, **more: Any) -> Any:
        seen.extend(jobs)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "compute", first)
        with pytest.raises(KeyboardInterrupt):
            alone(data)
    return seen[0][0]


@jax_alone
def test_auto_stacks_many_steps_on_an_accelerator(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax

    counts = compute_counted(monkeypatch)
    auto: Callable[..., ComparisonResult] = functools.partial(
        stacked, data, arms=["original"], executor="auto"
    )
    monkeypatch.setattr(stacking, "WORTH_STACKS", 24)  # the steps of four fits
    auto()
    assert counts == []
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(stacking, "WORTH_STACKS", 25)
    auto()
    assert counts == []
    monkeypatch.setattr(stacking, "WORTH_STACKS", 24)
    auto()
    assert counts == [4]


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has stacks")
def test_other_backends_have_no_stacks(data: ImageDataset) -> None:
    with pytest.raises(ValueError, match=r'"stacked" needs KERAS_BACKEND=jax, and the backend is'):
        stacked(data)
    assert not stacking.pays([])


def test_runs_of_equal_sizes() -> None:
    assert list(_runs([6, 6, 6, 3, 6, 6], most=2)) == [(0, 2), (2, 1), (3, 1), (4, 2)]
    assert list(_runs([], most=2)) == []


def test_stacks_are_even() -> None:
    members: list[Any] = list(range(70))
    sizes = [len(part) for part in stacking._even(members, 32)]
    assert sizes == [23, 23, 24]
    assert [*chain(*stacking._even(members, 32))] == members
    assert stacking._even_size(70, 32) == 24
    assert [len(part) for part in stacking._even(members[:3], 1)] == [1, 1, 1]


def convolving(seed: int) -> keras.Model:
    layers = [keras.Input(SHAPE), keras.layers.Conv2D(2, 5, 4), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])


def test_how_large_a_stack_may_be(data: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell_of(data)  # batches of six images of 1 KiB, as float32
    model = small(0)
    assert stacking.most_of(model, cell) == 32
    monkeypatch.setattr(stacking, "_PIXELS", 6 * 1024 * 5)
    assert stacking.most_of(model, cell) == 5
    monkeypatch.setattr(stacking, "_WEIGHTS", 16 * model.count_params() * 3)
    assert stacking.most_of(model, cell) == 3
    monkeypatch.setattr(stacking, "_PIXELS", 1)
    assert stacking.most_of(model, cell) == 1
    monkeypatch.undo()
    assert stacking.most_of(convolving(0), cell) == 1
    assert stacking.most_of(FractureClassifier(image_shape=(32, 32, 1)), cell) == 32


@jax_alone
def test_networks_with_convolutions(data: ImageDataset) -> None:
    arguments: dict[str, Any] = {"classifier": convolving, "arms": ["original"]}
    assert_near(stacked(data, **arguments), alone(data, **arguments))


@jax_alone
def test_all_is_compiled_ahead(data: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what was compiled ahead would be compiled again, and nobody would know."""
    loops: set[Any] = set()
    ahead: list[int] = []
    train = Stack.trained
    prepare = stack_program._Loop.prepare

    def noted(self: Any, *arguments: Any) -> Any:
        loops.add(self)
        return prepare(self, *arguments)

    def trained(self: Any) -> Any:
        ahead.append(sum(len(loop._compiled) for loop in loops))
        return train(self)

    monkeypatch.setattr(stack_program._Loop, "prepare", noted)
    monkeypatch.setattr(Stack, "trained", trained)
    arguments: dict[str, Any] = {"augmentation": shifting(), "validation": 0.5}
    stacked(data, arms=["original", "augmented"], class_weight="balanced", **arguments)
    # Plain, augmented and judged images of two folds of other sizes; both train in twos.
    assert len(loops) == 3
    assert ahead == [sum(len(loop._compiled) for loop in loops)] * len(ahead)
