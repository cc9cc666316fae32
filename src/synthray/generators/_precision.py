"""Full precision inside a model that computes in half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


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
