"""The arms and their controls on grouped folds, where no radiograph is both learnt and judged.

Run it with `python benchmarks/grouped.py --set bone --data PATH`, where PATH is the folder with
`train/`, `val/` and `test/` of the slides' data set, or with `--set fracatlas` and the path of a
FracAtlas `.npz` (keys images, labels, class_names, group). A killed run goes on where it was.
Writes `benchmarks/results/grouped_<set>.json`: scores, statistics, and the probability of the
positive class for each image, but no image and no file name.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import synthray as sr
from records import record, write
from synthray.comparison.resampling import resample
from synthray.comparison.statistics import compare_arms

HERE = Path(__file__).resolve().parent
METRICS = ("balanced_accuracy", "auc", "accuracy")
DEFAULTS = {"bone": (3, 1, 4000), "fracatlas": (10, 3, None)}


def load(name: str, path: Path) -> sr.ImageDataset:
    if name == "bone":
        splits = sr.load_image_folder(path, image_shape=(64, 64, 1))
        if not isinstance(splits, dict):
            raise SystemExit(f"{path} must hold the folders train/, val/ and test/.")
        first, *others = splits.values()
        return first.concatenate(*others)
    with np.load(path, allow_pickle=False) as file:
        names = [str(name) for name in file["class_names"]]
        images, labels, groups = file["images"], file["labels"].ravel(), file["group"]
    return sr.ImageDataset.from_arrays(images, labels, class_names=names, groups=groups)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=tuple(DEFAULTS), required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--statistics", action="store_true", help="anew, from the raw result alone")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="passes of the classifier, all arms alike")
    parser.add_argument("--gan-epochs", type=int)
    parser.add_argument("--gan-width", type=float, default=0.125)
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--n-synthetic", type=int, help="by default as many as there are real ones")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args(arguments)
    if args.statistics:
        recompute(args.out / f"grouped_{args.set}.json")
        return
    if args.data is None:
        parser.error("--data is needed")
    epochs, gan_epochs, drawn = DEFAULTS[args.set]
    data = load(args.set, args.data)
    print(data)
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    gan = functools.partial(sr.DCGAN, width=args.gan_width, dtype=args.precision)
    augmenter = sr.SyntheticAugmenter(gan, epochs=args.gan_epochs or gan_epochs)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=spawn) as executor:
        result = sr.run_comparison(
            data,
            folds=args.folds,
            augmenter=augmenter,
            arms=[*sr.ARMS, *sr.CONTROLS],
            epochs=args.epochs or epochs,
            seeds=range(args.seeds),
            class_weight="balanced",
            n_synthetic=args.n_synthetic or drawn,
            positive_class=next(name for name in data.class_names if name.startswith("fractur")),
            workdir=args.workdir or Path("runs") / f"grouped_{args.set}",
            executor=executor,
        )
    print(result)
    write(
        args.out / f"grouped_{args.set}.json", record("benchmarks/grouped.py", kept(result, args))
    )


def kept(result: sr.ComparisonResult, args: Any) -> dict[str, Any]:
    """Return the result without images and names; probabilities to four digits."""
    values = result.to_dict()
    positive = result.class_names.index(str(result.positive_class))
    for run, stored in zip(result.runs, values["runs"], strict=True):
        stored["probabilities"] = [round(float(p), 4) for p in run.probabilities[:, positive]]
    leak = values.pop("leak") or {}
    values["leak"] = {
        "verdict": None if result.leak is None else result.leak.describe(),
        "n_families": len(set(leak.get("test_families", ()))),
    }
    del values["names"]
    values["generator"] = {
        "class": "DCGAN",
        "width": args.gan_width,
        "epochs": args.gan_epochs or DEFAULTS[args.set][1],
        "precision": args.precision,
    }
    values["statistics"] = statistics(values)
    return values


def statistics(values: dict[str, Any]) -> dict[str, Any]:
    """Return the statistics of what is kept, from the probabilities as they are kept."""
    folds, labels = np.asarray(values["folds"]), np.asarray(values["labels"])
    groups = np.unique(values["groups"], return_inverse=True)[1]
    positive = values["class_names"].index(values["positive_class"])
    seeds = sorted({run["seed"] for run in values["runs"]})
    found: dict[str, Any] = {}
    for run in values["runs"]:
        p = found.setdefault(run["arm"], np.full((len(seeds), len(folds)), np.nan, np.float32))
        p[seeds.index(run["seed"]), folds == run["fold"]] = run["probabilities"]
    pooled = {
        arm: np.stack([1 - p, p] if positive else [p, 1 - p], axis=2) for arm, p in found.items()
    }
    draws = resample(
        pooled, labels, groups, folds, positive_class=positive, n_resamples=2000, seed=0
    )
    shared: dict[str, Any] = {"groups": groups, "folds": folds, "resampled": draws}
    return {
        metric: compare_arms(
            pooled, labels, metric=metric, positive_class=positive, **shared
        ).to_dict()
        for metric in METRICS
    }


def recompute(path: Path) -> None:
    """Compute the statistics of a raw result anew."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["values"]["statistics"] = statistics(raw["values"])
    write(path, raw)


if __name__ == "__main__":
    main()
