"""Results of comparisons and reports on synthetic images, made up of random numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.duplicates.leakage import LeakageReport
from synthray.statistics.metrics import score

ARMS = {"original": 1.0, "augmented": 0.9, "warm_start": 2.6}


def make_leak(
    *, twins: int = 0, conflicts: int = 0, names: tuple[str, ...] = ("intact", "fractured")
) -> LeakageReport:
    labels = np.arange(20) % len(names)
    known = np.arange(20) < twins
    clusters, none = np.arange(20), np.zeros(20, bool)
    pairs = np.zeros((conflicts, 2), np.int64)
    twins_of = np.where(known, clusters, -1)
    return LeakageReport(20, 20, names, twins_of, known, none, labels, labels, clusters, pairs)


def predictions(
    labels: NDArray[np.int64], k: int, skill: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    z = rng.normal(size=(len(labels), k))
    z[np.arange(len(labels)), labels] += skill
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return p.astype(np.float32)


def make_result(
    *,
    arms: dict[str, float] = ARMS,
    names: tuple[str, ...] = ("intact", "fractured"),
    n: int = 120,
    folds: int = 2,
    seeds: int = 2,
    diverged: str | None = None,
    validation: bool = True,
    epochs: int = 4,
    **changes: Any,
) -> ComparisonResult:
    """Make a result of random predictions, the better the larger the skill of an arm."""
    rng = np.random.default_rng(0)
    k = len(names)
    labels = np.arange(n) % k
    fold = np.arange(n) // k % folds
    runs = []
    for seed in range(seeds):
        for f in range(folds):
            for arm, skill in arms.items():
                p = predictions(labels[fold == f], k, skill, rng)
                if arm == diverged and seed == 0:
                    p[:] = np.nan
                curve = tuple(np.linspace(0.5, 0.9, epochs).tolist())
                history = {"loss": curve[::-1], "accuracy": curve, "learning_rate": curve}
                if validation:
                    history |= {"val_loss": curve[::-1], "val_accuracy": curve}
                runs.append(
                    ArmRun(
                        arm=arm,
                        seed=seed,
                        fold=f,
                        scores=score(p, labels[fold == f]),
                        history=history,
                        probabilities=p,
                        phase_steps=(20, 20) if arm == "warm_start" else (40,),
                        steps_per_entry=10,
                        seconds=2.0,
                    )
                )
    fields: dict[str, Any] = {
        "runs": tuple(runs),
        "labels": labels,
        "folds": fold,
        "names": None,
        "groups": np.arange(n) // 2,
        "class_names": names,
        "positive_class": names[1] if k == 2 else None,
        "leak": make_leak(names=names),
        "settings": {"grouped": True, "leakage": "warn", "n_folds": folds, "epochs": epochs},
        "versions": {"synthray": "0"},
    }
    return ComparisonResult(**{**fields, **changes})


def make_pictures(*, synthetic: bool = True, side: int = 12, channels: int = 1) -> Any:
    """Make pictures of two classes, and three pairs."""
    rng = np.random.default_rng(0)

    def some() -> NDArray[np.uint8]:
        return rng.integers(0, 256, (8, side, side, channels), np.uint8)

    names = ("intact", "fractured")
    return SimpleNamespace(
        real={name: some() for name in names},
        synthetic={name: some() for name in names} if synthetic else {},
        leaked=[(some()[0], some()[1]) for _ in range(3)],
    )


def make_samples(*, copies: int = 0, looked: bool = True) -> Any:
    """Make a report on synthetic images, with as many pairs as copies, else one."""
    rng = np.random.default_rng(0)
    real, synthetic = rng.integers(0, 256, (2, 6, 12, 12, 1), np.uint8)

    def scores() -> SimpleNamespace:
        low, kid, high, *values = np.sort(rng.random(8)).tolist()
        names = ("frechet", "precision", "recall", "density", "coverage")
        return SimpleNamespace(
            kid=kid, kid_low=low, kid_high=high, **dict(zip(names, values, strict=True))
        )

    memorization = SimpleNamespace(
        n_synthetic=24,
        copies=np.arange(copies),
        found=bool(copies),
        c_t=-0.4,
        authenticity=0.75,
        ratio=1.02,
        describe=lambda: f"COPIES: {copies} of 24." if copies else "No sign of copying.",
    )
    return SimpleNamespace(
        scores={name: scores() for name in ("synthetic", "augmented", "blurred", "real")},
        judge="some network at 32x32 pixels",
        verdict="far from real",
        n_judged=24,
        memorization=memorization if looked else None,
        pairs=[(synthetic[0], real[0])] * max(copies, 1) if looked else [],
        pictures={"real": real, "synthetic": synthetic},
    )
