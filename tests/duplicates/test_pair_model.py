"""What tells copies from different radiographs, once they are laid on each other."""

from __future__ import annotations

import numpy as np

from helpers.planted import Images
from synthray.duplicates import pair_model
from synthray.duplicates.structure import Structure
from synthray.duplicates.working import working_copies


def test_terms_are_products() -> None:
    found = np.array([[2.0, 3.0, 5.0]])
    expected = [[1, 2, 3, 5, 4, 6, 10, 9, 15, 25]]
    assert pair_model.terms(found).tolist() == expected


def test_measures_of_an_image_and_itself(texture: Images) -> None:
    copies = working_copies(texture[:6, ..., None])
    places, still = np.arange(6), np.tile(np.array([1, 0, 0, 1, 0, 0], np.float32), (6, 1))
    ones = np.ones(6, np.float32)
    found = pair_model.measures(Structure(copies), places, places, still, ones, ones)
    assert (found[:, :4] > 2.9).all()  # Fisher's z of .995
    np.testing.assert_allclose(found[:, [4, 9, 10]], 0, atol=1e-6)  # no change of size
    np.testing.assert_allclose(found[:, 5:7], np.log(0.5), atol=1e-3)  # nor of place
    np.testing.assert_array_equal(found[:, 8], 1)  # all points overlap
    assert (pair_model.log_odds(found) > 2).all()
    other = pair_model.measures(Structure(copies), places, places[::-1], still, 0 * ones, 0 * ones)
    assert (pair_model.log_odds(other) < 0).all()
