r"""Generators at equal cost: how near they come to held-out images, and what they copy.

One run trains one generator on one class of a leak-free training fold (`CycleGAN`: on both, to
translate into that class) for some minutes of processor time, on one thread, so that two runs side
by side cost what they cost alone. It draws images and judges them against the fold that was held
out:

    python benchmarks/generators.py --set fracatlas --data PATH --class fractured \
        --generator R3GAN --minutes 40

PATH is that of FracAtlas or of the chest films (`.npz` with images, labels, class_names, group), of
PneumoniaMNIST, or of the folder of the slides' bone set; phantoms need none. Writes
`benchmarks/results/generators/<set>_<class>_<generator>.json`; `runs/generators/` keeps the trained
generator and a picture. `--images` takes so many training images, `--arguments` sets the model's.
`--inner` cuts the training fold once more and leaves the held-out one alone: to choose settings by.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

import synthray as sr
from records import record, write
from synthray._report.images import tile

HERE = Path(__file__).resolve().parent
SETS = ("fracatlas", "bone", "chest", "pneumoniamnist", "phantoms")
BATCH_SIZE = {"R3GAN": 32, "DCGAN": 32, "CycleGAN": 4}
MULTIPLE = {"DCGAN": 8, "CycleGAN": 4}  # of these the sides of an image must be multiples
WARM_UP, MEASURED = 5, 20  # steps


def load(name: str, path: Path | None) -> sr.ImageDataset:
    """Return a set with the groups that its folds are cut by."""
    if name == "phantoms":
        return sr.make_phantoms(2000, seed=0)
    if path is None:
        raise SystemExit(f"--set {name} needs --data")
    if name == "pneumoniamnist":
        splits = sr.load_medmnist(path)
        first, *others = splits.values()
        return replace(first.concatenate(*others), class_names=("normal", "pneumonia"))
    if name == "bone":
        parts = sr.load_image_folder(path, image_shape=(64, 64, 1))
        if not isinstance(parts, dict):
            raise SystemExit(f"{path} must hold the folders train/, val/ and test/.")
        first, *others = parts.values()
        data = first.concatenate(*others)
        return data.with_groups(sr.find_duplicates(data))
    with np.load(path, allow_pickle=False) as file:
        names = [str(name) for name in file["class_names"]]
        images, labels, groups = file["images"], file["labels"].ravel(), file["group"]
    return sr.ImageDataset.from_arrays(images, labels, class_names=names, groups=groups)


def padded(data: sr.ImageDataset, multiple: int) -> sr.ImageDataset:
    """Return images whose sides are multiples of a number; their last row and column go on."""
    below, right = (-side % multiple for side in data.image_shape[:2])
    return replace(
        data, images=np.pad(data.images, ((0, 0), (0, below), (0, right), (0, 0)), "edge")
    )


def one_thread() -> None:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(2)  # with one, epochs end in a wait


class Clock(keras.callbacks.Callback):
    """Counts seconds of training but those of the first steps; ends at the deadline.

    Args:
        seconds: The deadline.
        now: What tells the time: that of the processor, or of the clock on the wall.
    """

    def __init__(
        self, seconds: float = math.inf, now: Callable[[], float] = time.process_time
    ) -> None:
        super().__init__()
        self.seconds = seconds
        self.now = now
        self.steps = 0
        self.spent = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        if self.steps == WARM_UP:
            self._began = self.now()
        if self.steps > WARM_UP:
            self.spent = self.now() - self._began
        if self.spent >= self.seconds:
            self.model.stop_training = True


def epochs_for(make: Any, train: sr.ImageDataset, batch_size: int, seconds: float) -> int:
    """Return the epochs that take so long, by a short trial of a model that is thrown away."""
    clock = Clock()
    steps = WARM_UP + MEASURED
    parts = [np.flatnonzero(train.labels == label) for label in np.unique(train.labels)]
    few = train.select(np.concatenate([np.resize(part, batch_size * steps) for part in parts]))
    make().fit(few, batch_size=batch_size, verbose=0, callbacks=[clock])
    step = clock.spent / (clock.steps - WARM_UP)
    # An epoch passes once over the images, or over the larger of two classes.
    return max(1, round(seconds / (step * math.ceil(max(map(len, parts)) / batch_size))))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--class", dest="kind", required=True, help="name of the class")
    parser.add_argument("--generator", choices=tuple(BATCH_SIZE), default="R3GAN")
    parser.add_argument("--arguments", type=json.loads, default={}, help="of the model, JSON")
    parser.add_argument("--rate", type=float, help="learning rate, where not the default")
    parser.add_argument("--batch-size", type=int, help="where not the usual")
    parser.add_argument("--inner", action="store_true", help="judge on a part of the training fold")
    parser.add_argument("--core", type=int, help="the core to stay on, where runs go side by side")
    parser.add_argument("--minutes", type=float, default=40.0, help="of one core")
    parser.add_argument("--images", type=int, help="train on so many images only")
    parser.add_argument("--drawn", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tag", default="", help="part of the file's name")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "generators")
    parser.add_argument("--workdir", type=Path, default=Path("runs") / "generators")
    args = parser.parse_args(arguments)
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    one_thread()
    train, held_out = next(load(args.set, args.data).folds(5, seed=0))
    if args.inner:
        train, held_out = next(train.folds(5, seed=1))
    if args.kind not in train.class_names:
        raise SystemExit(f"--class must be one of {train.class_names}, got {args.kind!r}.")
    label = train.class_names.index(args.kind)
    own, held_out = train.by_class()[args.kind], held_out.by_class()[args.kind]
    if args.images:
        rows = np.random.default_rng(args.seed).permutation(len(own))[: args.images]
        own = own.select(np.sort(rows))
    translates = args.generator == "CycleGAN"  # learns from both classes
    learnt = padded(train if translates else own, MULTIPLE.get(args.generator, 1))

    def make() -> Any:
        model = getattr(sr, args.generator)(learnt.image_shape, seed=args.seed, **args.arguments)
        model.compile()
        if args.rate is not None:
            model.optimizer.learning_rate = args.rate
            model.compile(model.optimizer)  # a model notes the rate that its decay begins with
        return model

    batch_size = args.batch_size or BATCH_SIZE[args.generator]
    epochs = epochs_for(make, learnt, batch_size, 60 * args.minutes)
    print(f"{args.generator}: {epochs} epochs of {len(learnt)} images should take the time.")
    gan, clock = make(), Clock(60 * args.minutes)
    history = gan.fit(learnt, batch_size=batch_size, epochs=epochs, verbose=2, callbacks=[clock])
    if translates:  # training images of the other class, into this one
        others = np.random.default_rng(args.seed).permutation(np.flatnonzero(train.labels != label))
        drawn = gan.translate(learnt.images[others[: args.drawn]], to=args.kind)
    else:
        drawn = gan.sample(args.drawn, seed=args.seed)
    height, width, _ = own.image_shape
    drawn = np.ascontiguousarray(drawn[:, :height, :width])
    words = [args.set, args.kind, args.generator, args.tag]
    name = "_".join(word for word in words if word).replace(" ", "-").lower()
    keep(name, args.workdir, gan, drawn)
    report = sr.evaluate_samples(own, drawn, held_out, copies=not args.inner)
    print(report)
    if report.pairs:
        report.plot_pairs().savefig(args.workdir / f"{name}_pairs.png")
    values = {
        "generator": args.generator,
        "config": gan.get_config(),
        "set": args.set,
        "class": args.kind,
        "inner": args.inner,
        "seed": args.seed,
        "learning_rate": args.rate,
        "batch_size": batch_size,
        "training_images": len(learnt),
        "held_out_images": len(held_out),
        "minutes": clock.spent / 60,
        "epochs_planned": epochs,
        "steps": clock.steps,
        "images_seen": clock.steps * batch_size,
        "history": {key: [float(v) for v in found] for key, found in history.history.items()},
        "report": report.to_dict(),
    }
    write(args.out / f"{name}.json", record("benchmarks/generators.py", values))


def keep(name: str, folder: Path, gan: Any, drawn: Any) -> None:
    """Keep the generator and 64 drawn images outside the repository."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    gan.save(folder / f"{name}.keras")
    grid = tile(drawn[:64], 16)
    Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(folder / f"{name}.png")


if __name__ == "__main__":
    main()
