from __future__ import annotations

import numpy as np
import pytest

from helpers.planted import renumbered
from synthray.duplicates.matching import Evidence, joined

Row = tuple[int, int, float]

TRIPLES = ((0, 1, 9.0), (0, 2, 9.0), (1, 2, 9.0), (3, 4, 9.0), (3, 5, 9.0), (4, 5, 9.0))
TWO, ONE = [0, 0, 0, 1, 1, 1], [0] * 6


def evidence(*rows: Row) -> Evidence:
    i, j, odds = zip(*rows, strict=True)
    return Evidence(np.asarray(i), np.asarray(j), np.asarray(odds, float))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(0, 1, 3.0), (2, 3, -0.5)], [0, 0, 1, 2], id="a weak pair does not join"),
        pytest.param([*TRIPLES, (2, 3, 4.0)], ONE, id="a pair joins whole clusters"),
        pytest.param([*TRIPLES, (2, 3, 0.9)], TWO, id="a weak pair joins no whole clusters"),
        pytest.param(
            [*TRIPLES, (2, 3, 8.0), (0, 3, -20.0), (1, 4, -20.0), (2, 5, -20.0)],
            TWO,
            id="one false link does not chain two clusters",
        ),
        pytest.param(
            [*TRIPLES, (0, 3, 8.0), (1, 4, 8.0), (2, 5, -50.0)],
            ONE,
            id="one false refusal does not part two clusters",
        ),
        pytest.param(
            [(0, 1, 5.0), (1, 2, 0.9), (0, 2, -50.0)], [0, 0, 1], id="ends that do not fit"
        ),
        pytest.param(
            [(0, 1, 5.0), (1, 2, 2.0), (0, 2, -np.inf)], [0, 0, 0], id="ends that do not overlap"
        ),
    ],
)
def test_evidence_joins_clusters(rows: list[Row], expected: list[int]) -> None:
    assert renumbered(joined(np.arange(len(expected)), [evidence(*rows)])) == expected


def test_parts_are_summed_up() -> None:
    parts = evidence(*TRIPLES, (2, 3, 2.0)), evidence((0, 5, -9.0), (1, 4, -9.0))
    assert renumbered(joined(np.arange(6), parts)) == TWO


def test_links_may_have_to_be_sure() -> None:
    assert renumbered(joined(np.arange(2), [evidence((0, 1, 1.0))], link=2.0)) == [0, 1]


def test_clusters_only_grow() -> None:
    first = joined(np.arange(4), [evidence((0, 1, 5.0))])
    again = joined(first, [evidence((0, 1, -9.0), (2, 3, 5.0), (1, 2, 5.0))])
    assert renumbered(again) == [0] * 4
