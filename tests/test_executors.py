from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import pytest

from synthray.comparison import execution
from synthray.comparison.arms import Arm
from synthray.comparison.cells import Cell
from synthray.comparison.phases import Phase
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.datasets.image_dataset import ImageDataset
from toys import bars

SHAPE = (16, 16, 1)


def tiny_model(seed: int) -> keras.Model:
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    layers += [keras.layers.Dense(4, "relu"), keras.layers.Dropout(0.3, seed=seed)]
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])


class Noise:
    """An augmenter that draws noise as dark as what it learnt from."""

    def fit(self, data: ImageDataset) -> None:
        self.class_names_, self.image_shape_ = data.class_names, data.image_shape
        self.level = int(data.images.mean()) + 10

    def sample(self, n: dict[str, int], *, seed: int) -> ImageDataset:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, self.level, (sum(n.values()), *SHAPE), np.uint8)
        labels = np.repeat([0, 1], list(n.values()))
        return ImageDataset.from_arrays(
            images, labels, class_names=self.class_names_, synthetic=True
        )


def darker(images: Any, seed: int) -> Any:
    return images * np.random.default_rng(seed).uniform(0.5, 1.0)


def slowing(arm: str, seed: int) -> list[Any]:
    return [keras.callbacks.LearningRateScheduler(halved)]


def halved(epoch: int, rate: float) -> float:
    return rate / 2


def brighter_half(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
    return train.select(train.images.mean((1, 2, 3)) >= np.median(train.images.mean((1, 2, 3))))


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return bars(24)


def compare(data: ImageDataset, **arguments: Any) -> ComparisonResult:
    defaults: dict[str, Any] = {
        "folds": 2,
        "classifier": tiny_model,
        "arms": ["original", "augmented", "warm_start", Arm("half", Phase(brighter_half))],
        "augmenter": Noise(),
        "augmentation": darker,
        "callbacks": slowing,
        "seeds": (0, 1),
        "epochs": 2,
        "batch_size": 6,
        "audit": "off",
        "verbose": 0,
    }
    return run_comparison(data, **{**defaults, **arguments})


@pytest.fixture(scope="module")
def serial(data: ImageDataset) -> ComparisonResult:
    return compare(data)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Two processes, which live through all tests: to start them costs seconds."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


def assert_equal(one: ComparisonResult, other: ComparisonResult) -> None:
    for a, b in zip(one.runs, other.runs, strict=True):
        assert (a.arm, a.seed, a.fold) == (b.arm, b.seed, b.fold)
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
        assert (a.history, a.scores, a.phase_steps) == (b.history, b.scores, b.phase_steps)
    np.testing.assert_array_equal(one.folds, other.folds)
    assert one.settings == other.settings


def test_processes_compute_the_same(
    data: ImageDataset,
    serial: ComparisonResult,
    pool: ProcessPoolExecutor,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert_equal(compare(data, executor=pool, verbose=1), serial)
    total = sum(run.steps for run in serial.runs)
    assert f"{total}/{total}" in capsys.readouterr().out


def test_threads_compute_the_same(data: ImageDataset, serial: ComparisonResult) -> None:
    with ThreadPoolExecutor(3) as executor:
        assert_equal(compare(data, executor=executor), serial)


def test_functions_that_cannot_travel_are_named(
    data: ImageDataset, pool: ProcessPoolExecutor
) -> None:
    def inner(arm: str, seed: int) -> list[Any]:
        return []

    for wrong in ({"classifier": lambda seed: tiny_model(seed)}, {"callbacks": inner}):
        with pytest.raises(TypeError, match=r"cannot be sent to another process .* no lambda"):
            compare(data, executor=pool, **wrong)
    # The pool is whole after that.
    compare(data, executor=pool, arms=["original"], seeds=(0,), epochs=1)


def failing(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
    raise RuntimeError("a mistake in the source")


def test_errors_of_workers_arrive(
    data: ImageDataset, pool: ProcessPoolExecutor, tmp_path: Any
) -> None:
    arms = ["original", Arm("failing", Phase(failing))]
    for executor in (pool, None):
        with pytest.raises(RuntimeError, match="a mistake in the source"):
            compare(data, executor=executor, arms=arms)


def test_workers_fill_the_same_workdir(
    data: ImageDataset, serial: ComparisonResult, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"workdir": tmp_path, "augmenter": None, "arms": ["original"]}
    with ThreadPoolExecutor(2) as executor:
        first = compare(data, executor=executor, **arguments)
    files = {path.name: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert len(files) == 4
    monkeypatch.setattr(Cell, "compute", None)  # nothing is left to compute
    assert_equal(compare(data, **arguments), first)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.json")} == files
    plain = [run.probabilities for run in serial["original"]]
    np.testing.assert_array_equal([run.probabilities for run in first.runs], plain)


def test_other_executors_are_refused(data: ImageDataset) -> None:
    for wrong in (2, "process", object(), Executor):
        with pytest.raises(TypeError, match=r"None or a concurrent\.futures\.Executor"):
            compare(data, executor=wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_forked_processes_are_refused(data: ImageDataset) -> None:
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(2, mp_context=context) as executor,
        pytest.raises(ValueError, match=r"executor are forked, and \w+ hangs"),
    ):
        compare(data, executor=executor)


def test_workers() -> None:
    with ThreadPoolExecutor(3) as executor:
        assert execution.workers(executor) == 3

    class Silent(Executor):
        pass

    assert execution.workers(Silent()) == 1


def test_dask_computes_the_same(data: ImageDataset, serial: ComparisonResult) -> None:
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # of what dask does within itself
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            found = compare(data, executor=client.get_executor())
    assert_equal(found, serial)
