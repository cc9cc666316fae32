"""Third stage of the study: verdicts from what `run.py` kept, as PLAN.md says.

    python benchmarks/study/analyse.py

Reads `benchmarks/results/study/<classifier>/`, writes `benchmarks/results/study/analysis.json`:
for each classifier, set and size the scores of every arm, its difference from `best-classic` and
from its control, and what was chosen on validation images. Arms that some fold or seed lacks are
left out and named. `curves.json` tells, for each set with several sizes, what more real images are
worth: the scores of `best-classic` by size, on the same test images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from records import record, write
from study.arms import CANDIDATES, CONTROLS, ELSEWHERE, OTHERS_CONTROLS, TRUTH
from synthray.comparison.metrics import score
from synthray.comparison.resampling import resample
from synthray.comparison.statistics import compare_arms

RESULTS = Path(__file__).resolve().parents[1] / "results" / "study"
BASELINE = "best-classic"
NOT_CHOSEN = (
    *("synthetic-only", "synthetic-only-filtered", "real-warm-start", "soft-real"),
    *(arm.name for run in TRUTH for arm in run.arms),
    *(arm.name for run in ELSEWHERE if not run.filtered for arm in run.arms),
)
METRICS = ("auc", "balanced_accuracy")
Floats = NDArray[np.float32]


class Cells:
    """The folds of one classifier, set and size that are done.

    Args:
        files: Their raw results.
        positive: Label of the positive class.
    """

    def __init__(self, files: list[dict[str, Any]], positive: int = 1) -> None:
        self.values = sorted(files, key=lambda values: values["fold"])
        self.positive = positive
        fits = [{(f["arm"], f["seed"]): f for f in v["fits"]} for v in self.values]
        self.seeds = sorted({seed for found in fits for _, seed in found})
        names = list(dict.fromkeys(arm for found in fits for arm, _ in found))
        whole = [a for a in names if all((a, s) in found for found in fits for s in self.seeds)]
        self.incomplete = [arm for arm in names if arm not in whole]
        self.fits = {arm: [[found[arm, s] for s in self.seeds] for found in fits] for arm in whole}

    def probabilities(self, fit: dict[str, Any], part: str) -> Floats:
        """Return probabilities of both classes, `(n, 2)`."""
        scale = self.values[0]["probability_scale"]
        p = np.asarray(fit[part], np.float32) / scale
        return np.stack([1 - p, p], axis=1)

    def aucs(self, arm: str, fold: int, part: str) -> NDArray[np.float64]:
        """Return the AUC of each seed of one fold; NaN where it is not defined."""
        labels = np.asarray(self.values[fold][f"{part}_labels"])
        found = [
            score(self.probabilities(fit, part), labels, positive_class=self.positive).auc
            for fit in self.fits[arm][fold]
        ]
        return np.array(found, float)

    def validation_auc(self, arm: str, fold: int) -> float:
        """Return the mean over seeds of one fold."""
        return float(self.aucs(arm, fold, "validation").mean())

    def choose(self) -> dict[str, list[str]]:
        """Add the arms that are chosen on validation images; return what was chosen, by fold."""
        with_drawn = [arm for arm in self.fits if arm not in (*CANDIDATES[BASELINE], *NOT_CHOSEN)]
        candidates = {BASELINE: CANDIDATES[BASELINE]}
        if with_drawn:
            candidates |= {**CANDIDATES, "best-synthetic": (BASELINE, *with_drawn)}
        chosen: dict[str, list[str]] = {}
        for name, arms in candidates.items():
            best = self.best(name, arms)
            if best:
                before = chosen.get(BASELINE, [])
                chosen[name] = [
                    before[fold] if arm == BASELINE else arm for fold, arm in enumerate(best)
                ]
        if with_drawn:
            chosen["off-unless-proven"] = self._proven(with_drawn, chosen[BASELINE])
        return chosen

    def best(self, name: str, arms: Sequence[str]) -> list[str]:
        """Add an arm that is in each fold the best on validation images; return which, by fold."""
        known = [arm for arm in arms if arm in self.fits]
        if set(known) <= {BASELINE}:
            return []
        found = [
            max(known, key=lambda arm, fold=fold: self.validation_auc(arm, fold))
            for fold in range(len(self.values))
        ]
        self.fits[name] = [self.fits[arm][fold] for fold, arm in enumerate(found)]
        return found

    def _proven(self, with_drawn: list[str], without: list[str]) -> list[str]:
        """Choose by fold the best arm with drawn images where validation images prove it."""
        found = []
        for fold, values in enumerate(self.values):
            pooled = {
                arm: np.stack(
                    [self.probabilities(fit, "validation") for fit in self.fits[arm][fold]]
                )
                for arm in (BASELINE, *with_drawn)
            }
            compared = compare_arms(
                pooled,
                np.asarray(values["validation_labels"]),
                baseline=BASELINE,
                metric="auc",
                positive_class=self.positive,
            )
            found.append(compared.proven_best() or BASELINE)
        self.fits["off-unless-proven"] = [self.fits[arm][k] for k, arm in enumerate(found)]
        return [without[k] if arm == BASELINE else arm for k, arm in enumerate(found)]

    def column(self, name: str) -> NDArray[Any]:
        return np.concatenate([np.asarray(values[name]) for values in self.values])

    def layout(self) -> dict[str, Any]:
        """Return what `compare_arms` must know of the test images."""
        sizes = [len(values["test_labels"]) for values in self.values]
        found: dict[str, Any] = {
            "groups": np.unique(self.column("test_groups"), return_inverse=True)[1],
            "folds": np.repeat(np.arange(len(sizes)), sizes),
            "positive_class": self.positive,
        }
        if len(sizes) > 1:
            found["test_to_train"] = 1 / 4  # of five folds, however many are done
        return found

    def pooled(self) -> dict[str, Floats]:
        """Return the probabilities of all test images: arm to `(seeds, n, 2)`."""
        return {
            arm: np.stack(
                [
                    np.concatenate([self.probabilities(fold[s], "test") for fold in folds])
                    for s in range(len(self.seeds))
                ]
            )
            for arm, folds in self.fits.items()
        }


def above(cells: Cells) -> dict[str, list[int]]:
    """Return of each arm in how many pairs of fold and seed its AUC is above the baseline's."""
    folds = range(len(cells.values))
    found = {
        arm: np.concatenate([cells.aucs(arm, fold, "test") for fold in folds]) for arm in cells.fits
    }
    base = found.pop(BASELINE)
    return {arm: [int((scores > base).sum()), len(base)] for arm, scores in found.items()}


