"""Images with planted copies and a known truth, and measures on them, for the leak audit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.ndimage import affine_transform, gaussian_filter

KINDS = (
    *("bytes", "jpeg", "resize", "bright", "contrast"),
    *("flip", "rot", "rotexp", "rotcrop", "crop"),
)
"""What may be done to a copy.

`rot` turns by any angle and leaves black corners; `rotexp` enlarges the canvas instead, by up to 30
degrees; `rotcrop` cuts the corners away, up to 25 degrees; `crop` keeps 88 to 97 % of each side.
"""

AFFINE = ("shear", "zoom", "turn", "shift", "flip", "bright", "blur", "jpeg")
"""What augmentation in the manner of Keras' `ImageDataGenerator` does to a copy.

`shear` by up to 20 degrees, `zoom` by 0.7 to 1.4 in each direction, `turn` by any angle, `shift` by
up to a fifth in each direction; what comes in is black, reflected or repeated.
"""

BORDERS = ("constant", "reflect", "nearest")

Images = NDArray[np.uint8]


def changed(image: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """Return a copy of a gray image, changed in one way."""
    w, h = image.size
    size = (w, h)
    cubic = Image.Resampling.BICUBIC
    if kind == "bytes":
        return image.copy()
    if kind == "jpeg":
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(rng.integers(40, 90)))
        return Image.open(io.BytesIO(stream.getvalue())).convert("L")
    if kind == "resize":
        f = rng.uniform(0.5, 0.9)
        return image.resize((int(w * f), int(h * f)), cubic).resize(size, cubic)
    if kind == "bright":
        gray = np.asarray(image) * rng.uniform(0.7, 1.3) + rng.uniform(-30, 30)
        return Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8))
    if kind == "contrast":
        gray = 255 * (np.asarray(image) / 255.0) ** rng.uniform(0.7, 1.4)
        return Image.fromarray(gray.astype(np.uint8))
    if kind == "flip":
        return ImageOps.mirror(image) if rng.random() < 0.5 else ImageOps.flip(image)
    if kind == "rot":
        return image.rotate(rng.uniform(0, 360), cubic)
    if kind == "rotexp":
        return image.rotate(rng.uniform(-30, 30), cubic, expand=True).resize(size, cubic)
    if kind == "rotcrop":
        angle = rng.uniform(-25, 25)
        slope = np.deg2rad(abs(angle))
        margin = (1 - 1 / (np.cos(slope) + np.sin(slope))) / 2
        box = (w * margin, h * margin, w * (1 - margin), h * (1 - margin))
        return image.rotate(angle, cubic).resize(size, cubic, box=box)
    if kind == "crop":
        f = rng.uniform(0.88, 0.97)
        x, y = rng.uniform(0, w * (1 - f)), rng.uniform(0, h * (1 - f))
        return image.resize(size, cubic, box=(x, y, x + w * f, y + h * f))
    if kind == "blur":
        return Image.fromarray(gaussian_filter(np.asarray(image), rng.uniform(0.5, 1.5)))
    if kind in AFFINE:
        return warped(image, kind, rng)
    raise ValueError(f"unknown kind {kind!r}; known are {', '.join({*KINDS, *AFFINE})}")


def warped(image: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """Return a sheared, zoomed, turned or shifted copy."""
    pixels = np.asarray(image)
    matrix, shift = np.eye(2), np.zeros(2)
    if kind == "shear":
        angle = np.deg2rad(rng.uniform(-20, 20))
        matrix = np.array([[1, -np.sin(angle)], [0, np.cos(angle)]])
    elif kind == "zoom":
        matrix = np.diag(1 / rng.uniform(0.7, 1.4, 2))
    elif kind == "turn":
        angle = rng.uniform(0, 2 * np.pi)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    else:
        shift = rng.uniform(-0.2, 0.2, 2) * pixels.shape
    middle = (np.asarray(pixels.shape) - 1) / 2
    mode = BORDERS[rng.integers(len(BORDERS))]
    offset = middle - matrix @ middle + shift
    return Image.fromarray(affine_transform(pixels, matrix, offset, order=1, mode=mode))


def resized(image: Image.Image, side: int) -> Images:
    """Return the pixels of an image, shrunk to a square."""
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))


def plant(
    images: Images,
    *,
    copies: int,
    side: int,
    seed: int,
    together: int = 1,
    among: Sequence[str] = KINDS,
) -> tuple[Images, NDArray[np.int64], list[str]]:
    """Return images with copies of each, their truth and what was done to them.

    Args:
        images: Gray images of different radiographs, shape `(n, h, w)`.
        copies: How many of each; their kinds differ while there are enough kinds.
        side: Height and width of what is returned; changes are made before shrinking.
        seed: Of kinds and amounts.
        together: How many different kinds are applied to one copy, one after the other.
        among: The kinds to choose from.

    Returns:
        Images `(n * (1 + copies), side, side)`, the number of the radiograph that each shows, and
        the kinds, joined by `+`; `""` for the images themselves.
    """
    rng = np.random.default_rng(seed)
    found, truth, kinds = [], [], []
    for number, pixels in enumerate(images):
        original = Image.fromarray(pixels)
        found.append(resized(original, side))
        truth.append(number)
        kinds.append("")
        deck = rng.permutation(among).tolist()
        for copy in range(copies):
            if together == 1:
                done = [deck[copy % len(deck)]]
            else:
                done = rng.choice(among, together, replace=False).tolist()
            image = original
            for kind in done:
                image = changed(image, kind, rng)
            found.append(resized(image, side))
            truth.append(number)
            kinds.append("+".join(done))
    return np.stack(found), np.asarray(truth, np.int64), kinds


def textured(n: int, *, side: int = 128, seed: int = 0) -> Images:
    """Return different images with structure everywhere, for tests without radiographs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    frame = np.clip((0.95 - np.hypot(x, y)) * 6, 0, 1)
    images = []
    for _ in range(n):
        gray = np.zeros((side, side))
        for sigma, weight in ((1.5, 0.5), (4.0, 1.0), (10.0, 1.5)):
            noise = gaussian_filter(rng.normal(size=(side, side)), sigma * side / 128)
            gray += weight * noise / noise.std()
        images.append(np.clip((110 + 35 * gray) * frame, 0, 255).astype(np.uint8))
    return np.stack(images)


