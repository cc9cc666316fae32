"""How the time of `find_duplicates` and `evaluate_samples` grows with the number of images.

Both work on phantoms, of which every fourth comes a second time, a little brighter.
`evaluate_samples` gets so many training, synthetic and held-out images each. Seconds are those of
the processor, of all threads together, so that other work on the machine counts little. For
neighbouring sizes the record has the exponent `p` of `n ** p`.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import synthray as sr
from benchmarks.rows import timing

QUICK = {"sizes": [60, 120], "size": 32}


def exponents(seconds: dict[int, float]) -> list[float]:
    """Return `p` of `n ** p` between neighbouring sizes."""
    pairs = itertools.pairwise(sorted(seconds))
    return [math.log(seconds[b] / seconds[a]) / math.log(b / a) for a, b in pairs]


def processor_seconds(work: Callable[[int], Any], n: int) -> float:
    began = time.process_time()
    work(n)
    return time.process_time() - began


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__, rounds=1)
    options.add_argument("--sizes", type=int, nargs="+", default=[2_500, 5_000, 10_000, 20_000])
    options.add_argument("--size", type=int, default=64, help="height and width of phantoms")
    args = timing.parsed(options, arguments, QUICK)
    shape = (args.size, args.size, 1)
    n = 3 * max(args.sizes)
    images = sr.make_phantoms(n, image_shape=shape, views=1, seed=args.seed).images.copy()
    images[3::4] = np.minimum(images[2::4][: len(images[3::4])].astype(int) + 8, 255)
    parts = np.split(images, 3)
    work: dict[str, Callable[[int], Any]] = {
        "find_duplicates": lambda n: sr.find_duplicates(images[:n], verbose=0),
        "evaluate_samples": lambda n: sr.evaluate_samples(*(part[:n] for part in parts)),
    }
    seconds: dict[str, dict[int, float]] = {name: {} for name in work}
    for name, each in work.items():
        each(min(50, *args.sizes))  # imports and compilation are not part of the time
        for n in sorted(args.sizes):
            seconds[name][n] = min(processor_seconds(each, n) for _ in range(args.rounds))
            print(f"{name}, {n:,} images: {seconds[name][n]:.2f} s", flush=True)
    values = {
        "seconds": {name: list(found.values()) for name, found in seconds.items()},  # by size
        "sizes": sorted(args.sizes),
        "exponents": {name: exponents(found) for name, found in seconds.items()},
        "images": "phantoms",
    }
    timing.keep(args, "growth", "speed/growth", values)


if __name__ == "__main__":
    timing.run(main)
