"""Alike classifiers as one program of JAX: each of their variables has a leading axis.

Steps of so small a network are over before the next one has been called: on a GPU it is the calls
that take the time. Here Keras' own step is mapped over all classifiers at once (`jax.vmap`), and
many of them are one call, a loop on the device. What takes time then is to compile: each size of
batches is compiled once, side by side where `prepare` names them before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthray._variables import Groups, assign, values_of, variables_of
from synthray.comparison.augmentation import BatchAugmentation

Values = list[NDArray[Any]]
"""The values of all variables of one classifier, in the order of `variables_of`."""
State = Groups
"""The same groups, of several classifiers: each array has one more axis."""
Augment = Callable[[Any, Any, Any], Any]
Use = Literal["plain", "augmented", "test"]
Described = tuple[tuple[int, ...], Any]
"""Shape and dtype of an array."""


def read(model: Any) -> Values:
    """Return the values of a model's variables."""
    return values_of(chain(*variables_of(model)))


def write(model: Any, values: Values) -> None:
    """Give a model values."""
    assign(chain(*variables_of(model)), values)


class Program:
    """The compiled steps of alike classifiers.

    Args:
        model: One of them, with all its variables. Their values are not read.
        augment: What augmented batches pass through, if there are any.
        example: An image as float32, `(1, h, w, c)`.
        pool: Where to compile.
    """

    def __init__(
        self,
        model: Any,
        augment: BatchAugmentation,
        example: NDArray[np.float32],
        pool: Executor,
    ) -> None:
        import jax

        self._pool = pool
        self._augment = augment
        self._example = example
        self._model = model
        self._sizes = [len(group) for group in variables_of(model)]
        model.reset_metrics()
        self._fresh_metrics = values_of(model.metrics_variables)
        self._loops: dict[Use, _Loop] = {}
        self._take = jax.jit(lambda images, rows: images[rows])

    def stacked(self, each: Sequence[Values]) -> State:
        """Return the variables of several classifiers, on the device."""
        import jax.numpy as jnp

        leaves = iter([jnp.asarray(np.stack(values)) for values in zip(*each, strict=True)])
        first, second, third, fourth = ([next(leaves) for _ in range(n)] for n in self._sizes)
        return first, second, third, fourth

    def apart(self, state: State) -> list[Values]:
        """Return the values of each."""
        leaves = [np.asarray(leaf) for group in state for leaf in group]
        count = len(leaves[0])
        return [[np.array(leaf[place]) for leaf in leaves] for place in range(count)]

    def without_metrics(self, state: State) -> State:
        """Return variables with those of metrics as they are before an epoch."""
        import jax.numpy as jnp

        *others, metrics = state
        first, second, third = others
        fresh = zip(metrics, self._fresh_metrics, strict=True)
        return first, second, third, [jnp.broadcast_to(v, old.shape).copy() for old, v in fresh]

    def take(self, images: Any, rows: NDArray[np.int64]) -> Any:
        """Return rows of images on the device, of any shape of rows."""
        return self._take(images, rows)

    def seeds(self, of: Sequence[int]) -> NDArray[np.uint32]:
        """Return the seeds of the augmentation's generators, by those of runs: `(models, n)`."""
        return np.stack([self._augment.generator_seeds(each, self._example) for each in of])

    def prepare(self, use: Use, models: int, steps: int, batches: Sequence[Described]) -> None:
        """Begin to compile, in other threads.

        Args:
            use: Of the steps.
            models: How many classifiers.
            steps: Of a call, at the most.
            batches: Shape and dtype of a batch of images, of labels, and of weights if any.
        """
        import jax

        def like(dtype: Any, *shape: int) -> Any:
            return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype))

        state = tuple(
            [like(v.dtype, models, *v.shape) for v in group] for group in variables_of(self._model)
        )
        given = tuple(like(dtype, steps, models, *shape) for shape, dtype in batches)
        seeds = self.seeds([0]).shape[1] if use == "augmented" else 0
        extra = like("uint32", models, seeds), like("uint32", steps, models), like("int32")
        self._loop(use).prepare(state, given, *extra)

    def _loop(self, use: Use) -> _Loop:
        if use not in self._loops:
            if use == "test":
                step = _judging(self._model)
            else:
                change = self._augment.in_program(self._example) if use == "augmented" else None
                step = _training(self._model, change)
            self._loops[use] = _Loop(step, self._pool)
        return self._loops[use]

    def train(
        self,
        state: State,
        batches: tuple[Any, ...],
        seeds: NDArray[np.uint32] | None,
        draws: NDArray[np.uint32],
        count: int,
    ) -> tuple[State, dict[str, Any]]:
        """Take steps; return the variables, and what the last step logs.

        Args:
            state: The variables, which are given away.
            batches: Images, labels and weights where there are any: `(steps, models, images, ...)`.
            seeds: What `seeds` returns, where images are augmented, else `None`.
            draws: The numbers of the augmentation's draws, `(steps, models)`.
            count: How many of the steps to take.
        """
        use: Use = "plain" if seeds is None else "augmented"
        own = np.zeros((draws.shape[1], 0), np.uint32) if seeds is None else seeds
        found: tuple[State, dict[str, Any]]
        found = self._loop(use)(state, batches, own, draws, count)
        return found

    def test(
        self, state: State, batches: tuple[Any, ...], count: int
    ) -> tuple[State, dict[str, Any]]:
        """Judge images; return the variables of metrics among others, and what is logged."""
        steps, models = batches[0].shape[:2]
        nothing = np.zeros((models, 0), np.uint32), np.zeros((steps, models), np.uint32)
        found: tuple[State, dict[str, Any]]
        found = self._loop("test")(state, batches, *nothing, count)
        return found


