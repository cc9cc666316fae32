"""`tune`: do drawn images help on these data, and in which way? Off unless proven."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from synthray.comparison.arms import CONTROLS, Arm, resolve_arms
from synthray.comparison.metrics import HEADINGS, LOWER_IS_BETTER
from synthray.comparison.phases import Phase
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison
from synthray.comparison.single import train_classifier
from synthray.comparison.table import size
from synthray.comparison.verdicts import Difference
from synthray.datasets.image_dataset import ImageDataset

RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
CANDIDATES: tuple[Arm, ...] = (
    Arm("original"),
    Arm("augmented", Phase(augment=True)),
    *(Arm(f"mixed_{ratio:g}", Phase("mixed", augment=True, ratio=ratio)) for ratio in RATIOS),
    CONTROLS["augmented_warm_start"],
    CONTROLS["synthetic_only"],
)
"""What `tune` chooses from: two arms without drawn images, and seven with them, augmented."""

_NOT_TUNED = ("test", "data", "protocol")
_OF_JUDGING = (
    *("positive_class", "validation", "audit", "fold_seed", "executor", "callbacks"),
    *("workdir", "verbose"),
)  # arguments that say nothing of how a classifier is trained


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TuningReport:
    """What `tune` found. `print` says what to train, and why.

    Attributes:
        result: The comparison on inner folds.
        arms: The arms that were compared, by name.
        metric: The score that decided.
        baseline: Name of the best arm without drawn images.
        candidate: Name of the best arm with them.
        difference: `candidate` less `baseline`, with interval and p, corrected for all arms with
            drawn images (Holm 1979).
        chosen: Name of the arm to train: `candidate` if it is proven to be better, else `baseline`.
        augmenter: The augmenter that was tuned.
        settings: Arguments of `run_comparison` that `fit` trains with.
    """

    result: ComparisonResult
    arms: Mapping[str, Arm]
    metric: str
    baseline: str
    candidate: str
    difference: Difference
    chosen: str
    augmenter: Any
    settings: Mapping[str, Any]

    @property
    def use_synthetic(self) -> bool:
        """Whether drawn images are proven to help here."""
        return self.chosen == self.candidate

    @property
    def arm(self) -> Arm:
        """The arm to train, for `run_comparison` and `train_classifier`."""
        return self.arms[self.chosen]

    @property
    def ratio(self) -> float | None:
        """Drawn images for each real one: 0 for none, `None` for all that there are."""
        if not self.use_synthetic:
            return 0.0
        return next((phase.ratio for phase in self.arm if phase.ratio is not None), None)

    def fit(self, train: ImageDataset, *, seed: int = 0, **options: Any) -> keras.Model:
        """Train a classifier on all of `train` by the chosen arm, and return it.

        Generators are trained only if the chosen arm needs drawn images, or their number.

        Args:
            train: Real images: those that were given to `tune`.
            seed: As in [`train_classifier`][synthray.train_classifier].
            **options: `callbacks`, `workdir` and `verbose` of `train_classifier`.
        """
        augmenter = self.augmenter if self.arm.uses_synthetic else None
        settings = {**self.settings}
        if augmenter is None:
            settings.pop("n_synthetic", None)
        return train_classifier(
            train, self.arm, augmenter=augmenter, seed=seed, **{**settings, **options}
        )

    def __str__(self) -> str:
        """Return what to train, what that rests on, and the table of all arms."""
        found, name = self.difference, HEADINGS[self.metric]
        drawn = [arm for arm in self.arms.values() if arm.shows_synthetic]
        if self.use_synthetic:
            lines = [
                f"Synthetic images help here: train {self.chosen!r}.",
                f"Its {name} differs from that of {self.baseline!r}, the best arm without drawn "
                f"images, by {found.numbers}.",
            ]
        else:
            lines = [
                f"Do not use synthetic data here: train {self.chosen!r}.",
                f"None of {len(drawn)} arms with drawn images is proven to be better than "
                f"{self.baseline!r}, the best arm without; the best of them is "
                f"{self.candidate!r}, whose {name} differs from it by {found.numbers}.",
            ]
            if found.detectable is not None:
                lines.append(
                    f"A true difference below about {found.detectable:.3f} was out of reach of "
                    f"{size(self.result.statistics(metric=self.metric))}."
                )
        lines += [self._alone(arm.name) for arm in drawn if not arm.shows_real]
        return "\n".join([*lines, "", str(self.result)])

    def _alone(self, arm: str) -> str:
        found = self.result.statistics(metric=self.metric).intervals
        scores = [found[name][self.metric].value for name in (arm, self.baseline)]
        told = ["not defined" if score is None else f"{score:.3f}" for score in scores]
        return (
            f"Drawn images alone ({arm!r}) teach {HEADINGS[self.metric]} {told[0]}, real ones "
            f"{told[1]}: so much of the classes have the generators learnt."
        )

    def __repr__(self) -> str:
        """Return the same text."""
        return str(self)


def tune(
    augmenter: Any,
    train: ImageDataset,
    *,
    arms: Iterable[Arm | str] = CANDIDATES,
    metric: str = "auc",
    folds: int = 5,
    seeds: Iterable[int] = (0, 1),
    class_weight: Any = "balanced",
    n_synthetic: Any = None,
    **settings: Any,
) -> TuningReport:
    """Find out on training images alone whether drawn images help, and in which way.

    The training images are cut into grouped, stratified folds; in each, generators learn from its
    training side alone and every arm is judged by the rest, as in `run_comparison`. The arm with
    drawn images that does best is chosen only if it is proven to do better than the best arm
    without: by the tests of `run_comparison`, corrected for the number of arms with drawn images.
    Otherwise the advice is to use none.

    Args:
        augmenter: One that is not fitted; it is left so.
        train: Real training images. Test images must not be among them.
        arms: What to choose from: names and `Arm` objects, some without drawn images and some with.
        metric: A score of [`Scores`][synthray.Scores] that decides.
        folds: Number of folds.
        seeds: As in `run_comparison`. More folds and seeds find smaller differences; generators
            are trained for each fold and seed.
        class_weight: As in `run_comparison`.
        n_synthetic: As in `run_comparison`; by default so many that the largest ratio of `arms` can
            be had, half of two classes each.
        **settings: Other arguments of `run_comparison`.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If all arms, or none, train on drawn images, or an argument does not fit.
    """
    unfit = sorted(set(settings) & set(_NOT_TUNED))
    if unfit:
        raise ValueError(
            f"tune takes training images alone and cuts them by groups: it has no {unfit[0]}=."
        )
    by_name = {arm.name: arm for arm in resolve_arms(arms)}
    drawn = [name for name, arm in by_name.items() if arm.shows_synthetic]
    real = [name for name in by_name if name not in drawn]
    if not drawn or not real:
        raise ValueError(
            "tune compares arms that train on drawn images with arms that do not, and needs both. "
            f"With: {drawn}; without: {real}."
        )
    if metric not in HEADINGS:
        raise ValueError(f"metric must be one of {tuple(HEADINGS)}, got {metric!r}.")
    if n_synthetic is None:
        ratios = [phase.ratio or 1.0 for arm in by_name.values() for phase in arm]
        each = math.ceil(max(ratios) * len(train) / train.num_classes)
        n_synthetic = dict.fromkeys(train.class_names, each)
    shared = {"class_weight": class_weight, "n_synthetic": n_synthetic, **settings}
    result = run_comparison(
        train, folds=folds, seeds=seeds, augmenter=augmenter, arms=list(by_name.values()), **shared
    )
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0

    def merit(arm: str) -> float:
        scores = result.scores(arm)[metric]
        return sign * float(scores.mean()) if not math.isnan(scores.mean()) else -math.inf

    baseline = max(real, key=merit)
    compared = result.statistics(metric=metric, baseline=baseline, arms=(baseline, *drawn))
    proven = compared.proven_best()
    candidate = proven or max(drawn, key=merit)
    return TuningReport(
        result=result,
        arms=by_name,
        metric=metric,
        baseline=baseline,
        candidate=candidate,
        difference=compared.differences[candidate],
        chosen=proven or baseline,
        augmenter=augmenter,
        settings={k: v for k, v in shared.items() if k not in _OF_JUDGING},
    )
