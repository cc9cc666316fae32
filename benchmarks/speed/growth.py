"""How the time of `find_duplicates` and `evaluate_samples` grows with the number of images.

    python benchmarks/speed/growth.py [--data FOLDER] [--sizes 2500 5000 10000 20000]

FOLDER holds `fracatlas_64.npz`; without it, phantoms. So many images there are not: each radiograph
comes in several versions, all but the first turned and shifted a little, and each size has all
versions of its radiographs, so that the share of copies is the same at every size.
`evaluate_samples` gets so many training, drawn and held-out images each, of different radiographs:
its three steps are the features alone, all scores, and the scores with the screen for copies. A
size that would take longer than `--limit` is left out, to judge by the one before. Writes
`growth.json`: seconds, and for neighbouring sizes the exponent `p` of `n ** p`.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from speed import _options

ARCHIVE = "fracatlas_64.npz"
QUICK = {"sizes": [60, 120], "size": 32}
PHANTOMS = 4_083  # as many as the archive has
GROWS_BY = 4  # at most, where the number of images doubles
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
    options.add_argument("--limit", type=float, default=1_200, help="seconds of one measurement")
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
    steps: dict[str, Callable[[int], Any]] = {
        "find_duplicates": lambda n: sr.find_duplicates(families[:n], verbose=0),
        "evaluate_samples, features": lambda n: sr.random_features(train[:n, ..., None]),
        "evaluate_samples, copies=False": lambda n: sr.evaluate_samples(
            train[:n], drawn[:n], held_out[:n], copies=False
        ),
        "evaluate_samples": lambda n: sr.evaluate_samples(train[:n], drawn[:n], held_out[:n]),
    }
    seconds: dict[str, dict[int, float]] = {name: {} for name in steps}
    for name, step in steps.items():
        step(min(50, *args.sizes))  # imports and compilation are not part of the time
        for n in sorted(args.sizes):
            if seconds[name] and GROWS_BY * list(seconds[name].values())[-1] > args.limit:
                print(f"{name}, {n:,} images: left out, it could take longer than --limit")
                break
            found = []
            for _ in range(args.rounds):
                began = time.perf_counter()
                step(n)
                found.append(time.perf_counter() - began)
            seconds[name][n] = min(found)
            print(f"{name}, {n:,} images: {seconds[name][n]:.2f} s", flush=True)
    grown = {name: exponents(values) for name, values in seconds.items()}
    print(f"exponents: {grown}")
    values = {
        "seconds": {name: list(found.values()) for name, found in seconds.items()},  # by size
        "sizes": sorted(args.sizes),
        "exponents": grown,
        "images": "phantoms" if args.data is None else ARCHIVE,
        "radiographs": len(base),
    }
    _options.keep(args, "growth", "growth", values)


if __name__ == "__main__":
    _options.run(main)
