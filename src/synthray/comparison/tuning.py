"""`tune`: do synthetic images help on these data, and in which way? Used only if proven."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import keras
import numpy as np

from synthray.classifiers.transfer_classifier import TransferClassifier
from synthray.comparison.arms import CONTROLS, Arm, Phase, resolve_arms
from synthray.comparison.folds import Leakage
from synthray.comparison.result import ComparisonResult
from synthray.comparison.runner import run_comparison, train_classifier
from synthray.comparison.training import Training
from synthray.datasets.image_dataset import ImageDataset
from synthray.reports.words import size
from synthray.statistics.metrics import HEADINGS, LOWER_IS_BETTER
from synthray.statistics.verdicts import Difference

RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
CANDIDATES: tuple[Arm, ...] = (
    Arm("original"),
    Arm("augmented", Phase(augment=True)),
    *(Arm(f"mixed_{ratio:g}", Phase("both", augment=True, ratio=ratio)) for ratio in RATIOS),
    CONTROLS["augmented_warm_start"],
    CONTROLS["synthetic_only"],
)
"""What `tune` chooses from: two arms without synthetic images, seven with them and augmented."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TuningReport:
    """What `tune` found. `print` says what to train, and why.

    Attributes:
        result: The comparison on inner folds.
        arms: The arms that were compared, by name.
        metric: The score that decided.
        baseline: Name of the best arm without synthetic images.
        candidate: Name of the best arm with them, of the same classifier.
        difference: `candidate` less `baseline`, with interval and p, corrected for all arms with
            synthetic images (Holm 1979).
        chosen: Name of the arm to train: `candidate` if it is proven to be better, else `baseline`.
        augmenter: The augmenter that was tuned.
        training: How to train it. Its classifier is the pretrained one if that is proven to be
            better.
        n_synthetic: How many images of each class were generated: enough for the largest ratio of
            the arms.
        pretrained: The best arm without synthetic images of the pretrained classifier, less that
            of the user's; `None` if no pretrained classifier was tried.
    """

    result: ComparisonResult
    arms: Mapping[str, Arm]
    metric: str
    baseline: str
    candidate: str
    difference: Difference
    chosen: str
    augmenter: Any
    training: Training
    n_synthetic: dict[str, int]
    pretrained: Difference | None = None

    @property
    def use_synthetic(self) -> bool:
        """Whether synthetic images are proven to help here."""
        return self.chosen == self.candidate

    @property
    def arm(self) -> Arm:
        """The arm to train, for `run_comparison` and `train_classifier`."""
        return self.arms[self.chosen]

    @property
    def ratio(self) -> float | None:
        """Synthetic images for each real one: 0 for none, `None` for all that there are."""
        if not self.use_synthetic:
            return 0.0
        return next((phase.ratio for phase in self.arm if phase.ratio is not None), None)

    def fit(
        self,
        train: ImageDataset,
        *,
        seed: int = 0,
        workdir: str | PathLike[str] | None = None,
        verbose: Any = "auto",
    ) -> keras.Model:
        """Train a classifier on all of `train` by the chosen arm, and return it.

        Generators are trained only if the chosen arm needs synthetic images, or their number.

        Args:
            train: Real images: those that were given to `tune`.
            seed: As in [`train_classifier`][synthray.train_classifier].
            workdir: As there.
            verbose: As there.
        """
        uses = self.arm.uses_synthetic
        return train_classifier(
            train,
            self.arm,
            training=replace(self.training, validation=None, callbacks=None),
            augmenter=self.augmenter if uses else None,
            n_synthetic=self.n_synthetic if uses else None,
            seed=seed,
            workdir=workdir,
            verbose=verbose,
        )

    def __str__(self) -> str:
        """Return what to train, what that rests on, and the table of all arms."""
        found, name = self.difference, HEADINGS[self.metric]
        statistics = self.result.statistics(metric=self.metric)
        synthetic = [arm for arm in self.arms.values() if arm.shows_synthetic]
        if self.use_synthetic:
            lines = [
                f"Synthetic images help here: train {self.chosen!r}.",
                f"Its {name} differs from that of {self.baseline!r}, the best arm without "
                f"synthetic images, by {found.numbers}.",
            ]
        else:
            lines = [
                f"Do not use synthetic data here: train {self.chosen!r}.",
                f"None of {len(synthetic)} arms with synthetic images is proven to be better than "
                f"{self.baseline!r}, the best arm without; the best of them is "
                f"{self.candidate!r}, whose {name} differs from it by {found.numbers}.",
            ]
            if found.detectable is not None:
                lines.append(
                    f"A true difference below about {found.detectable:.3f} was out of reach of "
                    f"{size(statistics)}."
                )
        told = {
            arm: "not defined" if (score := scores[self.metric].value) is None else f"{score:.3f}"
            for arm, scores in statistics.intervals.items()
        }
        lines += [
            f"Synthetic images alone ({arm.name!r}) give {name} {told[arm.name]}, real images "
            f"{told[self.baseline]}: this is how much of the classes the generators have learnt."
            for arm in synthetic
            if not arm.shows_real
        ]
        if (gain := self.pretrained) is not None:
            proven = gain.arm == self.baseline
            text = (
                "Use a pretrained backbone here"
                if proven
                else "A pretrained backbone is not proven"
            )
            sentence = (
                f"{text}: the {name} of {gain.arm!r} differs from that of {gain.baseline!r}, the "
                f"best arm without one and without synthetic images, by {gain.numbers}."
            )
            smaller = abs(gain.difference or 0) < abs(found.difference or 0)
            place = len(lines) if not proven or (smaller and self.use_synthetic) else 0
            lines.insert(place, sentence)
        return "\n".join([*lines, "", str(self.result)])

    __repr__ = __str__