def _training(model: Any, augment: Augment | None) -> Callable[..., Any]:
    def step(state: State, batch: tuple[Any, ...], seeds: Any, draw: Any) -> Any:
        images, *rest = batch
        images = images.astype("float32")
        if augment is not None:
            images = augment(seeds, draw, images)
        logs, after = model.train_step(state, (images, *rest))
        return logs, tuple(map(list, after))

    return step


def _judging(model: Any) -> Callable[..., Any]:
    def step(state: State, batch: tuple[Any, ...], seeds: Any, draw: Any) -> Any:
        images, *rest = batch
        weights, others, optimizer, metrics = state
        logs, after = model.test_step((weights, others, metrics), (images.astype("float32"), *rest))
        weights, others, metrics = map(list, after)
        return logs, (weights, others, optimizer, metrics)

    return step


class _Loop:
    """A step of all models, taken again and again in one call."""

    def __init__(self, step: Callable[..., Any], pool: Executor) -> None:
        import jax

        self._program = jax.jit(_repeated(step), donate_argnums=0)
        self._pool = pool
        self._compiled: dict[Any, Future[Any]] = {}

    def prepare(self, *arguments: Any) -> Future[Any]:
        """Begin to compile for arguments like these, if it has not begun."""
        import jax

        key = tuple(
            (np.shape(leaf), str(jax.dtypes.canonicalize_dtype(leaf.dtype)))
            for leaf in jax.tree.leaves(arguments)
        )
        if key not in self._compiled:
            lowered = self._program.lower(*arguments)  # by Keras, which is for one thread
            self._compiled[key] = self._pool.submit(lowered.compile)
        return self._compiled[key]

    def __call__(self, *arguments: Any) -> Any:
        *most, count = arguments
        arguments = (*most, np.int32(count))
        return self.prepare(*arguments).result()(*arguments)


def _repeated(step: Callable[..., Any]) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    together = jax.vmap(step)

    def program(
        state: State, batches: tuple[Any, ...], seeds: Any, draws: Any, count: Any
    ) -> tuple[State, Any]:
        def of(number: Any) -> tuple[Any, ...]:
            return tuple(array[number] for array in batches), seeds, draws[number]

        def once(number: Any, carried: tuple[State, Any]) -> tuple[State, Any]:
            logs, after = together(carried[0], *of(number))
            return after, logs

        shapes, _ = jax.eval_shape(together, state, *of(0))
        nothing = jax.tree.map(lambda log: jnp.zeros(log.shape, log.dtype), shapes)
        found: tuple[State, Any] = jax.lax.fori_loop(0, count, once, (state, nothing))
        return found

    return program
