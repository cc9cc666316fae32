"""What differs between Keras backends, in one place."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import weakref
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._progress import say

Groups = tuple[list[Any], list[Any], list[Any], list[Any]]
"""Weights that are trained, others, those of the optimizer, those of metrics."""


def variables_of(model: Any) -> Groups:
    """Return the variables of a training step, in the order in which Keras hands over values."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def build_optimizer(model: Any) -> None:
    """Make the variables of a compiled model's optimizer, unless it has them.

    An optimizer that scales losses would make them twice.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def steps_taken(model: Any) -> int:
    """Return how many steps a compiled model has taken.

    Not `optimizer.iterations`: if an optimizer accumulates gradients, that counts its updates.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return int(optimizer._iterations.numpy())


def values_of(variables: Iterable[Any]) -> list[NDArray[Any]]:
    """Return copies of values, because JAX reuses the buffers of a model in training."""
    return [np.array(v.numpy()) for v in variables]


def assign(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def in_full_precision(function: Callable[..., Any], *tensors: Any) -> Any:
    """Call a function that reads variables as they are stored.

    Within a model of mixed precision Keras hands out variables in half precision; a layer that does
    not cast is the public way out of that.
    """
    return _Uncast(function)(*tensors)


class _Uncast(keras.layers.Layer):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(autocast=False, dtype="float32")
        self._function = function

    def call(self, *tensors: Any) -> Any:
        return self._function(*tensors)


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


def onednn_is_off(flags: str) -> bool:
    """Whether TensorFlow leaves oneDNN off on a processor of x86 with these flags of Linux."""
    known = flags.split()
    vector = ("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
    return "avx2" in known and not any(name in known for name in vector)


@functools.cache
def suggest_onednn(verbose: Any) -> None:
    """Say once how training gets faster, where TensorFlow leaves oneDNN off."""
    file = Path("/proc/cpuinfo")
    if "TF_ENABLE_ONEDNN_OPTS" in os.environ or not runs_tensorflow_on_cpu() or not file.exists():
        return
    if onednn_is_off(file.read_text()):
        say(
            "TensorFlow leaves oneDNN off on this processor. Set TF_ENABLE_ONEDNN_OPTS=1 before "
            "Python starts: training gets up to four times as fast, and rounds otherwise.",
            verbose=verbose,
        )


def cannot_convolve_to_one_map(inputs: Any) -> bool:
    """Whether a convolution of these to one map has no gradient: torch's, in half precision.

    Torch's own convolution on a CPU raises *grad_weight must be contiguous* there. It takes its
    place for float16, and for bfloat16 on processors that have no instructions for it.
    """
    if keras.backend.backend() != "torch" or inputs.device.type != "cpu":
        return False
    return keras.backend.standardize_dtype(inputs.dtype) in ("float16", "bfloat16")


def steps_at_once(asked: int = 8) -> int:
    """Return how many steps one call into the backend should take; by default of a small network.

    Torch has no compiled loop to gain from; elsewhere the numbers stay the same.
    """
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
    if keras.backend.backend() != "jax" or not model.jit_compile or model.run_eagerly:
        return lambda batch: model(batch, training=False)
    if model not in _FORWARD:
        _FORWARD[model] = _compiled_forward(weakref.proxy(model))
    compiled, values = _FORWARD[model], [v.value for v in model.variables]
    return lambda batch: compiled(values, batch)


def _compiled_forward(model: Any) -> Callable[..., Any]:
    import jax

    def call(values: list[Any], batch: Any) -> Any:
        with keras.StatelessScope(state_mapping=zip(model.variables, values, strict=True)):
            return model(batch, training=False)

    return jax.jit(call)


def predictor(model: Any) -> Callable[[NDArray[np.float32]], Any]:
    """Return a function from a batch to what a model makes of it, for many batches.

    Compiled once for each size of batch where a backend compiles, without XLA on TensorFlow;
    without gradients.
    """
    if keras.backend.backend() == "tensorflow":
        return compiled(lambda batch: model(batch, training=False))

    def call(batch: NDArray[np.float32]) -> Any:
        with no_gradients():
            return forward(model)(batch)  # looks up the weights' values each time

    return call


def as_array(value: Any) -> NDArray[Any]:
    """Return an array, or a tensor of any library and device, as an array of NumPy."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def in_kind_of(value: Any, array: NDArray[Any]) -> Any:
    """Return an array as what a value is: a tensor of torch or of the backend, else as it is."""
    if hasattr(value, "new_tensor"):
        return value.new_tensor(array)  # torch's, on the same device
    return keras.ops.convert_to_tensor(array) if keras.ops.is_tensor(value) else array


def is_tf_dataset(value: Any) -> bool:
    """Whether a value is a `tf.data.Dataset`, without importing TensorFlow."""
    return _is_of(value, "DatasetV2", "tensorflow.")


def is_torch_loader(value: Any) -> bool:
    """Whether a value is a `DataLoader`, without importing torch."""
    return _is_of(value, "DataLoader", "torch.utils.data.")


def _is_of(value: Any, name: str, package: str) -> bool:
    kinds = type(value).__mro__
    return any(cls.__name__ == name and cls.__module__.startswith(package) for cls in kinds)


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


def no_gradients() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which torch keeps nothing for gradients."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in ("synthray", "keras", backend, "numpy", "scikit-learn")},
    }


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of tensors compiled, without gradients on torch."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    import torch

    return torch.no_grad()(function)


def fixed_rate(optimizer: keras.Optimizer) -> float | None:
    """Return the learning rate of an optimizer; `None` if it follows a schedule of its own."""
    config = getattr(optimizer, "inner_optimizer", optimizer).get_config()
    rate = config["learning_rate"]
    return None if isinstance(rate, dict) else float(rate)