def cells(n: int, *, side: int = 64, seed: int = 0) -> Images:
    """Return different images of round cells with nuclei on a bright ground, as in a smear."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images = []
    for _ in range(n):
        gray = gaussian_filter(rng.normal(size=(side, side)), 1) * 12 + rng.uniform(190, 225)
        for _ in range(int(rng.integers(8, 22))):
            cy, cx = rng.uniform(0, side, 2)
            ry, rx = rng.uniform(0.05, 0.13, 2) * side
            turn, depth = rng.uniform(0, np.pi), rng.uniform(20, 70)
            for size, weight in ((1.0, 1.0), (rng.uniform(0.3, 0.6), rng.uniform(-0.7, 1.2))):
                u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / (rx * size)
                v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / (ry * size)
                gray -= depth * weight / (1 + np.exp((np.hypot(u, v) - 1) * 8))
        images.append(np.clip(gray, 0, 255).astype(np.uint8))
    return np.stack(images)


def speckled(n: int, *, side: int = 64, seed: int = 0) -> Images:
    """Return different images of layers and dark masses in speckle, as in an ultrasound scan."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    images = []
    for _ in range(n):
        bent = y + 0.05 * np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.5) + rng.random()))
        echo = 0.6 + 0.3 * np.sin(2 * np.pi * (bent * rng.uniform(1, 3) + rng.random()))
        for _ in range(int(rng.integers(1, 4))):
            cy, cx = rng.uniform(0.2, 0.8, 2)
            ry, rx = rng.uniform(0.06, 0.2, 2)
            mass = 1 / (1 + np.exp((np.hypot((x - cx) / rx, (y - cy) / ry) - 1) * 10))
            echo *= 1 - rng.uniform(0.5, 0.9) * mass
        parts = [gaussian_filter(rng.normal(size=(side, side)), 0.8) for _ in range(2)]
        gray = np.log1p(20 * echo * np.hypot(*parts) / 0.35) / np.log(40) * 200
        images.append(np.clip(gray, 0, 255).astype(np.uint8))
    return np.stack(images)


def lesions(n: int, *, side: int = 64, seed: int = 0) -> Images:
    """Return different images of a dark lesion on skin with hairs, as through a dermatoscope."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    images = []
    for _ in range(n):
        fine, coarse, wide = (
            gaussian_filter(rng.normal(size=(side, side)), sigma) * 2 * sigma
            for sigma in (0.8, 2.5, 8.0)
        )
        gray = rng.uniform(150, 205) + 4 * fine + 5 * wide
        cy, cx = rng.uniform(-0.15, 0.15, 2)
        ry, rx = rng.uniform(0.12, 0.32, 2)
        edge = np.hypot((x - cx) / rx, (y - cy) / ry) - 1 + 0.25 * wide + 0.1 * coarse
        gray -= (rng.uniform(40, 90) + 14 * coarse + 6 * fine) / (1 + np.exp(edge * 8))
        for _ in range(int(rng.integers(0, 5))):
            turn, middle, bend = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4), rng.uniform(-1, 1)
            along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
            hair = (across - middle - bend * along**2) * side
            gray -= rng.uniform(30, 80) * np.exp(-(hair**2))
        images.append(np.clip(gray, 0, 255).astype(np.uint8))
    return np.stack(images)


def one_a_group(path: Path, n: int, *, seed: int) -> Images:
    """Return `n` random images of an archive with `images` and `group`, one a group."""
    with np.load(path) as archive:
        images, groups = archive["images"], archive["group"]
    first = np.unique(groups, return_index=True)[1]
    chosen = np.random.default_rng(seed).permutation(first)[:n]
    return np.asarray(images[chosen], np.uint8)


def renumbered(codes: NDArray[np.int64]) -> list[int]:
    """Return the same clusters, numbered in order of first appearance."""
    seen: dict[int, int] = {}
    return [seen.setdefault(code, len(seen)) for code in codes.tolist()]


def pair_scores(found: NDArray[np.int64], truth: NDArray[np.int64]) -> tuple[float, float]:
    """Return precision and recall over pairs of images."""

    def pairs(codes: NDArray[np.int64]) -> float:
        counts = np.unique(codes, return_counts=True)[1].astype(float)
        return float((counts * (counts - 1) / 2).sum())

    both = np.unique(np.stack([found, truth]), axis=1, return_inverse=True)[1].ravel()
    right = pairs(both)
    return right / max(pairs(found), 1.0), right / max(pairs(truth), 1.0)


def found_by_kind(
    found: NDArray[np.int64], truth: NDArray[np.int64], kinds: list[str]
) -> dict[str, tuple[int, int]]:
    """Return for each kind how many copies are in the cluster of their original, and how many are.

    A copy of two kinds counts for both.
    """
    original = {int(t): f for f, t, kind in zip(found, truth, kinds, strict=True) if not kind}
    table: dict[str, tuple[int, int]] = {}
    for cluster, number, done in zip(found, truth, kinds, strict=True):
        for kind in done.split("+") if done else ():
            hits, count = table.get(kind, (0, 0))
            table[kind] = (hits + int(cluster == original[int(number)]), count + 1)
    return table
