"""What batch normalization finds in the images of weights that were not trained as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._keras.backend import as_array, compiled


class BatchStatistics:
    """A function from weights of a network to the statistics of its batch normalization.

    An average of weights has activities of its own: neither the running statistics of the network
    that is trained nor an average of them fit it (Izmailov et al. 2018, arXiv 1803.05407). Each
    batch is normalized by itself, as in training; the means and variances that this takes are
    averaged over the batches.

    Args:
        network: A functional model whose weights that are not trained are statistics of batch
            normalization.
        momentum: Of all layers of batch normalization.
    """

    def __init__(self, network: keras.Model, momentum: float) -> None:
        self._network = network
        self._share = 1.0 - momentum
        self._step = compiled(self._of_batch)

    def __call__(self, trained: list[Any], batches: Iterable[Any]) -> list[NDArray[np.float32]]:
        """Return one array for each weight that is not trained.

        Args:
            trained: Values for the `trainable_variables` of the network.
            batches: Inputs of the network.
        """
        found = [list(map(as_array, self._step(trained, batch))) for batch in batches]
        return [np.mean(each, axis=0) / self._share for each in zip(*found, strict=True)]

    def _of_batch(self, trained: list[Any], batch: Any) -> list[Any]:
        # Running statistics that start from 0 are, after one step, a known share of the batch's.
        variables = self._network.non_trainable_variables
        zeros = [np.zeros(v.shape, v.dtype) for v in variables]
        _, state = self._network.stateless_call(trained, zeros, batch, training=True)
        own = {id(v) for v in self._network.weights}  # not the states of random generators
        return [new for v, new in zip(variables, state, strict=True) if id(v) in own]
