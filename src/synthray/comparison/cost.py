"""What a comparison will cost, measured on a few steps before it starts."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from synthray.augmenter.progress import describe
from synthray.comparison.arms import Arm
from synthray.comparison.batches import PhaseStream
from synthray.comparison.cells import Cell, Job
from synthray.comparison.phases import Phase
from synthray.comparison.training import fit_phases

_TIMED = 16
_GENERATOR_STEPS = 3
_DRAWN = 32
_WORTH_TIMING = 3_000  # steps of classifiers: half a minute of a small network, or more
_WORTH_TIMING_GENERATORS = 100


@dataclass(frozen=True)
class Timings:
    """Seconds, measured.

    Attributes:
        start: Of starting a fit.
        step: Of a step of a classifier.
        generator_step: Of a step of a generator.
        image: Of drawing an image.
    """

    start: float
    step: float
    generator_step: float = 0.0
    image: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What is to be done.

    Attributes:
        units: The work, in steps of a classifier.
        generator_units: What a step of a generator costs, in steps of a classifier.
        seconds: What each job will take; empty for work too short to be worth timing.
        parts: What all of that is made up of, in words.
    """

    units: int
    generator_units: int = 1
    seconds: tuple[float, ...] = ()
    parts: str = ""

    def text(self, workers: int = 1, *, timed_alone: bool = False) -> str | None:
        """Return what to say of it.

        Args:
            workers: How many jobs are computed side by side.
            timed_alone: Whether the steps were timed in one process that had all cores.
        """
        if not self.seconds:
            return None
        text = f"Cost, by a few timed steps: {self.parts}; together {describe(sum(self.seconds))}"
        if workers > 1:
            text += f", by {workers} workers {describe(side_by_side(self.seconds, workers))}"
            text += " if they do not hinder each other" * timed_alone
        return f"{text}."


def side_by_side(seconds: Iterable[float], workers: int) -> float:
    """Return when the last of these jobs ends, if whoever is free takes the longest one left."""
    ends = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def units(job: Job, generator_units: int) -> int:
    """Return the work of a job, in steps of a classifier."""
    return _fit_steps(job) + generator_units * _generator_steps(job)


def longest_first(jobs: list[Job], generator_units: int) -> list[int]:
    """Return the places of jobs in an order that leaves no process idle for long at the end."""
    return sorted(range(len(jobs)), key=lambda place: -units(jobs[place], generator_units))


def worth_timing(jobs: list[Job]) -> bool:
    """Return whether the work is long enough to time a few steps first."""
    return (
        sum(map(_fit_steps, jobs)) >= _WORTH_TIMING
        or sum(map(_generator_steps, jobs)) >= _WORTH_TIMING_GENERATORS
    )


def estimate(jobs: list[Job], timings: Timings | None = None) -> Estimate:
    """Say what jobs cost.

    Args:
        jobs: Cells, and the arms to compute of each.
        timings: Of steps, where those were worth timing.
    """
    if timings is None:
        return Estimate(sum(units(job, 1) for job in jobs))
    steps, generators = (sum(map(each, jobs)) for each in (_fit_steps, _generator_steps))
    cost = max(1, round(timings.generator_step / timings.step)) if generators else 1
    fits = [_fits(job) * timings.start + _fit_steps(job) * timings.step for job in jobs]
    training = [_generator_steps(job) * timings.generator_step for job in jobs]
    drawing = [_drawn(job) * timings.image for job in jobs]
    parts = f"{sum(map(_fits, jobs))} fits of {steps:,} steps in all: about {describe(sum(fits))}"
    if generators:
        parts += (
            f"; {generators:,} steps of generators: about {describe(sum(training))}; "
            f"drawing: about {describe(sum(drawing))}"
        )
    seconds = tuple(map(sum, zip(fits, training, drawing, strict=True)))
    return Estimate(steps + cost * generators, cost, seconds, parts)


def measured(
    jobs: list[Job], time_classifier: Callable[[], tuple[float, float]] | None = None
) -> Timings:
    """Time a few steps of a classifier and, where there is one, of a generator.

    Args:
        jobs: What is to be done.
        time_classifier: Returns the seconds of a fit's start and of a step; by default those of a
            fit alone.
    """
    if time_classifier is None:
        start, step = _time_classifier(jobs[0][0])
    else:
        start, step = time_classifier()
    drawing = [job for job in jobs if _generator_steps(job)]
    return Timings(start, step, *(_time_generator(drawing[0][0]) if drawing else ()))


def average(found: list[Timings]) -> Timings:
    """Return the mean of what several processes measured."""
    return Timings(*np.mean([astuple(each) for each in found], axis=0).tolist())


def _fits(job: Job) -> int:
    cell, arms = job
    return len(arms) + bool(cell.teacher_steps(arms)) * cell.recipe.teachers


def _fit_steps(job: Job) -> int:
    cell, arms = job
    return sum(map(cell.planned_steps, arms)) + cell.teacher_steps(arms)


def _generator_steps(job: Job) -> int:
    cell, arms = job
    return cell.generator_steps if any(arm.uses_synthetic for arm in arms) else 0


def _drawn(job: Job) -> int:
    cell, _ = job
    if not _generator_steps(job):
        return 0
    return cell.n_drawn


def _time_classifier(cell: Cell) -> tuple[float, float]:
    """Return the seconds of starting a fit, and of a step after that."""
    recipe = cell.recipe
    model = recipe.factory(cell.seed)
    bench = cell.bench([Arm("timing", Phase())], None)
    batches = bench.batches(model, cell.train, Phase(), cell.seed)
    seconds = []
    for _ in range(2):
        phase = PhaseStream(batches, _TIMED, 0, None, cell.seed)
        start = time.perf_counter()
        fit_phases(model, [phase], epoch_steps=_TIMED, callbacks=[], verbose=0)
        seconds.append(time.perf_counter() - start)
    return max(seconds[0] - seconds[1], 0.0), seconds[1] / _TIMED


def _time_generator(cell: Cell) -> tuple[float, float]:
    """Return the seconds of a training step, and of a drawn image."""
    augmenter = cell.recipe.augmenter
    gan: Any = augmenter.generator(image_shape=cell.train.image_shape, seed=0)
    # From the first class to the last: a translator needs images of each.
    by_class = np.argsort(cell.train.labels, kind="stable")
    places = np.linspace(0, len(by_class) - 1, _GENERATOR_STEPS * augmenter.batch_size)
    few = cell.train.select(by_class[places.astype(int)])
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        gan.fit(few, batch_size=augmenter.batch_size, epochs=1, verbose=0)
        seconds.append(time.perf_counter() - start)
    for _ in range(2):  # the first time compiles
        start = time.perf_counter()
        if hasattr(gan, "translate"):
            gan.translate(few.images[np.arange(_DRAWN) % len(few)], to=0)
        else:
            gan.sample(_DRAWN, seed=0)
    return seconds[1] / _GENERATOR_STEPS, (time.perf_counter() - start) / _DRAWN
