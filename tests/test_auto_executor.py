"""`executor="auto"`: when a comparison trains in processes of its own, and what comes of it."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import loky
import pytest

import synthray as sr
from synthray.comparison import _waiting, cost, processes
from synthray.comparison.arms import Arm
from synthray.comparison.cells import Job
from synthray.comparison.phases import Phase
from synthray.datasets.image_dataset import ImageDataset
from test_executors import Noise, assert_equal, compare, tiny_model
from toys import bars

TOLD = "Training in 2 processes of one thread each (executor=None trains in this process)."


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return bars(24)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two cores without an accelerator, whatever it is, and with its threads."""
    for name in processes._ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    if keras.backend.backend() == "tensorflow":  # as in this process, or numbers are rounded
        from tensorflow.python.framework.test_util import IsMklEnabled

        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", str(int(IsMklEnabled())))
    monkeypatch.setattr(loky, "cpu_count", lambda: 2)
    monkeypatch.setattr(processes, "has_accelerator", lambda: False)


@pytest.fixture
def at_once(two_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes for all work, however short."""
    monkeypatch.setattr(processes, "WORTH_PROCESSES", 1)


auto = functools.partial(compare, executor="auto", callbacks=None)
serially = functools.partial(compare, executor=None, callbacks=None)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def noted(folder: Path, train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
    """A source that writes down where it runs."""
    policy = keras.config.dtype_policy().name
    names = (*processes._ONE_THREAD, "TF_ENABLE_ONEDNN_OPTS")
    settings = {name: os.environ.get(name) for name in names}
    (folder / str(os.getpid())).write_text(f"{policy} {keras.backend.backend()} {settings}")
    return train


def noting(folder: Path) -> Arm:
    return Arm("noted", Phase(functools.partial(noted, folder)))


def pids(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


@pytest.mark.backend
@pytest.mark.usefixtures("at_once")
def test_processes_compute_the_same_and_are_gone(
    data: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A lambda, and a source within a partial: neither needs a module of its own.
    factor = 4
    arms = ["original", "augmented", "warm_start", noting(tmp_path)]
    arguments: dict[str, Any] = {"arms": arms, "classifier": lambda seed: wider(seed, factor)}
    found = auto(data, verbose=1, **arguments)
    output = capsys.readouterr().out
    assert TOLD in output
    total = sum(run.steps for run in found.runs)
    assert f"{total}/{total}" in output
    used = pids(tmp_path)
    assert used
    assert os.getpid() not in used
    assert not any(map(alive, used))
    assert_equal(found, serially(data, **arguments))


def wider(seed: int, units: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(units)]
    return keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])


@pytest.mark.usefixtures("two_cores")
def test_short_work_stays(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four fits of four steps.
    monkeypatch.setattr(processes, "WORTH_PROCESSES", 17)
    auto(data, arms=[noting(tmp_path)])
    assert pids(tmp_path) == {os.getpid()}


@pytest.mark.usefixtures("two_cores")
def test_many_steps_are_long(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "WORTH_PROCESSES", 8)
    monkeypatch.setattr(cost, "_WORTH_TIMING", 8)
    monkeypatch.setattr(cost, "_time_classifier", lambda cell: (15.0, 7.5))
    counts: list[int] = []
    monkeypatch.setattr(processes, "started", functools.partial(threads_here, counts))
    auto(data, arms=["original"], seeds=(0,), verbose=1)
    output = capsys.readouterr().out
    assert TOLD in output
    # Two fits of 15 seconds to start and 4 steps.
    cost_of = "2 fits of 8 steps in all: about 2 min; together 2 min, by 2 workers 1 min."
    assert cost_of in output
    assert counts == [2]


@contextlib.contextmanager
def threads_here(counts: list[int], folder: Path, workers: int) -> Iterator[Any]:
    """Threads of this process in place of processes; notes how many."""
    counts.append(workers)
    with ThreadPoolExecutor(workers) as executor:
        yield processes.Pool(executor, folder, workers)


@pytest.mark.usefixtures("at_once")
def test_the_bar_moves_while_processes_train(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "started", functools.partial(threads_here, []))
    monkeypatch.setattr(processes, "_TELL", 0.0)
    monkeypatch.setattr(_waiting, "_LOOK", 0.01)
    slow = {"augmentation": slowly, "arms": ["augmented"], "seeds": (0,)}
    auto(data, epochs=6, verbose=1, **slow)
    shown = [int(done) for done in re.findall(r"(\d+)/24\b", capsys.readouterr().out)]
    # Two fits of 12 steps: one that ends moves the bar by 12 at once.
    assert set(shown) - {12, 24}
    assert shown == sorted(shown)
    assert shown[-1] == 24


def slowly(images: Any) -> Any:
    time.sleep(0.05)
    return images


class EnoughError(Exception):
    """Nothing is to be trained."""


@pytest.mark.usefixtures("at_once")
def test_the_notes_of_a_process_are_steps_of_all_that_it_trains(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_TELL", 0.0)
    gan = functools.partial(sr.DCGAN, latent_dim=4, width=0.125)
    augmenter = sr.SyntheticAugmenter(gan, epochs=2, batch_size=6, random_state=0)
    soft = Arm("soft", Phase("synthetic", labels="teachers"))
    jobs: list[Job] = []

    def planned(found: list[Job]) -> list[Job]:
        jobs.extend(found)
        raise EnoughError

    monkeypatch.setattr(processes, "split", planned)
    with pytest.raises(EnoughError):
        auto(data, augmenter=augmenter, arms=[soft], seeds=(0,), teachers=2)
    processes.pack(jobs, tmp_path)
    with ThreadPoolExecutor(1) as executor:
        pool = processes.Pool(executor, tmp_path, 1)
        assert pool.steps_of(0) == 0
        assert [number for number, _ in pool.compute([0], generator_units=10)] == [0]
    cell, arms = jobs[0]
    fits = cell.planned_steps(soft) + cell.teacher_steps(arms)
    assert cell.teacher_steps(arms) > 0
    assert pool.steps_of(0) == cost.units(jobs[0], 10) == fits + 10 * cell.generator_steps
    assert pool.steps_of(1) == 0


@pytest.mark.usefixtures("at_once")
def test_steps_are_timed_where_they_will_be_trained(
    data: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cost, "_WORTH_TIMING", 8)

    def here(jobs: list[Job]) -> cost.Timings:
        raise AssertionError("timed where nothing is trained")

    monkeypatch.setattr(cost, "measured", here)  # processes have their own
    model = functools.partial(counted, tmp_path)
    found = auto(data, arms=["original"], seeds=(0, 1), classifier=model, verbose=1)
    output = capsys.readouterr().out
    assert "Cost, by a few timed steps: 4 fits of 16 steps" in output
    assert output.index(TOLD) < output.index("Cost") < output.index("16/16")
    made = {int(path.name): path.read_text() for path in tmp_path.iterdir()}
    del made[os.getpid()]
    assert sorted(map(len, made.values())) in ([2, 4], [3, 3])  # one each to time, four to train
    monkeypatch.undo()
    assert_equal(found, serially(data, arms=["original"], seeds=(0, 1), classifier=model))


def counted(folder: Path, seed: int) -> keras.Model:
    """A model, once it is written down where."""
    with (folder / str(os.getpid())).open("a") as file:
        file.write("x")
    return tiny_model(seed)


@pytest.mark.usefixtures("at_once")
def test_where_this_process_trains(
    data: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[tuple[str, int]] = []

    def calls(arm: str, seed: int) -> list[Any]:
        called.append((arm, seed))
        return []

    one = {"arms": [noting(tmp_path)], "verbose": 1}
    auto(data, **{**one, "callbacks": calls})
    assert "Training in this process: callbacks may write" in capsys.readouterr().out
    assert called == [("noted", seed) for seed in (0, 0, 1, 1)]
    auto(data, **{**one, "verbose": 2})
    serially(data, **one)
    train, test = data.split(0.25, seed=0)
    auto(train, test=test, folds=None, seeds=(0,), **one)  # a single fit
    with caplog.at_level(logging.INFO, logger="synthray"):
        monkeypatch.setattr(processes, "has_accelerator", lambda: True)
        auto(data, **one)
        monkeypatch.setattr(processes, "has_accelerator", lambda: False)
        monkeypatch.setattr(multiprocessing, "current_process", Daemon)
        auto(data, **one)
    assert "Training in this process: it has an accelerator." in caplog.text
    assert "Training in this process: it is a daemon" in caplog.text
    assert "processes of one thread" not in capsys.readouterr().out
    assert pids(tmp_path) == {os.getpid()}


class Daemon:
    """A process that may have no children."""

    daemon = True


class Unreadable:
    """An augmentation that can be sent, and not received."""

    def __call__(self, images: Any) -> Any:
        return images

    def __reduce__(self) -> Any:
        return (int, ("not a number",))


@pytest.mark.usefixtures("at_once")
def test_what_cannot_be_sent_is_told(
    data: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = threading.Lock()

    def locked(images: Any) -> Any:
        with lock:
            return images

    cases: list[tuple[Callable[[Any], Any], str]] = [
        (locked, "cannot be sent to another one (cannot pickle '_thread.lock' object)"),
        (Unreadable(), "cannot be read in another one (ValueError: invalid literal for int()"),
    ]
    arms = ["augmented", noting(tmp_path)]
    for augmentation, reason in cases:
        found = auto(data, arms=arms, seeds=(0,), augmentation=augmentation, verbose=1)
        output = capsys.readouterr().out
        assert f"Training in this process: a part of the comparison {reason}" in output
        assert len(found.runs) == 4
        assert pids(tmp_path) == {os.getpid()}


@pytest.mark.backend
@pytest.mark.usefixtures("at_once")
def test_processes_are_set_up_like_this_one(
    data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)  # but for what a user left open
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        auto(data, arms=[noting(tmp_path)], classifier=functools.partial(threads, tmp_path))
    finally:
        keras.config.set_dtype_policy(before)
    settings = processes._ONE_THREAD | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    expected = f"mixed_bfloat16 {keras.backend.backend()} {settings}"
    texts = {int(path.name): path.read_text() for path in tmp_path.iterdir()}
    assert texts.pop(os.getpid()) == "many"  # makes one, to see whether it can
    assert set(texts.values()) == {expected}


def threads(folder: Path, seed: int) -> keras.Model:
    """A model, once it is known that one thread computes."""
    child = os.environ.get("NPROC") == "1"
    if not child:
        (folder / str(os.getpid())).write_text("many")
    elif keras.backend.backend() == "torch":
        import torch

        assert torch.get_num_threads() == 1
    return tiny_model(seed)


def failing(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
    raise RuntimeError("a mistake in the source")


def dying(train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
    os._exit(9)


@pytest.mark.usefixtures("at_once")
def test_errors_of_processes_arrive(data: ImageDataset, tmp_path: Path) -> None:
    cases = [(failing, "a mistake in the source"), (dying, "ended before its work did; memory")]
    for source, message in cases:
        with pytest.raises(RuntimeError, match=message):
            auto(data, arms=[noting(tmp_path), Arm("wrong", Phase(source))])
    assert not any(map(alive, pids(tmp_path) - {os.getpid()}))


@pytest.mark.usefixtures("at_once")
def test_the_workdir_knows_no_executor(data: ImageDataset, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"augmenter": None, "arms": ["original", "augmented"]}
    first = auto(data, workdir=tmp_path / "auto", **arguments)
    serially(data, workdir=tmp_path / "none", **arguments)
    names = [sorted(p.name for p in (tmp_path / kind).rglob("*.json")) for kind in ("auto", "none")]
    assert len(names[0]) == 8
    assert names[0] == names[1]
    assert_equal(serially(data, workdir=tmp_path / "auto", **arguments), first)


def test_jobs_are_split_where_nothing_is_drawn(
    data: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Job]] = []

    def split(jobs: list[Job]) -> list[Job]:
        seen.append(jobs)
        return []

    monkeypatch.setattr(processes, "split", split)
    drawn = Noise()
    drawn.fit(data)
    images = drawn.sample({"upright": 12, "lying": 12}, seed=0)
    train, test = data.split(0.25, seed=0)
    for augmenter in (Noise(), images):
        auto(train, test=test, folds=None, seeds=(0,), augmenter=augmenter, epochs=1)
    monkeypatch.undo()

    def names(jobs: list[Job]) -> list[list[str]]:
        return [[arm.name for arm in arms] for _, arms in jobs]

    yet_to_draw, given = (processes.split(jobs) for jobs in seen)
    assert names(yet_to_draw) == [["original"], ["augmented"], ["warm_start", "half"]]
    assert names(given) == [["original"], ["augmented"], ["warm_start"], ["half"]]
    assert cost.longest_first(yet_to_draw, 1) == [2, 0, 1]
