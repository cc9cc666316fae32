"""Augmenters that are fitted once for all tests of this folder, which leave them as they are."""

from __future__ import annotations

import pytest

import synthray as sr
from helpers.tiny import tiny_augmenter
from helpers.toys import bars


@pytest.fixture(scope="session")
def fitted() -> sr.SyntheticAugmenter:
    """Knows the classes "upright" and "lying" of `bars`, 16x16 pixels."""
    return tiny_augmenter().fit(bars(21), verbose=0)
