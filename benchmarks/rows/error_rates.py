"""How often the verdicts of a comparison are wrong, where the truth is known.

Two kinds of studies, each repeated many times:

* Phantoms: small networks of random features are trained on simulated radiographs, two a patient.
  The arm `copy` is trained as the baseline is, with other random weights: any difference is chance.
  The arm `more` also gets 600 further radiographs, which is a real effect.
* Random predictions, whose true accuracy has a closed form, with patients and trainings that
  differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.stats import norm

import synthray as sr
from benchmarks.rows import timing
from synthray.statistics.compare import compare_arms

LEVEL = 0.05
FEATURES, HIDDEN, PENALTY = 40, 150, 30.0
QUICK = {"studies": 2, "pool": 1_200}
DESIGNS = ((5, 3), (5, 1), (1, 5), (1, 3), (1, 2))  # folds and seeds


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
    """Choose 120 patients with two views each, train all arms, return what is to be compared."""
    patients = rng.permutation(len(labels) // 2)
    groups = np.repeat(np.arange(120), 2)
    rows = (2 * patients[:120, None] + np.arange(2)).ravel()
    spare = (2 * patients[120:240, None] + np.arange(2)).ravel()
    extra = (2 * patients[240:540, None] + np.arange(2)).ravel()
    folds = groups % n_folds
    arms = {arm: np.empty((n_seeds, 240, 2), np.float32) for arm in ("original", "copy", "more")}
    for arm, predicted in arms.items():
        for s in range(n_seeds):
            for fold in range(n_folds):
                inside = folds == fold
                train = spare if n_folds == 1 else rows[~inside]
                if arm == "more":
                    train = np.concatenate([train, extra])
                x = features[rows[inside]]
                predicted[s, inside] = fit_predict(features[train], labels[train], x, rng)
    return {"probabilities": arms, "labels": labels[rows], "groups": groups, "folds": folds}


def random_study(n_folds, n_seeds, training, skill, rng) -> dict[str, Any]:
    """Make predictions of 60 patients with four images each."""
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


def rates(studies: Iterator[dict[str, Any]], truth: float | None) -> dict[str, Any]:
    """Compare the arms of many studies; `truth` is the true difference, or the mean if `None`."""
    found: dict[str, list[Any]] = {}
    for number, study in enumerate(studies):
        compared = compare_arms(**study, metric="accuracy", n_resamples=400, seed=number)
        for arm, difference in compared.differences.items():
            found.setdefault(arm, []).append(difference)
    rows = {}
    for arm, differences in found.items():
        values = np.array([d.difference for d in differences])
        true = truth
        if true is None:  # of arms trained alike zero; the estimate itself is not biased
            true = 0.0 if arm == "copy" else float(values.mean())
        ends = np.array([(d.low, d.high) for d in differences])
        rows[arm] = {
            "true_difference": true,
            "better": float(np.mean([d.verdict == "better" for d in differences])),
            "worse": float(np.mean([d.verdict == "worse" for d in differences])),
            "coverage": float(np.mean((ends[:, 0] <= true) & (true <= ends[:, 1]))),
        }
    return rows


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--studies", type=int, default=250)
    options.add_argument("--pool", type=int, default=20_000, help="phantoms to choose from")
    args = timing.parsed(options, arguments, QUICK)
    features, labels = pool(args.pool, seed=args.seed)
    phantoms, numbers = {}, {}
    for name, n_folds, n_seeds in (("5 folds, 3 seeds", 5, 3), ("test set, 5 seeds", 1, 5)):
        rng = np.random.default_rng(1)
        repeated = (
            phantom_study(features, labels, n_folds, n_seeds, rng) for _ in range(args.studies)
        )
        phantoms[name] = rates(repeated, None)
        print(name, phantoms[name], flush=True)
    spread = (1 + 0.25 + 0.25 + 0.25 + 0.15**2) ** 0.5
    cases = [(*design, skill, False) for design in DESIGNS for skill in (1.0, 1.6)]
    for n_folds, n_seeds, skill, ignored in [*cases, (1, 5, 1.0, True)]:
        rng = np.random.default_rng(2)
        name = f"{n_folds} folds" if n_folds > 1 else "test set"
        name += f", {n_seeds} seed{'s' * (n_seeds > 1)}" + ", patients ignored" * ignored
        name += ", no effect" if skill == 1.0 else ", effect"
        repeated = (
            random_study(n_folds, n_seeds, 0.15, skill, rng) | ({"groups": None} if ignored else {})
            for _ in range(args.studies)
        )
        truth = float(norm.cdf(skill / spread) - norm.cdf(1 / spread))
        numbers[name] = rates(repeated, truth)["other"]
        print(name, numbers[name], flush=True)
    values = {"studies": args.studies, "level": LEVEL, "phantoms": phantoms, "numbers": numbers}
    timing.keep(args, "error_rates", "error_rates", values)


if __name__ == "__main__":
    timing.run(main)
