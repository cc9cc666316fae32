"""Comparisons of classifiers whose backbone is frozen: they learn from features."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthray as sr
from helpers.comparisons import TenLines
from helpers.toys import bars
from helpers.transfer import count_passed, edges
from synthray.classifiers.feature_cache import remember
from synthray.comparison import runner
from synthray.comparison.shared_features import share_features

ARMS = ("original", "augmented", "mixed", "warm_start")


def training(**arguments: Any) -> sr.Training:
    make = functools.partial(
        sr.TransferClassifier, backbone=edges(), size=32, augmented_copies=2, **arguments
    )
    return sr.Training(classifier=make, epochs=4, batch_size=8)


def compare(data: sr.ImageDataset, **arguments: Any) -> sr.ComparisonResult:
    usual: dict[str, Any] = {"cv": 2, "leakage": "off", "verbose": 0, "training": training()}
    return sr.run_comparison(data, **{**usual, **arguments})


def probabilities(result: sr.ComparisonResult) -> Any:
    return np.concatenate([run.probabilities for run in result.runs])


@pytest.fixture(scope="module")
def data() -> sr.ImageDataset:
    return bars(40, size=32)


def test_each_image_passes_through_the_backbone_once(
    data: sr.ImageDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passed = count_passed(monkeypatch)
    given = bars(40, size=32, seed=7)
    train, test = data.select(range(20)), data.select(range(20, 40))
    held_out = bars(6, size=32, seed=8)
    made = sr.ImageDataset.from_arrays(
        given.images, given.labels, class_names=data.class_names, synthetic=True
    )
    own = replace(training(), validation=held_out)
    options: dict[str, Any] = {"arms": ARMS, "augmenter": made, "training": own, "seeds": (0, 1)}
    options |= {"leakage": "off", "workdir": tmp_path, "verbose": 0}
    result = sr.run_comparison(train, test, **options)
    assert len(result.runs) == 8
    assert all("val_loss" in run.history for run in result.runs)
    assert sum(passed) == 20 + 2 * 20 + 40 + 20 + 6
    assert {run.phase_steps for run in result.runs if run.arm != "warm_start"} == {(12,)}
    again = sr.run_comparison(train, test, **options)
    np.testing.assert_array_equal(probabilities(again), probabilities(result))


@pytest.mark.backend
def test_is_what_fit_on_the_same_images_computes(data: sr.ImageDataset) -> None:
    train, test = data.select(range(20)), data.select(range(20, 40))
    result = sr.run_comparison(
        train, test, arms=["original"], training=training(), leakage="off", verbose=0
    )
    alone = sr.train_classifier(train, "original", training=training(), verbose=0)
    by_hand = training().classifier(image_shape=(32, 32, 1), seed=0)
    by_hand.fit(train, epochs=4, batch_size=8, verbose=0)
    for model in (alone, by_hand):
        found = model.predict(test.images, verbose=0)[:, 0]
        np.testing.assert_allclose(found, result.runs[0].probabilities[:, 1], atol=1e-5)


def test_a_backbone_that_is_trained_sees_images(data: sr.ImageDataset) -> None:
    result = compare(data, arms=["original", "augmented"], training=training(fine_tune="all"))
    assert all(run.scores.accuracy is not None for run in result.runs)


@pytest.mark.slow
def test_workers_compute_the_same_and_share_features(
    data: sr.ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"arms": ARMS, "augmenter": TenLines(), "seeds": (0,)}
    one = compare(data, **options)
    passed, shared = count_passed(monkeypatch), {}

    def share(*arguments: Any) -> Any:
        shared.update(share_features(*arguments))
        return shared

    monkeypatch.setattr(runner, "share_features", share)
    two = compare(data, n_jobs=2, **options)
    np.testing.assert_allclose(probabilities(one), probabilities(two), atol=1e-4)
    assert shared.keys() == {(0, 0), (1, 0)}
    # With what a place gets, nothing is left to compute for it.
    for known in shared.values():
        remember(known)
    compare(data, **options)
    assert not passed


def test_an_ensemble_that_filters(data: sr.ImageDataset) -> None:
    ensemble = sr.CrossFittedTeacher(training().classifier, folds=2, epochs=4).fit(data)
    assert ensemble(data.images).shape == (40, 2)
    assert ensemble.features(data.images).shape == (40, 2 * 32)
    images = bars(20, size=32, seed=3)
    report = sr.filter_samples(images, data, ensemble=ensemble, copies=False, support=False)
    assert report.counts.keys() == {"contradicted"}
    name = ensemble.members_[0].backbone.name
    assert ensemble.networks == report.samples.provenance["networks"] == [name]
    assert sr.CrossFittedTeacher().classifier is sr.TransferClassifier
