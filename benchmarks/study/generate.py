"""First stage of the study: one generator a fold and size, and a pool of images of each.

    python benchmarks/study/generate.py --set fracatlas --data PATH --generator R3GAN [--sizes all]

PATH is as for `benchmarks/generators.py`. Trains on the training images of each fold alone, some
minutes of processor time each (PLAN.md), and draws. Pools are kept in `runs/study/pools/`, and
`benchmarks/results/study/generators/` has what was trained and how near the images are to those
that judge. What is there is not done again; says first what the rest will cost.

`--generator R3GAN-base` trains the larger preset, for images seen (`--seen`) and not for minutes,
and `--epochs` trains the others for so many: on a GPU, where Keras may be on JAX without
TensorFlow. With `--no-report` it draws alone, and a later call, on any machine that has the pools
and the raw results, judges them.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from generators import MULTIPLE, Clock, epochs_for, one_thread, padded
from records import gpu, record, write
from study.cells import (
    Split,
    name_of,
    options,
    pool_path,
    read_pool,
    sizes_of,
    split,
    whole,
)

RESULTS = Path(__file__).resolve().parents[1] / "results" / "study" / "generators"
MINUTES = {None: 12.0, 250: 4.0, 100: 3.0, 50: 2.0}  # of R3GANs, for all classes together
OTHERS = {"DCGAN": 12.0, "CycleGAN": 6.0, "truth": 0.0, "R3GAN-base": 2.0}
SEEN, SPELLS = 256_000, 5  # images a class that the larger preset sees, in so many epochs
POOL = {None: 12_000, 250: 6_000, 100: 6_000, 50: 6_000}  # images a class
BATCH_SIZE = defaultdict(lambda: 32, {"CycleGAN": 4, "R3GAN-base": 128})
FEWEST = 20  # images that can be judged
JUDGED = 3_000  # drawn images a class
NEW_PHANTOMS = 10_000  # seeds from here on; the set itself has seed 0


def repeated(data: sr.ImageDataset) -> sr.ImageDataset:
    """Return the images with those of rarer classes repeated, as many of each class."""
    parts = [np.flatnonzero(data.labels == label) for label in range(data.num_classes)]
    most = max(map(len, parts))
    return data.select(np.concatenate([np.resize(part, most) for part in parts]))


@dataclass(frozen=True)
class Effort:
    """For how long the generators of a cell are trained.

    Attributes:
        minutes: Of processor time, for all classes together.
        epochs: In place of minutes, where it is given.
        seen: Images a class, by the larger preset.
    """

    minutes: float
    epochs: int | None = None
    seen: int = SEEN


def fit(make: Any, data: sr.ImageDataset, batch_size: int, effort: Effort) -> tuple[Any, Clock]:
    """Train one model."""
    seconds = 60 * effort.minutes
    model, clock = make(), Clock(seconds)
    if effort.epochs is None:
        epochs = epochs_for(make, data, batch_size, seconds)
    else:
        epochs, clock = effort.epochs, Clock(now=time.perf_counter)
    model.fit(data, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[clock])
    return model, clock


def one_a_class(
    kind: str,
    train: sr.ImageDataset,
    n: int,
    effort: Effort,
    seed: int,
    *,
    dtype: str,
    **arguments: Any,
) -> tuple[Any, list[Clock]]:
    """Return a pool of images by class, of one generator each, and what was trained."""
    pool, clocks = [], []
    height, width, _ = train.image_shape
    by_class = padded(train, MULTIPLE.get(kind, 1)).by_class()
    each = replace(effort, minutes=effort.minutes / len(by_class))
    for label, part in enumerate(by_class.values()):

        def make(part: sr.ImageDataset = part, label: int = label) -> Any:
            gan = getattr(sr, kind)(part.image_shape, seed=seed + label, dtype=dtype, **arguments)
            gan.compile()
            return gan

        gan, clock = fit(make, part, BATCH_SIZE[kind], each)
        pool.append(gan.sample(n, seed=seed + label)[:, :height, :width])
        clocks.append(clock)
    return pool, clocks


def larger(
    train: sr.ImageDataset, n: int, effort: Effort, seed: int, *, dtype: str
) -> tuple[Any, list[Clock]]:
    """Return the same of R3GAN's larger preset, for as many images whatever the time."""
    pool, clocks = [], []
    batch_size = BATCH_SIZE["R3GAN-base"]
    for label, part in enumerate(train.by_class().values()):
        gan = sr.R3GAN.from_preset("base", part.image_shape, seed=seed + label, dtype=dtype)
        gan.compile()
        # An epoch passes several times over the few images: each ends in a look at the weights.
        repeated = part.select(np.resize(np.arange(len(part)), effort.seen // SPELLS))
        clock = Clock(now=time.perf_counter)
        gan.fit(repeated, batch_size=batch_size, epochs=SPELLS, verbose=2, callbacks=[clock])
        pool.append(gan.sample(n, seed=seed + label, batch_size=256))
        clocks.append(clock)
    return pool, clocks


def conditional(
    train: sr.ImageDataset, n: int, effort: Effort, seed: int, *, dtype: str
) -> tuple[Any, list[Clock]]:
    """Return the same of one R3GAN for all classes."""
    data = repeated(train)

    def make() -> sr.R3GAN:
        gan = sr.R3GAN(data.image_shape, num_classes=data.num_classes, seed=seed, dtype=dtype)
        gan.compile()
        return gan

    gan, clock = fit(make, data, BATCH_SIZE["R3GAN"], effort)
    pool = [gan.sample(n, labels=k, seed=seed + k) for k in range(data.num_classes)]
    return pool, [clock]


def cyclegan(
    train: sr.ImageDataset, n: int, effort: Effort, seed: int, *, dtype: str
) -> tuple[Any, list[Clock]]:
    """Return training images of each other class, translated, each once."""
    data = padded(train, MULTIPLE["CycleGAN"])
    height, width, _ = train.image_shape

    def make() -> sr.CycleGAN:
        gan = sr.CycleGAN(data.image_shape, seed=seed, dtype=dtype)
        gan.compile()
        return gan

    gan, clock = fit(make, data, BATCH_SIZE["CycleGAN"], effort)
    pool = [
        gan.translate(data.images[data.labels != label][:n], to=name)[:, :height, :width]
        for label, name in enumerate(data.class_names)
    ]
    return pool, [clock]


def truth(
    train: sr.ImageDataset, n: int, effort: Effort, seed: int, *, dtype: str
) -> tuple[Any, list[Clock]]:
    """Return new phantoms, drawn as the real ones were: what a perfect generator would draw."""
    new = sr.make_phantoms(3 * n, image_shape=train.image_shape, seed=NEW_PHANTOMS + seed)
    return [part.images[:n] for part in new.by_class().values()], []


GENERATORS = {
    "R3GAN": functools.partial(one_a_class, "R3GAN"),
    "R3GAN-simultaneous": functools.partial(one_a_class, "R3GAN", updates="simultaneous"),
    "R3GAN-conditional": conditional,
    "R3GAN-base": larger,
    "DCGAN": functools.partial(one_a_class, "DCGAN"),
    "CycleGAN": cyclegan,
    "truth": truth,
}


def main(arguments: list[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--generator", choices=tuple(GENERATORS), default="R3GAN")
    parser.add_argument("--minutes", type=float, help="where not as planned")
    parser.add_argument("--epochs", type=int, help="in place of minutes")
    parser.add_argument("--seen", type=int, help="images a class, of R3GAN-base")
    parser.add_argument(
        "--dtype", default="mixed_bfloat16", help="float32 where the processor is faster with it"
    )
    parser.add_argument("--pool", type=int, help="images a class, where not as planned")
    parser.add_argument("--no-report", action="store_true", help="train and draw alone")
    args = parser.parse_args(arguments)
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    one_thread()
    sizes = sizes_of(args.sizes)
    if args.generator == "truth" and args.set != "phantoms":
        raise SystemExit("--generator truth is for --set phantoms: of no other set is it known.")
    if args.seen is not None and args.generator != "R3GAN-base":
        raise SystemExit("--seen is for --generator R3GAN-base; others take --minutes or --epochs.")
    if args.epochs is not None and args.generator in ("R3GAN-base", "truth"):
        raise SystemExit(f"--generator {args.generator} is not trained by --epochs.")
    wanted = [(fold, size) for size in sizes for fold in args.folds]
    left = [
        cell for cell in wanted if not pool_path(args.set, *cell[::-1], args.generator).exists()
    ]
    cost = f"about {sum(minutes_of(args, size) for _, size in left):.0f} minutes of one core"
    if args.generator == "R3GAN-base":
        cost = cost.replace("one core", "a GPU")
    elif args.epochs is not None:
        cost = f"{args.epochs} epochs each"
    print(f"{len(left)} pools to make, {cost}.", flush=True)
    data = whole(args.set, args.data)
    for fold, size in wanted:
        cut = split(data, fold, size)
        if (fold, size) in left:
            draw(cut, fold, size, args)
        if not args.no_report:
            judge(cut, fold, size, args)


def raw_result(args: argparse.Namespace, fold: int, size: int | None) -> Path:
    return RESULTS / f"{name_of(args.set, size, fold)}_{args.generator.lower()}.json"


def draw(cut: Split, fold: int, size: int | None, args: argparse.Namespace) -> None:
    """Train the generators of a cell and keep what they draw."""
    effort = Effort(minutes_of(args, size), args.epochs, args.seen or SEEN)
    n = args.pool or POOL[size]
    pool, clocks = GENERATORS[args.generator](cut.train, n, effort, fold, dtype=args.dtype)
    values = {
        "set": args.set,
        "fold": fold,
        "size": size,
        **made(cut.train, pool, clocks, args.generator, args.dtype),
        "report": None,
    }
    write(raw_result(args, fold, size), record("benchmarks/study/generate.py", values))
    keep(pool_path(args.set, size, fold, args.generator), pool)


def made(
    train: sr.ImageDataset, pool: list[np.ndarray], clocks: list[Clock], generator: str, dtype: str
) -> dict[str, Any]:
    """Return what is kept of a training: by what, of what, for how long."""
    return {
        "generator": generator,
        "dtype": dtype,
        "gpu": gpu(),
        "training_images": train.class_counts,
        "pool": [len(part) for part in pool],
        "minutes": [clock.spent / 60 for clock in clocks],
        "images_seen": [clock.steps * BATCH_SIZE[generator] for clock in clocks],
    }


def keep(path: Path, pool: list[np.ndarray]) -> None:
    """Write the drawn images of each class, in one piece or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        images=np.concatenate(pool),
        labels=np.repeat(np.arange(len(pool)), [len(each) for each in pool]),
    )
    part.rename(path)


def judge(cut: Split, fold: int, size: int | None, args: argparse.Namespace) -> None:
    """Add to a raw result how near the images of its pool come to those of the test fold."""
    path = raw_result(args, fold, size)
    if not path.exists():
        print(f"Not judged: the pool is there, but {path.name} of its training is not.", flush=True)
        return
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["values"]["report"] is not None:
        return
    pool = read_pool(pool_path(args.set, size, fold, args.generator), cut.train)
    drawn = pool.by_class()
    kept["values"]["report"] = {
        name: sr.evaluate_samples(
            own, drawn[name].images[:JUDGED], held_out, copies=False
        ).to_dict()
        for (name, own), held_out in zip(
            cut.train.by_class().items(), cut.test.by_class().values(), strict=True
        )
        if min(len(own), len(held_out)) >= FEWEST
    }
    write(path, kept)


def minutes_of(args: argparse.Namespace, size: int | None) -> float:
    """Return the minutes of one pool's training."""
    planned = OTHERS.get(args.generator, MINUTES[size])
    if args.generator == "R3GAN-base":
        planned *= (args.seen or SEEN) / SEEN
    return args.minutes or planned


if __name__ == "__main__":
    main()
