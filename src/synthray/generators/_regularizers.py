"""What layers of a user's networks add to the losses of a GAN."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def weight_penalties(network: keras.Layer) -> Any:
    """Return what the layers of a network add to its loss for their weights.

    Keras' own list of losses holds those of activities too, and on JAX some of them get lost.
    """
    found = [v.regularizer(v.value) for v in network.trainable_variables if v.regularizer]
    return sum((ops.sum(ops.cast(each, "float32")) for each in found), 0.0)


def refuse_activity_penalties(network: keras.Layer) -> None:
    """Raise where a layer is to be penalised for what it computes.

    Raises:
        ValueError: If there is one, within a wrapper or a block too.
    """
    for layer in network._flatten_layers():
        if getattr(layer, "activity_regularizer", None) is not None:
            raise ValueError(
                f"The layer {layer.name!r} has an activity_regularizer, which has no meaning here: "
                "a step calls the networks several times. Leave it out; regularizers of weights "
                "count."
            )
