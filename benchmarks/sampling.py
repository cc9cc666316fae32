"""Drawing at scale: `sample_batches` against the bare generator's `predict`, in turns.

    python benchmarks/sampling.py [--generator R3GAN] [--n 2048] [--rounds 5]

Both draw the same images, which is checked first. Writes
`benchmarks/results/sampling_<generator>.json`: seconds of each round, the median ratio of the two
rates, and how much the process grew by while 10,500 images were streamed.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import synthray as sr
from records import record, write

RESULTS = Path(__file__).resolve().parent / "results"
BATCH_SIZE = 64
STREAMED = 10_500


def predict(gan: Any, n: int, seed: int) -> np.ndarray:
    latents = np.random.default_rng(seed).standard_normal((n, gan.latent_dim), dtype=np.float32)
    network = getattr(gan, "ema_generator", gan.generator)
    return np.asarray(network.predict(latents, batch_size=BATCH_SIZE, verbose=0))


def ours(gan: Any, n: int, seed: int) -> list[np.ndarray]:
    return list(gan.sample_batches(n, seed=seed, batch_size=BATCH_SIZE))


def seconds(call: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - began


def memory() -> float:
    """Return the most that the process has held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--generator", choices=("R3GAN", "DCGAN"), default="R3GAN")
    parser.add_argument("--arguments", type=json.loads, default={}, help="of the model, JSON")
    parser.add_argument("--n", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    gan = getattr(sr, args.generator)((64, 64, 1), seed=0, **args.arguments)
    low, high = gan.OUTPUT_RANGE
    bare = np.clip((predict(gan, 256, 1) - low) * (255 / (high - low)), 0, 255)
    apart = float(np.abs(np.concatenate(ours(gan, 256, 1)) - bare).max())
    if apart > 1.0:
        raise SystemExit(f"The two draw different images, by up to {apart:.2f} gray values.")
    rounds = [
        {
            "predict": seconds(predict, gan, args.n, seed),
            "sample_batches": seconds(ours, gan, args.n, seed),
        }
        for seed in range(args.rounds)
    ]
    ratios = [each["predict"] / each["sample_batches"] for each in rounds]
    before = memory()
    began = time.perf_counter()
    count = sum(len(batch) for batch in gan.sample_batches(STREAMED, seed=0))
    streamed = time.perf_counter() - began
    values = {
        "generator": args.generator,
        "config": gan.get_config(),
        "images_a_round": args.n,
        "batch_size": BATCH_SIZE,
        "largest_difference_in_gray_values": apart,
        "seconds": rounds,
        "rate_as_a_share_of_predict": statistics.median(ratios),
        "share_low": min(ratios),
        "share_high": max(ratios),
        "streamed": count,
        "streamed_seconds": streamed,
        "streamed_grew_by_mib": memory() - before,
    }
    print(
        f"{args.generator}: sample_batches draws at {values['rate_as_a_share_of_predict']:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) of the rate of predict; {count:,} images in "
        f"{streamed:.0f} s, {values['streamed_grew_by_mib']:.0f} MiB more memory."
    )
    write(
        RESULTS / f"sampling_{args.generator.lower()}.json",
        record("benchmarks/sampling.py", values),
    )


if __name__ == "__main__":
    main()
