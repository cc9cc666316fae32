"""Seeds: one a user gives, many the library needs."""

from __future__ import annotations

import secrets

import numpy as np

_BITS = 31  # what every Keras backend takes


def resolve_seed(seed: int | None) -> int:
    """Return the seed, or draw one from the operating system where it is `None`."""
    return secrets.randbits(_BITS) if seed is None else int(seed)


def spawn_seeds(seed: int, count: int) -> list[int]:
    """Return `count` seeds that follow from one, independent of each other."""
    state = np.random.SeedSequence(seed).generate_state(count)
    return [int(value) >> (32 - _BITS) for value in state]
