"""Jobs of a comparison through joblib: in this process, in others, or on other machines."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pickle import PicklingError
from typing import Any, TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor, process_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import LokyBackend, get_active_backend

from synthray._keras import workers
from synthray._progress import duration, progress_bar, say

Result = TypeVar("Result")
_WORTH_SAYING = 60.0  # seconds


@contextlib.contextmanager
def processes(n_jobs: int | None) -> Iterator[None]:
    """Let the workers of `run_jobs` have one thread and no GPU; afterwards none of them is left."""
    if joblib.effective_n_jobs(n_jobs) < 2 or not isinstance(get_active_backend()[0], LokyBackend):
        yield
        return
    _shut_down()  # workers of others may have been started with other variables
    try:
        watched = {"initializer": _begin, "initargs": (os.getpid(),)}
        with workers.environment(), joblib.parallel_config("loky", **watched):
            yield
    finally:
        _shut_down()


def run_jobs(
    function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None
) -> Iterator[tuple[int, Result]]:
    """Yield the place of each job and what `function(*job)` returns, in any order.

    Raises:
        RuntimeError: If a worker process is killed.
        TypeError: If a part of a job cannot be sent to another process.
    """
    if min(joblib.effective_n_jobs(n_jobs), len(jobs)) < 2:
        for place, job in enumerate(jobs):
            yield place, function(*job)
        return
    given = workers.settings()
    calls = [(place, function, job) for place, job in enumerate(jobs)]
    pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    found = pool(joblib.delayed(_call)(given, *job) for job in calls)
    try:
        yield from found
    except TerminatedWorkerError as error:
        raise RuntimeError(
            "A worker process ended before its work did; memory may have run out. Lower n_jobs; "
            "with a workdir= no finished fit is lost."
        ) from error
    except PicklingError as error:
        raise TypeError(
            f"A part of the comparison cannot be sent to another process ({error}). Pass n_jobs=1, "
            "or leave open files, locks and the like out of functions."
        ) from error
    finally:
        found.close()


def _begin(parent: int) -> None:
    """Set up a worker as it starts."""
    # Its memory grows by what TensorFlow loads at the first fit. Loky would take that for a leak
    # and start it anew, which costs seconds and all features that it remembers.
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")
    workers.end_with(parent)


def _call(
    given: dict[str, Any], place: int, function: Callable[..., Result], job: tuple[Any, ...]
) -> tuple[int, Result]:
    workers.begin(given)
    return place, function(*job)


def _shut_down() -> None:
    get_reusable_executor(max_workers=1).shutdown(wait=True, kill_workers=True)


class Watch:
    """A progress bar over steps, and one line that says what all of them will take.

    Args:
        jobs: Number of jobs.
        steps: Their steps, together.
        what: What a job is, in the plural.
        n_jobs: As in `run_comparison`.
        verbose: 0 for silence.
        unit: Name of a step.
    """

    def __init__(
        self,
        jobs: int,
        steps: int,
        what: str,
        n_jobs: int | None,
        verbose: Any,
        unit: str = "steps",
    ) -> None:
        self._jobs, self._steps, self._what, self._verbose = jobs, steps, what, verbose
        self.processes = max(1, min(joblib.effective_n_jobs(n_jobs), jobs))
        self._bar = progress_bar(steps, what, unit=unit, verbose=verbose)
        self._done = 0
        self._began = time.perf_counter()

    def add(self, steps: int) -> None:
        """Move the bar."""
        self._bar.update(steps)

    def finished(self, steps: int) -> None:
        """Note a job that has ended; of the first, say what all will take."""
        self._done += 1
        if self._done > 1 or steps < 1:
            return
        took = time.perf_counter() - self._began
        rounds = self._steps / steps / self.processes
        if took * rounds < _WORTH_SAYING:
            return
        place = f"in {self.processes} processes" if self.processes > 1 else "in this process"
        say(
            f"The first of {self._jobs} {self._what} took {duration(took)}: all of them take about "
            f"{duration(took * rounds)} {place}.",
            verbose=self._verbose,
        )

    def __enter__(self) -> Watch:
        """Show the bar."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the bar."""
        self._bar.close()
