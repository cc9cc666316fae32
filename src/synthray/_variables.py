"""Variables of a model, and their values: copied, and given back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    Not `optimizer.iterations`: where an optimizer accumulates gradients, that counts its updates.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return int(optimizer._iterations.numpy())


def values_of(variables: Iterable[Any]) -> list[NDArray[Any]]:
    """Return copies of values, for JAX gives the buffers of a trained model away."""
    return [np.array(v.numpy()) for v in variables]


def assign(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