def analyse(files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the verdicts of one classifier, set and size."""
    cells = Cells(files)
    chosen = cells.choose()
    pooled = cells.pooled()
    labels = cells.column("test_labels")
    shared = cells.layout()
    draws = resample(
        pooled,
        labels,
        shared["groups"],
        shared["folds"],
        positive_class=cells.positive,
        n_resamples=2000,
        seed=0,
    )
    compared = {
        arm: control
        for table in (CONTROLS, OTHERS_CONTROLS)
        for arm, control in table.items()
        if arm in pooled and control in pooled
    }
    against: dict[str, Any] = {}
    controls: dict[str, Any] = {}
    for metric in METRICS:
        found = compare_arms(
            pooled, labels, baseline=BASELINE, metric=metric, resampled=draws, **shared
        )
        against[metric] = found.to_dict()
        controls[metric] = {
            arm: compare_arms(
                {control: pooled[control], arm: pooled[arm]},
                labels,
                baseline=control,
                metric=metric,
                **shared,
            ).to_dict()["differences"][arm]
            for arm, control in compared.items()
        }
    first = cells.values[0]
    return {
        "folds": [values["fold"] for values in cells.values],
        "seeds": cells.seeds,
        "training_images": [values["training_images"] for values in cells.values],
        "class_names": first["class_names"],
        "pools": [values["pools"] for values in cells.values],
        "chosen": chosen,
        "left_out": cells.incomplete,
        "steps": {arm: found[0][0]["phase_steps"] for arm, found in cells.fits.items()},
        "seconds": {
            arm: float(np.median([f["seconds"] for fold in found for f in fold]))
            for arm, found in cells.fits.items()
        },
        "statistics": against,
        "controls": controls,
        "above": above(cells),
    }


def curve(files: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the scores of `best-classic` by size, smallest first, and what each size adds.

    Only folds that all sizes have count: these are judged by the same images.
    """
    folds = set.intersection(*({v["fold"] for v in values} for values in files.values()))
    found = {
        size: Cells([v for v in values if v["fold"] in folds]) for size, values in files.items()
    }
    for cells in found.values():
        cells.best(BASELINE, CANDIDATES[BASELINE])
    pooled = {size: cells.pooled()[BASELINE] for size, cells in found.items()}
    seeds = min(map(len, pooled.values()))
    pooled = {size: p[:seeds] for size, p in pooled.items()}
    first = next(iter(found.values()))
    labels, rows = first.column("test_labels"), first.column("test_rows")
    if any((cells.column("test_rows") != rows).any() for cells in found.values()):
        raise SystemExit("Sizes of one set were judged by different images.")
    shared = first.layout() | {"metric": "auc"}
    sizes = list(pooled)
    told = compare_arms(pooled, labels, baseline=sizes[0], **shared).to_dict()
    steps = {
        size: compare_arms(
            {before: pooled[before], size: pooled[size]}, labels, baseline=before, **shared
        ).to_dict()["differences"][size]
        for before, size in itertools.pairwise(sizes)
    }
    images = {
        size: [sum(v["training_images"].values()) for v in c.values] for size, c in found.items()
    }
    return {
        "folds": sorted(folds),
        "seeds": seeds,
        "training_images": images,
        "intervals": {size: told["intervals"][size]["auc"] for size in sizes},
        "steps": steps,
    }


def curves(parts: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the curve of each classifier and set that has several sizes.

    What other generators drew is left out: real images are the same whatever is drawn.
    """
    found: dict[str, dict[int | None, list[dict[str, Any]]]] = defaultdict(dict)
    for name, files in parts.items():
        if "-" not in name:
            found[name.rpartition("_")[0]][files[0]["size"]] = files
    return {
        name: curve({str(s or "all"): sizes[s] for s in sorted(sizes, key=lambda s: s or math.inf)})
        for name, sizes in found.items()
        if len(sizes) > 1
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args(arguments)
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(args.results.glob("*/*_fold*.json")):
        if path.parent.name != "generators":
            name = re.sub(r"_fold\d+$", "", path.stem)
            raw = json.loads(path.read_text(encoding="utf-8"))
            parts[f"{path.parent.name}/{name}"].append(raw["values"])
    found = {name: analyse(files) for name, files in parts.items()}
    write(args.results / "analysis.json", record("benchmarks/study/analyse.py", found))
    of_sizes = curves(parts)
    if of_sizes:
        write(args.results / "curves.json", record("benchmarks/study/analyse.py", of_sizes))
    for name, values in found.items():
        print(name, f"{len(values['folds'])} folds x {len(values['seeds'])} seeds", sep=": ")
        for arm, each in values["statistics"]["auc"]["differences"].items():
            print(f"  {arm:22} {each['difference']:+.3f}  {each['verdict']}")


if __name__ == "__main__":
    main()
