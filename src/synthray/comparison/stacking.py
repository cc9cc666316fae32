"""Which fits of a comparison are trained together, where one program can hold many classifiers."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import keras
import numpy as np

from synthray._backend import compiles, has_accelerator
from synthray._layers import convolves
from synthray.comparison import cost
from synthray.comparison.arms import Arm
from synthray.comparison.cells import Cell, CellResult, Job
from synthray.comparison.phases import Phase
from synthray.comparison.recipe import Recipe
from synthray.comparison.stack import Member, Stack
from synthray.comparison.stack_program import Program

# Steps of classifiers. Called one by one they take a minute on a large GPU, where the programs of a
# comparison take half a minute to compile.
WORTH_STACKS = 50_000
_MODELS = 32  # of a stack, at the most
_PIXELS = 2**26  # bytes of images that a step of a stack reads, as float32
_WEIGHTS = 2**30  # bytes of weights of a stack, with gradients and two moments of each
_IMAGES = 2**31  # bytes of images that are in memory and on the device at a time, about
_TIMED = 16  # steps


def pays(jobs: list[Job]) -> bool:
    """Whether stacks gain time: on JAX, where an accelerator waits for calls, and for many steps.

    They are counted, not timed: the same call always trains in the same way.
    """
    if keras.backend.backend() != "jax" or not has_accelerator():
        return False
    return sum(cost.units(job, 0) for job in jobs) >= WORTH_STACKS


def why_not(recipe: Recipe, verbose: Any) -> str | None:
    """Return why the fits of a comparison cannot be trained together; `None` if they can."""
    if recipe.callbacks is not None:
        return "callbacks follow one classifier at a time"
    if verbose == 2:
        return "verbose=2 writes a line an epoch of one classifier"
    if keras.distribution.distribution() is not None:
        return "a distribution shares out the batches of one classifier"
    model = recipe.factory(0)
    if not compiles(model):
        return "the classifier is not to be compiled (run_eagerly=, jit_compile=)"
    if getattr(model.optimizer, "inner_optimizer", model.optimizer).use_ema:
        return "the optimizer averages the weights of one classifier (use_ema=)"
    if not recipe.factory.alike:
        return "the classifiers may differ in more than their weights"
    return None


def in_turn(recipe: Recipe, arms: list[Arm]) -> list[Arm]:
    """Return the arms that no program can hold: those whose augmentation may be any Python."""
    if isinstance(recipe.augment.transform, keras.Layer):
        return []
    return [arm for arm in arms if any(phase.augment for phase in arm)]


class Stacking:
    """Trains the fits of one comparison together; programs are compiled once."""

    def __init__(self) -> None:
        self._programs: dict[int, Program] = {}
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="synthray-compile")

    def compute(
        self, jobs: list[Job], *, tell: Callable[[int], None] | None, shown: Sequence[Any] = ()
    ) -> Iterator[tuple[Cell, CellResult]]:
        """Yield each fit with its cell, as its stack ends.

        Args:
            jobs: Cells, and the arms to compute of each.
            tell: Called with how many steps were taken.
            shown: Callbacks of generators and teachers, which are trained before, one by one.
        """
        try:
            for some in _affordable(jobs):
                yield from self._computed(some, tell, shown)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _computed(
        self, jobs: list[Job], tell: Callable[[int], None] | None, shown: Sequence[Any]
    ) -> Iterator[tuple[Cell, CellResult]]:
        members = []
        for cell, arms in jobs:
            bench, drawn = cell.prepared(arms, shown=list(shown), verbose=0)
            members += [Member(cell, bench, arm, drawn) for arm in arms]
        members.sort(key=lambda member: member.shape)
        alike = [list(group) for _, group in groupby(members, key=lambda member: member.shape)]
        stacks = [
            self._stack(part, tell)
            for group in alike
            for part in _even(group, most_of(group[0].model, jobs[0][0]))
        ]
        for stack in stacks:
            stack.prepare()
        for stack in stacks:
            for member, run in stack.trained():
                member.cell.keep(run)
                yield member.cell, CellResult.of([run], member.drawn)

    def timed(self, jobs: list[Job]) -> tuple[float, float]:
        """Return the seconds of starting a fit, and of a step after that, in the largest stack."""
        planned = [(cell, _planned(cell, arm)) for cell, arms in jobs for arm in arms]
        counts = Counter(plan for _, plan in planned)
        largest = max(counts, key=lambda plan: counts[plan])
        cell = next(cell for cell, plan in planned if plan == largest)
        arm = Arm("timing", Phase(augment=largest[0].augment))
        bench = cell.bench([arm], None)
        start = time.perf_counter()
        most = most_of(cell.recipe.factory(cell.seed), cell)
        count = _even_size(counts[largest], most)
        stack = self._stack([Member(cell, bench, arm, None) for _ in range(count)], None)
        ends = [start]
        for _ in range(2):  # the first compiles
            stack.rehearse(_TIMED)
            ends.append(time.perf_counter())
        with_start, without = np.diff(ends) / count
        return max(with_start - without, 0.0), without / _TIMED

    def _stack(self, members: list[Member], tell: Callable[[int], None] | None) -> Stack:
        model = members[0].model
        program = self._programs.get(id(model))
        if program is None:
            example = members[0].bench.train.images[:1].astype(np.float32)
            program = Program(model, members[0].bench.augment, example, self._pool)
            self._programs[id(model)] = program  # it keeps the model, so that the number is its own
        return Stack(members, program, tell)


def _affordable(jobs: list[Job]) -> Iterator[list[Job]]:
    """Yield as many jobs at a time as there should be images of in memory."""
    some: list[Job] = []
    held = 0
    for job in jobs:
        size = _bytes(*job)
        if some and held + size > _IMAGES:
            yield some
            some, held = [], 0
        some.append(job)
        held += size
    if some:
        yield some


def _bytes(cell: Cell, arms: list[Arm]) -> int:
    sources = {(phase.source, phase.ratio): phase for arm in arms for phase in arm}
    images = sum(phase.planned_size(len(cell.train), cell.n_drawn) for phase in sources.values())
    return images * int(np.prod(cell.train.image_shape))


def _planned(cell: Cell, arm: Arm) -> tuple[_Planned, ...]:
    """Return what is known before images are drawn of which fits will be a stack."""
    return tuple(
        _Planned(phase.augment, phase.planned_size(len(cell.train), cell.n_drawn), phase.share)
        for phase in arm
    )


class _Planned(NamedTuple):
    augment: bool
    size: int
    share: float


def most_of(model: Any, cell: Cell) -> int:
    """Return how many such classifiers a stack should have.

    One, where there are convolutions: as many kernels as models make groups of them, which are
    slower on a GPU than one convolution after the other. They gain by the loop alone.
    """
    if convolves(model):
        return 1
    pixels = 4 * cell.recipe.batch_size * int(np.prod(cell.train.image_shape))
    weights = 4 * 4 * max(1, model.count_params())
    return max(1, min(_MODELS, _PIXELS // pixels, _WEIGHTS // weights))


def _even_size(count: int, most: int) -> int:
    """Return how many of so many fits make the largest stack."""
    return -(-count // -(-count // most))


def _even(members: list[Member], most: int) -> Iterator[list[Member]]:
    """Yield stacks that differ by one member at the most."""
    ends = np.linspace(0, len(members), -(-len(members) // most) + 1).astype(int)
    for start, end in pairwise(ends):
        yield members[start:end]
