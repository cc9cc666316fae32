"""Fits how likely two images show one radiograph, for `find_duplicates`.

    python -m benchmarks.rows.pair_model --data FOLDER

Pairs are those that the search lays on each other: of planted copies and their originals, of
different radiographs among these, and of different patients. Their measures are weighed by a
logistic regression with an L2 penalty. `--data` holds `fracatlas_64.npz`, `fracatlas_128.npz` and
`chest_pneumonia_64.npz`. The weights go into the library; `--out` is where else, for a trial.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

import synthray as sr
from benchmarks.records import ROOT, record, write
from benchmarks.rows import timing
from synthray.duplicates import duplicates, pair_model
from synthray.duplicates.matching import Guesses, Matcher
from synthray.duplicates.working import has_content, working_copies

sys.path.append(str(ROOT / "tests"))

from helpers.planted import AFFINE, KINDS, cells, one_a_group, plant

SEED = 30_000  # the tests and the measurements use others
QUICK = {"radiographs": 12}
PENALTY = 1e-4
COPIES = 0.1  # what copies count, of all pairs: one false link joins two radiographs for good
Numbers = NDArray[np.float64]


class Recorder(Matcher):
    """Keeps the measures of all pairs, and the places of their images."""

    def __init__(self, copies: NDArray[np.uint8]) -> None:
        super().__init__(copies)
        self.rows: list[tuple[NDArray[np.int64], NDArray[np.int64], Numbers]] = []

    def _log_odds(self, guesses: Guesses) -> Numbers:
        kept, found = self.measured(guesses)
        self.rows.append((guesses.i[kept], guesses.j[kept], found))
        return np.zeros(len(guesses.i))


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.set_defaults(seed=SEED, out=pair_model.WEIGHTS.parent)
    options.add_argument("--radiographs", type=int, default=150, help="how many get copies")
    args = timing.parsed(options, arguments, QUICK)
    columns, answers = [], []
    for name, images, truth in sets(args):
        found, same = pairs(images, truth)
        columns.append(found)
        answers.append(same)
        print(f"{name}: {len(same):,} pairs, {same.mean():.0%} of them copies", flush=True)
    weights = fitted(np.concatenate(columns), np.concatenate(answers))
    values: dict[str, Any] = {"weights": weights.tolist()}
    values |= {"pairs": len(np.concatenate(answers)), "copies": int(np.concatenate(answers).sum())}
    told = record(values, script="pair_model", seed=args.seed)
    write(args.out / pair_model.WEIGHTS.name, told)


def sets(args: Any) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield names, images and the radiograph or patient that each image shows."""
    n, seed = args.radiographs, args.seed
    small, large, films = (
        timing.need_data(args, f"{name}.npz")
        for name in ("fracatlas_64", "fracatlas_128", "chest_pneumonia_64")
    )
    bases = {
        "fracatlas at 64": one_a_group(small, n, seed=seed),
        "fracatlas at 128": one_a_group(large, n, seed=seed),
        "chest": one_a_group(films, n, seed=seed),
        "cells": cells(n, seed=seed),
    }
    for name, base in bases.items():
        side = base.shape[1]
        ways = {"affine": AFFINE, "file": KINDS} if side == 128 else {"affine": AFFINE}
        for (way, kinds), together in product(ways.items(), (1, 2)):
            options: dict[str, Any] = {"together": together, "among": kinds, "seed": seed}
            images, truth, _ = plant(base.reshape(-1, side, side), copies=5, side=side, **options)
            yield f"{name}, {way} changes: {together}", images, truth
    phantoms = sr.make_phantoms(6 * n, image_shape=(64, 64, 1), seed=seed)
    different = {
        "fracatlas": one_a_group(large, 6 * n, seed=seed + 1),
        "chest": one_a_group(films, 12 * n, seed=seed + 1),
        "phantoms": phantoms.images[np.unique(phantoms.group_codes, return_index=True)[1]],
    }
    for name, images in different.items():
        yield f"{name}, different", images, np.arange(len(images))


def pairs(images: NDArray[np.uint8], truth: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the measures of all pairs that can be laid on each other, and which are copies."""
    copies = working_copies(images.reshape(*images.shape[:3], 1))
    matcher, places = Recorder(copies), np.flatnonzero(has_content(copies))
    matcher.compare(places, view=duplicates.FIRST)
    matcher.compare(places, view=duplicates.PARTS)
    i, j, found = map(np.concatenate, zip(*matcher.rows, strict=True))
    return found, truth[i] == truth[j]


def fitted(found: Numbers, same: NDArray[np.bool_]) -> Numbers:
    """Return the weights of `pair_model.terms` that make the answers likeliest."""
    terms = pair_model.terms(found)
    mean, spread = terms.mean(0), terms.std(0)
    mean[0], spread[0] = 0, 1  # the constant
    terms = (terms - mean) / spread

    counts = np.where(same, COPIES / same.sum(), (1 - COPIES) / (~same).sum())

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        odds, penalized = terms @ weights, np.append(0, weights[1:])
        value = counts @ (np.logaddexp(0, odds) - same * odds) + PENALTY * (penalized**2).sum()
        slope = terms.T @ (counts * (expit(odds) - same)) + 2 * PENALTY * penalized
        return float(value), slope

    scaled = minimize(loss, np.zeros(terms.shape[1]), jac=True, options={"maxiter": 5000}).x
    weights = scaled / spread
    weights[0] -= (weights * mean).sum()
    return weights


if __name__ == "__main__":
    timing.run(main)
