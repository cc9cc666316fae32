"""Transforms that are found again, and fine structure at them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from helpers.planted import Images
from synthray.duplicates.registration import align
from synthray.duplicates.structure import Structure, scales
from synthray.duplicates.working import SIDE, Copies, working_copies

STILL = np.tile(np.asarray([1, 0, 0, 1, 0, 0], np.float32), (10, 1))


@pytest.fixture(scope="module")
def copies(texture: Images) -> Copies:
    return working_copies(texture[:20, ::2, ::2, None])


@pytest.mark.parametrize("mirror", [1, -1])
def test_turn_shear_stretch_and_shift_are_recovered(mirror: int, copies: Copies) -> None:
    copies = copies[:10]
    angle, shift = np.deg2rad(7.0), np.array([1.5, -2.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # A point (x, y) of the first image lies at `forward @ (x, y) + shift` of the second.
    forward = turn @ np.array([[1.05, 0.1], [0, 0.93 * mirror]])
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE] - middle
    back = np.linalg.inv(forward) @ np.stack([(x - shift[0]).ravel(), (y - shift[1]).ravel()])
    where = back[::-1].reshape(2, SIDE, SIDE) + middle
    others = np.stack([map_coordinates(copy, where, order=3) for copy in copies])
    both = np.concatenate([copies, np.rint(others).clip(0, 255).astype(np.uint8)])
    i, j = np.arange(10), np.arange(10, 20)
    start = STILL * np.asarray([1, 1, 1, mirror, 1, 1], np.float32)
    _, rough = align(both, i, j, start, coarse=True)
    fit, found = align(both, i, j, rough, coarse=False)
    assert (fit > 0.95).all()
    np.testing.assert_allclose(found[:, :4], [forward.ravel()] * 10, atol=0.01)
    np.testing.assert_allclose(found[:, 4:], [shift] * 10, atol=0.2)
    detail, texture, _ = Structure(both).judge(i, j, found)
    assert (detail > 0.8).all()
    assert (texture > 0.7).all()


def test_different_images_do_not_fit(copies: Copies) -> None:
    i, j = np.arange(10), np.arange(10, 20)
    _, found = align(copies, i, j, STILL, coarse=True)
    detail, texture, _ = Structure(copies).judge(i, j, found)
    assert (detail < 0.5).all()
    assert (texture < 0.5).all()


def test_scales_are_singular_values() -> None:
    found = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    expected = np.linalg.svd(found[:, :4].reshape(-1, 2, 2), compute_uv=False)
    np.testing.assert_allclose(np.stack(scales(found), 1), expected, atol=1e-3)


def test_straightness(copies: Copies) -> None:
    shaft = np.zeros((SIDE, SIDE), np.uint8)
    shaft[:, 24:40] = 200
    straight = Structure(np.stack([shaft, copies[0]])).straightness
    assert straight[0] > 0.9
    assert straight[1] < 0.4
