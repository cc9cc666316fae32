from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedGroupKFold, StratifiedKFold

import synthray as sr
from helpers.comparisons import TenLines, images, quick
from helpers.planted import textured

N = 24


def planted() -> sr.ImageDataset:
    """Different textures, and a darker copy of each behind them."""
    first = textured(N)[..., None] if textured(N).ndim == 3 else textured(N)
    pixels = np.concatenate([first, (first * 0.8).astype(np.uint8)])
    labels = np.tile(np.arange(N) % 2, 2)
    return sr.ImageDataset.from_arrays(pixels, labels, class_names=("a", "b"))


def compare(data: sr.ImageDataset, test: sr.ImageDataset | None = None, **options: Any) -> Any:
    settings = {"arms": ["original"], "training": quick(), "verbose": 0, **options}
    return sr.run_comparison(data, test, **settings)


@pytest.fixture(scope="module")
def data() -> sr.ImageDataset:
    return planted()


def test_every_image_judges_once_and_clusters_stay_whole(data: sr.ImageDataset) -> None:
    result = compare(data, cv=3, seeds=(0, 1))
    assert (result.n_folds, len(result.runs)) == (3, 6)
    np.testing.assert_array_equal(result.folds[:N], result.folds[N:])
    assert np.isfinite(result.probabilities("original")).all()
    assert result.leak is not None
    assert not result.leak.found
    assert result.settings["grouped"]
    assert len(np.unique(result.groups)) == N


def test_given_groups_and_found_clusters_are_joined(data: sr.ImageDataset) -> None:
    pairs = data.with_groups(np.tile(np.arange(N) // 2, 2) * 2 + np.repeat([0, 1], N))
    result = compare(pairs, cv=3)
    assert len(np.unique(result.groups)) == N // 2
    for group in np.unique(result.groups):
        assert len(np.unique(result.folds[result.groups == group])) == 1


def test_a_splitter_that_cuts_groups_is_called_so(data: sr.ImageDataset) -> None:
    cut = StratifiedKFold(3, shuffle=True, random_state=0)
    with pytest.warns(sr.LeakageWarning, match="radiograph"):
        leaky = compare(data, cv=cut)
    assert not leaky.settings["grouped"]
    assert "UNGROUPED" in str(leaky)
    assert "StratifiedKFold" in leaky.settings["cv"]
    with pytest.raises(sr.LeakageError, match="warn"):
        compare(data, cv=cut, leakage="raise")
    kept = compare(data, cv=StratifiedGroupKFold(3), leakage="raise")
    assert kept.settings["grouped"]
    assert "UNGROUPED" not in str(kept)
    off = compare(data.with_groups(np.tile(np.arange(N), 2)), cv=cut, leakage="off")
    assert off.leak is None
    assert not off.settings["grouped"]


@pytest.mark.parametrize(
    ("cv", "error", "word"),
    [
        (ShuffleSplit(3), ValueError, "once"),
        (1, ValueError, "folds"),
        (60, ValueError, "groups"),
        ("five", TypeError, "splitter"),
        (True, TypeError, "splitter"),
    ],
)
def test_wrong_cuts(data: sr.ImageDataset, cv: Any, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        compare(data, cv=cv, leakage="off")


def test_audit_of_a_test_set(data: sr.ImageDataset, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = data.select(np.arange(N)), data.select(np.arange(N, 2 * N))
    with pytest.warns(sr.LeakageWarning, match="radiograph"):
        result = compare(train, test)
    assert result.leak is not None
    assert result.leak.test_share == 1.0
    assert len(result.pictures.leaked) > 0
    with pytest.raises(sr.LeakageError, match="warn"):
        compare(train, test, leakage="raise")
    assert compare(train, test, leakage="off").leak is None
    clean = data.select(np.arange(N // 2)), data.select(np.arange(N // 2, N))
    assert not compare(*clean, leakage="raise", verbose=1).leak.found
    assert "No leak" in capsys.readouterr().out


def test_what_trains_has_not_seen_what_judges() -> None:
    seen: list[sr.ImageDataset] = []

    class Spy(TenLines):
        def fit(self, train: sr.ImageDataset) -> Spy:
            seen.append(train)
            super().fit(train)
            return self

    data = replace(images(40), names=np.asarray([f"i{k}" for k in range(40)]))
    training = quick(validation=0.25)
    result = compare(data, cv=2, training=training, arms=["mixed"], augmenter=Spy(), leakage="off")
    assert data.names is not None
    for fold, train in enumerate(seen):
        assert train.names is not None
        judged = set(data.names[result.folds == fold])
        assert not judged & set(train.names)
        assert len(train) < 20  # validation images are not among them


def test_with_folds_nothing_may_have_been_fitted_before() -> None:
    with pytest.raises(ValueError, match="folds"):
        compare(images(20), cv=2, augmenter=images(8, 1, synthetic=True), leakage="off")
    with pytest.raises(ValueError, match="share"):
        compare(images(20), cv=2, training=quick(validation=images(8, 1)), leakage="off")


def test_kfold_without_groups_is_grouped_where_no_group_is_cut() -> None:
    result = compare(images(20), cv=KFold(2), leakage="off")
    assert result.settings["grouped"]
