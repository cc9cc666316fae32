"""Running averages of weights, with a half-life in images."""

from __future__ import annotations

from typing import Any

from keras import ops

_SHARE = 0.05


def average_weights(average: Any, current: Any, *, n: Any, images_seen: Any, longest: int) -> None:
    """Move averaged weights towards current ones, by the images of one step.

    The average forgets half of what it holds in 5 % of the images seen so far, and in `longest`
    images at most: short at first, when weights change fast (Karras et al. 2020, arXiv 2006.06676,
    appendix: `ema_rampup`).

    Args:
        average: Variables that are averages, changed in place.
        current: Variables or values of one training, in the same order.
        n: Images of this step.
        images_seen: Images of all steps, this one included.
        longest: Upper bound of the half-life, in images.
    """
    half_life = ops.minimum(_SHARE * ops.cast(images_seen, "float32"), float(longest))
    kept = ops.power(0.5, ops.cast(n, "float32") / ops.maximum(half_life, 1e-3))
    for mean, variable in zip(average, current, strict=True):
        value = ops.stop_gradient(ops.convert_to_tensor(variable))
        mean.assign(value + kept * (ops.convert_to_tensor(mean) - value))
