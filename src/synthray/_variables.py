"""Values of variables: copied, and given back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def values_of(variables: Iterable[Any]) -> list[NDArray[Any]]:
    """Return copies of values, for JAX gives the buffers of a trained model away."""
    return [np.array(v.numpy()) for v in variables]


def assign(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Give variables their values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
