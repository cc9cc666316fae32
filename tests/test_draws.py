"""Draws of a step: made as usual, noted, and given."""

from __future__ import annotations

import numpy as np
import pytest

from synthray._draws import drawn, given, noted


def two(rng: np.random.Generator) -> list[int]:
    return [drawn(lambda: int(rng.integers(1_000))) for _ in range(2)]


def test_noted_draws_are_those_that_were_made_and_can_be_made_again() -> None:
    usual, rng = np.random.default_rng(0), np.random.default_rng(0)
    expected = two(usual)
    with noted() as draws:
        assert two(rng) == expected
    assert [draw() for draw in draws] == two(usual)  # the next ones
    assert two(rng) == two(usual)  # nothing is noted any more
    assert len(draws) == 2


def test_given_values_stand_for_draws() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    with given([7, 8]):
        assert two(rng) == [7, 8]
    assert rng.bit_generator.state == before
    assert two(rng) == two(np.random.default_rng(0))


@pytest.mark.parametrize(("values", "how"), [([7], "more"), ([7, 8, 9], "less")])
def test_other_numbers_of_draws_are_an_error(values: list[int], how: str) -> None:
    with pytest.raises(ValueError, match=f"draws {how} often"), given(values):
        two(np.random.default_rng(0))
    assert two(np.random.default_rng(0)) == two(np.random.default_rng(0))
