"""A limb in three dimensions, and the length of every X-ray's path through its tissues.

Every part is a tube along `z`: at each height an ellipse with a moving centre. A parallel ray at
detector position `u` enters and leaves an ellipse at two depths that a square root gives, and a
fracture plane cuts that interval at a third. So no voxels are needed. All lengths are in
millimetres; arrays broadcast as `(images, height, width)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[Array, Array]
"""A place or a direction across the limb: x and y."""


@dataclass(frozen=True)
class Rays:
    """Parallel rays: detector position across (`u`) and along (`z`) the limb, and direction.

    `cos` and `sin` are of the angle by which the detector is turned around the limb.
    """

    u: Array
    z: Array
    cos: Array
    sin: Array
    pixel: Array

    def project(self, x: Array, y: Array) -> Point:
        """Return where a point lies across the detector and in depth."""
        return x * self.cos + y * self.sin, y * self.cos - x * self.sin


@dataclass(frozen=True)
class Tube:
    """A bone's shaft that bows and widens towards its rounded end at `z = end`.

    `place` is that of its centre at `z = 0`, and `side` is 1 where the bone lies below its end and
    -1 where it lies above.
    """

    a: Array
    b: Array
    place: Point
    bow: Point
    end: Array
    side: int
    flare: Array
    metaphysis: Array
    cap: Array
    cortex: Array

    def centre(self, rays: Rays, z: Array) -> Point:
        """Return the centre line at height `z`, across the detector and in depth."""
        bend = np.square(z * np.float32(0.01))
        (x, y), (bow_x, bow_y) = self.place, self.bow
        return rays.project(x + bow_x * bend, y + bow_y * bend)

    def interval(self, rays: Rays, u: Array, z: Array) -> tuple[Array, Array, Array]:
        """Return the middle depth and the outer and inner half chords of the rays `(u, z)`."""
        depth = self.side * (self.end - z)
        widening = 1 / (1 + np.square(np.square(depth / self.metaphysis)))
        cap = np.sqrt(np.maximum(1 - np.square(np.maximum(1 - depth / self.cap, 0)), 0))
        outer = (1 + self.flare * widening) * cap
        inner = np.maximum(outer - self.cortex / self.a * (1 - np.float32(0.75) * widening), 0)
        u0, v0 = self.centre(rays, z)
        t = u - u0
        middle, half = ellipse_chords(t, self.a, self.b, rays.cos, rays.sin, (outer, inner))
        return v0 + middle, half[0], half[1]


def ellipse_chords(
    t: Array, a: Array, b: Array, cos: Array, sin: Array, scales: tuple[Array, ...]
) -> tuple[Array, list[Array]]:
    """Return middle depth and half chords of rays through scaled copies of one ellipse.

    The ellipse `(x/a)^2 + (y/b)^2 = s^2` is met by the ray `(x, y) = t (cos, sin) + v (-sin, cos)`
    where `A v^2 + 2 B t v + C t^2 = s^2`; hence `v = -B t / A +- sqrt(s^2 A - t^2 / (a b)^2) / A`.
    """
    big_a = np.square(sin / a) + np.square(cos / b)
    big_b = sin * cos * (1 / np.square(b) - 1 / np.square(a))
    t2 = np.square(t / (a * b))
    halves = [np.sqrt(np.maximum(big_a * np.square(s) - t2, 0)) / big_a for s in scales]
    return -big_b / big_a * t, halves


def sphere_half_chord(t: Array, z: Array, radius: Array) -> Array:
    """Return half the path through a sphere with its centre at `t = z = 0`."""
    return np.sqrt(np.maximum(np.square(radius) - np.square(t) - np.square(z), 0))


@dataclass(frozen=True)
class Fracture:
    """A plane through the shaft's centre at `z = 0`, and how the fragment at `z > 0` moved.

    The plane is `z = slope (x, y)`, rippled by `rough sin(u / grain)`. The fragment moves by
    `(*shift, gap)` and leans by `lean` millimetres a millimetre. An intact bone has a plane too:
    without a movement its two fragments add up to the whole, so both classes take the same path
    through the code.
    """

    slope: Point
    rough: Array
    grain: Array
    shift: Point
    gap: Array
    lean: Point


@dataclass(frozen=True)
class Limb:
    """One patient's anatomy: a main bone with its joint, a second bone, muscle and fat."""

    bone: Tube
    partner: Tube
    second: Tube
    has_second: Array
    condyle: Array
    muscle_a: Array
    muscle_b: Array
    taper: Array
    bulge: Array
    fat: Array
    fracture: Fracture


