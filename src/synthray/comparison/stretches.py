"""What phases do to a classifier besides training it: rates, fresh starts, statistics."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._layers import all_layers
from synthray._variables import assign, build_optimizer, values_of
from synthray.comparison.phases import Phase
from synthray.generators._rate_decay import fixed_rate

_AT_ONCE = 64
_PASSES_OVER = 100  # batches, from which the statistics are taken at the most


def stretches(phases: Iterable[Phase]) -> list[tuple[Phase, int]]:
    """Return the first phase of each stretch and how many phases it has.

    Phases in a row that train in one manner, and reset nothing, are one stretch: one fit.
    """
    keys, count = [], 0
    for phase in phases:
        count += bool(phase.reset)
        keys.append((phase, (count, phase.manner)))
    groups = groupby(keys, key=lambda pair: pair[1])
    parts = [[phase for phase, _ in group] for _, group in groups]
    return [(part[0], len(part)) for part in parts]


class Beginning:
    """What a classifier was before its training, to go back to in part.

    Args:
        model: A compiled model.
        phases: All phases that it will go through.

    Raises:
        ValueError: If a phase changes the learning rate of an optimizer that has a schedule.
    """

    def __init__(self, model: Any, phases: Iterable[Phase]) -> None:
        phases = list(phases)
        resets = {what for phase in phases for what in phase.reset}
        self._rate: float | None = None
        if any(phase.rate != 1 for phase in phases):
            self._rate = fixed_rate(model.optimizer)
            if self._rate is None:
                raise ValueError(
                    "A phase multiplies the learning rate (rate=), but the classifier was compiled "
                    "with a schedule. Compile it with a number."
                )
        self._optimizer: list[NDArray[Any]] = []
        if "optimizer" in resets:
            build_optimizer(model)
            self._optimizer = values_of(model.optimizer.variables)
        self._head = values_of(head_of(model)) if "head" in resets else []

    def begin(self, model: Any, phase: Phase) -> None:
        """Reset what a phase resets, and set its learning rate."""
        if "optimizer" in phase.reset:
            assign(model.optimizer.variables, self._optimizer)
        if "head" in phase.reset:
            assign(head_of(model), self._head)
        if self._rate is not None:
            model.optimizer.learning_rate = self._rate * phase.rate


def head_of(model: Any) -> list[Any]:
    """Return the trainable variables of the last layer that has some."""
    variables = model.trainable_variables
    if not variables:
        raise ValueError('reset="head" needs a classifier with trainable weights; it has none.')
    layer = variables[-1].path.rpartition("/")[0]
    return [v for v in variables if v.path.rpartition("/")[0] == layer]


def take_statistics(model: Any, images: NDArray[np.uint8], seed: int) -> None:
    """Set what batch normalisation predicts with to the mean over batches of these images.

    The statistics of each layer follow from those of the layers before in the same batch, as in
    training (Izmailov et al. 2018, arXiv 1803.05407, section 3.2).
    """
    norms = [layer for layer in all_layers(model) if _is_batch_norm(layer)]
    if not norms:
        return
    order = np.random.default_rng(seed).permutation(len(images))
    momenta = [layer.momentum for layer in norms]
    try:
        for number in range(min(-(-len(images) // _AT_ONCE), _PASSES_OVER)):
            for layer in norms:
                layer.momentum = number / (number + 1)  # the mean of all so far
            rows = order[number * _AT_ONCE : (number + 1) * _AT_ONCE]
            model(images[rows].astype(np.float32), training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum


def _is_batch_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
