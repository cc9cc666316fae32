"""The experiment: on its official split, which leaks, and on grouped folds, which do not.

`--part official` runs `examples/bone_fractures.py` on `bone-fracture-160/` of `--data`; further
flags are those of the example. `--part bone` puts all three parts of that set together and cuts
grouped folds, `--part fracatlas` does so with `fracatlas_64.npz`, for all arms and controls; with
`--workdir` a run that was stopped goes on where it was. Writes a record of scores and statistics,
and the probability of the positive class for each image beside it.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np

import synthray as sr
from benchmarks.records import ROOT, write_probabilities
from benchmarks.rows import timing
from benchmarks.rows.data import load

sys.path.append(str(ROOT / "examples"))

import bone_fractures as example

NAMES = {"official": "bone_fractures", "bone": "grouped_bone", "fracatlas": "grouped_fracatlas"}
# Epochs of the classifier and of the generator, and how many images are generated.
SETTINGS: dict[str, tuple[int, int, int | None]] = {
    "bone": (3, 1, 4_000),
    "fracatlas": (10, 3, None),
}
WIDTH, PRECISION = 0.125, "mixed_bfloat16"  # of the DCGAN on grouped folds
OFFICIAL = ("--gan-epochs", "3", "--synthetic", "4600", "--seeds", "2")
QUICK_FLAGS = ("--gan-epochs", "1", "--gan-width", "0.0625", "--synthetic", "32", "--epochs", "1")


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--part", choices=tuple(NAMES), default="bone")
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=-1, help="processes")
    options.add_argument("--workdir", type=Path)
    args, flags = options.parse_known_args(arguments)
    if args.quick:
        args.folds, args.seeds = 2, 1
    values, scores = official(args, flags) if args.part == "official" else grouped(args)
    write_probabilities(args.out / f"{NAMES[args.part]}.npz", **scores)
    timing.keep(args, "experiment", NAMES[args.part], values)


def official(args: Any, flags: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = timing.need_data(args, "bone-fracture-160")
    flags = ["--data", str(folder), *OFFICIAL, *flags, *(QUICK_FLAGS if args.quick else ())]
    given, result = example.parse(flags), example.main(flags)
    values, scores = kept(result)
    generator = {
        "class": "DCGAN",
        "width": given.gan_width,
        "precision": given.precision,
        "epochs": given.gan_epochs,
        "synthetic_a_class": given.synthetic,
    }
    return {"generator": generator, "comparison": values}, scores


def grouped(args: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    epochs, gan_epochs, n_synthetic = (2, 1, 64) if args.quick else SETTINGS[args.part]
    data = load(args.part, args)
    positive = next(name for name in data.class_names if name.startswith("fractur"))
    gan = functools.partial(sr.DCGAN, width=WIDTH, dtype=PRECISION)
    result = sr.run_comparison(
        data.with_positive_class(positive),
        cv=args.folds,
        augmenter=sr.SyntheticAugmenter(gan, epochs=gan_epochs),
        arms=[*sr.ARMS, *sr.CONTROLS],
        training=sr.Training(epochs=epochs, class_weight="balanced"),
        seeds=range(args.seeds),
        n_synthetic=n_synthetic,
        workdir=args.workdir,
        n_jobs=args.jobs,
    )
    print(result)
    values, scores = kept(result)
    values["generator"] = {
        "class": "DCGAN",
        "width": WIDTH,
        "epochs": gan_epochs,
        "precision": PRECISION,
    }
    return values, scores


def kept(result: sr.ComparisonResult) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what goes into a record, and the arrays by image that go beside it."""
    values = result.to_dict()
    positive = result.class_names.index(str(result.positive_class))
    arms = list(dict.fromkeys(run.arm for run in result.runs))
    seeds = sorted({run.seed for run in result.runs})
    labels = np.asarray(result.labels)
    scores = np.zeros((len(arms), len(seeds), len(labels)))
    for run in result.runs:
        inside = result.folds == run.fold
        scores[arms.index(run.arm), seeds.index(run.seed), inside] = run.probabilities[:, positive]
    for run in values["runs"]:
        run.pop("probabilities", None)
    for key in ("labels", "names", "groups", "folds"):
        values.pop(key, None)
    values["leak"] = None if result.leak is None else str(result.leak)
    values["images"] = len(labels)
    values["statistics"] = {
        metric: result.statistics(metric=metric).to_dict()
        for metric in ("balanced_accuracy", "auc")
    }
    arrays = {"probabilities": scores, "labels": labels, "folds": result.folds, "arms": arms}
    return values, arrays


if __name__ == "__main__":
    timing.run(main)