@dataclass(frozen=True)
class Paths:
    """Path lengths of every ray in each material, shape `(images, height, width)`."""

    fat: Array
    muscle: Array
    cortex: Array
    marrow: Array


def clipped_length(half: Array, level: Array, slope: Array, pixel: Array) -> Array:
    """Return the length of the part of `-half <= v <= half` where `level + slope v > 0`.

    A plane that a ray runs along is softened over one pixel, as a detector's pixel does.
    """
    rise = np.maximum(np.abs(slope) * half, pixel / 2)
    return half * np.clip(1 + level / rise, 0, 2)


def path_lengths(limb: Limb, rays: Rays) -> Paths:
    """Trace every ray through the limb.

    Lengths are exact but for three shortcuts: where condyles overlap the shaft the longer path
    counts, fragments lean by a shear, and the ripple of a fracture is that of its silhouette.
    """
    bone, cut = limb.bone, limb.fracture
    slope_u, slope_v = rays.project(*cut.slope)
    shift_u, _ = rays.project(*cut.shift)
    lean_u, _ = rays.project(*cut.lean)
    u0, v0 = bone.centre(rays, np.zeros_like(bone.a))

    # Rays seen from the fragment that moved: move them back instead.
    far_z = rays.z - cut.gap
    far_u = rays.u - shift_u - lean_u * far_z
    outer = inner = np.zeros_like(far_u)
    for side, u, z in ((1, rays.u, rays.z), (-1, far_u, far_z)):
        middle, half_outer, half_inner = bone.interval(rays, u, z)
        ripple = cut.rough * np.sin((u - u0) / cut.grain)
        level = side * (slope_u * (u - u0) + slope_v * (middle - v0) + ripple - z)
        outer = outer + clipped_length(half_outer, level, slope_v, rays.pixel)
        inner = inner + clipped_length(half_inner, level, slope_v, rays.pixel)

    # Two condyles round off the end.
    radius = limb.condyle * bone.a
    core = radius - np.float32(0.9)
    end_u, _ = bone.centre(rays, bone.end)
    apart = np.float32(0.75) * radius * rays.cos
    z = far_z - bone.end + np.float32(0.7) * radius
    for side in (-1, 1):
        t = far_u - end_u - side * apart
        outer = np.maximum(outer, 2 * sphere_half_chord(t, z, radius))
        inner = np.maximum(inner, 2 * sphere_half_chord(t, z, core))

    for tube, present, u, z in (
        (limb.partner, np.float32(1), far_u, far_z),
        (limb.second, limb.has_second, rays.u, rays.z),
    ):
        _, half_outer, half_inner = tube.interval(rays, u, z)
        outer = outer + 2 * present * half_outer
        inner = inner + 2 * present * half_inner

    along = rays.z * np.float32(0.01)
    girth = np.maximum(1 + limb.taper * along - limb.bulge * np.square(along), np.float32(0.4))
    skin = girth + limb.fat / limb.muscle_a
    _, (skin, flesh) = ellipse_chords(
        rays.u, limb.muscle_a, limb.muscle_b, rays.cos, rays.sin, (skin, girth)
    )
    return Paths(2 * (skin - flesh), np.maximum(2 * flesh - outer, 0), outer - inner, inner)
