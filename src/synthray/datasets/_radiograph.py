"""From path lengths to an 8-bit radiograph: Beer-Lambert law, detector, display."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from synthray.datasets._bone_model import Array, Paths
from synthray.datasets._phantom_draws import Draws

# Linear attenuation at 40 keV in 1/mm, the mean energy of a 60 kV beam for limbs: rounded, close to
# coefficients times densities of ICRU-44 tissues in the NIST tables (Hubbell and Seltzer, 2004);
# marrow in its spongy bone lies between muscle and cortex.
FAT, MUSCLE, CORTEX, MARROW = 0.0228, 0.0285, 0.1278, 0.036


def attenuation(paths: Paths, *, contrast: float, texture: Array | float = 0.0) -> Array:
    """Return the exponent of the Beer-Lambert law, `sum(mu * length)`, for every ray.

    Args:
        paths: Lengths in millimetres.
        contrast: Scales how much more bone attenuates than muscle; at 0 bone is invisible.
        texture: Relative change of the marrow's attenuation (trabeculae).
    """
    cortex = MUSCLE + contrast * (CORTEX - MUSCLE)
    marrow = MUSCLE + contrast * (MARROW - MUSCLE) * (1 + texture)
    total = FAT * paths.fat + MUSCLE * paths.muscle + cortex * paths.cortex + marrow * paths.marrow
    return np.asarray(total, np.float32)


def detect(
    exponent: Array, draw: Draws, generators: list[np.random.Generator], *, noise: float
) -> Array:
    """Return what a detector measures behind the limb, as a share of the open beam."""
    height, width = exponent.shape[1:]
    scale = math.sqrt(height * width) / 64
    beam = 1 + _ramp(draw, height, width, 0.12)  # the anode's heel effect
    signal = beam * np.exp(-exponent)
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


def _ramp(draw: Draws, height: int, width: int, size: float) -> Array:
    rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    ramp = draw(-size, size) * rows[:, None] + draw(-size, size) * columns
    return ramp.astype(np.float32)