def tune(
    train: ImageDataset,
    *,
    augmenter: Any,
    arms: Iterable[Arm | str] = CANDIDATES,
    training: Training | None = None,
    metric: str = "auc",
    cv: Any = 5,
    seeds: Iterable[int] = (0, 1),
    pretrained: Callable[..., Any] | None = TransferClassifier,
    leakage: Leakage = "warn",
    workdir: str | PathLike[str] | None = None,
    n_jobs: int | None = None,
    verbose: Any = "auto",
) -> TuningReport:
    """Find out on training images alone whether synthetic images help, and in which way.

    The training images are cut into grouped, stratified folds; in each, generators learn from its
    training side alone and every arm is judged by the rest, as in
    [`run_comparison`][synthray.run_comparison]. The best arm with synthetic images is chosen only
    if it is proven to do better than the best arm without: by the tests of `run_comparison`,
    corrected for the number of arms with synthetic images. Otherwise the advice is to use none.

    A pretrained classifier is tried beside that of `training`, on the same folds, by the arms
    without synthetic images and the best one with them. If it is proven to be better without, it
    takes the place of the other: synthetic images then have to help it.

    Args:
        train: Real training images. Test images must not be among them.
        augmenter: One that is not fitted; it is left so.
        arms: What to choose from: names and `Arm` objects, some without synthetic images and some
            with.
        training: How a classifier is trained; by default `Training(class_weight="balanced")`.
        metric: A score of [`Scores`][synthray.Scores] that decides.
        cv: As in `run_comparison`.
        seeds: As in `run_comparison`. More folds and seeds find smaller differences; generators
            are trained for each fold and seed.
        pretrained: Makes the pretrained classifier, as `Training.classifier`; `None` for none.
        leakage: As in `run_comparison`.
        workdir: As in `run_comparison`.
        n_jobs: As in `run_comparison`.
        verbose: As in `run_comparison`.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If all arms, or none, train on synthetic images, an argument does not fit, or
            a splitter cuts other folds when it is called again.
    """
    by_name = {arm.name: arm for arm in resolve_arms(arms)}
    synthetic = [name for name, arm in by_name.items() if arm.shows_synthetic]
    real = [name for name in by_name if name not in synthetic]
    if not synthetic or not real:
        raise ValueError(
            "tune compares arms that train on synthetic images with arms that do not, and needs "
            f"both. With: {synthetic}; without: {real}."
        )
    if metric not in HEADINGS:
        raise ValueError(f"metric must be one of {tuple(HEADINGS)}, got {metric!r}.")
    training = Training(class_weight="balanced") if training is None else training
    ratios = [phase.ratio or 1.0 for arm in by_name.values() for phase in arm]
    each = math.ceil(max(ratios) * len(train) / train.num_classes)
    n_synthetic = dict.fromkeys(train.class_names, each)
    options: dict[str, Any] = {"cv": cv, "augmenter": augmenter, "n_synthetic": n_synthetic}
    options |= {"seeds": list(seeds), "n_jobs": n_jobs, "verbose": verbose}
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0

    def best(result: ComparisonResult, arms: Iterable[str]) -> str:
        means = {arm: float(result.scores(arm)[metric].mean()) for arm in arms}
        return max(
            means, key=lambda arm: -math.inf if math.isnan(means[arm]) else sign * means[arm]
        )

    gain = None
    # Without a folder, generators would be trained once more for the pretrained classifier.
    with contextlib.ExitStack() as stack:
        if workdir is None and pretrained is not None:
            workdir = stack.enter_context(tempfile.TemporaryDirectory())
        options["workdir"] = workdir
        result = run_comparison(
            train, arms=by_name.values(), training=training, leakage=leakage, **options
        )
        baseline = best(result, real)
        if pretrained is not None:
            again = [by_name[name] for name in (*real, best(result, synthetic))]
            more = {f"pretrained_{arm.name}": arm for arm in again}
            more = {name: replace(arm, name=name) for name, arm in more.items()}
            *plain, mixed = more
            other = replace(training, classifier=pretrained)
            grouped = train if result.groups is None else train.with_groups(result.groups)
            found = run_comparison(
                grouped, arms=more.values(), training=other, leakage="off", **options
            )
            if not np.array_equal(found.folds, result.folds):
                raise ValueError("cv must cut the same folds again: give it a random_state.")
            arms = {**result.settings["arms"], **found.settings["arms"]}
            also = {"arms": arms, "pretrained": other.classifier_name}
            settings, runs = {**result.settings, **also}, (*result.runs, *found.runs)
            by_name, result = by_name | more, replace(result, runs=runs, settings=settings)
            compared = result.statistics(metric=metric, baseline=baseline, arms=(baseline, *plain))
            proven = compared.proven_best()
            gain = compared.differences[proven or best(result, plain)]
            if proven:
                baseline, synthetic, training = proven, [mixed], other
    compared = result.statistics(metric=metric, baseline=baseline, arms=(baseline, *synthetic))
    proven = compared.proven_best()
    candidate = proven or best(result, synthetic)
    return TuningReport(
        result=result,
        arms=by_name,
        metric=metric,
        baseline=baseline,
        candidate=candidate,
        difference=compared.differences[candidate],
        chosen=proven or baseline,
        augmenter=augmenter,
        training=training,
        n_synthetic=n_synthetic,
        pretrained=gain,
    )
