"""Trains a generator on one class of a set, or on all, and scores its images.

    python -m benchmarks.rows.generators --set fracatlas --class fractured --data FOLDER

It learns from a training fold and is scored by the images of the fold that was held out. With
`--class all`, one generator learns all classes, one as often as the other, and makes as many images
of each as there are real ones. Minutes are of one core of the processor; the first steps, which
compile, do not count. The generator goes to `--workdir`, some of its images beside the record.
`--rejudge` trains nothing: it scores the generator in `--workdir` again and changes its record.
`--picture` writes that of the documentation from the images beside the records.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

import synthray as sr
from benchmarks.records import ROOT
from benchmarks.rows import timing
from benchmarks.rows.data import SOURCES, load
from benchmarks.rows.judge import random_features
from synthray.augmenter.training import evened

ASSETS = ROOT / "docs" / "assets"
GENERATORS = ("DCGAN", "R3GAN", "ProjectedGAN", "CycleGAN")
CONDITIONAL = ("R3GAN", "ProjectedGAN")
MULTIPLE = {"DCGAN": 8, "CycleGAN": 4}  # of these the sides of an image must be multiples
WARM_UP, MEASURED = 5, 20  # steps
COLUMNS = 10  # of a picture
KEPT = 500  # images beside a record
QUICK = {"minutes": 0.02, "synthetic": 40, "kind": "fractured", "set": "phantoms"}


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
    """Counts seconds of training except those of the first steps; ends at the deadline."""

    def __init__(self, seconds: float = math.inf) -> None:
        super().__init__()
        self.seconds = seconds
        self.steps = 0
        self.spent = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        if self.steps == WARM_UP:
            self._began = time.process_time()
        if self.steps > WARM_UP:
            self.spent = time.process_time() - self._began
        if self.spent >= self.seconds:
            self.model.stop_training = True


def epochs_for(make: Any, train: sr.ImageDataset, batch_size: int, seconds: float) -> int:
    """Return the epochs that take so long, by a short trial of a model that is thrown away."""
    sizes = np.bincount(train.labels)
    clock = Clock()
    steps = WARM_UP + MEASURED
    parts = [np.flatnonzero(train.labels == label) for label in np.unique(train.labels)]
    few = train.select(np.concatenate([np.resize(part, batch_size * steps) for part in parts]))
    gan = make()
    gan.fit(few, batch_size=batch_size, verbose=0, callbacks=[clock])
    step = clock.spent / (clock.steps - WARM_UP)
    # An epoch of a CycleGAN passes over the larger of two classes.
    count = sizes.max() if isinstance(gan, sr.CycleGAN) else sizes.sum()
    return max(1, round(seconds / (step * math.ceil(count / batch_size))))


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--set", choices=tuple(SOURCES), default="fracatlas")
    options.add_argument("--class", dest="kind", default="fractured", help="its name, or all")
    options.add_argument("--generator", choices=GENERATORS, default="R3GAN")
    options.add_argument("--dtype", default="float32", help="Keras dtype policy")
    options.add_argument("--minutes", type=float, default=40.0, help="of one core")
    options.add_argument("--synthetic", type=int, default=2_000, help="images to score")
    options.add_argument("--workdir", type=Path, default=Path("runs") / "generators")
    options.add_argument("--rejudge", action="store_true", help="score again, train nothing")
    options.add_argument("--picture", action="store_true", help="write a picture, train nothing")
    args = timing.parsed(options, arguments, QUICK)
    if args.kind == "all" and args.generator not in CONDITIONAL:
        options.error(f"--class all is for {' and '.join(CONDITIONAL)}, not {args.generator}.")
    one_thread()
    train, held_out = next(load(args.set, args).folds(5, seed=0))
    if args.picture:
        write_picture(held_out, args)
        return
    name = name_of(args.set, args.kind, args.generator)
    model, record = args.workdir / f"{name}.keras", args.out / "generators" / f"{name}.json"
    if args.rejudge:
        gan = keras.saving.load_model(model)
        values = json.loads(record.read_text(encoding="utf-8"))["values"]
    else:
        gan, values = trained(train, args)
        args.workdir.mkdir(parents=True, exist_ok=True)
        gan.save(model)
    own, held_out = of_class(train, args.kind), of_class(held_out, args.kind)
    synthetic = sampled(gan, train, args)
    record.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(record.with_suffix(".npz"), images=synthetic[:KEPT])
    report = sr.evaluate_samples(own, synthetic, held_out)
    print(report)
    before = sr.evaluate_samples(own, synthetic, held_out, features=random_features, copies=False)
    values |= {"held_out_images": len(held_out), "report": report.to_dict()}
    values["random_features"] = before.to_dict()["scores"]
    timing.keep(args, "generators", f"generators/{name}", values)


def trained(train: sr.ImageDataset, args: Any) -> tuple[Any, dict[str, Any]]:
    """Train a generator; return it and what there is to say of its training."""
    # A CycleGAN learns from both classes.
    own = of_class(train, "all" if args.generator == "CycleGAN" else args.kind)
    learnt, options = padded(own, MULTIPLE.get(args.generator, 1)), {}
    if args.kind == "all":
        learnt, options = evened(learnt), {"num_classes": train.num_classes}

    def make() -> Any:
        return generator(learnt.image_shape, seed=args.seed, dtype=args.dtype, **options)

    generator = getattr(sr, args.generator)
    batch_size = generator.BATCH_SIZE
    epochs = epochs_for(make, learnt, batch_size, 60 * args.minutes)
    print(f"{args.generator}: {epochs} epochs of {len(learnt)} images should take the time.")
    gan, clock = make(), Clock(60 * args.minutes)
    gan.fit(learnt, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[clock])
    return gan, {
        "generator": args.generator,
        "config": gan.get_config(),
        "set": args.set,
        "class": args.kind,
        "batch_size": batch_size,
        "training_images": len(own),
        "minutes": clock.spent / 60,
        "steps": clock.steps,
        "images_seen": clock.steps * batch_size,
    }


def sampled(gan: Any, train: sr.ImageDataset, args: Any) -> Any:
    """Return images of a class; a CycleGAN makes them of training images of the other class."""
    height, width, _ = train.image_shape
    if args.generator == "CycleGAN":
        others = np.flatnonzero(train.labels != train.class_names.index(args.kind))
        others = np.random.default_rng(args.seed).permutation(others)[: args.synthetic]
        sources = padded(train, MULTIPLE["CycleGAN"]).images[others]
        synthetic = gan.translate(sources, to=args.kind)
    else:
        labels = np.random.default_rng(args.seed).choice(train.labels, args.synthetic)
        options = {"labels": labels} if args.kind == "all" else {}
        synthetic = gan.sample(args.synthetic, seed=args.seed, **options)
    return np.ascontiguousarray(synthetic[:, :height, :width])


def of_class(data: sr.ImageDataset, kind: str) -> sr.ImageDataset:
    return data if kind == "all" else data.by_class()[kind]


def name_of(data: str, kind: str, generator: str) -> str:
    return f"{data}_{kind.replace(' ', '-')}_{generator}".lower()


def write_picture(held_out: sr.ImageDataset, args: Any) -> None:
    """Write held-out images and those of each generator; none are chosen."""
    from synthray.reports.figures import class_rows

    own = of_class(held_out, args.kind).images
    rows = {"real, held out": own[np.random.default_rng(0).permutation(len(own))[: 2 * COLUMNS]]}
    for generator in GENERATORS:
        path = args.out / "generators" / f"{name_of(args.set, args.kind, generator)}.npz"
        if not path.is_file():
            print(f"{generator} is left out: {path.name} is not there.")
            continue
        with np.load(path, allow_pickle=False) as arrays:
            rows[generator] = arrays["images"][: 2 * COLUMNS]
    lines = {}
    for place, (name, images) in enumerate(rows.items()):
        lines[name] = images[:COLUMNS]
        lines[" " * (place + 1)] = images[COLUMNS:]  # a second line, without a name
    class_rows(lines, COLUMNS).savefig(ASSETS / f"generators_{args.set}.png", dpi=110)


if __name__ == "__main__":
    timing.run(main)
