"""Second stage of the study: train the arms of each fold, and keep what they say of each image.

    python benchmarks/study/run.py --set fracatlas --data PATH [--classifier deck] [--sizes all]

Needs the pools that `generate.py` drew; arms whose pool is missing are told and left out, to be
done by a later call. Writes `benchmarks/results/study/<classifier>/<set>_<size>_fold<k>.json`,
after each group of arms; what is there is not trained again, so a run that was killed goes on. Says
first what is to be done. `analyse.py` makes the verdicts.

`--generator R3GAN-base` takes that one's pools in place of those of `R3GAN`, for some of the arms.
Its files are of a set `<set>-base`; what no drawn image touches they have from those of the set.
`--shared`, with sizes in groups, takes the images of a `base` preset that has learnt from all
groups of the training side, of which the classifier sees few: files of a set `<set>-shared`.
`--from OTHER --from-data PATH` takes those of a generator of another set (`elsewhere.py`), and its
radiographs themselves: files of a set `<set>-from-<other>`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from generators import one_thread
from records import record, write
from study.arms import REAL_ALONE, Run, affordable
from study.cells import Split, name_of, options, sizes_of, split, whole
from study.classifiers import CLASSIFIERS, FEWEST_STEPS, PASSES
from study.elsewhere import other_options, others
from study.sources import source_of

RESULTS = Path(__file__).resolve().parents[1] / "results" / "study"
BATCH_SIZE = 32
SCALE = 10_000  # probabilities are kept as whole numbers of this


def compute(
    run: Run, cut: Split, drawn: sr.ImageDataset | None, args: argparse.Namespace, seeds: list[int]
) -> list[dict[str, Any]]:
    """Train the arms of a run; return what each fit says of validation and test images."""
    passes = PASSES[args.classifier]
    steps = math.ceil(len(cut.train) / BATCH_SIZE)
    arms = run.arms
    if drawn is not None:
        arms = tuple(affordable(arm, len(cut.train), len(drawn)) for arm in arms)
    judging = cut.validation.concatenate(cut.test)
    augmentation = None
    if run.augmentation is not None:
        augmentation = sr.classic_augmentation(**run.augmentation)
    result = sr.run_comparison(
        cut.train,
        judging,
        arms=arms,
        augmenter=drawn,
        classifier=CLASSIFIERS[args.classifier],
        augmentation=augmentation,
        epochs=max(passes, math.ceil(FEWEST_STEPS / steps)),
        batch_size=BATCH_SIZE,
        seeds=seeds,
        class_weight="balanced",
        audit="off",  # groups hold what the audit finds: see cells.whole
        executor=None,
        verbose=0,
    )
    n = len(cut.validation)
    planned = {arm.name: arm for arm in arms}
    found = []
    for fit in result.runs:
        p = np.round(fit.probabilities[:, 1] * SCALE).astype(int)
        found.append(
            {
                "arm": fit.arm,
                "seed": fit.seed,
                "phases": [phase.to_dict() for phase in planned[fit.arm]],
                "phase_steps": list(fit.phase_steps),
                "seconds": fit.seconds,
                "loss": [round(value, 4) for value in fit.history["loss"]][:: max(1, passes // 10)],
                "validation": p[:n].tolist(),
                "test": p[n:].tolist(),
            }
        )
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--classifier", choices=tuple(CLASSIFIERS), default="deck")
    parser.add_argument("--generator", default="R3GAN", help="whose pools to take")
    parser.add_argument("--shared", action="store_true", help="of a generator that saw all groups")
    other_options(parser)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--arms", nargs="*", help="only these, of those that are planned")
    args = parser.parse_args(arguments)
    if args.core is not None:
        os.sched_setaffinity(0, {args.core})
    one_thread()
    sizes = sizes_of(args.sizes)
    if args.shared and None in sizes:
        raise SystemExit("--shared is for --sizes in groups: of all groups there are no others.")
    asked = [args.shared, args.generator != "R3GAN", args.other is not None]
    if sum(asked) > 1:
        raise SystemExit("Of --shared, --generator and --from one at a time: each names who draws.")
    data = whole(args.set, args.data)
    elsewhere = None
    if args.other is not None:
        elsewhere = others(data, args.set, args.other, args.other_data)
    for size in sizes:
        for fold in args.folds:
            one_cell(data, fold, size, args, elsewhere)


def one_cell(
    data: sr.ImageDataset,
    fold: int,
    size: int | None,
    args: argparse.Namespace,
    elsewhere: sr.ImageDataset | None = None,
) -> None:
    """Train what is missing of one fold and size."""
    folder = RESULTS / args.classifier
    planned = folder / f"{name_of(args.set, size, fold)}.json"
    path = planned
    cut = split(data, fold, size)
    source = source_of(data, cut, fold, size, args, elsewhere)
    planned_arms = {arm.name for run in source.runs for arm in run.arms}
    asked = set(args.arms or planned_arms)
    if unknown := asked - planned_arms:
        raise SystemExit(f"Not planned here: {sorted(unknown)}; of {sorted(planned_arms)}.")
    if source.form:
        path = folder / f"{name_of(f'{args.set}-{source.form}', size, fold)}.json"
    values: dict[str, Any] = {
        "set": args.set,
        "fold": fold,
        "size": size,
        "classifier": args.classifier,
        "class_names": list(data.class_names),
        "training_images": cut.train.class_counts,
        "probability_scale": SCALE,
        "validation_labels": cut.validation.labels.tolist(),
        "test_labels": cut.test.labels.tolist(),
        "test_rows": cut.test_rows.tolist(),
        "test_groups": np.asarray(cut.test.groups).tolist(),
        "pools": {},
        "fits": [],
    }
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))["values"]
        if before["test_rows"] != values["test_rows"]:
            raise SystemExit(
                f"{path.name} was made with folds of other groups: remove it, or give back the "
                f"groups that were found then ({args.set}_groups.npy)."
            )
        values = before
    elif path != planned:
        before = json.loads(planned.read_text(encoding="utf-8"))["values"]
        if before["test_rows"] != values["test_rows"]:
            raise SystemExit(f"{planned.name} was made with folds of other groups.")
        values["fits"] = [fit for fit in before["fits"] if fit["arm"] in REAL_ALONE]
    done = {(fit["arm"], fit["seed"]) for fit in values["fits"]}
    for run in source.runs:
        run = replace(run, arms=tuple(a for a in run.arms if a.name in asked))
        names = [arm.name for arm in run.arms]
        if not names:
            continue
        seeds = [s for s in range(args.seeds) if any((name, s) not in done for name in names)]
        if not seeds:
            continue
        drawn = None
        if run.pool is not None:
            drawn = source.images(run)
            if drawn is None:
                missing = source.pools[run.pool].name
                print(f"{path.stem}: left out, no pool {missing}: {', '.join(names)}")
                continue
            values["pools"][source.name_of(run)] = len(drawn)
        began = time.perf_counter()
        values["fits"] += [
            fit
            for fit in compute(run, cut, drawn, args, seeds)
            if (fit["arm"], fit["seed"]) not in done
        ]
        spent = time.perf_counter() - began
        print(f"{path.stem}: {', '.join(names)}, seeds {seeds}: {spent:.0f} s", flush=True)
        write(path, record("benchmarks/study/run.py", values))


if __name__ == "__main__":
    main()
