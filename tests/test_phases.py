"""What phases do besides training: ratios, weights, rates, fresh starts, soft labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from synthray.comparison.apart import BatchesOfOneKind
from synthray.comparison.arms import Arm
from synthray.comparison.phases import SOFT_LABELS, Phase, first_of_each_class
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.comparison.single import train_classifier
from synthray.comparison.stretches import Beginning, head_of, stretches, take_statistics
from synthray.comparison.targets import probabilities_of, targets
from synthray.datasets.image_dataset import ImageDataset
from toys import bars

SHAPE = (32, 32, 1)
pytestmark = pytest.mark.backend


def toy(n: int, seed: int, *, synthetic: bool = False) -> ImageDataset:
    data = replace(bars(n, size=32, seed=seed), groups=None)
    return replace(data, synthetic=np.full(n, synthetic))


def tiny_model(seed: int = 0) -> keras.Model:
    init = keras.initializers.GlorotUniform(seed)
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    dense = keras.layers.Dense(1, activation="sigmoid", kernel_initializer=init)
    return keras.Sequential([*layers, dense])


def normalizing_model() -> keras.Model:
    init = keras.initializers.GlorotUniform(0)
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255)]
    layers += [keras.layers.AveragePooling2D(4), keras.layers.BatchNormalization()]
    dense = keras.layers.Dense(1, activation="sigmoid", kernel_initializer=init)
    return keras.Sequential([*layers, keras.layers.Flatten(), dense])


@pytest.fixture(scope="module")
def train() -> ImageDataset:
    return toy(50, 0)


@pytest.fixture(scope="module")
def test() -> ImageDataset:
    return toy(24, 1)


@pytest.fixture(scope="module")
def drawn() -> ImageDataset:
    return toy(70, 2, synthetic=True)


@pytest.fixture
def compare(
    train: ImageDataset, test: ImageDataset, drawn: ImageDataset
) -> Callable[..., ComparisonResult]:
    def run(*arms: Arm, **arguments: Any) -> ComparisonResult:
        defaults: dict[str, Any] = {"classifier": tiny_model, "epochs": 2, "batch_size": 16}
        defaults |= {"verbose": 0, "audit": "off", "augmenter": drawn}
        return run_comparison(train, test, arms=arms, **{**defaults, **arguments})

    return run


def predictions(result: ComparisonResult, arm: str) -> np.ndarray:
    return result[arm][0].probabilities


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0.0}, "ratio must be positive"),
        ({"source": "real", "ratio": 1.0}, "how many drawn images"),
        ({"weight": 0.0}, "weight must be positive"),
        ({"rate": -1.0}, "rate must be positive"),
        ({"labels": "soft"}, "labels must be one of"),
        ({"reset": ("weights",)}, "reset must name some of"),
    ],
)
def test_bad_values_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Phase(**{"source": "mixed", **arguments})


def test_what_is_at_its_default_is_not_recorded() -> None:
    assert Phase().to_dict() == {"source": "real", "augment": False, "share": 1.0}
    assert Phase("mixed", ratio=2.0, reset=("head",)).options() == {
        "ratio": 2.0,
        "reset": ("head",),
    }


def test_ratio_takes_so_many_of_each_class(train: ImageDataset, drawn: ImageDataset) -> None:
    mixed = Phase("mixed", ratio=0.4).data(train, drawn)
    assert int(mixed.synthetic.sum()) == 20
    assert len(mixed) == 70 == Phase("mixed", ratio=0.4).planned_size(50, 70)
    chosen = mixed.select(mixed.synthetic)
    for label in (0, 1):
        share = (drawn.labels == label).mean()
        assert abs((chosen.labels == label).sum() - 20 * share) <= 1
        own = drawn.images[drawn.labels == label]
        np.testing.assert_array_equal(
            chosen.images[chosen.labels == label], own[: (chosen.labels == label).sum()]
        )
    assert len(first_of_each_class(drawn, 70)) == 70
    with pytest.raises(ValueError, match="asks for 100 drawn images and there are 70"):
        Phase("synthetic", ratio=2.0).data(train, drawn)


def test_phases_alike_are_one_stretch() -> None:
    plain, slow = Phase(), Phase(rate=0.1)
    assert stretches([plain, Phase("mixed"), slow, slow]) == [(plain, 2), (slow, 2)]
    again = Phase(reset=("optimizer",))
    assert stretches([plain, again, plain]) == [(plain, 1), (again, 2)]


def test_weightless_images_change_next_to_nothing(compare: Callable[..., Any]) -> None:
    result = compare(
        Arm("one", Phase("mixed")),
        Arm("light", Phase("mixed", weight=1e-6)),
        Arm("same", Phase("mixed", weight=1.0)),
    )
    np.testing.assert_array_equal(predictions(result, "one"), predictions(result, "same"))
    assert np.abs(predictions(result, "one") - predictions(result, "light")).max() > 1e-3


def test_a_low_rate_learns_less(compare: Callable[..., Any]) -> None:
    result = compare(
        Arm("first", [Phase(share=0.5), Phase(share=0.5, rate=1e-6)]),
        Arm("half", Phase()),
        Arm("whole", [Phase(share=0.5), Phase(share=0.5)]),
        Arm("same", Phase()),
    )
    # Phases that differ in nothing are one training.
    np.testing.assert_array_equal(predictions(result, "whole"), predictions(result, "same"))
    assert np.abs(predictions(result, "first") - predictions(result, "half")).max() > 1e-3
    (run,) = result["first"]
    assert run.phase_steps == (4, 4)
    assert len(run.history["loss"]) == 2


def test_the_rate_is_that_of_the_phase() -> None:
    model = tiny_model()
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
    phases = [Phase(), Phase(rate=0.1)]
    beginning = Beginning(model, phases)
    for phase in (*phases, phases[0]):
        beginning.begin(model, phase)
        assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(
            0.5 * phase.rate
        )


def test_a_schedule_has_no_rate_to_multiply() -> None:
    model = tiny_model()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(keras.optimizers.SGD(schedule), "binary_crossentropy")
    with pytest.raises(ValueError, match="compiled with a schedule"):
        Beginning(model, [Phase(rate=0.5)])


def test_what_is_reset_is_as_at_the_beginning(train: ImageDataset) -> None:
    model = normalizing_model()
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    reset = Phase(reset=("head", "optimizer"))
    beginning = Beginning(model, [Phase(), reset])
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in head_of(model)]
    gamma = np.array(keras.ops.convert_to_numpy(model.layers[2].gamma))
    model.fit(train.images.astype("float32"), train.labels, verbose=0)
    learnt = np.array(keras.ops.convert_to_numpy(model.layers[2].gamma))
    assert np.abs(learnt - gamma).max() > 0
    beginning.begin(model, reset)
    assert [v.path.rpartition("/")[2] for v in head_of(model)] == ["kernel", "bias"]
    for variable, value in zip(head_of(model), before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.layers[2].gamma), learnt)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 0
    for variable in model.optimizer.variables[2:]:
        assert not keras.ops.convert_to_numpy(variable).any()


def test_a_model_without_weights_has_no_head() -> None:
    flat = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="trainable weights"):
        head_of(flat)


def test_statistics_are_the_mean_over_the_images(train: ImageDataset) -> None:
    model = normalizing_model()
    norm = model.layers[2]
    take_statistics(model, train.images, seed=3)
    pooled = keras.ops.convert_to_numpy(model.layers[1](train.images.astype("float32") / 255))
    # 50 images are one batch: the mean and variance of all of them.
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(norm.moving_mean), pooled.mean((0, 1, 2)), rtol=1e-4
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(norm.moving_variance), pooled.var((0, 1, 2)), rtol=1e-3
    )
    assert norm.momentum == pytest.approx(0.99)


def test_statistics_of_a_model_without_any_are_left_alone(train: ImageDataset) -> None:
    model = tiny_model()
    before = model.get_weights()
    take_statistics(model, train.images, seed=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_batches_hold_one_kind_each() -> None:
    kinds = np.asarray([False] * 21 + [True] * 9 + [False] * 4)
    batches = BatchesOfOneKind(np.arange(34), kinds=kinds, batch_size=4, seed=5)
    assert len(batches) == 6 + 2
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        rows = np.concatenate([batches[index] for index in range(len(batches))])
        assert len(set(rows.tolist())) == 32  # none twice
        for index in range(len(batches)):
            assert len(np.unique(kinds[batches.rows(epoch, index)])) == 1
        orders.append(rows.tolist())
    assert orders[0] == orders[2] != orders[1]


def test_few_images_of_a_kind_fill_a_batch() -> None:
    kinds = np.asarray([False] * 8 + [True] * 3)
    batches = BatchesOfOneKind(np.arange(11), kinds=kinds, batch_size=4, seed=0)
    assert len(batches) == 3
    rows = np.concatenate([batches[index] for index in range(3)])
    assert set(rows.tolist()) == set(range(11))


def test_apart_trains_and_predicts_with_real_statistics(
    train: ImageDataset, test: ImageDataset, drawn: ImageDataset
) -> None:
    # Drawn images of another brightness: statistics of both kinds would fit neither.
    bright = replace(drawn, images=np.clip(drawn.images.astype(int) + 120, 0, 255).astype("uint8"))
    models: list[keras.Model] = []

    def make() -> keras.Model:
        models.append(normalizing_model())
        return models[-1]

    arms = [Arm("apart", Phase("mixed", apart=True))]
    run_comparison(
        train,
        test,
        arms=arms,
        classifier=make,
        augmenter=bright,
        epochs=2,
        batch_size=16,
        audit="off",
        verbose=0,
    )
    # Of equal models the first is the one that is trained.
    (mean,) = keras.ops.convert_to_numpy(models[0].layers[2].moving_mean)
    assert mean == pytest.approx(train.images.mean() / 255, rel=0.02)


def test_soft_labels_stand_for_labels_where_they_are_known(train: ImageDataset) -> None:
    soft = np.full((50, 2), np.nan)
    soft[:10] = (0.3, 0.7)
    data = replace(train, annotations={SOFT_LABELS: soft})
    found = probabilities_of(data)
    assert found is not None
    np.testing.assert_allclose(found[:10], [[0.3, 0.7]] * 10)
    np.testing.assert_array_equal(found[10:].argmax(1), train.labels[10:])
    model = tiny_model()
    model.compile(loss="binary_crossentropy")
    np.testing.assert_allclose(targets(model, data), found[:, 1])
    model.compile(loss="categorical_crossentropy")
    np.testing.assert_allclose(targets(model, data), found)
    np.testing.assert_allclose(targets(model, train), np.eye(2)[train.labels])


def test_soft_labels_must_be_probabilities(train: ImageDataset) -> None:
    for soft, message in (
        (np.zeros((50, 3)), r"must have shape \(50, 2\)"),
        (np.full((50, 2), 0.7), "rows that sum to"),
        (np.asarray([[1.5, -0.5]] * 50), "0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            probabilities_of(replace(train, annotations={SOFT_LABELS: soft}))


def test_soft_labels_need_a_loss_that_takes_them(train: ImageDataset) -> None:
    data = replace(train, annotations={SOFT_LABELS: np.full((50, 2), 0.5)})
    model = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    )
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
    ):
        model.compile(loss=loss)
        with pytest.raises(ValueError, match="categorical_crossentropy"):
            targets(model, data)


def test_teachers_label_what_is_drawn(compare: Callable[..., Any], drawn: ImageDataset) -> None:
    # Labels of drawn images are wrong throughout: only teachers can tell.
    wrong = replace(drawn, labels=1 - drawn.labels)
    result = compare(
        Arm("taught", Phase("synthetic", labels="teachers")),
        Arm("own", Phase("synthetic")),
        augmenter=wrong,
        augmentation=lambda images: images,
        epochs=30,
        teachers=2,
    )
    assert result.scores("taught")["auc"][0] > 0.7
    assert result.scores("own")["auc"][0] < 0.3
    assert np.isnan(result["taught"][0].history["accuracy"]).all()
    assert np.isfinite(result["taught"][0].history["loss"]).all()
    assert result.settings["teachers"] == 2


@pytest.mark.parametrize("classes", [2, 3])
def test_teachers_with_a_softmax_and_weights(classes: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"class {k}" for k in range(classes)]

    def noise(n: int, synthetic: bool) -> ImageDataset:
        images = rng.integers(0, 255, (n, 32, 32, 1), dtype=np.uint8)
        labels = np.arange(n) % classes
        return ImageDataset.from_arrays(images, labels, class_names=names, synthetic=synthetic)

    def softmax() -> keras.Model:
        dense = keras.layers.Dense(classes, activation="softmax")
        return keras.Sequential(
            [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), dense]
        )

    result = run_comparison(
        noise(24, False),
        noise(12, False),
        arms=[Arm("taught", [Phase("mixed", labels="teachers", weight=0.5), Phase()])],
        classifier=softmax,
        augmenter=noise(24, True),
        epochs=2,
        batch_size=8,
        class_weight="balanced",
        teachers=1,
        audit="off",
        verbose=0,
    )
    assert np.isfinite(predictions(result, "taught")).all()


def test_teachers_are_at_least_one(compare: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="teachers must be 1 or more"):
        compare(Arm("original"), teachers=0)


def test_arms_with_soft_labels_do_not_change_others(compare: Callable[..., Any]) -> None:
    taught = Arm("taught", Phase("synthetic", labels="teachers"))
    alone = compare(Arm("synthetic", Phase("synthetic")))
    both = compare(taught, Arm("synthetic", Phase("synthetic")), teachers=1)
    np.testing.assert_array_equal(predictions(alone, "synthetic"), predictions(both, "synthetic"))


def test_phases_of_one_fit_may_have_weights_and_soft_labels_or_none(
    compare: Callable[..., Any], train: ImageDataset, drawn: ImageDataset
) -> None:
    light = compare(Arm("both", [Phase("mixed", weight=0.5), Phase("real")]))
    # As two fits of their own, by rates that differ less than floats do.
    apart = compare(Arm("both", [Phase("mixed", weight=0.5), Phase("real", rate=1 + 1e-12)]))
    np.testing.assert_allclose(predictions(light, "both"), predictions(apart, "both"), atol=1e-5)
    assert not np.array_equal(
        predictions(light, "both"),
        predictions(compare(Arm("both", [Phase("mixed"), Phase("real")])), "both"),
    )
    # Probabilities that are the labels' own teach what labels do.
    own = np.eye(2, dtype=np.float32)[drawn.labels]
    softened = replace(drawn, annotations={SOFT_LABELS: own})
    warm = Arm("warm", [Phase("synthetic", weight=0.5), Phase("real")])
    found = [compare(warm, augmenter=images) for images in (drawn, softened)]
    first, second = (predictions(result, "warm") for result in found)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_soft_labels_are_not_left_out(train: ImageDataset, drawn: ImageDataset) -> None:
    whole = np.eye(2, dtype=np.int64)[1 - train.labels]  # corrected ones, not floats
    annotated = replace(train, annotations={SOFT_LABELS: whole, "view": train.labels})
    with pytest.raises(ValueError, match="annotation 'soft_labels'"):
        Phase("mixed").data(annotated, drawn)
    known = replace(annotated, annotations={SOFT_LABELS: whole.astype(float), "view": whole})
    assert set(Phase("mixed").data(known, drawn).annotations) == {SOFT_LABELS}


def test_what_a_phase_cannot_do_is_said_first(train: ImageDataset) -> None:
    class Never:
        """An augmenter that is not to be fitted."""

        def fit(self, data: ImageDataset) -> None:
            raise AssertionError("trained for nothing")

        def sample(self, n: Any, *, seed: int) -> ImageDataset:
            raise AssertionError("drawn for nothing")

    def scheduled() -> keras.Model:
        model = tiny_model()
        schedule = keras.optimizers.schedules.ExponentialDecay(1e-3, 1, 0.5)
        model.compile(keras.optimizers.SGD(schedule), "binary_crossentropy")
        return model

    slow = Arm("slow", [Phase("synthetic"), Phase("real", rate=0.5)])
    cases: list[tuple[Arm, dict[str, Any], str]] = [
        (slow, {"classifier": scheduled}, "compiled with a schedule"),
        (Arm("none", Phase("synthetic")), {"n_synthetic": 0}, "n_synthetic=0 asks for none"),
        (Arm("none", Phase("copies")), {"n_synthetic": -3}, "n_synthetic=-3 asks for none"),
        (Arm("many", Phase("mixed", ratio=2.0)), {}, "asks for 100 drawn images and there are 50"),
    ]
    for arm, arguments, message in cases:
        given: dict[str, Any] = {"classifier": tiny_model, "epochs": 2, "verbose": 0, **arguments}
        with pytest.raises(ValueError, match=message):
            run_comparison(train, train, arms=[arm], augmenter=Never(), audit="off", **given)
        with pytest.raises(ValueError, match=message):
            train_classifier(train, arm, augmenter=Never(), **given)
