"""How often the verdicts of a comparison are wrong, where the truth is known.

Run it with `python benchmarks/error_rates.py`. Two kinds of studies, each repeated many times:

* Phantoms: small networks of random features are trained on simulated radiographs, two a patient.
  The arm `copy` is trained as the baseline is, with other random weights: any difference is chance.
  The arm `more` also gets 600 further radiographs, which is a real effect.
* Drawn predictions, whose true accuracy has a closed form, with patients and trainings that differ.

Writes `benchmarks/results/error_rates.json`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

import synthray as sr
from records import record, write
from synthray.comparison.statistics import compare_arms

ALPHA = 0.05
P_VALUES = ("p_value", "p_bootstrap", "p_corrected_t", "p_permutation", "p_mcnemar")
FEATURES, HIDDEN, PENALTY = 40, 150, 30.0


def pool(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of phantoms (mean gradients of rows and columns) and labels."""
    data = sr.make_phantoms(n, image_shape=(32, 32, 1), displacement=1.0, seed=seed)
    x = data.images[..., 0] / 255.0
    across, down = np.abs(np.diff(x, axis=1)).mean(axis=2), np.abs(np.diff(x, axis=2)).mean(axis=1)
    profile = np.hstack([across, down])
    profile -= profile.mean(axis=0)
    scores = profile @ np.linalg.svd(profile, full_matrices=False)[2][:FEATURES].T
    return scores / scores.std(axis=0), data.labels


def fit_predict(x, y, x_test, rng: np.random.Generator) -> np.ndarray:
    """Train the output layer of a network with random hidden weights, and predict."""
    weights = rng.normal(size=(FEATURES, HIDDEN)) / FEATURES**0.5
    shift = rng.normal(size=HIDDEN)
    hidden, hidden_test = (
        np.hstack([np.maximum(0, z @ weights + shift), np.ones((len(z), 1))]) for z in (x, x_test)
    )
    gram = hidden.T @ hidden + PENALTY * np.eye(HIDDEN + 1)
    logit = 3 * hidden_test @ np.linalg.solve(gram, hidden.T @ (2.0 * y - 1))
    p = 1 / (1 + np.exp(-logit))
    return np.stack([1 - p, p], axis=1).astype(np.float32)


