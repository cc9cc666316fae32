"""Simultaneous updates of both networks against alternating ones: the same images seen and seeds.

    python benchmarks/alternating.py --data PATH [--epochs 7] [--seeds 3] [--jobs 2]

PATH is FracAtlas at 64x64, `.npz`. Both train on a part of the unfractured class of a training fold
and are judged by the rest of it. Writes `benchmarks/results/alternating.json`.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import synthray as sr
from generators import Clock, load, one_thread
from records import record, write
from synthray.generators.gan import Updates

RESULTS = Path(__file__).resolve().parent / "results"
CLASS = "not fractured"
FORMS: tuple[Updates, ...] = ("simultaneous", "alternating")


def run(updates: Updates, seed: int, data: Path, epochs: int, core: int) -> dict[str, Any]:
    """Train and judge one model."""
    os.sched_setaffinity(0, {core})
    one_thread()
    train, _ = next(load("fracatlas", data).folds(5, seed=0))
    inner, rest = (part.by_class()[CLASS] for part in next(train.folds(5, seed=1)))
    gan = sr.R3GAN(inner.image_shape, updates=updates, seed=seed, dtype="mixed_bfloat16")
    gan.compile()
    clock = Clock()
    gan.fit(inner, epochs=epochs, verbose=0, guard=False, callbacks=[clock])
    report = sr.evaluate_samples(inner, gan.sample(2000, seed=seed), rest, copies=False)
    drawn = report.to_dict()["scores"]["drawn"]
    print(f"{updates}, seed {seed}: KID {drawn['kid']:.3f}, coverage {drawn['coverage']:.2f}")
    return {"updates": updates, "seed": seed, "images_seen": clock.steps * 32, "drawn": drawn} | {
        "minutes": clock.spent / 60
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, a core each")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    work = [(updates, seed) for updates in FORMS for seed in range(args.seeds)]
    print(f"{len(work)} runs, about {len(work) * 5 / args.jobs:.0f} minutes.", flush=True)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=spawn, max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(run, updates, seed, args.data, args.epochs, cores[number % len(cores)])
            for number, (updates, seed) in enumerate(work)
        ]
        runs = [job.result() for job in jobs]
    values = {"runs": runs, "class": CLASS, "epochs": args.epochs}
    write(RESULTS / "alternating.json", record("benchmarks/alternating.py", values))


if __name__ == "__main__":
    main()
