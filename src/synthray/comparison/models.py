"""Classifiers of any kind, made anew for each fit of a comparison."""

from __future__ import annotations

import contextlib
import inspect
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._adam import adam
from synthray._backend import (
    forward,
    make_training_variables,
    output_shape,
    resolve_jit_compile,
)
from synthray._fingerprint import compiled_digest
from synthray._seed_state import SeededModel
from synthray._variables import assign, build_optimizer, values_of
from synthray.classifiers.fracture_classifier import FractureClassifier, wants_one_hot
from synthray.datasets.image_dataset import ImageDataset

_TOLERANCE = 1e-3
_ROUNDING = 1e-6  # of sums in single precision
_PREDICTED_AT_ONCE = 128
_SEEDING = threading.Lock()  # the states are the process', and an executor may have threads


class ClassifierFactory:
    """Makes compiled classifiers with equal initial weights for equal seeds.

    Args:
        make: Called for each fit with those of `num_classes=`, `image_shape=` and `seed=` that its
            signature names; returns a Keras model, compiled or not.
        data: What the classifier is for.
        steps_per_execution: Steps at once of models that come uncompiled.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        data: ImageDataset,
        *,
        steps_per_execution: int = 1,
    ) -> None:
        if isinstance(make, keras.Model) or not callable(make):
            raise TypeError(
                "classifier must be a function that makes a new Keras model for each fit, got "
                f"{type(make).__name__}. Write classifier=lambda: build_my_model()."
            )
        self.make = make
        self._num_classes = data.num_classes
        self._image_shape = data.image_shape
        self._named = _named_parameters(make)
        self._steps_per_execution = steps_per_execution
        self._last: Any = None
        self._kept = _Kept()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out models, which need not travel to other processes."""
        return {**self.__dict__, "_last": None, "_kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without models."""
        self.__dict__.update({**state, "_kept": _Kept()})

    @property
    def name(self) -> str:
        """The function's name, for the record."""
        make = getattr(self.make, "func", self.make)  # of a functools.partial
        return str(getattr(make, "__qualname__", type(make).__name__))

    @property
    def alike(self) -> bool:
        """Whether the one made last is known to differ from others in its values alone."""
        return getattr(self._kept, "plan", None) is not None

    def __call__(self, seed: int) -> Any:
        """Make a classifier, ready to fit.

        One that was compiled and trained before is given the values of a fresh one where the two
        are alike in all but those: to trace a training step again costs seconds. So of two models
        made in the same thread, only the last is of use.

        Raises:
            TypeError: If it is not a Keras model.
            ValueError: If its output fits neither two classes nor all classes, or if it is the
                model that was made before.
        """
        arguments = {
            "num_classes": self._num_classes,
            "image_shape": self._image_shape,
            "seed": seed,
        }
        with _seeded(seed):
            model = self.make(**{k: v for k, v in arguments.items() if k in self._named})
            if not isinstance(model, keras.Model):
                raise TypeError(
                    f"classifier must return a keras.Model, got {type(model).__name__}."
                )
            if model is self._last:
                raise ValueError(
                    "classifier returned the same model twice, trained already. It must build a "
                    "new one at each call (keras.models.clone_model makes a fresh copy)."
                )
            self._last = model
            outputs = self._outputs(model)
        if not model.compiled:
            options: dict[str, Any] = {}
            if not isinstance(model, SeededModel):  # which chooses so itself, and keeps it open
                options["steps_per_execution"] = self._steps_per_execution
                options["jit_compile"] = resolve_jit_compile("auto")
            model.compile(
                optimizer=adam(1e-3),
                # Of one-hot rows, which soft labels can take the place of.
                loss="binary_crossentropy" if outputs == 1 else "categorical_crossentropy",
                metrics=["accuracy"],
                **options,
            )
        return self._reused(model, outputs)

    def _reused(self, fresh: Any, outputs: int) -> Any:
        plan = _plan(fresh)
        kept, its_plan = getattr(self._kept, "model", None), getattr(self._kept, "plan", None)
        if plan is None or plan != its_plan:
            self._kept.model, self._kept.plan = fresh, plan
            if plan is not None:
                labels = labels_for(fresh, np.zeros(1, np.int64), self._num_classes)
                make_training_variables(fresh, labels, outputs)
            return fresh
        assign(_state(kept), values_of(_state(fresh)))
        return kept

    def _outputs(self, model: Any) -> int:
        shape = output_shape(model, self._image_shape)
        k = self._num_classes
        if shape == (1, k) or (shape == (1, 1) and k == 2):
            return int(shape[1])
        wanted = f"(n, {k}) with a softmax" + (", or (n, 1) with a sigmoid" if k == 2 else "")
        raise ValueError(
            f"For {k} classes the classifier's output must be {wanted}; it has shape "
            f"{('n', *shape[1:])}."
        )


class _Kept(threading.local):
    """The model that a thread trained last."""


def _plan(model: Any) -> str | None:
    """Return the digest of all but a model's values; `None` where it may hold more than those."""
    # Keras' own kinds are Sequential and Functional, which has no public name.
    kind = type(model)
    known = kind is FractureClassifier or kind.__module__.startswith("keras.")
    if not known or type(model).train_step is not keras.Model.train_step:
        return None
    try:
        return compiled_digest(model, seeds=False)
    except (TypeError, NotImplementedError):  # a loss or layer that cannot be told from another
        return None


def _state(model: Any) -> list[Any]:
    build_optimizer(model)
    return [*model.variables, *model.optimizer.variables]


def labels_for(model: Any, labels: NDArray[np.int64], num_classes: int) -> NDArray[Any]:
    """Return labels as the model's loss takes them: integers, or one-hot rows."""
    return np.eye(num_classes, dtype=np.float32)[labels] if wants_one_hot(model.loss) else labels


def predict(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return probabilities, shape `(n, num_classes)`, rows sum to 1; a sigmoid gets two columns.

    Raises:
        ValueError: If the outputs are no probabilities.
    """
    parts = []
    judged = forward(model)
    with _no_gradients():
        for start in range(0, len(images), _PREDICTED_AT_ONCE):
            batch = images[start : start + _PREDICTED_AT_ONCE].astype(np.float32)
            parts.append(ops.convert_to_numpy(judged(batch)))
    p = np.concatenate(parts).astype(np.float32)
    if p.shape[1] == 1:
        p = np.concatenate([1.0 - p, p], axis=1)
    finite = np.isfinite(p).all(axis=1)
    sums = p[finite].sum(axis=1)
    if (p[finite] < -_TOLERANCE).any() or (np.abs(sums - 1.0) > 10 * _TOLERANCE).any():
        raise ValueError(
            "The classifier's outputs are no probabilities of 0 to 1 that sum to 1. End it in a "
            "sigmoid (one output) or a softmax, and compile it without from_logits."
        )
    # Those of half precision are far enough from 1 for scores to refuse them.
    rounded = np.flatnonzero(finite)[np.abs(sums - 1.0) > _ROUNDING]
    p[rounded] /= p[rounded].sum(axis=1, keepdims=True)
    return p


def _no_gradients() -> contextlib.AbstractContextManager[Any]:
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def _named_parameters(make: Callable[..., Any]) -> set[str]:
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # built in C
        return set()
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.POSITIONAL_ONLY)}


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what Keras and NumPy draw default seeds from, and put it back afterwards."""
    with _SEEDING:
        python_state, numpy_state = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            with _own_random(seed):
                yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextlib.contextmanager
def _own_random(seed: int) -> Iterator[None]:
    """Let `random`'s functions draw from a generator of this thread's own.

    Keras calls `random.randint`, and so do others at any moment: the event loop of a dask worker
    would now and then take a draw out of the middle of the sequence.
    """
    own, thread = random.Random(seed), threading.get_ident()
    shared = {
        name: function
        for name, function in vars(random).items()
        if isinstance(getattr(function, "__self__", None), random.Random)
    }

    def of_this_thread(name: str) -> Callable[..., Any]:
        mine, others = getattr(own, name), shared[name]

        def draw(*args: Any, **kwargs: Any) -> Any:
            return (mine if threading.get_ident() == thread else others)(*args, **kwargs)

        return draw

    for name in shared:
        setattr(random, name, of_this_thread(name))
    try:
        yield
    finally:
        for name, function in shared.items():
            setattr(random, name, function)
