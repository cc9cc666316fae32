"""Computes cells one after the other, or side by side through any executor."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, Future, as_completed
from typing import Any

import keras

from synthray.comparison.arms import Arm
from synthray.comparison.cells import Cell, CellResult, compute_elsewhere
from synthray.comparison.training import StepProgress

Job = tuple[Cell, list[Arm]]


def compute(
    jobs: list[Job], executor: Executor | None, *, progress: StepProgress | None, verbose: Any
) -> Iterator[tuple[Cell, CellResult]]:
    """Yield what each cell found, in any order."""
    if executor is None:
        shown = [] if progress is None else [progress]
        for cell, arms in jobs:
            yield cell, cell.compute(arms, shown=shown, verbose=verbose)
        return
    futures = {executor.submit(compute_elsewhere, cell, arms): cell for cell, arms in jobs}
    try:
        for future in as_completed(futures):
            cell, found = futures[future], _result(future)
            if progress is not None:
                drawn = found.synthetic is not None
                progress.add(sum(run.steps for run in found.runs), cell.generator_steps * drawn)
            yield cell, found
    finally:
        for future in futures:  # after an error or an interrupt; what has ended is stored
            future.cancel()


def check_executor(executor: Any) -> None:
    """Raise where an executor cannot work.

    Raises:
        TypeError: If it is none.
        ValueError: If its processes would be forked from one that has started a backend.
    """
    if executor is None:
        return
    if not isinstance(executor, Executor):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}. For "
            "dask: Client(...).get_executor()."
        )
    # Threads of the backend do not survive a fork: its first operation would wait for ever.
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(
            f"The processes of this executor are forked, and {keras.backend.backend()} hangs in "
            "forked processes. Use ProcessPoolExecutor(2, "
            "mp_context=multiprocessing.get_context('spawn'))."
        )


def workers(executor: Executor | None) -> int:
    """Return how many cells an executor computes at once, as far as it tells."""
    found = getattr(executor, "_max_workers", 1)
    return found if isinstance(found, int) else multiprocessing.cpu_count()


def _result(future: Future[CellResult]) -> CellResult:
    try:
        return future.result()
    except Exception as error:
        # What cannot be sent raises errors of several kinds; they have the word in common.
        if "pickl" not in f"{type(error).__name__} {error}".lower():
            raise
        raise TypeError(
            f"A part of the comparison cannot be sent to another process ({error}). Functions of "
            "processes (classifier=, callbacks=, generator=, an arm's source) must stand at the "
            "top of a module: no lambda, no function within a function."
        ) from error
