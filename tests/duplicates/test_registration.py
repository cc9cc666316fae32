"""Descriptions that a rotation does not change, and transforms that are found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, rotate

from helpers.planted import Images
from synthray.duplicates.embedding import (
    SIDE,
    Floats,
    best_rotations,
    embeddings,
    nearest,
    spectra,
    working_copies,
)
from synthray.duplicates.registration import Registration
from synthray.duplicates.structure import Structure


@pytest.fixture(scope="module")
def copies(texture: Images) -> Floats:
    return working_copies(texture[:20, ::2, ::2, None])


def test_nearest_agrees_with_brute_force() -> None:
    queries, points = np.random.default_rng(0).normal(size=(2, 50, 6)).astype(np.float32)
    queries, points = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, points))
    likeness = queries @ points.T
    for others in (False, True):
        if others:
            np.fill_diagonal(likeness, -np.inf)
        expected = np.sort(np.argsort(-likeness, axis=1)[:, :5], axis=1)
        found = nearest(queries, points, 5, others=others)
        np.testing.assert_array_equal(np.sort(found, axis=1), expected)
    assert nearest(points[:4], points[:4], 9).shape == (4, 3)


def test_working_copies_are_padded_not_stretched() -> None:
    copies = working_copies(np.full((2, 32, 16, 1), 90, np.uint8))
    assert copies.shape == (2, SIDE, SIDE)
    assert copies[0, :, :12].max() == 0
    np.testing.assert_allclose(copies[0, 8:-8, 24:40], 90, atol=1)


def test_turns_flips_and_gray_values_change_no_description(copies: Floats) -> None:
    plain = embeddings(spectra(copies))
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, rtol=1e-5)
    turned = np.rot90(copies, axes=(1, 2)), copies[:, ::-1], copies[:, :, ::-1]
    for changed in (*turned, copies * 0.5 + 40):
        same = embeddings(spectra(np.ascontiguousarray(changed)))
        np.testing.assert_allclose(same, plain, atol=1e-4)


@pytest.mark.parametrize("angle", [33.75, 200.0])
def test_the_best_rotation_is_the_true_one(angle: float, copies: Floats) -> None:
    turned = rotate(copies, -angle, axes=(1, 2), reshape=False, order=1)
    for number, other in enumerate((turned, turned[:, ::-1])):
        fits, angles = best_rotations(spectra(copies), spectra(np.ascontiguousarray(other)))
        assert (fits[:, number] > 0.9).all()
        sign = 1 if number == 0 else -1
        error = np.rad2deg(angles[:, number]) - sign * angle
        assert (np.abs((error + 180) % 360 - 180) < 4).all()


@pytest.mark.parametrize("flipped", [False, True])
def test_rotation_zoom_and_shift_are_recovered(flipped: bool, copies: Floats) -> None:
    copies = copies[:10]
    scale, angle, right, down = 1.05, np.deg2rad(7.0), 1.5, -2.0
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    mirror = -1 if flipped else 1
    # A point (x, y) of the first image lies at `forward @ (x, y) + shift` of the second.
    forward = np.array([[cosine, -sine * mirror], [sine, cosine * mirror]])
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE] - middle
    back = np.linalg.inv(forward) @ np.stack([(x - right).ravel(), (y - down).ravel()])
    where = back[::-1].reshape(2, SIDE, SIDE) + middle
    others = np.stack([map_coordinates(copy, where, order=3) for copy in copies])
    both = np.concatenate([copies, others]).astype(np.float32)
    registration, structure = Registration(both), Structure(both)
    i, j = np.arange(10), np.arange(10, 20)
    mirrors = np.full(10, flipped)
    start = np.tile(np.asarray([1, 0, 0, 0], np.float32), (10, 1))
    _, rough = registration.align(i, j, mirrors, start, coarse=True)
    fit, found = registration.align(i, j, mirrors, rough, coarse=False)
    assert (fit > 0.95).all()
    np.testing.assert_allclose(found[:, :2], [[cosine, sine]] * 10, atol=0.01)
    np.testing.assert_allclose(found[:, 2:], [[right, down]] * 10, atol=0.2)
    fits, along = structure.judge(i, j, mirrors, found)
    assert (fits > 0.8).all()
    assert (along > 0.8).all()


def test_different_images_do_not_fit(copies: Floats) -> None:
    i, j, mirrors = np.arange(10), np.arange(10, 20), np.zeros(10, bool)
    start = np.tile(np.asarray([1, 0, 0, 0], np.float32), (10, 1))
    _, found = Registration(copies).align(i, j, mirrors, start, coarse=True)
    fits, along = Structure(copies).judge(i, j, mirrors, found)
    assert (fits < 0.5).all()
    assert (along == -1).all()


def test_straightness(copies: Floats) -> None:
    shaft = np.zeros((SIDE, SIDE), np.float32)
    shaft[:, 24:40] = 200
    straight = Structure(np.stack([shaft, copies[0]])).straightness
    assert straight[0] > 0.9
    assert straight[1] < 0.4
