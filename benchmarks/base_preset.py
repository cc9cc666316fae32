"""The `base` preset of `R3GAN` for millions of images, with its KID curve. For a GPU.

    KERAS_BACKEND=jax python benchmarks/base_preset.py --data PATH --class fractured

Trains on a leak-free training fold of FracAtlas. A tenth of that fold is put aside for the curve
and for the choice of the best state; the held-out fold judges that state at the end. Says after
some steps what the run will take. Called again with the same `--workdir`, a run that was stopped
goes on. Writes `benchmarks/results/base_preset.json`. Needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import keras

import synthray as sr
from generators import Clock, keep, load
from records import record, write
from synthray.augmenter.progress import CostEstimate

RESULTS = Path(__file__).resolve().parent / "results"
BATCH_SIZE = 64


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FracAtlas at 64x64, .npz")
    parser.add_argument("--class", dest="kind", required=True, help="name of the class")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--seen", type=int, default=2_000_000, help="images that training sees")
    parser.add_argument("--looks", type=int, default=40, help="points of the curve")
    parser.add_argument("--drawn", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--workdir", type=Path, default=Path("runs") / "base_preset")
    args = parser.parse_args(arguments)
    train, held_out = next(load("fracatlas", args.data).folds(5, seed=0))
    train, aside = (part.by_class()[args.kind] for part in train.split(0.1, seed=args.seed))
    held_out = held_out.by_class()[args.kind]
    steps = math.ceil(len(train) / BATCH_SIZE)
    epochs = math.ceil(args.seen / (steps * BATCH_SIZE))
    gan = sr.R3GAN.from_preset(
        args.preset, train.image_shape, seed=args.seed, dtype="mixed_bfloat16"
    )
    gan.compile()
    args.workdir.mkdir(parents=True, exist_ok=True)
    monitor = sr.SampleMonitor(
        aside, every=max(1, epochs // args.looks), path=args.workdir / "best.npz"
    )
    clock = Clock()
    what = f"{epochs} epochs of {len(train)} images, {epochs * steps:,} steps"
    callbacks: list[Any] = [
        keras.callbacks.BackupAndRestore(args.workdir / "backup"),
        clock,
        monitor,
        CostEstimate(epochs * steps, what, verbose=1),
    ]
    gan.fit(train, batch_size=BATCH_SIZE, epochs=epochs, verbose=2, callbacks=callbacks)
    drawn = gan.sample(args.drawn, seed=args.seed)
    report = sr.evaluate_samples(train, drawn, held_out)
    print(report)
    keep(f"base_{args.kind.replace(' ', '-')}", args.workdir, gan, drawn, report)
    values = {
        "generator": "R3GAN",
        "preset": args.preset,
        "class": args.kind,
        "config": gan.get_config(),
        "training_images": len(train),
        "held_out_images": len(held_out),
        "images_seen": epochs * steps * BATCH_SIZE,
        "processor_seconds_of_the_last_call": clock.spent,
        "curve": monitor.looks,
        "best": monitor.best,
        "report": report.to_dict(),
    }
    write(args.out / "base_preset.json", record("benchmarks/base_preset.py", values))


if __name__ == "__main__":
    main()
