"""The `base` preset of `R3GAN` for millions of images, with its KID curve. For a GPU.

    KERAS_BACKEND=jax python benchmarks/base_preset.py --data PATH --class fractured

Trains on the training images of a fold of the study of FracAtlas. The fold's validation images make
the curve and choose the best state; the test images judge that state at the end, and have no other
part. Says after some steps what the run will take. Called again with the same `--workdir`, a run
that was stopped goes on, and one that has trained and drawn is judged: so a machine with a GPU may
train, and another judge (`--no-report` on the first). Writes
`benchmarks/results/base_preset_<class>.json`; the drawn images stay in `--workdir`. Needs no
TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

import synthray as sr
from generators import keep
from records import gpu, record, write
from study.cells import split, whole
from synthray.augmenter.progress import CostEstimate

RESULTS = Path(__file__).resolve().parent / "results"


class Seconds(keras.callbacks.Callback):
    """Notes the seconds that each epoch took, without its look at drawn images."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.spent.append(time.perf_counter() - self._began)


def train(args: argparse.Namespace, own: sr.ImageDataset, aside: sr.ImageDataset) -> dict[str, Any]:
    """Train, keep the drawn images, and return what was done."""
    # An epoch is what lies between two looks: it passes several times over the few images.
    passes = max(1, round(args.seen / args.looks / len(own)))
    steps = math.ceil(passes * len(own) / args.batch_size)
    epochs = math.ceil(args.seen / (steps * args.batch_size))
    gan = sr.R3GAN.from_preset(args.preset, own.image_shape, seed=args.seed, dtype="mixed_bfloat16")
    gan.compile()
    monitor = sr.SampleMonitor(aside, n=args.judged, path=args.workdir / "best.npz")
    seconds = Seconds()
    what = f"{epochs} times {passes} passes over {len(own)} images, {epochs * steps:,} steps"
    callbacks: list[Any] = [
        keras.callbacks.BackupAndRestore(args.workdir / "backup"),
        seconds,
        monitor,
        CostEstimate(epochs * steps, what, verbose=1),
    ]
    repeated = own.select(np.tile(np.arange(len(own)), passes))
    gan.fit(repeated, batch_size=args.batch_size, epochs=epochs, verbose=2, callbacks=callbacks)
    began = time.perf_counter()
    drawn = gan.sample(args.pool, seed=args.seed)
    name = f"base_{args.kind.replace(' ', '-')}"
    keep(name, args.workdir, gan, drawn)
    np.savez_compressed(args.workdir / "drawn.npz", images=drawn)
    return {
        "generator": "R3GAN",
        "preset": args.preset,
        "class": args.kind,
        "fold": args.fold,
        "config": gan.get_config(),
        "gpu": gpu(),
        "batch_size": args.batch_size,
        "training_images": len(own),
        "images_seen": epochs * steps * args.batch_size,
        "images_an_epoch": steps * args.batch_size,
        "seconds_of_epochs": seconds.spent,
        "seconds_of_drawing": time.perf_counter() - began,
        "curve": monitor.looks,
        "best": monitor.best,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FracAtlas at 64x64, .npz")
    parser.add_argument("--class", dest="kind", required=True, help="name of the class")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seen", type=int, default=2_000_000, help="images that training sees")
    parser.add_argument("--looks", type=int, default=40, help="points of the curve")
    parser.add_argument("--judged", type=int, default=1000, help="images drawn for a point")
    parser.add_argument("--pool", type=int, default=12_000, help="images drawn at the end")
    parser.add_argument("--no-report", action="store_true", help="train and draw alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--workdir", type=Path, help="default: runs/base_preset/<class>")
    args = parser.parse_args(arguments)
    name = args.kind.replace(" ", "-")
    args.workdir = args.workdir or Path("runs") / "base_preset" / name
    args.workdir.mkdir(parents=True, exist_ok=True)
    cut = split(whole("fracatlas", args.data), args.fold, None)
    own, aside, held_out = (
        part.by_class()[args.kind] for part in (cut.train, cut.validation, cut.test)
    )
    kept = args.workdir / "trained.json"
    if not kept.exists():
        write(kept, record("benchmarks/base_preset.py", train(args, own, aside)))
    if args.no_report:
        return
    trained = json.loads(kept.read_text("utf-8"))
    with np.load(args.workdir / "drawn.npz", allow_pickle=False) as file:
        drawn = file["images"]
    report = sr.evaluate_samples(own, drawn[: args.judged * 2], held_out)
    print(report)
    values = trained["values"] | {
        "held_out_images": len(held_out),
        "report": report.to_dict(),
        "judged_by": record("benchmarks/base_preset.py", {}),
    }
    write(args.out / f"base_preset_{name}.json", trained | {"values": values})


if __name__ == "__main__":
    main()
