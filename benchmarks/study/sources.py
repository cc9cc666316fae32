"""Whose images the classifiers of the study get: those of which generator, and filtered by whom."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import synthray as sr
from study.arms import (
    ANOTHER,
    CLASSIC,
    ELSEWHERE,
    OTHERS,
    R3GAN,
    SHARED,
    SHORT,
    TRUTH,
    Run,
    evenly,
)
from study.cells import RUNS, Split, pool_path, read_pool, split
from study.elsewhere import pool_of_other
from study.generate import repeated

HARD = 0.5  # share that is kept
NEIGHBOURS = 5
TEACHER: dict[str, Any] = {"folds": 5, "epochs": 20, "seed": 0}
FILTERS = RUNS / "filters"


def pool_of(known: sr.ImageDataset, path: Path, filtered: str, folder: Path) -> sr.ImageDataset:
    """Return a pool as it is, or what a filter keeps of it; as many images of each class."""
    drawn = read_pool(path, known)
    if not filtered:
        return evenly(drawn)
    kept_rows = folder / f"{path.stem}_kept.npz"
    if not kept_rows.exists():
        teacher = sr.CrossFittedTeacher(**TEACHER)
        report = sr.filter_samples(
            drawn, known, teacher=teacher, copies=False, hardest=HARD, k=NEIGHBOURS
        )
        folder.mkdir(parents=True, exist_ok=True)
        kept = report.kept | report.reasons["easy"]  # easy ones were good enough for all else
        np.savez(kept_rows, kept=kept, hard=report.kept, told=str(report))
    with np.load(kept_rows, allow_pickle=False) as file:
        rows, told = file["hard" if filtered == "hard" else "kept"], str(file["told"])
    print(f"  {told}", flush=True)
    chosen = evenly(drawn.select(rows))
    if not len(chosen):
        print("  Of one class nothing is kept: all drawn images are taken.", flush=True)
        return evenly(drawn)
    return chosen


def radiographs(known: sr.ImageDataset, once: bool) -> sr.ImageDataset:
    """Return real images in place of drawn ones, as many of each class; `once` one of a group."""
    first = np.unique(known.group_codes, return_index=True)[1]
    given = repeated(known.select(np.sort(first)) if once else known)
    return sr.ImageDataset.from_arrays(
        given.images,
        given.labels,
        class_names=given.class_names,
        synthetic=True,  # to the comparison they are what drawn images are
        provenance={"source": "radiographs of another set"},
    )


@dataclass(frozen=True)
class Source:
    """Whose images the classifiers of a cell get.

    Attributes:
        runs: The arms.
        known: What they learnt from who draw, and who filter.
        pools: Where each one's images are.
        form: What files are called by, behind the name of the set; `""` as planned.
    """

    runs: list[Run]
    known: sr.ImageDataset
    pools: dict[str, Path]
    form: str = ""

    def name_of(self, run: Run) -> str:
        """Return what a result calls the images of a run."""
        path = self.pools.get(str(run.pool))
        return f"{run.pool}" if path is None else path.stem + run.filtered

    def images(self, run: Run) -> sr.ImageDataset | None:
        """Return the images of a run; `None` where they are not drawn yet."""
        if str(run.pool).startswith("radiographs"):
            return radiographs(self.known, once=run.pool == "radiographs-once")
        path = self.pools[str(run.pool)]
        return pool_of(self.known, path, run.filtered, FILTERS) if path.exists() else None


def source_of(
    data: sr.ImageDataset,
    cut: Split,
    fold: int,
    size: int | None,
    args: argparse.Namespace,
    elsewhere: sr.ImageDataset | None,
) -> Source:
    """Return who draws for a fold and size, by what the command asks for.

    Args:
        data: The whole set.
        cut: The fold.
        fold: Its number.
        size: Groups that classifiers learn from; `None` for all.
        args: What the command line says.
        elsewhere: Images of another set, where that is what draws.
    """
    if elsewhere is not None:
        pools = {"drawn": pool_of_other(args.set, args.other)}
        return Source(list(ELSEWHERE), elsewhere, pools, f"from-{args.other}")
    runs = runs_of(args.classifier, size, args.set, args.generator, args.shared)
    whose = None if args.shared else size
    pools = {
        run.pool: pool_path(args.set, whose, fold, run.pool) for run in runs if run.pool is not None
    }
    if args.shared:
        return Source(runs, split(data, fold, None).train, pools, "shared")
    form = args.generator.lower().removeprefix("r3gan").strip("-")
    return Source(runs, cut.train, pools, form)


def runs_of(
    classifier: str, size: int | None, name: str, generator: str = "R3GAN", shared: bool = False
) -> list[Run]:
    """Return what is planned for a classifier, a size, a set and a generator."""
    if shared:
        return list(SHARED)
    if generator != "R3GAN":
        of_pool, *_ = R3GAN
        arms = tuple(arm for arm in of_pool.arms if arm.name in ANOTHER)
        return [replace(of_pool, pool=generator, arms=arms)]
    found = [*CLASSIC, *R3GAN, *(OTHERS if size is None else ())]
    found += TRUTH if name == "phantoms" else ()
    if classifier == "deck":
        return found
    short = [
        replace(run, arms=tuple(arm for arm in run.arms if arm.name in SHORT)) for run in found
    ]
    return [run for run in short if run.arms]
