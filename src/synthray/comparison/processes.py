"""Cells computed in processes of one thread each: a small network keeps about one core busy.

Cells go to the processes through a private temporary folder, which only these read and which is
gone afterwards. Arrays lie there once and are mapped into memory, however many processes there are.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import mmap
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cloudpickle
import keras
import loky
from loky.backend import get_context

from synthray._backend import has_accelerator
from synthray.comparison import cost
from synthray.comparison._waiting import finished
from synthray.comparison.cells import CellResult, Job, compute_elsewhere
from synthray.comparison.training import StepProgress
from synthray.datasets.image_dataset import ImageDataset

# Steps of classifiers: of the slides' classifier, a minute or more; to start processes takes ten
# seconds and more. Counted, not timed: the same call always trains in the same way.
WORTH_PROCESSES = 20_000
_A_GENERATOR_STEP = 100  # of these

_ALIGNED = 64
_WAIT = 60.0  # seconds, for a process that starts late
_TELL = 1.0  # seconds between two notes of how far a job is
_ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "VECLIB_MAXIMUM_THREADS": "1",
    # With two threads between operations, TensorFlow keeps two cores busy by turns.
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    "NPROC": "1",  # of JAX
    "LOKY_MAX_CPU_COUNT": "1",  # a comparison within a comparison stays in its process
}
_log = logging.getLogger("synthray")


class UnpackError(Exception):
    """What was sent could not be read in the other process."""


def useful(jobs: list[Job]) -> int:
    """Return how many processes would have something to do; 1 where this one had better train."""
    if len(jobs) < 2 or sum(cost.units(job, _A_GENERATOR_STEP) for job in jobs) < WORTH_PROCESSES:
        return 1
    reason = None
    if multiprocessing.current_process().daemon:
        reason = "it is a daemon, which may start no others"
    elif has_accelerator():
        reason = "it has an accelerator"
    if reason is not None:
        _log.info("Training in this process: %s.", reason)
        return 1
    return min(len(jobs), loky.cpu_count())


def split(jobs: list[Job]) -> list[Job]:
    """Return smaller jobs: one for each arm, but for those that share what is yet to be made."""
    parts: list[Job] = []
    for cell, arms in jobs:
        given = cell.recipe.augmenter is None or isinstance(cell.recipe.augmenter, ImageDataset)
        sharing = [arm for arm in arms if arm.needs_teachers or (arm.uses_synthetic and not given)]
        parts += [(cell, [arm]) for arm in arms if arm not in sharing]
        parts += [(cell, sharing)] if sharing else []
    return parts


def pack(jobs: list[Job], folder: Path) -> None:
    """Write jobs, and the settings of Keras that they depend on, for other processes."""
    settings = {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "dtype_policy": keras.dtype_policies.serialize(keras.config.dtype_policy()),
    }
    arrays: list[Any] = []
    body = cloudpickle.dumps(jobs, protocol=5, buffer_callback=arrays.append)
    places = []
    with (folder / "arrays").open("wb") as file:
        for array in arrays:
            file.write(bytes(-file.tell() % _ALIGNED))
            places.append((file.tell(), file.write(array.raw())))
        file.write(b"\0")  # an empty file cannot be mapped
    (folder / "jobs").write_bytes(cloudpickle.dumps((settings, body, places)))


@functools.lru_cache(maxsize=1)
def _unpack(folder: Path) -> list[Job]:
    settings, body, places = cloudpickle.loads((folder / "jobs").read_bytes())
    for name, value in settings.items():
        if name == "dtype_policy":
            value = keras.dtype_policies.deserialize(value)
        getattr(keras.config, f"set_{name}")(value)
    with (folder / "arrays").open("rb") as file:  # what a process writes there, it writes in a copy
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    jobs: list[Job] = cloudpickle.loads(
        body, buffers=[mapped[start : start + size] for start, size in places]
    )
    return jobs


class Pool:
    """Processes that compute packed jobs."""

    def __init__(self, executor: Any, folder: Path, workers: int) -> None:
        self._executor = executor
        self._folder = folder
        self._workers = workers

    def timed(self) -> cost.Timings:
        """Return what steps take while every process has some to do.

        Raises:
            UnpackError: If the processes cannot read what was packed.
            RuntimeError: If a process is killed.
        """
        numbers = range(self._workers)
        submit = functools.partial(self._executor.submit, _time, self._folder, self._workers)
        return cost.average([_result(future) for future in finished(list(map(submit, numbers)))])

    def compute(
        self,
        numbers: Iterable[int],
        generator_units: int = 1,
        meanwhile: Callable[[], object] | None = None,
    ) -> Iterator[tuple[int, CellResult]]:
        """Yield the number of each packed job and what it found, in any order.

        Args:
            numbers: Of the jobs, in the order in which they are to start.
            generator_units: What a step of a generator counts in `steps_of`.
            meanwhile: Called every second.

        Raises:
            UnpackError: If the processes cannot read what was packed.
            RuntimeError: If a process is killed.
        """
        submit = functools.partial(self._executor.submit, _compute, self._folder, generator_units)
        futures = {submit(each): each for each in numbers}
        for future in finished(futures, meanwhile=meanwhile):
            yield futures[future], _result(future)

    def steps_of(self, number: int) -> int:
        """Return how many steps of a job have been taken, as far as its process has told."""
        try:
            return int(_note(self._folder, number).read_text())
        except (FileNotFoundError, PermissionError):  # none yet; Windows, as it is replaced
            return 0


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "A process of this comparison ended before its work did; memory may have run "
            "out. executor=None trains in this process alone, and with a workdir= no "
            "finished fit is lost."
        ) from error


@contextlib.contextmanager
def started(folder: Path, workers: int) -> Iterator[Pool]:
    """Yield processes for the jobs packed in a folder; afterwards none of them is left."""
    environment = {
        **_ONE_THREAD,
        "KERAS_BACKEND": keras.backend.backend(),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        # Without AVX-512 TensorFlow leaves it off, and a fit takes half as long again.
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15",  # or loky takes models that are kept for a leak
    }
    executor = loky.ProcessPoolExecutor(
        workers,
        context=get_context("loky"),
        initializer=_begin,
        initargs=(os.getpid(),),
        env=environment,
    )
    try:
        yield Pool(executor, folder, workers)
    except BaseException:  # also where the comparison is interrupted
        executor.shutdown(kill_workers=True)
        raise
    executor.shutdown()


def _begin(parent: int) -> None:
    """Prepare a process: an interrupt is its parent's to handle, and it never outlives that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _compute(folder: Path, generator_units: int, number: int) -> CellResult:
    progress = StepProgress(_Note(_note(folder, number)), generator_units)
    return compute_elsewhere(*_read(folder)[number], [progress])


class _Note:
    """In place of a bar: writes the steps of a job where the process that has the bar looks."""

    target = math.inf

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0.0

    def update(self, done: int, *, finalize: bool) -> None:
        """Write, once a second at the most."""
        now = time.monotonic()
        if now - self._last >= _TELL:
            self._last = now
            part = self._path.with_suffix(".part")
            part.write_text(str(done))
            with contextlib.suppress(PermissionError):  # Windows, while it is read
                part.replace(self._path)  # what is read is whole


def _note(folder: Path, number: int) -> Path:
    return folder / f"steps-{number}"


def _time(folder: Path, workers: int, number: int) -> cost.Timings:
    jobs = _read(folder)
    (folder / f"ready-{number}").touch()
    late = time.monotonic() + _WAIT
    while len(list(folder.glob("ready-*"))) < workers and time.monotonic() < late:
        time.sleep(0.01)  # alone, steps would be faster than they are going to be
    return cost.measured(jobs)


def _read(folder: Path) -> list[Job]:
    try:
        return _unpack(folder)
    except Exception as error:  # of any kind: what is sent may run any code when it is read
        raise UnpackError(f"{type(error).__name__}: {error}") from error
