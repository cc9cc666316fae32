"""What differs between Keras backends, in one place."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._variables import build_optimizer

_FORWARD: weakref.WeakKeyDictionary[Any, Callable[..., Any]] = weakref.WeakKeyDictionary()


def resolve_jit_compile(requested: bool | str) -> bool | str:
    """Turn `"auto"` into `False` for TensorFlow without a GPU.

    XLA convolutions on a CPU run at about a third of the speed of TensorFlow's own (oneDNN);
    Keras' `"auto"` would choose them. Everything else is passed through.
    """
    return False if requested == "auto" and runs_tensorflow_on_cpu() else requested


def runs_tensorflow_on_cpu() -> bool:
    """Whether TensorFlow is the backend, and there is no GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def has_accelerator() -> bool:
    """Whether the backend has more than a processor to compute on."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())
    if backend == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    import torch

    kinds = (torch.cuda, torch.backends.mps, getattr(torch, "xpu", None))
    return any(kind is not None and kind.is_available() for kind in kinds)


def cannot_convolve_to_one_map(inputs: Any) -> bool:
    """Whether a convolution of these to one map has no gradient: torch's, in half precision.

    Torch's own convolution on a CPU raises *grad_weight must be contiguous* there. It takes its
    place for float16, and for bfloat16 on processors that have no instructions for it.
    """
    if keras.backend.backend() != "torch" or inputs.device.type != "cpu":
        return False
    return keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16")


def steps_at_once() -> int:
    """Return how many steps of a small network one call into the backend should take.

    Torch has no compiled loop to gain from; elsewhere the numbers stay the same.
    """
    return 1 if keras.backend.backend() == "torch" else 8


def steps_bearable(asked: int) -> int:
    """Return how many steps at once a model may take that was saved with so many: one on torch."""
    return 1 if keras.backend.backend() == "torch" else asked


def make_training_variables(model: Any, labels: NDArray[Any], outputs: int) -> None:
    """Make the variables of optimizer and metrics that the first step would make.

    TensorFlow traces the step twice if the first one makes variables; a program of several models
    on JAX needs to know them. Torch has no use for them.

    Args:
        model: A compiled model whose training step is that of Keras.
        labels: One label, as its loss takes them, shape `(1,)` or `(1, k)`.
        outputs: How many probabilities it returns for an image.
    """
    if keras.backend.backend() != "torch":
        build_optimizer(model)
        model.compute_metrics(None, labels, np.full((1, outputs), 1 / outputs, np.float32))
        model.reset_metrics()


def output_shape(model: Any, shape: tuple[int, ...]) -> tuple[int | None, ...]:
    """Return the shape of what a model makes of one input of this shape; build it if need be.

    JAX compiles every operation that is called on its own, once for each shape: there a model that
    is built is asked without being computed.
    """
    if keras.backend.backend() == "jax" and model.built:
        blank = keras.KerasTensor((1, *shape), "float32")
        return tuple(model(blank, training=False).shape)
    return tuple(model(np.zeros((1, *shape), np.float32), training=False).shape)


def forward(model: Any) -> Callable[[NDArray[np.float32]], Any]:
    """Return a function from a batch to what a model makes of it, while its values stay.

    Compiled on JAX, once for each model and size of batch, as its training is; elsewhere called,
    for a graph that is traced anew for each model costs more than it saves.
    """
    if keras.backend.backend() != "jax" or not compiles(model):
        return lambda batch: model(batch, training=False)
    if model not in _FORWARD:
        _FORWARD[model] = _compiled_forward(weakref.proxy(model))
    compiled, values = _FORWARD[model], [v.value for v in model.variables]
    return lambda batch: compiled(values, batch)


def compiles(model: Any) -> bool:
    """Whether a model is to be compiled by JAX, rather than to run any Python at each call."""
    return bool(model.jit_compile and not model.run_eagerly)


def _compiled_forward(model: Any) -> Callable[..., Any]:
    import jax

    def call(values: list[Any], batch: Any) -> Any:
        with keras.StatelessScope(state_mapping=zip(model.variables, values, strict=True)):
            return model(batch, training=False)

    return jax.jit(call)


def is_tf_dataset(value: Any) -> bool:
    """Whether a value is a `tf.data.Dataset`, without importing TensorFlow."""
    return any(
        cls.__name__ == "DatasetV2" and cls.__module__.startswith("tensorflow.")
        for cls in type(value).__mro__
    )


class LayerDraws(keras.callbacks.Callback):
    """Seeds what layers without a seed draw from, where that is one generator for all: torch's.

    It does so at each epoch, for Keras draws from it too before a model's first. On the other
    backends a layer without a seed takes one when it is made.

    Args:
        seed: Makes the draws, together with the number of the epoch.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._state: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Keep the state that others left."""
        if keras.backend.backend() == "torch":
            import torch

            self._state = torch.get_rng_state()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Seed."""
        if self._state is not None:
            import torch

            torch.manual_seed(int(np.random.SeedSequence([self._seed, epoch]).generate_state(1)[0]))

    def on_train_end(self, logs: Any = None) -> None:
        """Put the state back."""
        if self._state is not None:
            import torch

            torch.set_rng_state(self._state)
