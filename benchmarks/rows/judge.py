"""Proves the judge of `evaluate_samples`: real images, damaged in known ways, must read as damaged.

    python -m benchmarks.rows.judge --data FOLDER

Of each set it takes one image a group, both classes together, and puts some aside. Others are
damaged, or reduced to few different ones, and compared with those that were put aside, by the
judging backbone and by the random features that were the judge before it. Then real images are
compared with real ones, in sets of several sizes and several divisions.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import swirl

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.data import PROOF, SOURCES, load
from synthray.datasets import pixels
from synthray.evaluation.distances import standardised
from synthray.evaluation.evaluate import SampleScores, blurred, sample_scores

Images = NDArray[np.uint8]
Describe = Callable[[Images], NDArray[Any]]

SIDE = 500  # images that are damaged, and as many to compare with
SIZES = (50, 200, 1_000)  # of sets of real images
DIVISIONS = 6
DISTANCES = ("kid", "frechet")
QUICK = {"sets": ["phantoms"], "side": 20, "sizes": [20], "divisions": 2}


# Damage, in growing amounts.


def noisy(images: Images, deviation: float) -> Images:
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return pixels.to_uint8(images + noise)


def checkered(images: Images, amount: float) -> Images:
    """Lighter and darker pixels in turn, as transposed convolutions leave them."""
    rows, columns = np.indices(images.shape[1:3])
    return pixels.to_uint8(images + amount * (1.0 - 2 * ((rows + columns) % 2))[..., None])


def swirled(images: Images, strength: float) -> Images:
    radius = 1.5 * images.shape[1]
    turned = [swirl(each, strength=strength, radius=radius, preserve_range=True) for each in images]
    return pixels.to_uint8(np.stack(turned))


def low_pass(images: Images, factor: float) -> Images:
    """Make images smaller and enlarge them again."""
    height, width = images.shape[1:3]
    return pixels.resize(
        pixels.resize(images, round(height / factor), round(width / factor)), height, width
    )


def blended(images: Images, share: float, labels: NDArray[Any]) -> Images:
    """Mix each image with another one of its class."""
    mixed = images.astype(float)
    rng = np.random.default_rng(0)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        mixed[own] = (1 - share) * images[own] + share * images[np.roll(own, 1)]
    return pixels.to_uint8(mixed)


def dropped(images: Images, share: float) -> Images:
    """Repeat few images, so that there are as many as before."""
    return images[np.arange(len(images)) % max(1, round(share * len(images)))]


def damages(images: Images, labels: NDArray[Any]) -> dict[str, dict[float, Images]]:
    """Return damaged images by kind and amount, weakest first."""
    kinds: dict[str, tuple[Callable[..., Images], tuple[float, ...]]] = {
        "blur": (blurred, (0.5, 1, 2)),  # standard deviation in pixels
        "noise": (noisy, (4, 12, 36)),  # standard deviation in gray levels
        "checkerboard": (checkered, (4, 12, 36)),  # gray levels
        "swirl": (swirled, (1, 2, 4)),  # radians at the centre
        "low-pass": (low_pass, (1.5, 2, 4)),  # how many times smaller
        "blend": (functools.partial(blended, labels=labels), (0.1, 0.25, 0.5)),  # share
        "dropped": (dropped, (0.5, 0.1, 0.0)),  # share of different images; the last is one image
    }
    return {
        kind: {amount: function(images, amount) for amount in amounts}
        for kind, (function, amounts) in kinds.items()
    }


# The judge that was: a random network.

_FILTERS = (16, 32, 64, 96)
_CELLS = 2  # rows and columns of cells; the mean and spread in each describe a map
_AT_ONCE = 128


def random_features(images: Images) -> NDArray[np.float32]:
    """Describe images by four random 3x3 convolutions of stride 2 with ReLU, on gray values.

    The features are the mean and the deviation of every map over four quarters (arXiv 2208.09218).
    """
    gray = pixels.to_grayscale(images)
    parts = [_described(gray[start : start + _AT_ONCE]) for start in range(0, len(gray), _AT_ONCE)]
    return np.concatenate(parts)


def _described(gray: Images) -> NDArray[np.float32]:
    maps = gray.astype(np.float32) / 127.5 - 1
    described = []
    for weights in _weights():
        maps = _convolved(maps, weights)
        for rows in np.array_split(maps, _CELLS, axis=1):
            for cell in np.array_split(rows, _CELLS, axis=2):
                described += [cell.mean((1, 2)), cell.std((1, 2))]
    return np.concatenate(described, axis=1).astype(np.float32)


def _convolved(maps: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    flat = windows.reshape(-1, weights.shape[0])  # copies: (pixels, channels * 9)
    return np.maximum(flat @ weights, np.float32(0)).reshape(*windows.shape[:3], -1)


@functools.cache
def _weights() -> tuple[NDArray[np.float32], ...]:
    """Return matrices `(channels * 9, filters)` with orthogonal columns or rows."""
    rng = np.random.default_rng(20_260_101)
    found, channels = [], 1
    for filters in _FILTERS:
        shape = (channels * 9, filters)
        u, _, v = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
        found.append((u @ v * np.sqrt(2)).astype(np.float32))  # keeps the variance behind a ReLU
        channels = filters
    return tuple(found)


# The proof.


def pool(name: str, args: Any) -> sr.ImageDataset:
    """Return one image a group, in random order, where groups are known."""
    data = load(name, args)
    order = np.random.default_rng(args.seed).permutation(len(data))
    _, first = np.unique(data.group_codes[order], return_index=True)
    return data.select(order[np.sort(first)])


def described(
    describe: Describe, sets: dict[str, Images], folder: Path | None, name: str
) -> dict[str, NDArray[Any]]:
    """Return the features of sets of images; from a folder if they are there."""
    path = None if folder is None else folder / f"{name.replace(' ', '_').replace(',', '')}.npz"
    if path is not None and path.is_file():
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    found = {key: np.asarray(describe(images)) for key, images in sets.items()}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **found)
    return found


def scores(train: Any, held_out: Any, images: Any) -> SampleScores:
    """Score the features of images as `evaluate_samples` does."""
    _, real, found = standardised(train, held_out, images)
    return sample_scores(real, found)


def checks(real: dict[str, Any], kind: str, found: list[dict[str, Any]]) -> dict[str, bool]:
    """Return whether distances grow with every amount, and a share is below real at each."""
    rows = [real, *found]
    grow = {name: all(a[name] < b[name] for a, b in itertools.pairwise(rows)) for name in DISTANCES}
    shares = ("recall", "coverage") if kind == "dropped" else ("precision", "density")
    lower = [any(each[name] < real[name] for name in shares) for each in found]
    return {**grow, "shares": all(lower)}


def real_against_real(found: NDArray[Any], n: int, args: Any) -> dict[str, float]:
    """Compare three sets of `n` real images each, divided anew each time."""
    rng = np.random.default_rng(args.seed)
    drawn = []
    for _ in range(args.divisions):
        train, held_out, other = np.split(found[rng.permutation(len(found))[: 3 * n]], 3)
        reference, own = (scores(train, held_out, each) for each in (train, other))
        drawn.append(
            {
                "kid": own.kid,
                "holds_0": own.kid_low <= 0 <= own.kid_high,
                "frechet": own.frechet,
                "coverage": own.coverage,
                "of_reference": own.coverage / reference.coverage,
            }
        )
    return {name: fmean(float(each[name]) for each in drawn) for name in drawn[0]}


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__, rounds=1)
    options.add_argument("--sets", nargs="+", choices=tuple(SOURCES), default=PROOF)
    options.add_argument("--side", type=int, default=SIDE, help="images to damage, at most")
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of real sets")
    options.add_argument("--divisions", type=int, default=DIVISIONS, help="of each size")
    options.add_argument("--workdir", type=Path, help="keeps features, for the next time")
    args = timing.parsed(options, arguments, QUICK)
    judging = sr.ImageFeatures("judging")
    judges: dict[str, Describe] = {judging.describe(): judging, "random features": random_features}
    values: dict[str, Any] = {judge: {} for judge in judges}
    for name in args.sets:
        data = pool(name, args)
        side = min(args.side, len(data) // 2)
        sizes = [n for n in args.sizes if 3 * n <= len(data)]
        every = {"real": data.images[: max(2 * side, *(3 * n for n in sizes))]}
        changed = data.select(np.arange(side, 2 * side))
        damaged = damages(changed.images, changed.labels)
        for kind, each in damaged.items():
            every |= {f"{kind} {amount:g}": images for amount, images in each.items()}
        for judge, describe in judges.items():
            found = described(describe, every, args.workdir, f"{name} {judge}")
            held_out, train = np.split(found["real"][: 2 * side], 2)
            real = asdict(scores(train, held_out, train))
            kinds = {
                kind: [
                    asdict(scores(train, held_out, found[f"{kind} {amount:g}"])) for amount in each
                ]
                for kind, each in damaged.items()
            }
            values[judge][name] = {
                "images": side,
                "real": real,
                "damaged": kinds,
                "amounts": {kind: list(each) for kind, each in damaged.items()},
                "checks": {kind: checks(real, kind, each) for kind, each in kinds.items()},
                "real_against_real": {n: real_against_real(found["real"], n, args) for n in sizes},
            }
            failed = [
                f"{kind} ({check})"
                for kind, each in values[judge][name]["checks"].items()
                for check, passed in each.items()
                if not passed
            ]
            print(f"{name}, {judge}: fails {', '.join(failed) or 'nothing'}", flush=True)
    timing.keep(args, "judge", "judge", {"judges": values, "divisions": args.divisions})


if __name__ == "__main__":
    timing.run(main)
