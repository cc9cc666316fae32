"""Images that several test files share."""

from __future__ import annotations

import pytest

from helpers.planted import Images, textured


@pytest.fixture(scope="session")
def texture() -> Images:
    """30 different images with structure everywhere, 128 x 128."""
    return textured(30, seed=11)
