"""Between the stages of the study: a generator of another set's radiographs, for all folds.

    python benchmarks/study/elsewhere.py --set fracatlas --data PATH --from bone --from-data PATH

Trains one `R3GAN` a class on all of `--from` that is not in `--set` too, and draws a pool from
each, as where one hospital draws for another. `run.py` with the same four options gives classifiers
with few groups of `--set` these images (`<set>-from-<other>`). Both are kept as the pools
and raw results of `generate.py` are; what is there is not done again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from generators import SETS, load, one_thread
from records import record, write
from study.cells import RUNS, options, whole
from study.generate import RESULTS, Effort, keep, made, one_a_class

MINUTES = 24.0  # of one core, for all classes together
POOL = 12_000  # images a class
KIND = "R3GAN"


def other_options(parser: argparse.ArgumentParser) -> None:
    """Add what names the other set."""
    parser.add_argument("--from", dest="other", choices=SETS, help="whose images are drawn")
    parser.add_argument("--from-data", dest="other_data", type=Path, help="path of that set")


def in_order_of(names: tuple[str, ...], data: sr.ImageDataset) -> sr.ImageDataset:
    """Return the same images with the classes in another order.

    Raises:
        SystemExit: If the classes are others.
    """
    if sorted(names) != sorted(data.class_names):
        raise SystemExit(f"Of classes {names} none draws who has {data.class_names}.")
    label_of = np.array([names.index(name) for name in data.class_names])
    return sr.ImageDataset.from_arrays(
        data.images, label_of[data.labels], class_names=names, groups=data.groups
    )


def others(data: sr.ImageDataset, name: str, other: str, path: Path | None) -> sr.ImageDataset:
    """Return the images of another set, but those of radiographs that `data` shows too."""
    found = in_order_of(data.class_names, load(other, path))
    kept = RUNS / f"{name}-from-{other}_rows.npy"
    if not kept.exists():
        together = sr.ImageDataset.from_arrays(
            np.concatenate([data.images, found.images]),
            np.concatenate([data.labels, found.labels]),
            class_names=data.class_names,
        )
        families = together.with_groups(sr.find_duplicates(together, verbose=0)).group_codes
        own, theirs = np.split(families, [len(data)])
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.flatnonzero(~np.isin(theirs, own)))
    return found.select(np.load(kept, allow_pickle=False))


def pool_of_other(name: str, other: str) -> Path:
    return RUNS / "pools" / f"{name}-from-{other}_{KIND.lower()}.npz"


def main(arguments: list[str] | None = None) -> None:
    parser = options(__doc__)
    other_options(parser)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--pool", type=int, default=POOL, help="images a class")
    args = parser.parse_args(arguments)
    if args.other is None or args.other == args.set:
        raise SystemExit("--from must name another set.")
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    one_thread()
    path = pool_of_other(args.set, args.other)
    if path.exists():
        print(f"{path.name} is there.", flush=True)
        return
    print(f"1 pool to make, about {args.minutes:.0f} minutes of one core.", flush=True)
    data = whole(args.set, args.data)
    train = others(data, args.set, args.other, args.other_data)
    pool, clocks = one_a_class(KIND, train, args.pool, Effort(args.minutes), 0, dtype=args.dtype)
    values = {
        "set": args.set,
        "other": args.other,
        "training_groups": len(np.unique(train.group_codes)),
        **made(train, pool, clocks, KIND, args.dtype),
    }
    raw = RESULTS / "elsewhere" / f"{args.set}-from-{args.other}.json"
    write(raw, record("benchmarks/study/elsewhere.py", values))
    keep(path, pool)


if __name__ == "__main__":
    main()
