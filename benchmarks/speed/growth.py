"""How the time of `find_duplicates` and `evaluate_samples` grows with the number of images.

    python benchmarks/speed/growth.py [--data FOLDER] [--sizes 2500 5000 10000 20000]

FOLDER holds `fracatlas_64.npz`; without it, phantoms. So many images there are not: each radiograph
comes in several versions, all but the first turned and shifted a little, and each size has all
versions of its radiographs, so that the share of copies is the same at every size.
`evaluate_samples` gets so many training, drawn and held-out images each, of different radiographs;
the features and the screen for copies are timed inside the one call, the rest are scores.

Seconds are those of the processor, of all threads together, so that other work on the machine
counts little. A size that would take longer than `--limit` is left out, to judge by the one before.
Writes `growth.json` after each size: seconds, and for neighbouring sizes the exponent `p` of
`n ** p`.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from speed import _options
from synthray.audit.samples.memorization import memorization

ARCHIVE = "fracatlas_64.npz"
QUICK = {"sizes": [60, 120], "size": 32}
PHANTOMS = 4_083  # as many as the archive has
GROWS_BY = 4  # at most, where the number of images doubles
STEPS = (
    "find_duplicates",
    "evaluate_samples, features",
    "evaluate_samples, scores",
    "evaluate_samples, screen for copies",
    "evaluate_samples",
)
LARGEST_TURN, LARGEST_SHIFT = 10.0, 3.0  # degrees, pixels of 64


def radiographs(data: Path | None, size: int, seed: int, largest: int) -> np.ndarray:
    """Return different images, `(n, size, size)`, no more than are needed."""
    if data is None:
        n = min(PHANTOMS, 3 * largest)
        return sr.make_phantoms(n, image_shape=(size, size, 1), views=1, seed=seed).images[..., 0]
    with np.load(data / ARCHIVE, allow_pickle=False) as archive:
        images = archive["images"]
    return images[np.random.default_rng(seed).permutation(len(images))[: 3 * largest]]


def jittered(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each image turned and shifted a little."""
    made = np.empty_like(images)
    middle = (np.asarray(images.shape[1:]) - 1) / 2
    for place, image in enumerate(images):
        angle = np.deg2rad(rng.uniform(-LARGEST_TURN, LARGEST_TURN))
        shift = rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2) * len(image) / 64
        turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        ndimage.affine_transform(
            image, turn, middle - turn @ (middle + shift), output=made[place], order=1
        )
    return made


def versions(images: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` images or a few more, all versions of one behind each other."""
    count = -(-n // len(images))
    images = images[: -(-n // count)]
    made = np.stack([images, *(jittered(images, rng) for _ in range(count - 1))], axis=1)
    return made.reshape(-1, *images.shape[1:])


def exponents(seconds: dict[int, float]) -> list[float]:
    """Return `p` of `n ** p` between neighbouring sizes."""
    sizes = sorted(seconds)
    return [
        math.log(seconds[b] / seconds[a]) / math.log(b / a) for a, b in itertools.pairwise(sizes)
    ]


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.set_defaults(rounds=1)
    options.add_argument("--data", type=Path, help=f"folder with {ARCHIVE}")
    options.add_argument("--sizes", type=int, nargs="+", default=[2_500, 5_000, 10_000, 20_000])
    options.add_argument("--limit", type=float, default=1_200, help="seconds of one call")
    options.add_argument("--size", type=int, default=64, help="height and width of phantoms")
    args = _options.parsed(options, arguments, QUICK)
    if args.data is not None and not (args.data / ARCHIVE).is_file():
        print(f"{ARCHIVE} is not in the folder that --data names: phantoms in its place")
        args.data = None
    rng = np.random.default_rng(args.seed)
    largest = max(args.sizes)
    base = radiographs(args.data, args.size, args.seed, largest)
    families = versions(base, largest, rng)
    train, drawn, held_out = (versions(base[part::3], largest, rng) for part in range(3))
    copies = Timed(memorization)
    features = Timed(sr.random_features)
    sized: dict[str, dict[int, float]] = {name: {} for name in STEPS}
    with mock.patch("synthray.audit.samples.evaluate.memorization", copies):
        for n in sorted({min(50, *args.sizes), *args.sizes}):
            warming = n not in args.sizes  # imports and compilation are not part of the time
            found: list[dict[str, float]] = []
            for _ in range(1 if warming else args.rounds):
                row = {}
                if warming or _within(args.limit, sized["find_duplicates"]):
                    row["find_duplicates"] = seconds(sr.find_duplicates, families[:n], verbose=0)
                if warming or _within(args.limit, sized["evaluate_samples"]):
                    copies.seconds = features.seconds = 0.0
                    sets = (train[:n], drawn[:n], held_out[:n])
                    whole = seconds(sr.evaluate_samples, *sets, features=features)
                    parts = features.seconds, whole - features.seconds - copies.seconds
                    row |= dict(zip(STEPS[1:], (*parts, copies.seconds, whole), strict=True))
                found.append(row)
            for name in () if warming else STEPS:
                if name in found[0]:
                    sized[name][n] = min(row[name] for row in found)
                    print(f"{name}, {n:,} images: {sized[name][n]:.2f} s", flush=True)
                else:
                    print(f"{name}, {n:,} images: left out, it could take longer than --limit")
            if not warming:
                keep(args, [size for size in sorted(args.sizes) if size <= n], sized, len(base))


def keep(
    args: argparse.Namespace,
    sizes: list[int],
    sized: dict[str, dict[int, float]],
    radiographs: int,
) -> None:
    """Write what has been measured."""
    grown = {name: exponents(found) for name, found in sized.items()}
    values = {
        "seconds": {name: list(found.values()) for name, found in sized.items()},  # by size
        "sizes": sizes,
        "exponents": grown,
        "images": "phantoms" if args.data is None else ARCHIVE,
        "radiographs": radiographs,
    }
    _options.keep(args, "growth", "growth", values)


class Timed:
    """Calls a function and adds up the seconds that it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        found = self._function(*arguments, **options)
        self.seconds += time.process_time() - began
        return found


def seconds(function: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    timed = Timed(function)
    timed(*arguments, **options)
    return timed.seconds


def _within(limit: float, found: dict[int, float]) -> bool:
    return not found or GROWS_BY * list(found.values())[-1] <= limit


if __name__ == "__main__":
    _options.run(main)
