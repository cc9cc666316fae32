from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from synthray.audit.duplicates import find_duplicates
from synthray.comparison import cost
from synthray.comparison.arms import Arm
from synthray.comparison.phases import Phase
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.datasets.image_dataset import ImageDataset

SIZE = 16
SHAPE = (SIZE, SIZE, 1)
N, COPIES = 24, 12


def textures(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Clouds, each of which the audit knows again and takes for no other."""
    noise = np.random.default_rng(seed).normal(size=(n, SIZE, SIZE))
    clouds = gaussian_filter(noise, (0, 1.2, 1.2))
    low, high = clouds.min((1, 2), keepdims=True), clouds.max((1, 2), keepdims=True)
    return np.rint(255 * (clouds - low) / (high - low)).astype(np.uint8)[..., None]


def planted() -> ImageDataset:
    """Textures, and turned copies of half of them behind, of the same classes."""
    images = textures(N)
    turned = np.rot90(images[:COPIES], axes=(1, 2))
    labels = np.arange(N) % 2
    names = [f"image{i}" for i in range(N + COPIES)]
    return replace(
        ImageDataset.from_arrays(
            np.concatenate([images, turned]),
            np.concatenate([labels, labels[:COPIES]]),
            class_names=("even", "odd"),
        ),
        names=np.asarray(names),
    )


def tiny_model() -> keras.Model:
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return planted()


@pytest.fixture(scope="module")
def whole(data: ImageDataset) -> NDArray[np.int64]:
    """Families as planted: the copy of image `i` is `N + i`."""
    return np.arange(N + COPIES) % N


@pytest.fixture(autouse=True)
def known_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the same duplicates once: the answer for equal images is kept."""
    kept: dict[bytes, NDArray[np.int64]] = {}

    def cached(data: ImageDataset, *, verbose: Any = "auto") -> NDArray[np.int64]:
        key = data.images.tobytes()
        if key not in kept:
            kept[key] = find_duplicates(data, verbose=verbose)
        return kept[key]

    monkeypatch.setattr("synthray.comparison.protocol.find_duplicates", cached)


def compare(data: ImageDataset, test: ImageDataset | None = None, **arguments: Any) -> Any:
    defaults: dict[str, Any] = {"classifier": tiny_model, "epochs": 1, "batch_size": 16}
    return run_comparison(
        data, test, **{**defaults, "arms": ["original"], "verbose": 0, **arguments}
    )


def assert_whole(folds: NDArray[np.int64], groups: NDArray[Any]) -> None:
    for group in np.unique(groups):
        assert len(np.unique(folds[groups == group])) == 1, f"group {group} is cut"


def equal(one: ComparisonResult, other: ComparisonResult) -> bool:
    """Whether all predictions are the same, bit for bit."""
    pairs = zip(one.runs, other.runs, strict=True)
    return all(np.array_equal(a.probabilities, b.probabilities) for a, b in pairs)


def test_every_image_judges_once_a_seed_and_families_stay_whole(
    data: ImageDataset, whole: NDArray[np.int64], tmp_path: Path
) -> None:
    result = compare(data, folds=3, seeds=(0, 1))
    assert [(run.seed, run.fold) for run in result.runs] == [*itertools.product((0, 1), range(3))]
    assert set(result.folds) == {0, 1, 2}
    assert_whole(result.folds, whole)
    np.testing.assert_array_equal(result.groups, find_duplicates(data, verbose=0))
    assert len(np.unique(result.groups)) == N
    np.testing.assert_array_equal(result.labels, data.labels)
    np.testing.assert_array_equal(result.names, data.names)
    for run in result.runs:
        assert run.probabilities.shape == (np.count_nonzero(result.folds == run.fold), 2)
    pooled = result.probabilities("original")
    assert pooled.shape == (2, N + COPIES, 2)
    assert np.isfinite(pooled).all()
    np.testing.assert_allclose(pooled.sum(axis=2), 1, rtol=1e-5)
    for run in result.runs:
        mine = pooled[result.seeds.index(run.seed), result.folds == run.fold]
        np.testing.assert_array_equal(mine, run.probabilities)
    assert result.leak is not None
    assert not result.leak.found
    assert (result.n_folds, result.settings["n_folds"], result.settings["protocol"]) == (
        *(3, 3, "grouped"),
    )
    result.save(tmp_path / "result.json")
    again = ComparisonResult.load(tmp_path / "result.json")
    assert again.to_dict() == result.to_dict()
    np.testing.assert_array_equal(again.folds, result.folds)
    np.testing.assert_array_equal(again.probabilities("original"), pooled)


def test_given_groups_and_found_families_are_joined(
    data: ImageDataset, whole: NDArray[np.int64]
) -> None:
    # Patients of three images; a copy is a patient of its own: each alone would cut the others.
    given = np.where(np.arange(N + COPIES) < N, np.arange(N + COPIES) % 8, 100)
    given[N:] += np.arange(COPIES)
    result = compare(data.with_groups(given), folds=2)
    assert_whole(result.folds, whole)
    assert_whole(result.folds, given)
    assert_whole(result.groups, given)
    assert len(np.unique(result.groups)) == 8
    blind = compare(data.with_groups(given), folds=2, audit="off")
    assert blind.leak is None
    assert_whole(blind.folds, given)
    np.testing.assert_array_equal(blind.groups, given)


def test_fold_seed_alone_decides_the_cut(data: ImageDataset) -> None:
    cuts = [
        compare(data, folds=2, seeds=(seed,), fold_seed=fold_seed).folds
        for seed, fold_seed in ((0, 0), (5, 0), (0, 1))
    ]
    np.testing.assert_array_equal(cuts[0], cuts[1])
    assert not np.array_equal(cuts[0], cuts[2])
    assert compare(data).n_folds == 5


def test_audit_of_folds(
    data: ImageDataset, whole: NDArray[np.int64], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"24 of 36 images share .* would let folds cut these"):
        compare(data, folds=2, audit="raise")
    compare(data.with_groups(whole), folds=2, audit="raise")  # groups that say so
    compare(data.select(np.arange(N)), folds=2, audit="raise")  # nothing to cut
    compare(data, folds=2, verbose=1)
    assert "24 of 36 images share a radiograph" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for audit in ("warn", "raise"):
            leaky = compare(data, folds=2, protocol="leaky", audit=audit)
    assert leaky.settings["protocol"] == "leaky"
    assert leaky.leak is not None
    assert leaky.leak.found
    cut = [len(np.unique(leaky.folds[whole == family])) > 1 for family in range(COPIES)]
    assert leaky.leak.test_share == pytest.approx(2 * sum(cut) / (N + COPIES))
    assert "LEAK" in str(leaky)


def test_audit_of_a_test_set(data: ImageDataset, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = data.select(np.arange(N)), data.select(np.arange(N - 6, N + 6))
    with pytest.warns(UserWarning, match=r"LEAK: 12 of 12 .*6 of them byte-identical"):
        warned = compare(train, test)
    with pytest.raises(ValueError, match=r"LEAK: 12 of 12 .*protocol='leaky'"):
        compare(train, test, audit="raise")
    off = compare(train, test, audit="off")  # and no warning
    named = compare(train, test, audit="raise", protocol="leaky", verbose=1)
    assert "Protocol: leaky, as asked. LEAK: 12 of 12" in capsys.readouterr().out
    assert (warned.leak.found, off.leak, named.leak.found) == (True, None, True)
    assert (warned.leak.test_share, warned.leak.identical_share) == (1.0, 0.5)
    assert named.settings["protocol"] == "leaky"
    assert len(named.pictures.leaked) > 0
    assert equal(warned, off)
    assert equal(warned, named)
    clean = compare(train.select(np.arange(12)), train.select(np.arange(12, N)), audit="raise")
    assert not clean.leak.found


class Spy:
    """An augmenter that draws noise and keeps what it learnt from; the same list for copies."""

    learnt: ClassVar[list[ImageDataset]] = []
    drawn: ClassVar[list[ImageDataset]] = []

    def fit(self, data: ImageDataset) -> None:
        self.learnt.append(data)
        self.class_names_, self.image_shape_ = data.class_names, data.image_shape

    def sample(self, n: dict[str, int], *, seed: int) -> ImageDataset:
        rng = np.random.default_rng([seed, len(self.learnt)])
        images = rng.integers(0, 256, (sum(n.values()), *SHAPE), np.uint8)
        labels = np.repeat([0, 1], list(n.values()))
        names = self.class_names_
        self.drawn.append(
            ImageDataset.from_arrays(images, labels, class_names=names, synthetic=True)
        )
        return self.drawn[-1]


@pytest.fixture
def spy() -> Iterator[Spy]:
    yield Spy()
    Spy.learnt.clear()
    Spy.drawn.clear()


def pixels(data: ImageDataset) -> set[bytes]:
    return {image.tobytes() for image in data.images}


def upright(data: ImageDataset) -> set[bytes]:
    """Return images in the one of four turns that sorts first: equal for turned copies."""
    return {min(np.rot90(image, k).tobytes() for k in range(4)) for image in data.images}


def seen_by(arm_name: str, found: list[Any]) -> Arm:
    """An arm that notes what it trains on."""

    def source(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
        found.append((train, synthetic))
        return train

    return Arm(arm_name, Phase(source))


@pytest.mark.parametrize("validation", [None, 0.25])
def test_what_trains_has_not_seen_what_judges(
    data: ImageDataset, spy: Spy, validation: float | None
) -> None:
    seen: list[Any] = []
    arms = ["original", seen_by("noting", seen)]
    result = compare(data, folds=3, seeds=(0, 1), arms=arms, augmenter=spy, validation=validation)
    assert len(spy.learnt) == len(seen) == 6
    assert not hasattr(spy, "class_names_")
    held = 0
    for i, (run, learnt) in enumerate(zip(result["noting"], spy.learnt, strict=True)):
        test = data.select(result.folds == run.fold)
        train, drawn = seen[i]
        assert pixels(learnt) == pixels(train)
        assert drawn is spy.drawn[i]  # each fold and seed draws its own, from what it learnt
        assert not upright(learnt) & upright(test)
        held += len(data) - len(train) - len(test)
    assert len({drawn.images.tobytes() for drawn in spy.drawn}) == 6
    if validation is None:
        assert held == 0
    else:
        assert all("val_loss" in run.history for run in result.runs)
        assert 0.15 < held / (2 * 2 * len(data)) < 0.35


def test_validation_share_changes_nothing_but_the_training_set(data: ImageDataset) -> None:
    found: dict[Any, ComparisonResult] = {}
    parts: dict[Any, list[Any]] = {}
    for share in (None, 0.25):
        parts[share] = []
        found[share] = compare(data, folds=2, arms=[seen_by("a", parts[share])], validation=share)
    np.testing.assert_array_equal(found[None].folds, found[0.25].folds)
    for fold in range(2):
        all_of_it, kept = parts[None][fold][0], parts[0.25][fold][0]
        assert pixels(kept) < pixels(all_of_it)
        held = all_of_it.select([image.tobytes() not in pixels(kept) for image in all_of_it.images])
        assert not upright(held) & upright(kept)  # whole families
        assert set(held.labels) == {0, 1}
    # The images left out have no other part in it: training on the kept ones gives the numbers.
    train, test = data.select(np.arange(20)), data.select(np.arange(20, N))
    shared = compare(train, test, validation=0.25, audit="off")
    kept, held = train.split(0.25, seed=0)
    given = compare(kept, test, validation=held, audit="off")
    assert equal(shared, given)
    assert shared.runs[0].history == given.runs[0].history


def test_test_set_or_folds_and_nothing_that_was_fitted_before(data: ImageDataset, spy: Spy) -> None:
    drawn = replace(data, synthetic=np.ones(len(data), bool))
    with pytest.raises(ValueError, match=r"a test set or folds=3, not both"):
        compare(data, data, folds=3)
    for folds in (1, 2.5, "3"):
        with pytest.raises(ValueError, match=r"folds must be an integer from 2"):
            compare(data, folds=folds)
    with pytest.raises(ValueError, match=r"With folds, generators must learn from the training"):
        compare(data, folds=2, arms=["synthetic"], augmenter=drawn)
    spy.fit(data)
    with pytest.raises(ValueError, match=r"With folds, generators must learn from the training"):
        compare(data, folds=2, arms=["synthetic"], augmenter=spy)
    with pytest.raises(ValueError, match=r"With folds, validation images come out of"):
        compare(data, folds=2, validation=data)
    with pytest.raises(ValueError, match=r"at least 20 groups of every class"):
        compare(data, folds=20, audit="off")


def broken() -> keras.Model:
    model = tiny_model()
    model.compile(keras.optimizers.SGD(float("nan")), "binary_crossentropy")
    return model


def test_diverged_fits_warn_and_keep_their_place(data: ImageDataset) -> None:
    with pytest.warns(UserWarning, match=r"Arm 'original' with seed 0 diverged") as caught:
        result = compare(data, folds=2, classifier=broken)
    assert len(caught) == 2
    assert np.isnan(result.probabilities("original")).all()
    assert all(run.scores.accuracy is None for run in result.runs)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Times that need not be measured, for all work, however short."""

    def use(start: float, step: float) -> None:
        monkeypatch.setattr(cost, "_WORTH_TIMING", 1)
        monkeypatch.setattr(cost, "_time_classifier", lambda cell: (start, step))

    return use


def test_cost_is_told_before_long_work(
    data: ImageDataset, spy: Spy, timed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(data, folds=2, verbose=1)
    assert "Cost" not in capsys.readouterr().out
    timed(60.0, 10.0)
    arms = ["original", "synthetic"]
    result = compare(data, folds=2, arms=arms, augmenter=spy, epochs=2, seeds=(0, 1), verbose=1)
    steps = sum(run.steps for run in result.runs)
    assert steps == 32  # 8 fits of two passes over 18 images
    output = capsys.readouterr().out
    # 8 minutes to start, 320 seconds of steps.
    assert "Cost, by a few timed steps: 8 fits of 32 steps in all: about 13 min" in output
    assert "32/32" in output


class SmallGAN:
    """What is timed of a generator: `fit` on a few images, `sample`."""

    calls: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, **arguments: Any) -> None:
        assert arguments == {"image_shape": SHAPE, "seed": 0}

    def fit(self, data: ImageDataset, **arguments: Any) -> None:
        self.calls.append(("fit", len(data)))

    def sample(self, n: int, *, seed: int) -> None:
        self.calls.append(("sample", n))


class EpochSpy(Spy):
    """A spy that tells how long it learns."""

    generator, batch_size = SmallGAN, 4

    def planned_steps(self, counts: dict[str, int]) -> int:
        return 3 * sum(-(-n // self.batch_size) for n in counts.values())


@pytest.mark.usefixtures("spy")
def test_cost_of_generators(
    data: ImageDataset, timed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    timed(0.0, 1.0)
    result = compare(
        data, folds=2, arms=["original", "synthetic"], augmenter=EpochSpy(), seeds=(0, 1), verbose=1
    )
    # Two classes of 9 images are 3 steps of 4 each; 3 epochs, 2 folds, 2 seeds.
    assert [np.bincount(part.labels).tolist() for part in EpochSpy.learnt] == [[9, 9]] * 4
    output = capsys.readouterr().out
    assert "8 fits of 16 steps in all" in output
    assert "72 steps of generators" in output
    assert "together " in output
    assert [call for call in SmallGAN.calls if call[0] == "fit"] == [("fit", 12)] * 2
    assert result.runs[0].steps == 2


def test_real_timing(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = compare(data, folds=2)
    monkeypatch.setattr(cost, "_WORTH_TIMING", 1)
    timed = compare(data, folds=2, verbose=1)
    assert "Cost, by a few timed steps: 2 fits of 4 steps" in capsys.readouterr().out
    assert equal(timed, plain)  # the timed steps leave no trace in the numbers


def test_jobs_side_by_side() -> None:
    assert cost.side_by_side([60.0, 30.0, 30.0], 2) == 60.0
    assert cost.side_by_side([50.0, 40.0, 30.0, 20.0], 2) == 70.0
    assert cost.side_by_side([90.0, 10.0], 8) == 90.0  # nobody helps with the longest
    work = cost.Estimate(8, seconds=(5400.0, 600.0), parts="2 fits")
    assert work.text() == "Cost, by a few timed steps: 2 fits; together 1.7 h."
    assert work.text(2) == "Cost, by a few timed steps: 2 fits; together 1.7 h, by 2 workers 1.5 h."
    assert str(work.text(2, timed_alone=True)).endswith("1.5 h if they do not hinder each other.")
    assert cost.Estimate(8).text(2) is None
    timings = [cost.Timings(1.0, 2.0, 3.0, 4.0), cost.Timings(3.0, 4.0, 5.0, 8.0)]
    assert cost.average(timings) == cost.Timings(2.0, 3.0, 4.0, 6.0)
