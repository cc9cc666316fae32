"""Computes cells here, stacked, in processes of one thread, or side by side through an executor."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras

from synthray.comparison import cost, processes, stacking
from synthray.comparison._waiting import finished
from synthray.comparison.arms import Arm
from synthray.comparison.cells import Cell, CellResult, Job, compute_elsewhere
from synthray.comparison.training import StepProgress

Execution = Executor | Literal["auto", "stacked"] | None
Found = Generator[tuple[Cell, CellResult], None, None]

_log = logging.getLogger("synthray")


def compute(
    jobs: list[Job], executor: Execution, *, say: Callable[[str], None], verbose: Any
) -> Found:
    """Say what it will cost, then yield what each cell found, in any order."""
    if not jobs:
        return
    if executor == "stacked" or (executor == "auto" and stacking.pays(jobs)):
        yield from _stacked(jobs, say=say, verbose=verbose)
        return
    choosing = executor == "auto" and verbose != 2  # lines an epoch are written here alone
    parts = processes.split(jobs) if choosing else []
    count = processes.useful(parts)
    _log.info("%d fits", sum(len(arms) for _, arms in jobs))
    if isinstance(executor, Executor):
        work = timed(jobs, say, workers(executor))
        yield from _through(executor, jobs, progress_bar(work, verbose))
    elif count > 1:
        yield from _in_processes(parts, count, say=say, verbose=verbose)
    else:
        work = timed(jobs, say)
        yield from _here(jobs, progress_bar(work, verbose), verbose)


def timed(jobs: list[Job], say: Callable[[str], object], workers: int = 1) -> cost.Estimate:
    """Time a few steps in this process, where there are many, and say what all will cost."""
    work = cost.estimate(jobs, cost.measured(jobs) if cost.worth_timing(jobs) else None)
    _tell(work.text(workers, timed_alone=True), say)
    return work


def progress_bar(work: cost.Estimate, verbose: Any) -> StepProgress | None:
    """Return one bar over all steps, where `verbose` asks for that."""
    if verbose not in (1, "auto"):
        return None
    return StepProgress(keras.utils.Progbar(work.units, unit_name="step"), work.generator_units)


def check_executor(executor: Any) -> None:
    """Raise where an executor cannot work.

    Raises:
        TypeError: If it is none.
        ValueError: If its processes would be forked from one that has started a backend; if there
            is none to stack fits on.
    """
    if executor is None or (isinstance(executor, str) and executor in ("auto", "stacked")):
        if executor == "stacked" and keras.backend.backend() != "jax":
            raise ValueError(
                'executor="stacked" needs KERAS_BACKEND=jax, and the backend is '
                f'{keras.backend.backend()}. "auto" does what is fast there.'
            )
        return
    if not isinstance(executor, Executor):
        raise TypeError(
            'executor must be "auto", "stacked", None or a concurrent.futures.Executor, got '
            f"{executor!r}. For dask: Client(...).get_executor()."
        )
    # Threads of the backend do not survive a fork: its first operation would wait for ever.
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(
            f"The processes of this executor are forked, and {keras.backend.backend()} hangs in "
            "forked processes. Use ProcessPoolExecutor(2, "
            "mp_context=multiprocessing.get_context('spawn'))."
        )


def workers(executor: Executor) -> int:
    """Return how many cells an executor computes at once, as far as it tells."""
    found = getattr(executor, "_max_workers", 1)
    return found if isinstance(found, int) else multiprocessing.cpu_count()


def _tell(text: str | None, say: Callable[[str], object]) -> None:
    if text is not None:
        say(text)


def _here(jobs: list[Job], progress: StepProgress | None, verbose: Any) -> Found:
    shown = [] if progress is None else [progress]
    for cell, arms in jobs:
        yield cell, cell.compute(arms, shown=shown, verbose=verbose)


def _stacked(jobs: list[Job], *, say: Callable[[str], None], verbose: Any) -> Found:
    """Yield what each fit found; train one after the other what cannot be trained together."""
    recipe = jobs[0][0].recipe
    reason = stacking.why_not(recipe, verbose)
    alone = list(recipe.arms)
    if reason is None:
        alone = stacking.in_turn(recipe, alone)
        reason = "an augmentation that is a function may be any Python"
    together = _with_arms(jobs, lambda arm: arm not in alone)
    rest = _with_arms(jobs, lambda arm: arm in alone)
    if rest:
        fits = sum(len(arms) for _, arms in rest)
        say(f"Training {fits} fits one after the other: {reason}.")
    stacks = stacking.Stacking()
    timings = None
    if cost.worth_timing(jobs):
        timings = cost.measured(jobs, partial(stacks.timed, together) if together else None)
    work = cost.estimate(jobs, timings)
    _tell(work.text(), say)
    progress = progress_bar(work, verbose)
    shown = [] if progress is None else [progress]
    tell = None if progress is None else progress.add
    yield from stacks.compute(together, tell=tell, shown=shown)
    yield from _here(rest, progress, verbose)


def _with_arms(jobs: list[Job], chosen: Callable[[Arm], bool]) -> list[Job]:
    """Return jobs with the arms that are chosen, those without one left out."""
    parts = [(cell, list(filter(chosen, arms))) for cell, arms in jobs]
    return [(cell, arms) for cell, arms in parts if arms]


def _through(executor: Executor, jobs: list[Job], progress: StepProgress | None) -> Found:
    futures = {executor.submit(compute_elsewhere, *job): job for job in jobs}
    try:
        for future in finished(futures):
            job, found = futures[future], _result(future)
            _show(progress, job, found)
            yield job[0], found
    finally:
        for future in futures:  # after an error or an interrupt; what has ended is stored
            future.cancel()


def _in_processes(
    jobs: list[Job], count: int, *, say: Callable[[str], None], verbose: Any
) -> Found:
    """Yield what each cell found; compute here what other processes cannot."""
    left = dict(enumerate(jobs))
    progress = None
    with tempfile.TemporaryDirectory(prefix="synthray-", ignore_cleanup_errors=True) as folder:
        reason = _reason_to_stay(jobs, Path(folder))
        if reason is None:
            say(
                f"Training in {count} processes of one thread each (executor=None trains in this "
                "process)."
            )
            try:
                with processes.started(Path(folder), count) as pool:
                    timings = pool.timed() if cost.worth_timing(jobs) else None
                    work = cost.estimate(jobs, timings)
                    _tell(work.text(count), say)
                    progress = progress_bar(work, verbose)
                    order = cost.longest_first(jobs, work.generator_units)
                    look = None if progress is None else partial(_look, pool, left, progress)
                    for number, found in pool.compute(order, work.generator_units, look):
                        job = left.pop(number)
                        _show(progress, job, found)
                        yield job[0], found
            except processes.UnpackError as error:
                reason = f"a part of the comparison cannot be read in another one ({error})"
    if reason is not None:
        say(f"Training in this process: {reason}.")
        rest = list(left.values())
        if progress is None:
            progress = progress_bar(timed(rest, say), verbose)
        yield from _here(rest, progress, 0)


def _reason_to_stay(jobs: list[Job], folder: Path) -> str | None:
    if jobs[0][0].recipe.callbacks is not None:
        return "callbacks may write to objects of this one (an Executor runs them elsewhere)"
    try:
        processes.pack(jobs, folder)
    except Exception as error:  # of any kind: objects decide for themselves how they are sent
        return f"a part of the comparison cannot be sent to another one ({error})"
    return None


def _look(pool: processes.Pool, left: Iterable[int], progress: StepProgress) -> None:
    progress.meanwhile(sum(map(pool.steps_of, left)))


def _show(progress: StepProgress | None, job: Job, found: CellResult) -> None:
    if progress is not None:
        cell, arms = job
        drawn = found.synthetic is not None
        steps = sum(run.steps for run in found.runs) + cell.teacher_steps(arms)
        progress.add(steps, cell.generator_steps * drawn)


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
