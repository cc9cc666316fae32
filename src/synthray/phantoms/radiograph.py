"""Random patients, and radiographs of them: projection, Beer-Lambert law, detector, display.

Every number comes from the key of its image, so that no image depends on its neighbours.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synthray.phantoms.bone_model import Array, Fracture, Limb, Paths, Rays, Tube

# Linear attenuation at 40 keV in 1/mm, the mean energy of a 60 kV beam for limbs: rounded, close to
# coefficients times densities of ICRU-44 tissues in the NIST tables (Hubbell and Seltzer, 2004);
# marrow in its spongy bone lies between muscle and cortex.
FAT, MUSCLE, CORTEX, MARROW = 0.0228, 0.0285, 0.1278, 0.036
# Relative deviations from place to place, by which patients in one pose differ: of a cortex with an
# uneven inner surface, and of trabeculae.
_UNEVEN, _TRABECULAE = 0.14, 0.8


class Draws:
    """Uniform random numbers, one row an image.

    Args:
        keys: One sequence of integers an image; equal keys give equal numbers.
        columns: Most numbers an image may draw.
    """

    def __init__(self, keys: list[list[int]], columns: int = 64) -> None:
        rows = [np.random.default_rng(key).random(columns, np.float32) for key in keys]
        self._columns = iter(np.stack(rows, axis=1)[:, :, np.newaxis, np.newaxis])

    def __call__(self, low: float = 0.0, high: float = 1.0) -> Array:
        """Return the next number of every image, between `low` and `high`: `(images, 1, 1)`."""
        column: Array = next(self._columns)
        return np.float32(low) + np.float32(high - low) * column


def draw_limb(draw: Draws, fractured: Array, displacement: float) -> Limb:
    """Return one random patient for each image.

    Args:
        draw: Keyed by patient; both classes use the same numbers.
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
        a=a, b=b, place=(x, zero), bow=(bow_x, bow_y), end=joint, side=1,
        flare=flare, metaphysis=metaphysis, cap=a, cortex=cortex,
    )  # fmt: skip
    partner = Tube(
        a=a * draw(0.9, 1.2), b=b * draw(0.9, 1.2), place=(x, zero), bow=(-bow_x, -bow_y),
        end=joint + draw(2.0, 4.0), side=-1,
        flare=flare * draw(0.8, 1.1), metaphysis=metaphysis, cap=a * draw(0.25, 0.6), cortex=cortex,
    )  # fmt: skip
    slim = draw(0.5, 0.85)
    second = Tube(
        a=a * slim, b=b * slim, place=(x + aside, draw(-4, 4)), bow=(bow_x * draw(-1, 1), bow_y),
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
    tilt = np.tan(np.deg2rad(draw(0, 30)))
    towards, sideways = draw(0, 2 * np.pi), draw(0, 2 * np.pi)
    # Most fragments moved far, a few so little that only a hairline shows.
    size = displacement * (1 - np.float32(0.95) * draw() ** 4)
    # Fragments stand apart, and overlap only once they have slid past each other.
    gap = np.where(size > 1, -draw(0, 12), 0.5 + size * draw(6, 10)).astype(np.float32)
    shift, lean = 2 * radius * fractured * size, fractured * min(displacement, 1) * draw(-0.2, 0.2)
    return Fracture(
        slope=(tilt * np.cos(towards), tilt * np.sin(towards)),
        rough=draw(0.1, 0.7), grain=radius * draw(0.1, 0.3),
        shift=(shift * np.cos(sideways), shift * np.sin(sideways)), gap=fractured * gap,
        lean=(lean * np.cos(towards), lean * np.sin(towards)),
    )  # fmt: skip


def draw_rays(
    draw: Draws, limb: Limb, around: Array, shape: tuple[int, int]
) -> tuple[Rays, Array, Array, Array]:
    """Return a random projection for each image: scale, pose, and where the limb lies.

    The beam is aimed near the place where the bone is broken, or would be.

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
    origin = limb.bone.place[0] * cos_around + limb.bone.place[1] * sin_around
    rays = Rays(cos * x + sin * y + origin, cos * y - sin * x, cos_around, sin_around, pixel)
    return rays, column, row, turn


def attenuation(paths: Paths, *, contrast: float, texture: Array | float = 0.0) -> Array:
    """Return the exponent of the Beer-Lambert law, `sum(mu * length)`, for every ray.

    Args:
        paths: Lengths in millimetres.
        contrast: Scales how much more bone attenuates than muscle; at 0 bone is invisible.
        texture: A field of deviation 1 by which cortex and marrow vary; 0 for even ones.
    """
    cortex = MUSCLE + contrast * (CORTEX - MUSCLE) * (1 + _UNEVEN * texture)
    marrow = MUSCLE + contrast * (MARROW - MUSCLE) * (1 + _TRABECULAE * texture)
    total = FAT * paths.fat + MUSCLE * paths.muscle + cortex * paths.cortex + marrow * paths.marrow
    return np.asarray(total, np.float32)


def detect(
    exponent: Array, draw: Draws, generators: list[np.random.Generator], *, noise: float
) -> Array:
    """Return what a detector measures behind the limb, as a share of the open beam."""
    height, width = exponent.shape[1:]
    scale = math.sqrt(height * width) / 64
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    heel = draw(-0.12, 0.12) * rows + draw(-0.12, 0.12) * columns  # of the anode
    signal = (1 + heel.astype(np.float32)) * np.exp(-exponent)
    reach = max(round(20 * scale), 1)
    haze = ndimage.uniform_filter(signal, (0, reach, reach), mode="nearest")
    signal = signal + draw(0.02, 0.12) * haze
    soft = ndimage.gaussian_filter(signal, (0, scale, scale), truncate=3)
    signal = signal + draw(0.2, 0.9) * (soft - signal)
    if noise > 0:
        photons = 1 / max(noise, 1e-6) ** 2
        counts = [g.poisson(photons * s) for g, s in zip(generators, signal, strict=True)]
        signal = np.maximum(np.stack(counts), 0.5).astype(np.float32) / np.float32(photons)
    return signal


def display(signal: Array, draw: Draws) -> NDArray[np.uint8]:
    """Return 8-bit images, bone bright: logarithm, window, tone curve, collimator."""
    height, width = signal.shape[1:]
    depth = -np.log(signal)
    low, high = np.percentile(depth, (1, 99.5), axis=(1, 2), keepdims=True).astype(np.float32)
    top = high * draw(0.9, 1.1)
    base = np.minimum(low, 0)
    tone = np.clip((depth - base) / np.maximum(top - base, 1e-3), 0, 1) ** draw(1.6, 2.4)
    fog = draw(0.01, 0.08)
    gray = fog + (1 - fog) * tone
    # One pair of edges is closed or padded to black, as in films shown in a square.
    rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    across = np.where(draw() < 0.7, np.abs(columns), np.abs(rows[:, None]))
    gray = gray * (across <= np.where(draw() < 0.5, draw(0.78, 1.0), np.float32(2)))
    return np.asarray(np.rint(255 * gray), np.uint8)


def smooth_fields(
    generators: list[np.random.Generator], shape: tuple[int, int], size: float
) -> Array:
    """Return random fields of mean 0 and deviation 1 with grains of `size` pixels."""
    white = np.stack([g.standard_normal(shape, np.float32) for g in generators])
    field = ndimage.gaussian_filter(white, (0, size, size), mode="wrap", truncate=3)
    return field / np.maximum(field.std(axis=(1, 2), keepdims=True), 1e-6)
