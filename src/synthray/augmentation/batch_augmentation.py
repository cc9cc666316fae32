"""`BatchAugmentation`: augmentation of batches that a seed and a step determine."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._keras.backend import compiled, runs_tensorflow_on_cpu
from synthray._keras.streams import Transform, outside_graph
from synthray._seeds import spawn_seeds

Images = NDArray[np.float32]


class BatchAugmentation:
    """Applies a layer or a function to batches, so that seed and step determine the result.

    A Keras layer is compiled; the states of its random generators follow from seed and step. A
    function is called as it is, with `seed=` if its signature names it.

    Args:
        transform: A Keras layer, or a function from float32 images of 0 to 255 to the same.
        batch_size: Images a batch. A shorter batch is filled up, so that one shape is compiled.
    """

    def __init__(self, transform: Any, *, batch_size: int) -> None:
        if not callable(transform):
            raise TypeError(
                "augmentation must be a Keras layer or a function of a batch of images, got "
                f"{type(transform).__name__}."
            )
        self.transform = transform
        self._batch_size = batch_size
        self._compiled: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the compiled function, which each process makes for itself."""
        return {**self.__dict__, "_compiled": None}

    @property
    def name(self) -> str:
        """The name of the layer or function, for the record."""
        fallback = getattr(self.transform, "__qualname__", type(self.transform).__name__)
        return str(getattr(self.transform, "name", fallback))

    def __call__(self, images: Images, seed: int, step: int) -> Images:
        """Return changed images.

        Raises:
            ValueError: If their shape has changed.
        """
        if isinstance(self.transform, keras.Layer):
            changed = self._change_by_layer(seed, images)(images, step)
        elif "seed" in inspect.signature(self.transform).parameters:
            step_seed = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
            changed = self.transform(images, seed=step_seed >> 1)
        else:
            changed = self.transform(images)
        changed = np.asarray(ops.convert_to_numpy(changed), np.float32)
        _check_shape(changed.shape, images.shape)
        return changed

    def in_stream(self, seed: int, example: Images) -> Transform:
        """Return the same as a `transform` of `streamed`, on any backend.

        A layer becomes a part of TensorFlow's graph. A call is made for a function, which may be
        any Python; with a GPU, which the graph that makes batches would not use; and on other
        backends.

        Args:
            seed: As in a call.
            example: Images as they will come, one or more.
        """
        if isinstance(self.transform, keras.Layer) and runs_tensorflow_on_cpu():
            return self._change_by_layer(seed, example)
        return outside_graph(lambda images, step: self(images, seed, int(step)))

    def _change_by_layer(self, seed: int, example: Images) -> Transform:
        layer = self.transform
        if self._compiled is None:
            names = inspect.signature(layer.call).parameters
            options = {"training": True} if "training" in names else {}
            layer(np.asarray(example[:1], np.float32), **options)  # builds it

            def apply(states: list[Any], images: Any) -> Any:
                weights = [variable.value for variable in layer.trainable_variables]
                return layer.stateless_call(weights, states, images, **options)[0]

            self._compiled = compiled(apply)
        # A seed for each variable that is the state of a generator; the value of all others.
        variables = layer.non_trainable_variables
        given = [
            (seed if v.name == "seed_generator_state" else None, ops.convert_to_numpy(v.value))
            for v, seed in zip(variables, spawn_seeds(seed, len(variables)), strict=True)
        ]

        def change(images: Any, step: Any) -> Any:
            n, full = ops.shape(images)[0], (self._batch_size, *images.shape[1:])
            states = [
                ops.convert_to_tensor(value)
                if seed is None
                else ops.stack([ops.cast(part, value.dtype) for part in (seed, step)])
                for seed, value in given
            ]
            filler = ops.zeros((self._batch_size - n, *full[1:]))
            padded = ops.concatenate([ops.convert_to_tensor(images, "float32"), filler])
            changed = self._compiled(states, ops.reshape(padded, full))
            _check_shape(tuple(changed.shape), full)
            return ops.cast(changed, "float32")[:n]

        return change


def _check_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"augmentation must keep the shape {expected} of a batch, got {shape}.")
