"""Half precision against float32: the same seeds and images seen, judged by held-out radiographs.

    python benchmarks/precision.py --data PATH [--generator DCGAN R3GAN] [--seeds 12] [--core 0]

PATH is FracAtlas at 64x64, `.npz`. Each run trains one generator in one precision on a part of the
unfractured class of a training fold, made smaller, and is judged by the rest of it: the held-out
fold has no part in it. Runs that have a result in `benchmarks/results/precision/` are not repeated.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import synthray as sr
from generators import BATCH_SIZE, Clock, load, one_thread
from precision_tables import FULL, HALF, RESULTS
from records import record, write

CLASS = "not fractured"
GENERATORS: dict[str, dict[str, Any]] = {"DCGAN": {"width": 0.25}, "R3GAN": {}}
MINUTES_A_RUN = 2  # of one core, about


def run(name: str, dtype: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one model."""
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    one_thread()
    train, _ = next(load("fracatlas", args.data).folds(5, seed=0))
    train = train.resize(args.size, args.size)
    inner, rest = (part.by_class()[CLASS] for part in next(train.folds(5, seed=1)))
    arguments = GENERATORS[name]
    gan = getattr(sr, name)(inner.image_shape, seed=seed, dtype=dtype, **arguments)
    gan.compile()
    clock = Clock()
    epochs = max(1, round(args.images / len(inner)))
    gan.fit(inner, batch_size=BATCH_SIZE[name], epochs=epochs, verbose=0, callbacks=[clock])
    drawn = gan.sample(args.drawn, seed=seed)
    report = sr.evaluate_samples(inner, drawn, rest, copies=False).to_dict()
    return {
        "generator": name,
        "arguments": arguments,
        "dtype": dtype,
        "seed": seed,
        "class": CLASS,
        "image_shape": list(inner.image_shape),
        "training_images": len(inner),
        "held_out_images": len(rest),
        "images_seen": clock.steps * BATCH_SIZE[name],
        "minutes": clock.spent / 60,
        "scores": report["scores"],
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--generator", nargs="+", choices=tuple(GENERATORS), default=list(GENERATORS)
    )
    parser.add_argument("--seeds", type=int, default=12, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--images", type=int, default=20_000, help="seen by each, about")
    parser.add_argument("--size", type=int, default=32, help="height and width")
    parser.add_argument("--drawn", type=int, default=2000)
    parser.add_argument("--core", type=int, help="the core to stay on")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(arguments)
    seeds = range(args.first, args.first + args.seeds)
    asked = [(n, d, s) for n in args.generator for s in seeds for d in (FULL, HALF)]
    left = [(n, d, s) for n, d, s in asked if not (args.out / file_of(n, d, s)).exists()]
    cost = len(left) * MINUTES_A_RUN * args.images / 20_000
    print(f"{len(left)} of {len(asked)} runs to do, about {cost:.0f} minutes.", flush=True)
    spawn = get_context("spawn")
    for name, dtype, seed in left:
        with ProcessPoolExecutor(1, mp_context=spawn) as alone:
            values = alone.submit(run, name, dtype, seed, args).result()
        print(f"{name}, {dtype}, seed {seed}: KID {values['scores']['drawn']['kid']:.3f}")
        write(args.out / file_of(name, dtype, seed), record("benchmarks/precision.py", values))


def file_of(name: str, dtype: str, seed: int) -> str:
    """Return the name of a run's file."""
    return f"{name.lower()}_{dtype}_{seed}.json"


if __name__ == "__main__":
    main()
