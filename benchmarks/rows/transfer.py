"""`TransferClassifier` beside `FractureClassifier`, on grouped folds.

`--parts sets`: AUC of both on five sets, three seeds, by all images and by few groups.
`--parts probe`: the linear probe: a logistic regression on the same features of FracAtlas.
`--parts copies`: how many augmented copies of an image are enough, of 100 groups.
`--parts seconds`: what a comparison of 5 folds, 3 seeds and 4 arms takes, on given images.

Without `--parts`, all of them. Writes one record, which keeps what other parts and sets wrote
before; with `--workdir`, a run that was stopped goes on.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.comparison_fits import other_phantoms
from benchmarks.rows.data import load

SETS = ("fracatlas", "fracatlas_128", "bone", "chest", "pneumoniamnist")
CLASSIFIERS = {
    "FractureClassifier": sr.FractureClassifier,
    "TransferClassifier": sr.TransferClassifier,
}
AUGMENTED = SETS[:1]  # copies of the images of all sets would take hours
FEW = {"fracatlas": (50, 100, 250), "bone": (100,)}  # training groups
COPIES = (1, 2, 4, 8)
PLAIN = ("original", "mixed", "warm_start", "real_warm_start")
CASES = {
    "given": (PLAIN, False),
    "given anew for each fold and seed": (PLAIN, True),
    "given, and two augmented arms": ((*PLAIN[1:3], "augmented", "augmented_mixed"), False),
}  # of the seconds: the arms, and whether each fold and seed has images of its own
PARTS = ("sets", "probe", "copies", "seconds")


class FewGroups:
    """Folds that judge by all images and train on few groups."""

    def __init__(self, groups: int, folds: int) -> None:
        self.groups, self.folds = groups, folds

    def split(self, images: Any, labels: Any, groups: Any) -> Iterator[Any]:
        from synthray.datasets.splits import folds, group_codes

        codes = group_codes(groups, len(labels))
        for fold, (train, test) in enumerate(folds(labels, groups, self.folds, 0)):
            order = np.random.default_rng(fold).permutation(np.unique(codes[train]))
            yield train[np.isin(codes[train], order[: self.groups])], test


class Given(BaseEstimator):
    """An augmenter that has its images already: the same for all, or noise on them for each fit."""

    def __init__(self, images: sr.ImageDataset, anew: bool) -> None:
        self.images, self.anew = images, anew

    def fit(self, train: sr.ImageDataset) -> Self:
        self.first_ = int(train.images[0].sum())
        return self

    def sample(self, counts: dict[str, int], *, seed: int) -> sr.ImageDataset:
        labels, names = self.images.labels, list(self.images.class_names)
        rows = [np.flatnonzero(labels == names.index(name))[:n] for name, n in counts.items()]
        chosen = self.images.select(np.concatenate(rows))
        noise = np.random.default_rng([self.first_, seed]).integers(0, 2, chosen.images.shape)
        return replace(chosen, images=chosen.images ^ (noise * self.anew).astype(np.uint8))


def compare(data: sr.ImageDataset, args: Any, **options: Any) -> sr.ComparisonResult:
    usual = {"cv": args.folds, "seeds": range(args.seeds), "leakage": "off", "n_jobs": args.jobs}
    return sr.run_comparison(data, workdir=args.workdir, **{**usual, **options})


def training(args: Any, classifier: Any) -> sr.Training:
    return sr.Training(classifier=classifier, epochs=args.epochs, class_weight="balanced")


def auc(result: sr.ComparisonResult) -> dict[str, Any]:
    """Return the AUC of each arm with its interval."""
    found = result.statistics(metric="auc").intervals
    return {
        arm: {"value": each["auc"].value, "low": each["auc"].low, "high": each["auc"].high}
        for arm, each in found.items()
    }


def of_sets(args: Any) -> dict[str, Any]:
    found = {}
    for name in SETS if args.sets is None else args.sets:
        data = grouped(name, args)
        sizes = {} if args.quick else {str(n): FewGroups(n, args.folds) for n in FEW.get(name, ())}
        arms = {
            "FractureClassifier": ("original",),
            "TransferClassifier": ("original", "augmented")[: 1 + (name in AUGMENTED)],
        }
        found[name] = {
            "images": len(data),
            "groups": len(np.unique(data.group_codes)),
            "seeds": args.seeds,
            "auc": {
                size: {
                    kind: auc(compare(data, args, cv=cv, arms=arms[kind], training=own))
                    for kind, make in CLASSIFIERS.items()
                    for own in [training(args, make)]
                }
                for size, cv in {**sizes, "all": args.folds}.items()
            },
        }
        print(name, found[name], flush=True)
    return found


def probe(args: Any) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = grouped("fracatlas", args)
    features = sr.TransferClassifier(2, data.image_shape, seed=0).features(data.images)
    found = {}
    for size in (50, 100, 250, None):
        strength = 1e-3 if size is None else 1e-2
        scores = []
        for train, test in FewGroups(size or len(data), args.folds).split(
            data.images, data.labels, data.groups
        ):
            fit = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
            model = make_pipeline(StandardScaler(), fit).fit(features[train], data.labels[train])
            scores.append(roc_auc_score(data.labels[test], model.decision_function(features[test])))
        mean, deviation = float(np.mean(scores)), float(np.std(scores, ddof=1))
        found[str(size or "all")] = {"value": mean, "plus_minus": deviation, "C": strength}
    print(found, flush=True)
    return found


def copies(args: Any) -> dict[str, Any]:
    data, found = grouped("fracatlas", args), {}
    cv = args.folds if args.quick else FewGroups(100, args.folds)
    for count in COPIES:
        make = functools.partial(sr.TransferClassifier, augmented_copies=count)
        arms = ("original", "augmented")
        result = compare(data, args, cv=cv, arms=arms, training=training(args, make))
        against = result.statistics(metric="auc").differences["augmented"]
        found[str(count)] = {
            "difference": against.difference,
            "low": against.low,
            "high": against.high,
        }
        print(count, found[str(count)], flush=True)
    return found


def seconds(args: Any) -> dict[str, float]:
    data, found = grouped("fracatlas", args), {}
    given = other_phantoms(data, 1)
    for name in args.cases:
        arms, anew = CASES[name]
        began = time.perf_counter()
        own = training(args, sr.TransferClassifier)
        args.workdir = None  # nothing is kept from before
        compare(data, args, arms=arms, augmenter=Given(given, anew), training=own)
        found[name] = time.perf_counter() - began
        print(name, f"{found[name]:.0f} s", flush=True)
    return found


def grouped(name: str, args: Any) -> sr.ImageDataset:
    """Return a set with the groups that its folds are cut by."""
    data = load(name, args)
    return data if data.groups is not None else data.with_groups(sr.find_duplicates(data))


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--parts", choices=PARTS, nargs="+", default=PARTS)
    options.add_argument("--sets", choices=SETS, nargs="+")
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--jobs", type=int, default=-1, help="processes")
    options.add_argument("--workdir", type=Path)
    args = timing.parsed(
        options, arguments, {"folds": 2, "seeds": 1, "epochs": 1, "sets": SETS[:1]}
    )
    parts = {"sets": of_sets, "probe": probe, "copies": copies, "seconds": seconds}
    found = {name: parts[name](args) for name in args.parts}
    before = timing.before(args, "transfer")
    for name in {"sets", "seconds"} & set(found):
        found[name] = {**before.get(name, {}), **found[name]}
    timing.keep(args, "transfer", "transfer", {**before, **found})


if __name__ == "__main__":
    timing.run(main)