def phantom_study(features, labels, n_folds, n_seeds, rng) -> dict[str, Any]:
    """Draw 120 patients with two views each, train all arms, return what is to be compared."""
    patients = rng.permutation(len(labels) // 2)
    groups = np.repeat(np.arange(120), 2)
    rows = (2 * patients[:120, None] + np.arange(2)).ravel()
    spare = (2 * patients[120:240, None] + np.arange(2)).ravel()
    extra = (2 * patients[240:540, None] + np.arange(2)).ravel()
    folds = groups % n_folds
    arms = {arm: np.empty((n_seeds, 240, 2), np.float32) for arm in ("original", "copy", "more")}
    for predicted_for, predicted in arms.items():
        for s in range(n_seeds):
            for fold in range(n_folds):
                inside = folds == fold
                train = spare if n_folds == 1 else rows[~inside]
                if predicted_for == "more":
                    train = np.concatenate([train, extra])
                x = features[rows[inside]]
                predicted[s, inside] = fit_predict(features[train], labels[train], x, rng)
    return {"probabilities": arms, "labels": labels[rows], "groups": groups, "folds": folds}


def drawn_study(n_folds, n_seeds, training, skill, rng) -> dict[str, Any]:
    """Draw predictions of 60 patients with four images each; the true accuracy is `truth`."""
    groups = np.repeat(np.arange(60), 4)
    labels, folds = groups % 2, groups // 2 % n_folds
    common = rng.normal(size=60)[groups] + 0.5 * rng.normal(size=240)
    arms = {}
    for arm, strength in (("original", 1.0), ("other", skill)):
        trained = training * rng.normal(size=(n_seeds, n_folds))[:, folds]
        own = 0.5 * rng.normal(size=60)[groups] + 0.5 * rng.normal(size=(n_seeds, 240))
        p = 1 / (1 + np.exp(-((2 * labels - 1) * (strength + trained) + common + own)))
        arms[arm] = np.stack([1 - p, p], axis=2).astype(np.float32)
    return {"probabilities": arms, "labels": labels, "groups": groups, "folds": folds}


def rates(studies: Iterator[dict[str, Any]], truth: float | None, **settings: Any) -> dict:
    """Compare the arms of many studies; `truth` is the true difference, or the mean if `None`."""
    found: dict[str, list[Any]] = {}
    for number, study in enumerate(studies):
        statistics = compare_arms(
            **study, metric="accuracy", n_resamples=400, seed=number, **settings
        )
        for arm, difference in statistics.differences.items():
            found.setdefault(arm, []).append(difference)
    rows = {}
    for arm, differences in found.items():
        values = np.array([d.difference for d in differences])
        true = truth
        if true is None:  # of arms trained alike zero; the estimate itself is not biased
            true = 0.0 if arm == "copy" else float(values.mean())
        ends = np.array([(d.low, d.high) for d in differences])
        known = [d.detectable for d in differences if d.detectable is not None]
        rows[arm] = {
            "studies": len(differences),
            "true_difference": round(true, 4),
            "better": _share([d.verdict == "better" for d in differences]),
            "worse": _share([d.verdict == "worse" for d in differences]),
            "coverage": _share((ends[:, 0] <= true) & (true <= ends[:, 1])),
            "detectable": round(float(np.median(known)), 4) if known else None,
            "p_below_level": {
                name: _share([getattr(d, name) < ALPHA for d in differences])
                for name in P_VALUES
                if getattr(differences[0], name) is not None
            },
        }
    return rows


def _share(values: Any) -> float:
    return round(float(np.mean(values)), 4)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--pool", type=int, default=20_000, help="phantoms to draw studies from")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(arguments)
    start = time.perf_counter()
    features, labels = pool(args.pool, seed=0)
    values: dict[str, Any] = {"studies": args.studies, "level": ALPHA, "phantoms": {}, "drawn": {}}
    for name, n_folds, n_seeds in (("5 folds, 3 seeds", 5, 3), ("test set, 5 seeds", 1, 5)):
        rng = np.random.default_rng(1)
        studies = (
            phantom_study(features, labels, n_folds, n_seeds, rng) for _ in range(args.studies)
        )
        values["phantoms"][name] = rates(studies, None)
        print(name, values["phantoms"][name])
    designs = [(5, 3), (5, 1), (1, 5), (1, 3), (1, 2)]
    cases: list[tuple[str, int, int, float, dict[str, Any]]] = [
        (
            f"{f} folds, {s} seed{'s' * (s > 1)}" if f > 1 else f"test set, {s} seeds",
            f,
            s,
            skill,
            {},
        )
        for f, s in designs
        for skill in (1.0, 1.6)
    ]
    cases.append(("test set, 5 seeds, patients ignored", 1, 5, 1.0, {"ignore": True}))
    for name, n_folds, n_seeds, skill, how in cases:
        rng = np.random.default_rng(2)
        spread = (1 + 0.25 + 0.25 + 0.25 + 0.15**2) ** 0.5
        truth = float(norm.cdf(skill / spread) - norm.cdf(1 / spread))
        studies = (
            drawn_study(n_folds, n_seeds, 0.15, skill, rng) | ({"groups": None} if how else {})
            for _ in range(args.studies)
        )
        effect = "no effect" if skill == 1.0 else "effect"
        values["drawn"][f"{name}, {effect}"] = rates(studies, truth)["other"]
        print(name, effect, values["drawn"][f"{name}, {effect}"])
    values["seconds"] = round(time.perf_counter() - start, 1)
    write(args.out / "error_rates.json", record("benchmarks/error_rates.py", values))


if __name__ == "__main__":
    main()
