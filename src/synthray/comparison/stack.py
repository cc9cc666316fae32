"""`Stack`: alike fits trained together, each as it would be trained alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.arms import Arm
from synthray.comparison.batches import FloatBatches, PhaseStream
from synthray.comparison.cells import Cell
from synthray.comparison.fit import Bench, add_history
from synthray.comparison.phases import Phase
from synthray.comparison.result import ArmRun
from synthray.comparison.stack_program import Program, State, Use, read, write
from synthray.comparison.stretches import Beginning, take_statistics
from synthray.datasets.image_dataset import ImageDataset

_STEPS = 64  # of a call, at the most
_BATCHES = 2**26  # bytes of images that a call is given, about


class Member:
    """A fit that is trained with others.

    Args:
        cell: Its fold and seed.
        bench: Its images.
        arm: Its arm.
        drawn: Drawn images, or `None`.

    Attributes:
        stretches: First phase and batches of each stretch of the arm.
        validation: Batches judged after each epoch, or `None`.
        values: Of the classifier's variables.
        history: What was logged, by name.
    """

    def __init__(self, cell: Cell, bench: Bench, arm: Arm, drawn: ImageDataset | None) -> None:
        self.cell = cell
        self.bench = bench
        self.arm = arm
        self.drawn = drawn
        self.history: dict[str, list[float]] = {}
        self.model = model = bench.factory(cell.seed)  # one object for all members, lent in turn
        self.stretches = bench.stretches(model, arm, bench.data[arm.name], cell.seed)
        self.validation = bench.validation_batches(model)
        self._beginning = Beginning(model, arm)
        self.values = read(model)

    @property
    def shape(self) -> str:
        """What members of a stack share: how large all batches are, in their order."""
        streams = [[_shape(stream) for stream in streams] for _, streams in self.stretches]
        judged = None if self.validation is None else len(self.validation.arrays[0])
        return str((id(self.model), streams, self.bench.epoch_steps, judged))

    def begin(self, first: Phase) -> None:
        """Begin a stretch."""
        self._change(lambda model: self._beginning.begin(model, first))

    def end(self, first: Phase) -> None:
        """End it."""
        if first.apart:
            train, seed = self.bench.train.images, self.cell.seed
            self._change(lambda model: take_statistics(model, train, seed))

    def judged(self, seconds: float) -> ArmRun:
        """Judge the classifier; `seconds` is its share of the training."""
        write(self.model, self.values)
        start = time.perf_counter() - seconds
        return self.bench.judged(
            self.model,
            self.history,
            self.arm,
            self.cell.seed,
            self.cell.fold,
            phase_steps=[stream.steps for _, streams in self.stretches for stream in streams],
            start=start,
        )

    def _change(self, change: Callable[[Any], object]) -> None:
        write(self.model, self.values)
        change(self.model)
        self.values = read(self.model)


def _shape(stream: PhaseStream) -> tuple[Any, ...]:
    batches = stream.batches
    last = len(batches.rows(stream.first_pass, len(batches) - 1))
    arrays = [(array.shape[1:], str(array.dtype)) for array in batches.arrays]
    return stream.steps, len(batches), last, arrays, stream.augment is not None


class Stack:
    """Fits whose batches are of the same sizes in the same order.

    Args:
        members: The fits.
        program: The steps of such classifiers.
        tell: Called with how many steps were taken.
    """

    def __init__(
        self, members: list[Member], program: Program, tell: Callable[[int], None] | None
    ) -> None:
        self._members = members
        self._program = program
        self._tell = tell
        self._on_device: dict[int, Any] = {}

    def prepare(self) -> None:
        """Begin to compile what the training will call."""
        first = self._members[0]
        for _, streams in first.stretches:
            for stream in streams:
                steps = range(min(stream.steps, len(stream.batches)))
                use: Use = "augmented" if stream.augment else "plain"
                self._prepare(use, stream.batches, {len(stream.rows(step)) for step in steps})
        if first.validation is not None:
            judged = range(len(first.validation))
            sizes = {len(first.validation.rows(0, index)) for index in judged}
            self._prepare("test", first.validation, sizes)

    def _prepare(self, use: Use, batches: FloatBatches, sizes: set[int]) -> None:
        steps = self._most(batches.batch_size)
        for size in sorted(sizes, reverse=True):
            given = [((size, *array.shape[1:]), array.dtype) for array in batches.arrays]
            self._program.prepare(use, len(self._members), steps, given)

    def trained(self) -> Iterator[tuple[Member, ArmRun]]:
        """Train, and yield each fit with what it is judged to be."""
        start = time.perf_counter()
        for number in range(len(self._members[0].stretches)):
            for member in self._members:
                member.begin(member.stretches[number][0])
            self._train(number)
            for member in self._members:
                member.end(member.stretches[number][0])
        self._on_device.clear()
        share = (time.perf_counter() - start) / len(self._members)
        for member in self._members:
            yield member, member.judged(share)

    def rehearse(self, steps: int) -> None:
        """Take the first steps, and forget them: to see how long they take."""
        state = self._program.stacked([member.values for member in self._members])
        streams = [member.stretches[0][1] for member in self._members]
        state, _ = self._steps(state, streams, 0, min(steps, streams[0][0].steps))
        self._program.apart(state)

    def _train(self, number: int) -> None:
        """Train through a stretch, an epoch after the other."""
        program, members = self._program, self._members
        state = program.stacked([member.values for member in members])
        streams = [member.stretches[number][1] for member in members]
        total = sum(stream.steps for stream in streams[0])
        each = members[0].bench.epoch_steps
        found: list[dict[str, list[float]]] = [{} for _ in members]
        for first in range(0, total, each):
            state = program.without_metrics(state)
            state, logs = self._steps(state, streams, first, min(first + each, total))
            state, judged = self._judge(state)
            for name, values in {**logs, **judged}.items():
                for history, value in zip(found, np.asarray(values), strict=True):
                    history.setdefault(name, []).append(float(value))
        for member, values, history in zip(members, program.apart(state), found, strict=True):
            member.values = values
            add_history(member.history, history, member.stretches[number][0])

    def _steps(
        self, state: State, streams: list[list[PhaseStream]], first: int, last: int
    ) -> tuple[State, dict[str, Any]]:
        """Take steps of a stretch, counted from its start; return what the last one logs."""
        logs: dict[str, Any] = {}
        for phase, start, count in self._calls(streams[0], first, last):
            own = [each[phase] for each in streams]
            rows = [[stream.rows(start + k) for k in range(count)] for stream in own]
            batches = self._batches([stream.batches for stream in own], np.asarray(rows))
            numbers = [[stream.draw(start + k) for stream in own] for k in range(count)]
            size = own[0].batches.batch_size
            draws = self._filled(np.asarray(numbers, np.uint32), size)
            seeds = self._seeds if own[0].augment else None
            state, logs = self._program.train(state, batches, seeds, draws, count)
            if self._tell is not None:
                self._tell(count * len(own))
        return state, logs

    @cached_property
    def _seeds(self) -> NDArray[np.uint32]:
        return self._program.seeds([member.cell.seed for member in self._members])

    def _judge(self, state: State) -> tuple[State, dict[str, Any]]:
        """Judge the validation images, where there are any."""
        judging = [m.validation for m in self._members if m.validation is not None]
        if not judging:
            return state, {}
        state = self._program.without_metrics(state)
        logs: dict[str, Any] = {}
        sizes = [len(judging[0].rows(0, index)) for index in range(len(judging[0]))]
        for start, count in _runs(sizes, self._most(judging[0].batch_size)):
            rows = [[each.rows(0, start + k) for k in range(count)] for each in judging]
            batches = self._batches(judging, np.asarray(rows))
            state, logs = self._program.test(state, batches, count)
        return state, {f"val_{name}": values for name, values in logs.items()}

    def _calls(
        self, streams: list[PhaseStream], first: int, last: int
    ) -> Iterator[tuple[int, int, int]]:
        """Yield for each call: the phase, its first step there, and how many steps it takes."""
        began = 0
        for phase, stream in enumerate(streams):
            start, end = max(first - began, 0), min(last - began, stream.steps)
            sizes = [len(stream.rows(step)) for step in range(start, end)]
            most = self._most(stream.batches.batch_size)
            for place, count in _runs(sizes, most):
                yield phase, start + place, count
            began += stream.steps

    def _most(self, batch_size: int) -> int:
        """Return how many steps a call takes at the most."""
        image = int(np.prod(self._members[0].bench.train.image_shape))
        step = len(self._members) * batch_size * image
        return max(1, min(_STEPS, _BATCHES // step))

    def _filled(self, array: NDArray[Any], batch_size: int) -> NDArray[Any]:
        """Return an array with as many steps as any call has: a program is for one shape."""
        steps = self._most(batch_size)
        return np.pad(array, [(0, steps - len(array))] + [(0, 0)] * (array.ndim - 1))

    def _batches(self, batches: list[FloatBatches], rows: NDArray[np.int64]) -> tuple[Any, ...]:
        """Return batches `(steps, models, images, ...)` of rows `(models, steps, images)`."""
        import jax.numpy as jnp

        rows, size = np.moveaxis(rows, 0, 1), batches[0].batch_size
        sources = [each.arrays[0] for each in batches]
        places = {id(images): images for images in sources}
        parts, order = [], []
        for key, images in places.items():
            mine = [place for place, source in enumerate(sources) if id(source) == key]
            parts.append(self._program.take(self._held(images), self._filled(rows[:, mine], size)))
            order += mine
        images = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)
        if order != sorted(order):
            images = images[:, np.argsort(order)]
        rest = [
            np.stack([each.arrays[k][rows[:, m]] for m, each in enumerate(batches)], axis=1)
            for k in range(1, len(batches[0].arrays))
        ]
        return images, *(self._filled(array, size) for array in rest)

    def _held(self, images: NDArray[np.uint8]) -> Any:
        """Return images on the device, where they stay as long as the stack."""
        import jax

        if id(images) not in self._on_device:
            self._on_device[id(images)] = jax.device_put(images)
        return self._on_device[id(images)]


def _runs(sizes: list[int], most: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of runs of equal sizes, of a limited length."""
    start = 0
    for place in range(1, len(sizes) + 1):
        if place == len(sizes) or sizes[place] != sizes[start] or place - start == most:
            yield start, place - start
            start = place
