"""Classic augmentation: small random changes that leave a radiograph's diagnosis alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from synthray._backend import runs_tensorflow_on_cpu
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.comparison.affine import RandomAffine

Images = NDArray[np.float32]


def classic_augmentation(
    *,
    rotation: float = 10.0,
    shift: float = 0.05,
    zoom: float = 0.1,
    contrast: float = 0.2,
    flip: bool = False,
    seed: int | None = None,
) -> keras.Sequential:
    """Return Keras layers that change radiographs as positioning and exposure do.

    One `RandomAffine` of the library, then Keras' own layers. A flip
    turns a left hand into a right one: it is off unless asked for.

    Args:
        rotation: Largest angle, in degrees, either way.
        shift: Largest shift, as a share of height and width, either way.
        zoom: Largest enlargement, as a share; reduction goes as far, in ratio.
        contrast: Largest change of contrast about the mean, as a share, either way.
        flip: Whether to mirror left and right, for half of the images.
        seed: Seed of the draws; `None` draws one.

    Returns:
        A model of float images of 0 to 255, `(n, h, w, c)`, to the same; random where called with
        `training=True`.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> layers = sr.classic_augmentation(flip=True, seed=0)
        >>> tuple(layers(np.full((2, 32, 32, 1), 128.0, "float32"), training=True).shape[1:])
        (32, 32, 1)
    """
    seeds = spawn_seeds(resolve_seed(seed), 3)
    steps: list[Any] = [
        RandomAffine(rotation=rotation, shift=shift, zoom=zoom, seed=seeds[0], dtype="float32"),
        layers.RandomContrast(contrast, value_range=(0, 255), seed=seeds[1], dtype="float32"),
    ]
    if flip:
        steps.append(layers.RandomFlip("horizontal", seed=seeds[2], dtype="float32"))
    return keras.Sequential(steps, name="classic_augmentation")


class BatchAugmentation:
    """Applies a layer or a function to batches, so that seed and step determine the result.

    A Keras layer is compiled; the states of its random generators are not its own but follow from
    seed and step. A function is called as it is, and is given `seed=` where its signature names it.

    Args:
        transform: A Keras layer, or a function from float32 images of 0 to 255 to the same.
        batch_size: Images a batch. A shorter batch is filled up: one shape is compiled.
    """

    def __init__(self, transform: Any, *, batch_size: int) -> None:
        if not callable(transform):
            raise TypeError(
                "augmentation must be a Keras layer or a function of a batch of images, got "
                f"{type(transform).__name__}."
            )
        self.transform = transform
        self._batch_size = batch_size
        self._compiled: Callable[[list[Any], Any], Any] | None = None
        if not isinstance(transform, keras.Layer):
            self._takes_seed = "seed" in inspect.signature(transform).parameters

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
            changed = self._call_layer(images, seed, step)
        elif self._takes_seed:
            step_seed = int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
            changed = self.transform(images, seed=step_seed >> 1)
        else:
            changed = self.transform(images)
        changed = np.asarray(ops.convert_to_numpy(changed), np.float32)
        _check_shape(changed.shape, images.shape)
        return changed

    def in_graph(self, seed: int, example: Images) -> Callable[[Any, Any], Any] | None:
        """Return the same as a function of tensors, a batch and a step, for TensorFlow's graph.

        `None` where only a call will do: for a function, which may be any Python; with a GPU, which
        the graph that makes batches would not use; and on other backends.

        Args:
            seed: As in a call.
            example: Images as they will come, one or more.
        """
        if not isinstance(self.transform, keras.Layer) or not runs_tensorflow_on_cpu():
            return None
        import tensorflow as tf

        compiled, states = self._ready(example), self._states(seed)
        full = (self._batch_size, *example.shape[1:])

        def apply(images: Any, step: Any) -> Any:
            n = tf.shape(images)[0]
            filler = [[0, full[0] - n], *[[0, 0]] * (len(full) - 1)]
            now = [
                value if own is None else tf.cast([tf.constant(own, step.dtype), step], value.dtype)
                for value, own in states
            ]
            changed = compiled(now, tf.ensure_shape(tf.pad(images, filler), full))
            _check_shape(tuple(changed.shape), full)
            return tf.cast(changed, tf.float32)[:n]

        return apply

    def in_program(self, example: Images) -> Callable[[Any, Any, Any], Any]:
        """Return the same as a function of arrays, for a program of JAX: of a Keras layer only.

        Args:
            example: Images as they will come, one or more.

        Returns:
            A function of the seeds of the layer's generators, as `generator_seeds` gives them, the
            number of a step, and images.
        """
        compiled, states = self._ready(example), self._states(0)
        full = (self._batch_size, *example.shape[1:])

        def apply(seeds: Any, step: Any, images: Any) -> Any:
            n = len(images)
            images = ops.pad(images, [[0, full[0] - n], *[[0, 0]] * (len(full) - 1)])
            now = [
                value
                if own is None
                else ops.cast(ops.stack([seed, ops.cast(step, seed.dtype)]), value.dtype)
                for (value, own), seed in zip(states, seeds, strict=True)
            ]
            changed = compiled(now, images)
            _check_shape(tuple(changed.shape), full)
            return ops.cast(changed, "float32")[:n]

        return apply

    def generator_seeds(self, seed: int, example: Images) -> NDArray[np.uint32]:
        """Return the seeds that the layer's variables take as generators, shape `(n,)`."""
        self._ready(example)
        return np.asarray([own or 0 for _, own in self._states(seed)], np.uint32)

    def _call_layer(self, images: Images, seed: int, step: int) -> Any:
        compiled, n = self._ready(images), len(images)
        if n < self._batch_size:
            filler = np.zeros((self._batch_size - n, *images.shape[1:]), np.float32)
            images = np.concatenate([images, filler])
        states = [
            value if own is None else np.asarray([own, step], value.dtype)
            for value, own in self._states(seed)
        ]
        return compiled(states, images)[:n]

    def _ready(self, example: Images) -> Callable[[list[Any], Any], Any]:
        if self._compiled is None:
            self._compiled = _compile(self.transform, example[:1])
        return self._compiled

    def _states(self, seed: int) -> list[tuple[NDArray[Any], int | None]]:
        """Return values of the layer's variables, and a seed for those that are generators."""
        variables = self.transform.non_trainable_variables
        return [
            (
                ops.convert_to_numpy(variable.value),
                own_seed if variable.name == "seed_generator_state" else None,
            )
            for variable, own_seed in zip(variables, spawn_seeds(seed, len(variables)), strict=True)
        ]


def _check_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"augmentation must keep the shape {expected} of a batch, got {shape}.")


def _compile(layer: keras.Layer, example: Images) -> Callable[[list[Any], Any], Any]:
    """Return `(non-trainable values, images) -> images`, compiled where the backend compiles."""
    options = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}
    layer(example, **options)  # builds a layer that is not built

    def apply(states: list[Any], images: Any) -> Any:
        trainable = [variable.value for variable in layer.trainable_variables]
        states = [ops.convert_to_tensor(value) for value in states]
        return layer.stateless_call(
            trainable, states, ops.convert_to_tensor(images, "float32"), **options
        )[0]

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(apply, reduce_retracing=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(apply)

    import torch

    return torch.no_grad()(apply)
