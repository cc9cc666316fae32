"""What a comparison will cost, measured on a few steps before it starts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthray.augmenter.progress import describe
from synthray.comparison import synthetic as drawn_images
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
class Estimate:
    """What is to be done.

    Attributes:
        units: The work, in steps of a classifier.
        generator_units: What a step of a generator costs, in steps of a classifier.
        seconds: What it will take in one process; `None` for work too short to be worth timing.
        parts: What that is made up of, in words.
    """

    units: int
    generator_units: int = 1
    seconds: float | None = None
    parts: str = ""

    def text(self, workers: int) -> str | None:
        """Return what to say of it, where so many cells are computed side by side."""
        if self.seconds is None:
            return None
        text = f"Cost, by a few timed steps: {self.parts}; together {describe(self.seconds)}"
        if workers > 1:
            shared = describe(self.seconds / workers)
            text += f", or {shared} if {workers} workers do not hinder each other"
        return f"{text}."


def estimate(jobs: list[Job]) -> Estimate:
    """Count the steps, and where they are many, time a few.

    Args:
        jobs: Cells, and the arms to compute of each.
    """
    steps = sum(cell.planned_steps(arm) for cell, arms in jobs for arm in arms)
    steps += sum(cell.teacher_steps(arms) for cell, arms in jobs)
    drawing = [cell for cell, arms in jobs if any(arm.uses_synthetic for arm in arms)]
    generator_steps = sum(cell.generator_steps for cell in drawing)
    if steps < _WORTH_TIMING and generator_steps < _WORTH_TIMING_GENERATORS:
        return Estimate(steps + generator_steps)
    first, each = _time_classifier(jobs[0][0])
    fits = sum(
        len(arms) + bool(cell.teacher_steps(arms)) * cell.recipe.teachers for cell, arms in jobs
    )
    total = fits * first + steps * each
    parts = f"{fits} fits of {steps:,} steps in all: about {describe(total)}"
    cost = 1
    if generator_steps:
        a_step, an_image = _time_generator(drawing[0])
        cost = max(1, round(a_step / each))
        training = generator_steps * a_step
        drawn = an_image * sum(
            drawn_images.planned(c.recipe.augmenter, c.train, c.recipe.n_synthetic) for c in drawing
        )
        total += training + drawn
        parts += (
            f"; {generator_steps:,} steps of generators: about {describe(training)}; "
            f"drawing: about {describe(drawn)}"
        )
    return Estimate(steps + cost * generator_steps, cost, total, parts)


def _time_classifier(cell: Cell) -> tuple[float, float]:
    """Return the seconds of starting a fit, and of a step after that."""
    recipe = cell.recipe
    model = recipe.factory(cell.seed)
    bench = cell.bench([Arm("timing", Phase())], None)
    batches = bench.batches(model, cell.train, recipe.batch_size, Phase(), cell.seed)
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
