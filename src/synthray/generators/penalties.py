"""Gradient penalties without second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from synthray._devices import rows_of_replica


def finite_difference_penalty(
    critic: Callable[[Any], Any],
    images: Any,
    logits: Any,
    *,
    sigma: float,
    seed: keras.random.SeedGenerator,
) -> Any:
    """Squared norm of the gradient of a critic, by a finite difference along a random direction.

    `(D(x + s e) - D(x))^2 / s^2` with `e` standard normal. Its expectation over `e` tends to
    `|grad D(x)|^2` as `s` gets small, and equals it at any `s` where `D` is linear. On real images
    this is R1, on fake ones R2 (Mescheder et al. 2018, arXiv 1801.04406; Huang et al. 2024, arXiv
    2501.05441). Only first derivatives are taken, so it trains on every backend and through every
    layer, at the price of one more forward pass.

    Args:
        critic: Maps images to logits `(n,)`, in float32: a difference of half-precision logits
            would be mostly rounding.
        images: Shape `(n, height, width, channels)`, float32.
        logits: `critic(images)`.
        sigma: `s`, in units of the pixels.
        seed: Where the directions come from.

    Returns:
        One value an image, shape `(n,)`.
    """
    shape = ops.shape(images)
    noise = rows_of_replica(lambda n: keras.random.normal((n, *shape[1:]), seed=seed), shape[0])
    moved = critic(images + sigma * noise)
    return ops.square((moved - logits) / sigma)
