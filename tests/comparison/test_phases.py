from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from helpers.comparisons import dense, images, quick
from synthray.comparison.classifiers import targets
from synthray.comparison.fit import PhaseBatches

TRAIN, TEST, SYNTHETIC = images(50, 0), images(24, 1), images(60, 2, synthetic=True)


def predictions(*phases: sr.Phase, ensemble: int = 2, **training: Any) -> Any:
    result = sr.run_comparison(
        TRAIN,
        TEST,
        arms=[sr.Arm("own", phases, ensemble)],
        augmenter=SYNTHETIC,
        training=quick(**{"epochs": 4, **training}),
        leakage="off",
        verbose=0,
    )
    return result["own"][0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"source": "drawn"}, "source"),
        ({"share": 0.0}, "share"),
        ({"weight": -1.0}, "weight"),
        ({"rate": float("inf")}, "rate"),
        ({"labels": "soft"}, "labels"),
        ({"source": "both", "ratio": 0.0}, "ratio"),
        ({"source": "real", "ratio": 1.0}, "ratio"),
    ],
)
def test_bad_values_are_refused(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        sr.Phase(**arguments)


def test_arms_need_a_name_and_phases() -> None:
    for arguments in (("", sr.Phase()), ("a", []), ("a", ["real"]), ("a", sr.Phase(), 0)):
        with pytest.raises(ValueError, match=r"Arm|ensemble|name|Phase"):
            sr.Arm(*arguments)


def test_ratio_takes_so_many_of_each_class() -> None:
    few = sr.Phase("synthetic", ratio=0.2).data(TRAIN, SYNTHETIC)
    assert few.class_counts == {"upright": 5, "lying": 5}
    both = sr.Phase("both", ratio=0.5).data(TRAIN, SYNTHETIC)
    assert (len(both), int(both.synthetic.sum())) == (75, 25)


def test_a_source_must_return_images_of_the_same_kind() -> None:
    phase = sr.Phase(lambda train, synthetic: train.resize(8, 8))
    with pytest.raises(ValueError, match="source"):
        phase.data(TRAIN, None)


def test_batches_of_a_phase_are_whole_passes_in_epochs_of_a_set_length() -> None:
    batches = PhaseBatches(np.arange(10), epoch_steps=4, batch_size=4, seed=0)
    seen, sizes = [], []
    for epoch in range(3):
        batches.set_epoch(epoch)
        for index in range(4):
            rows = batches[index].tolist()
            seen.append(rows)
            sizes.append(len(rows))
    assert sizes == [4, 4, 2] * 4
    passes = [sorted(np.concatenate(seen[i : i + 3]).tolist()) for i in range(0, 12, 3)]
    assert passes == [list(range(10))] * 4
    assert seen[0] != seen[3]


@pytest.mark.backend
def test_weightless_images_change_next_to_nothing() -> None:
    one = predictions(sr.Phase("both", weight=1e-6), epochs=2).probabilities
    other = predictions(sr.Phase("both"), epochs=2).probabilities

    def dark(train: sr.ImageDataset, made: sr.ImageDataset | None) -> sr.ImageDataset:
        assert made is not None
        return train.concatenate(replace(made, images=np.zeros_like(made.images)))

    alone = predictions(sr.Phase(dark, weight=1e-6), epochs=2)
    assert np.abs(one - other).max() > 1e-3
    assert np.abs(one - alone.probabilities).max() < 1e-3


@pytest.mark.backend
def test_the_learning_rate_is_that_of_the_phase() -> None:
    rates: list[float] = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            rates.append(round(float(self.model.optimizer.learning_rate), 6))

    predictions(
        sr.Phase(rate=2.0), sr.Phase(rate=0.5), callbacks=lambda arm, seed: [Look()], epochs=2
    )
    assert rates == [0.002, 0.0005]


def test_a_schedule_has_no_rate_to_multiply() -> None:
    def scheduled(image_shape: Any) -> keras.Model:
        model = dense(image_shape)
        rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
        model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", metrics=["accuracy"])
        return model

    with pytest.raises(ValueError, match="schedule"):
        predictions(sr.Phase(rate=0.5), classifier=scheduled)


def test_soft_labels_stand_for_labels_where_they_are_known() -> None:
    soft = np.full((50, 2), np.nan, np.float32)
    soft[:10] = (0.25, 0.75)
    data = replace(TRAIN, annotations={"soft_labels": soft})
    model = dense((16, 16, 1))
    model.compile("sgd", "binary_crossentropy")
    found = targets(model, data)
    np.testing.assert_allclose(found[:10], 0.75)
    np.testing.assert_array_equal(found[10:], TRAIN.labels[10:])
    for bad in (np.zeros((50, 2)), np.zeros((50, 3)), np.full((50, 2), 0.9)):
        with pytest.raises(ValueError, match="soft_labels"):
            targets(model, replace(TRAIN, annotations={"soft_labels": bad}))
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="integers"):
        targets(model, data)


@pytest.mark.backend
def test_an_ensemble_labels_the_images_of_a_phase() -> None:
    run = predictions(sr.Phase("synthetic", labels="ensemble"), sr.Phase("real"), epochs=8)
    assert np.isnan(run.history["accuracy"][:4]).all()
    assert np.isfinite(run.history["accuracy"][4:]).all()
    assert np.isfinite(run.history["loss"]).all()
    own = predictions(sr.Phase("synthetic"), sr.Phase("real"), epochs=8)
    assert not np.array_equal(run.probabilities, own.probabilities)
    weighted = predictions(sr.Phase("both", labels="ensemble", weight=0.5), class_weight="balanced")
    assert weighted.scores.auc is not None


def test_an_ensemble_leaves_other_arms_alone() -> None:
    options: dict[str, Any] = {"augmenter": SYNTHETIC, "leakage": "off", "verbose": 0}
    soft = sr.Arm("soft", sr.Phase("synthetic", labels="ensemble"), ensemble=2)
    both = sr.run_comparison(TRAIN, TEST, arms=["mixed", soft], training=quick(), **options)
    alone = sr.run_comparison(TRAIN, TEST, arms=["mixed"], training=quick(), **options)
    np.testing.assert_array_equal(both["mixed"][0].probabilities, alone["mixed"][0].probabilities)


def test_annotations_that_synthetic_images_lack_are_no_obstacle() -> None:
    noted = replace(TRAIN, annotations={"view": np.arange(50), "age": np.ones(50)})
    both = sr.Phase("both").data(noted, SYNTHETIC)
    assert set(both.annotations) == {"age"}
    assert np.isnan(both.annotations["age"][50:]).all()
