"""How the time of `evaluate_samples` grows with the number of images.

It gets so many training, synthetic and held-out phantoms each, of which every fourth comes a second
time, a little brighter. Seconds are those of the processor, of all threads together, so that other
work on the machine counts little. For neighbouring sizes the record has the exponent `p` of
`n ** p`. How `find_duplicates` grows is a part of the row `duplicates`.
"""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
from numpy.typing import NDArray

import synthray as sr
from benchmarks.rows import timing

Images = NDArray[np.uint8]

QUICK = {"sizes": [60, 120], "size": 32}


def exponents(seconds: dict[int, float]) -> list[float]:
    """Return `p` of `n ** p` between neighbouring sizes."""
    pairs = itertools.pairwise(sorted(seconds))
    return [math.log(seconds[b] / seconds[a]) / math.log(b / a) for a, b in pairs]


def evaluate(parts: list[Images], n: int) -> float:
    """Return the seconds of the processor that an evaluation takes."""
    began = time.process_time()
    sr.evaluate_samples(*(part[:n] for part in parts))
    return time.process_time() - began


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__, rounds=1)
    options.add_argument("--sizes", type=int, nargs="+", default=[2_500, 5_000, 10_000])
    options.add_argument("--size", type=int, default=64, help="height and width of phantoms")
    args = timing.parsed(options, arguments, QUICK)
    shape = (args.size, args.size, 1)
    n = 3 * max(args.sizes)
    images = sr.make_phantoms(n, image_shape=shape, views=1, seed=args.seed).images.copy()
    images[3::4] = np.minimum(images[2::4][: len(images[3::4])].astype(int) + 8, 255)
    parts = np.split(images, 3)
    seconds = {}
    evaluate(parts, min(50, *args.sizes))  # imports and compilation are not part of the time
    for n in sorted(args.sizes):
        seconds[n] = min(evaluate(parts, n) for _ in range(args.rounds))
        print(f"{n:,} images: {seconds[n]:.2f} s", flush=True)
    values = {
        "seconds": list(seconds.values()),  # by size
        "sizes": sorted(args.sizes),
        "exponents": exponents(seconds),
        "images": "phantoms",
    }
    timing.keep(args, "growth", "speed/growth", values)


if __name__ == "__main__":
    timing.run(main)
