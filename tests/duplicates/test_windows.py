"""Windows, and descriptions of them that a rotation does not change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import affine_transform, rotate

from helpers.planted import Images
from synthray.duplicates.embedding import Detail, Neighbours, best_rotations, embeddings, spectra
from synthray.duplicates.windows import distinctive, inverse, transforms, whole
from synthray.duplicates.working import MIDDLE, SIDE, Copies, working_copies

DETAIL = Detail(16, 64, 16)
WHOLE = whole(np.arange(20))


@pytest.fixture(scope="module")
def copies(texture: Images) -> Copies:
    return working_copies(texture[:20, ::2, ::2, None])


def test_nearest_agrees_with_brute_force() -> None:
    queries, points = np.random.default_rng(0).normal(size=(2, 50, 6)).astype(np.float32)
    queries, points = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, points))
    owners = np.arange(50), np.arange(50) // 2
    likeness = queries @ points.T
    likeness[owners[0][:, None] == owners[1]] = -1
    found, alike = Neighbours(points, owners[1]).of(queries, owners[0], 5)
    np.testing.assert_array_equal(found, np.argsort(-likeness, axis=1)[:, :5])
    np.testing.assert_allclose(alike, np.take_along_axis(likeness, found, 1), atol=1e-6)


def test_neighbours_that_are_missing_are_not_alike() -> None:
    points = np.eye(3, dtype=np.float32)
    found, alike = Neighbours(points, np.arange(3)).of(points, np.arange(3), 5)
    assert found.shape == alike.shape == (3, 5)
    assert (alike[:, :2] == 0).all()
    assert (alike[:, 2:] == -1).all()


def test_close_neighbours_are_found_in_large_sets() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(6000, 16)).astype(np.float32)
    queries = points + 0.3 * rng.normal(size=points.shape).astype(np.float32)
    queries, points = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, points))
    found, _ = Neighbours(points, np.arange(6000, 12_000)).of(queries, np.arange(6000), 1)
    assert (found[:, 0] == np.arange(6000)).mean() > 0.95


def test_working_copies_are_stretched_without_bars_that_all_have() -> None:
    images = np.zeros((2, 32, 16, 1), np.uint8)
    light = np.linspace(20, 160, 16)[:, None]
    images[0, 8:20], images[1, 12:24] = light, light
    copies = working_copies(images)
    assert copies.shape == (2, SIDE, SIDE)
    np.testing.assert_array_equal(copies[0, :40], copies[0, :1].repeat(40, 0))
    assert copies[0, :40].min() >= 20
    np.testing.assert_array_equal(copies[0, -8:], 0)
    np.testing.assert_array_equal(copies[1], copies[0, ::-1])
    assert working_copies(images[:1, :9]).max() > 0  # too little would be left


def test_black_next_to_bright_content_is_filled() -> None:
    content = np.random.default_rng(0).integers(150, 200, (SIDE, SIDE, 1), np.uint8)
    shifted, limb = content.copy(), content.copy()
    shifted[:20] = 0
    limb[:] = np.linspace(0, 200, SIDE).astype(np.uint8)[:, None]
    hole = content.copy()
    hole[30:40, 30:40] = 0  # not at the border
    images = np.stack([content, shifted, limb, hole])
    images.flags.writeable = False
    copies = working_copies(images)
    np.testing.assert_array_equal(copies[1, :22], copies[0, [22]].repeat(22, 0))
    np.testing.assert_array_equal(copies[1, 22:], content[22:, :, 0])
    np.testing.assert_array_equal(copies[[0, 2, 3]], np.stack([content, limb, hole])[..., 0])


def test_turns_flips_and_gray_values_change_no_description(copies: Copies) -> None:
    plain = embeddings(copies, WHOLE, DETAIL)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, rtol=1e-5)
    turned = np.rot90(copies, axes=(1, 2)), copies[:, ::-1], copies[:, :, ::-1]
    for changed in (*turned, copies * 0.5 + 40):
        same = embeddings(np.ascontiguousarray(changed), WHOLE, DETAIL)
        np.testing.assert_allclose(same, plain, atol=1e-4)


@pytest.mark.parametrize("angle", [33.75, 200.0])
def test_the_best_rotation_is_the_true_one(angle: float, copies: Copies) -> None:
    turned = rotate(copies, -angle, axes=(1, 2), reshape=False, order=1)
    for number, other in enumerate((turned, turned[:, ::-1])):
        fits, angles = best_rotations(
            *(spectra(np.ascontiguousarray(each), WHOLE, DETAIL) for each in (copies, other))
        )
        assert (fits[:, number] > 0.9).all()
        sign = 1 if number == 0 else -1
        error = np.rad2deg(angles[:, number]) - sign * angle
        assert (np.abs((error + 180) % 360 - 180) < 4).all()


def test_windows_lie_on_the_same_content_of_a_sheared_copy(copies: Copies) -> None:
    shear = np.array([[1.0, 0.3], [0.0, 0.9]])  # of (x, y), from the copy to the original
    offset = MIDDLE - shear[::-1, ::-1] @ [MIDDLE, MIDDLE]
    sheared = np.stack([affine_transform(copy, shear[::-1, ::-1], offset) for copy in copies])
    first, second = (distinctive(each, np.arange(20)) for each in (sheared, copies))
    hits = 0
    for image, centre, frame in zip(*first, strict=True):
        of_it = second.take(np.flatnonzero(second.image == image))
        near = np.linalg.norm(of_it.centre - shear @ centre, axis=1) < 2
        area = np.linalg.det(of_it.frame) / np.linalg.det(shear @ frame)
        hits += bool((near & (np.abs(np.log(area)) < 0.5)).any())
    assert hits > 0.5 * len(first.image)


def test_transforms_take_windows_to_each_other(copies: Copies) -> None:
    windows = distinctive(copies[:2], np.arange(2))
    first, second = windows.take(np.arange(30)), windows.take(np.arange(30, 60))
    angles = np.linspace(0, 6, 30).astype(np.float32)
    for flipped in (0, 1):
        found = transforms(first, second, angles, np.full(30, flipped))
        matrix, shift = found[:, :4].reshape(-1, 2, 2), found[:, 4:]
        middles = (matrix @ first.centre[..., None])[..., 0] + shift
        np.testing.assert_allclose(middles, second.centre, atol=1e-3)
        # A point at angle t of the first disc lies at angle + t, or angle - t, of the second.
        point = np.stack([np.cos(angles + 0.5), np.sin(angles + 0.5)], 1)
        source = np.array([np.cos(0.5), np.sin(0.5) * (-1 if flipped else 1)])
        there = matrix @ (first.frame @ source)[..., None]
        np.testing.assert_allclose(
            there[..., 0], (second.frame @ point[..., None])[..., 0], atol=1e-3
        )
        back = transforms(second, first, angles if flipped else -angles, np.full(30, flipped))
        np.testing.assert_allclose(inverse(found), back, atol=1e-3)


def test_flat_images_have_no_windows() -> None:
    assert len(distinctive(np.full((1, SIDE, SIDE), 7, np.float32), np.arange(1)).image) == 0
