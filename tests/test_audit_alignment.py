from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from planted import Images, textured
from synthray.audit.alignment import Course, disc, packed, refined
from synthray.audit.embedding import SIDE, working_copies
from synthray.audit.registration import Registration
from synthray.audit.structure import Structure

MIDDLE = (SIDE - 1) / 2
START = np.asarray([[0.98, 0.17, 1.5, -2.0]], np.float32)


@pytest.fixture(scope="module")
def texture() -> Images:
    return textured(12, side=SIDE, seed=21)


@pytest.fixture(scope="module")
def bands(texture: Images) -> NDArray[np.int8]:
    return (texture.astype(int) - 128).clip(-127, 127).astype(np.int8)


def slow_steps(
    one: NDArray[np.int8], two: NDArray[np.int8], mirror: int, start: NDArray[np.floating], n: int
) -> tuple[float, NDArray[np.float64]]:
    """Return the best correlation and its parameters, a point at a time, slopes by differences."""
    y, x = (each.astype(float) for each in disc(3.0))
    fixed = map_coordinates(one.astype(float), [y + MIDDLE, x + MIDDLE], order=1)
    now, best, found = start.astype(float), -1.0, start.astype(float)
    for step in range(n + 1):
        c, s, right, down = now
        at = np.stack([s * x + c * mirror * y + down, c * x - s * mirror * y + right]) + MIDDLE
        inside = ((at >= 0) & (at <= SIDE - 1)).all(0)
        at = np.clip(at, 0, SIDE - 1.001)
        cell = np.floor(at)

        def value(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(map_coordinates(two.astype(float), [y, x], order=1))

        moving = value(*at)
        dx = value(at[0], cell[1] + 1) - value(at[0], cell[1])
        dy = value(cell[0] + 1, at[1]) - value(cell[0], at[1])
        fit = float(np.corrcoef(fixed[inside], moving[inside])[0, 1])
        if fit > best:
            best, found = fit, now
        if step < n:
            slopes = [dx * x + dy * mirror * y, dy * x - dx * mirror * y, dx, dy, moving]
            jacobian = np.stack([*slopes, np.ones_like(x)])[:, inside]
            normal = jacobian @ jacobian.T
            normal[np.diag_indices(6)] *= 1 + 1e-3
            normal += 1e-3 * np.eye(6)
            solved = np.linalg.solve(normal, jacobian @ fixed[inside])
            gain = solved[4] if abs(solved[4]) >= 0.3 else 0.3
            now = now + np.clip(solved[:4] / gain, [-0.12] * 2 + [-3] * 2, [0.12] * 2 + [3] * 2)
    return best, found


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("flipped", [False, True])
def test_steps_are_those_of_a_slow_loop(steps: int, flipped: bool, bands: NDArray[np.int8]) -> None:
    i, j = np.arange(11), np.arange(1, 12)
    start = np.repeat(START, 11, axis=0)
    course = Course(3.0, (-1.0,) * steps, 0.0)
    fits, found = refined(packed(bands), i, j, np.full(11, flipped), start, course)
    for k in range(11):
        fit, transform = slow_steps(bands[k], bands[k + 1], -1 if flipped else 1, START[0], steps)
        assert fits[k] == pytest.approx(fit, abs=2e-3)
        np.testing.assert_allclose(found[k], transform, atol=0.02)


def test_parts_are_joined(bands: NDArray[np.int8], monkeypatch: pytest.MonkeyPatch) -> None:
    i, j, flipped = np.arange(11), np.arange(1, 12), np.arange(11) % 2 > 0
    start, course = np.repeat(START, 11, axis=0), Course(3.0, (-1.0, -1.0), 0.0)
    whole = refined(packed(bands), i, j, flipped, start, course)
    monkeypatch.setattr("synthray.audit.alignment._AT_ONCE", 900)
    parts = refined(packed(bands), i, j, flipped, start, course)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    none = np.zeros(0, int)
    fit, found = refined(packed(bands), none, none, none > 0, start[:0], course)
    assert fit.shape == (0,)
    assert found.shape == (0, 4)


def test_pairs_below_the_floor_take_no_step(bands: NDArray[np.int8]) -> None:
    i, j = np.asarray([0, 0]), np.asarray([0, 1])  # itself, nearly in place, and another
    start = np.asarray([[1, 0, 0.5, 0.5]] * 2, np.float32)
    before, _ = refined(packed(bands), i, j, i > 0, start, Course(1.5, (), 0.0))
    assert before[0] > 0.5 > before[1]
    fit, found = refined(packed(bands), i, j, i > 0, start, Course(1.5, (0.5,) * 4, 0.0))
    assert fit[0] > 0.99
    assert fit[1] == before[1]
    np.testing.assert_allclose(found[0], [1, 0, 0, 0], atol=0.05)
    np.testing.assert_array_equal(found[1], start[1])


def test_settled_pairs_stop(bands: NDArray[np.int8]) -> None:
    i = np.zeros(1, int)
    start = np.asarray([[1, 0, 0.5, 0.5]], np.float32)
    # A step of more than half a pixel does not count as movement: nothing is looked at behind it.
    _, found = refined(packed(bands), i, i, i > 0, start, Course(1.5, (-1.0,) * 4, 9.0))
    np.testing.assert_array_equal(found, start)


class TestStructure:
    def test_rows_for_larger_images_are_made_once_and_alike(self, texture: Images) -> None:
        copies = working_copies(texture[..., None])
        half = copies[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
        structure = Structure(np.concatenate([copies, half]))
        i, j = np.arange(12), np.arange(12, 24)
        larger = np.tile(np.asarray([1.3, 0, 0, 0], np.float32), (12, 1))
        first = structure.judge(i, j, i < 0, larger)
        again = structure.judge(i, j, i < 0, larger)
        alone = [structure.judge(i[[k]], j[[k]], i[[k]] < 0, larger[[k]]) for k in range(12)]
        for side in (0, 1):
            np.testing.assert_array_equal(first[side], again[side])
            found = np.concatenate([each[side] for each in alone])
            np.testing.assert_allclose(first[side], found, atol=1e-5)

    def test_slopes_count_only_where_structure_is_alike(self, texture: Images) -> None:
        structure = Registration(working_copies(texture[..., None])).structure
        plain = np.tile(np.asarray([1, 0, 0, 0], np.float32), (2, 1))
        fits, along = structure.judge(np.zeros(2, int), np.arange(2), np.zeros(2, bool), plain)
        np.testing.assert_allclose([fits[0], along[0]], 1, atol=1e-4)
        assert fits[1] < 0.5
        assert along[1] == -1
