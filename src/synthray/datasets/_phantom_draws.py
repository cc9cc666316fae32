"""Random patients and projections: every number comes from a key, none from a neighbour."""

from __future__ import annotations

import numpy as np

from synthray.datasets._bone_model import Array, Fracture, Limb, Rays, Tube


class Draws:
    """Uniform random numbers, one row an image, so that no image depends on its neighbours.

    Args:
        keys: One sequence of integers an image; equal keys draw equal numbers.
        columns: How many numbers an image may draw.
    """

    def __init__(self, keys: list[list[int]], columns: int = 64) -> None:
        rows = [np.random.default_rng(key).random(columns, np.float32) for key in keys]
        self._columns = iter(np.stack(rows, axis=1)[:, :, np.newaxis, np.newaxis])

    def __call__(self, low: float = 0.0, high: float = 1.0) -> Array:
        """Return the next number of every image, between `low` and `high`: `(images, 1, 1)`."""
        column: Array = next(self._columns)
        return np.float32(low) + np.float32(high - low) * column


def draw_limb(draw: Draws, fractured: Array, displacement: float) -> Limb:
    """Draw one patient an image.

    Args:
        draw: Keyed by patient; both classes draw the same numbers.
        fractured: 1 or 0 an image, shape `(images, 1, 1)`.
        displacement: Largest sideways shift of a fragment, in shaft diameters.
    """
    a = draw(8, 13)
    b = a * draw(0.85, 1.15)
    cortex, flare, metaphysis = a * draw(0.3, 0.5), draw(0.5, 1.0), draw(18, 32)
    bow_x, bow_y, zero = draw(-8, 8), draw(-8, 8), np.zeros_like(a)
    # In six of ten limbs the joint lies far outside the picture.
    joint = metaphysis + np.where(draw() < 0.4, draw(14, 45), np.float32(400)).astype(np.float32)
    has_second = (draw() < 0.5).astype(np.float32)
    side = np.where(draw() < 0.5, -1, 1).astype(np.float32)
    aside = side * a * draw(2.1, 2.9)
    x = draw(-6, 6) - np.float32(0.5) * has_second * aside
    bone = Tube(
        a=a, b=b, x=x, y=zero, bow_x=bow_x, bow_y=bow_y, end=joint, side=1,
        flare=flare, metaphysis=metaphysis, cap=a, cortex=cortex,
    )  # fmt: skip
    partner = Tube(
        a=a * draw(0.9, 1.2), b=b * draw(0.9, 1.2), x=x, y=zero, bow_x=-bow_x, bow_y=-bow_y,
        end=joint + draw(2.0, 4.0), side=-1,
        flare=flare * draw(0.8, 1.1), metaphysis=metaphysis, cap=a * draw(0.25, 0.6), cortex=cortex,
    )  # fmt: skip
    slim = draw(0.5, 0.85)
    second = Tube(
        a=a * slim, b=b * slim, x=x + aside, y=draw(-4, 4), bow_x=bow_x * draw(-1, 1), bow_y=bow_y,
        end=joint - draw(0, 14), side=1,
        flare=flare * draw(0.3, 0.9), metaphysis=metaphysis * slim, cap=a * slim,
        cortex=cortex * slim,
    )  # fmt: skip
    muscle = a * draw(2.2, 3.2) + has_second * np.abs(aside) * np.float32(0.45)
    return Limb(
        bone=bone, partner=partner, second=second, has_second=has_second,
        condyle=draw(0.85, 1.15), muscle_a=muscle, muscle_b=muscle * draw(0.8, 1.0),
        taper=draw(-0.35, 0.1), bulge=draw(-0.05, 0.25), fat=draw(2, 8),
        fracture=_draw_fracture(draw, a, fractured, displacement),
    )  # fmt: skip


def _draw_fracture(draw: Draws, radius: Array, fractured: Array, displacement: float) -> Fracture:
    tilt, towards, sideways = (
        np.tan(np.deg2rad(draw(0, 30))),
        draw(0, 2 * np.pi),
        draw(0, 2 * np.pi),
    )
    # Most fragments moved far, a few so little that only a hairline tells.
    size = displacement * (1 - np.float32(0.95) * draw() ** 4)
    # Fragments stand apart, and overlap only once they have slid past each other.
    gap = np.where(size > 1, -draw(0, 12), 0.5 + size * draw(6, 10)).astype(np.float32)
    shift, lean = 2 * radius * fractured * size, fractured * min(displacement, 1) * draw(-0.2, 0.2)
    return Fracture(
        slope_x=tilt * np.cos(towards), slope_y=tilt * np.sin(towards),
        rough=draw(0.1, 0.7), grain=radius * draw(0.1, 0.3),
        shift_x=shift * np.cos(sideways), shift_y=shift * np.sin(sideways), gap=fractured * gap,
        lean_x=lean * np.cos(towards), lean_y=lean * np.sin(towards),
    )  # fmt: skip


def draw_rays(
    draw: Draws, limb: Limb, around: Array, shape: tuple[int, int]
) -> tuple[Rays, Array, Array, Array]:
    """Draw the projection of each image: scale, pose, and where the limb lies.

    The beam is aimed near the place where the bone is, or could have been, broken.

    Args:
        draw: Keyed by image.
        limb: The patients.
        around: Angle of the detector around the limb, in radians, before its error of 15 degrees.
        shape: Height and width in pixels.

    Returns:
        The rays; column and row of the limb's origin on the bone; the limb's turn in the image.
    """
    height, width = shape
    long, short = max(shape), min(shape)
    pixel = draw(80, 105) / np.float32(np.sqrt(height * width))
    around = around + np.deg2rad(draw(-15, 15))
    # Limbs lie along the longer side; half of them point the other way.
    turn = np.deg2rad(draw(-12, 12) * np.float32(short / long) + (90 if width > height else 0))
    turn = turn + np.where(draw() < 0.5, np.float32(np.pi), np.float32(0))
    across, along = short * draw(-0.12, 0.12), long * draw(-0.15, 0.15)
    cos, sin = np.cos(turn), np.sin(turn)
    column = (width - 1) / 2 + cos * across - sin * along
    row = (height - 1) / 2 + sin * across + cos * along
    x = (np.arange(width, dtype=np.float32) - column) * pixel
    y = (np.arange(height, dtype=np.float32)[:, np.newaxis] - row) * pixel
    cos_around, sin_around = np.cos(around), np.sin(around)
    origin = limb.bone.x * cos_around + limb.bone.y * sin_around
    rays = Rays(cos * x + sin * y + origin, cos * y - sin * x, cos_around, sin_around, pixel)
    return rays, column, row, turn
