"""Classifiers of any kind: made anew for each fit, told what to learn, asked what they see."""

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

from synthray._digest import plan_digest
from synthray._keras import backend
from synthray._keras.seeded_model import SeededModel
from synthray._parts import slices
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.classifiers.image_classifier import ImageClassifier, wants_one_hot
from synthray.classifiers.transfer_classifier import TransferClassifier
from synthray.comparison.arms import SOFT_LABELS
from synthray.datasets.image_dataset import ImageDataset

_TOLERANCE = 1e-3
_ROUNDING = 1e-6  # of sums in single precision
_AT_ONCE = 128


_last = threading.local()  # the model that a thread made last, and the digest of its plan


def make_classifier(make: Callable[..., Any], data: ImageDataset, seed: int) -> Any:
    """Make a classifier, ready to fit, whose initial weights the seed determines.

    Where it differs from the one made last in its values alone, that one is returned with the new
    values: to trace a training step again costs seconds. So each call may invalidate the previous
    model.

    Args:
        make: As `Training.classifier`.
        data: Images of the shape and classes that it is for.
        seed: Of its weights.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If its output fits neither two classes nor all classes, or if it has been
            trained before.
    """
    given = {"num_classes": data.num_classes, "image_shape": data.image_shape, "seed": seed}
    named = _parameters(make)
    with _seeded(seed):
        model = make(**{name: value for name, value in given.items() if name in named})
        if not isinstance(model, keras.Model):
            raise TypeError(f"classifier must return a keras.Model, got {type(model).__name__}.")
        if getattr(model, "_synthray_made", False):
            raise ValueError(
                "classifier returned the same model twice, trained already. It must build a new "
                "one at each call (keras.models.clone_model makes a fresh copy)."
            )
        outputs = _outputs(model, data)
    object.__setattr__(model, "_synthray_made", True)
    if not model.compiled:
        options: dict[str, Any] = {}
        if not isinstance(model, SeededModel):  # which chooses these itself
            options["steps_per_execution"] = backend.steps_at_once()
            options["jit_compile"] = backend.resolve_jit_compile("auto")
        model.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            # Of one-hot rows, which soft labels can take the place of.
            loss="binary_crossentropy" if outputs == 1 else "categorical_crossentropy",
            metrics=["accuracy"],
            **options,
        )
    plan = _plan(model)
    if plan is not None and plan == getattr(_last, "plan", None):
        backend.assign(_state(_last.model), backend.values_of(_state(model)))
        return _last.model
    _last.model, _last.plan = model, plan
    if plan is not None:
        labels = _labels_for(model, np.zeros(1, np.int64), data.num_classes)
        backend.make_training_variables(model, labels, outputs)
    return model


def release_classifier() -> None:
    """Leave the classifier that was made last to its owner: the next one is another model."""
    _last.model = _last.plan = None


def targets(model: Any, data: ImageDataset) -> NDArray[Any]:
    """Return what the loss of a compiled classifier takes for these images.

    Raises:
        ValueError: If there are soft labels and the loss takes integers alone.
    """
    soft = soft_labels(data)
    if soft is None:
        return _labels_for(model, data.labels, data.num_classes)
    if wants_one_hot(model.loss):
        return soft
    name = model.loss if isinstance(model.loss, str) else type(model.loss).__name__
    if data.num_classes > 2 or "sparse" in name.lower():
        raise ValueError(
            f"Soft labels are probabilities, and the loss {name!r} takes integers. Compile the "
            'classifier with loss="categorical_crossentropy".'
        )
    return soft[:, 1]


def learns_from_features(model: Any) -> bool:
    """Whether a classifier reads the features of images, which training never changes."""
    return isinstance(model, TransferClassifier) and model.frozen


def inputs(model: Any, images: NDArray[np.uint8]) -> NDArray[Any]:
    """Return what a classifier reads in place of images: their features, or themselves."""
    return model.features(images) if learns_from_features(model) else images


def soft_labels(data: ImageDataset) -> NDArray[np.float32] | None:
    """Return soft labels, rows of the own label where there are none; `None` without any.

    Raises:
        ValueError: If the annotation does not hold probabilities of all classes.
    """
    soft = data.annotations.get(SOFT_LABELS)
    if soft is None:
        return None
    own = np.eye(data.num_classes, dtype=np.float32)[data.labels]
    if soft.shape != own.shape:
        raise ValueError(
            f"The annotation {SOFT_LABELS!r} must have shape {own.shape}, one probability a class, "
            f"got {soft.shape}."
        )
    known = ~np.isnan(soft).any(axis=1, keepdims=True)
    found = np.where(known, soft, own).astype(np.float32)
    if (found < 0).any() or not np.allclose(found.sum(axis=1), 1, atol=1e-3):
        raise ValueError(
            f"The annotation {SOFT_LABELS!r} must hold probabilities: 0 or more, rows that sum to "
            "1 (or are NaN, for the image's own label)."
        )
    return found


def predict(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return probabilities, shape `(n, num_classes)`, rows sum to 1; a sigmoid gets two columns.

    Raises:
        ValueError: If the outputs are no probabilities.
    """
    call = backend.forward(model)
    images = inputs(model, images)
    with backend.no_gradients():
        parts = [
            ops.convert_to_numpy(call(images[rows].astype(np.float32)))
            for rows in slices(len(images), _AT_ONCE)
        ]
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


def _labels_for(model: Any, labels: NDArray[np.int64], num_classes: int) -> NDArray[Any]:
    return np.eye(num_classes, dtype=np.float32)[labels] if wants_one_hot(model.loss) else labels


def _outputs(model: Any, data: ImageDataset) -> int:
    k, own = data.num_classes, isinstance(model, ImageClassifier)
    shape = model.network.output_shape if own else backend.output_shape(model, data.image_shape)
    outputs = {(k,): k, (1,): 1 if k == 2 else None}.get(tuple(shape[1:]))
    if outputs is not None:
        return outputs
    wanted = f"(n, {k}) with a softmax" + (", or (n, 1) with a sigmoid" if k == 2 else "")
    raise ValueError(
        f"For {k} classes the classifier's output must be {wanted}; it has shape "
        f"{('n', *shape[1:])}."
    )


def _plan(model: Any) -> str | None:
    """Return the digest of all but a model's values; `None` where it may hold more than those."""
    # Keras' own kinds are Sequential and Functional, which has no public name.
    kind = type(model)
    known = kind in (FractureClassifier, TransferClassifier) or kind.__module__.startswith("keras.")
    if not known or kind.train_step is not keras.Model.train_step:
        return None
    try:
        return plan_digest(model)
    except (TypeError, NotImplementedError):  # a loss or layer that cannot be told from another
        return None


def _state(model: Any) -> list[Any]:
    backend.build_optimizer(model)
    return [*model.variables, *model.optimizer.variables]


def _parameters(make: Callable[..., Any]) -> set[str]:
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # built in C
        return set()
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.POSITIONAL_ONLY)}


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what Keras and NumPy take default seeds from, and put it back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
