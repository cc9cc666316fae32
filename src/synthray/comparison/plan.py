"""What a comparison has to do: the jobs, what determines each, and how each is done."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthray._digest import augmentation_digest, digest, model_digest
from synthray._keras.backend import versions
from synthray.classifiers.feature_cache import Packed, remember
from synthray.comparison import fit
from synthray.comparison import synthetic as synthetic_images
from synthray.comparison.arms import Arm, Phase, check_count
from synthray.comparison.cache import Cache
from synthray.comparison.classifiers import make_classifier
from synthray.comparison.fit import Fold, Trained
from synthray.comparison.folds import FOLD_SEED, Judging
from synthray.comparison.result import ArmRun
from synthray.comparison.training import Training
from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.duplicates import check_alike

_log = logging.getLogger("synthray")
_A_GENERATOR_STEP = 100  # steps of a classifier, where the bar counts both


@dataclass(frozen=True, eq=False)
class Plan:
    """All that the fits of a comparison share.

    Attributes:
        data: Real images with the groups that folds keep whole: all of them, or those to train on
            where there is a test set.
        judging: Which of them train and which judge.
        training: How a classifier is trained.
        arms: The arms.
        augmenter: Generates images, or images that are given, or `None`.
        n_synthetic: How many to generate.
        cache: Where finished work is kept, or `None`.
    """

    data: ImageDataset
    judging: Judging
    training: Training
    arms: tuple[Arm, ...]
    augmenter: Any
    n_synthetic: synthetic_images.Counts
    cache: Cache | None

    def fold(self, number: int) -> Fold:
        """Return the images of a fold."""
        rows, test = self.judging.splits[number]
        train, held_out = self.data.select(rows), self.training.validation
        if isinstance(held_out, float):
            train, held_out = train.split(held_out, seed=FOLD_SEED)
        return Fold(number, train, self.judging.images.select(test), held_out)

    def check(self, seed: int) -> None:
        """Raise where a fit will fail: before generators train for hours.

        Raises:
            TypeError: If the classifier is no Keras model.
            ValueError: If its output does not fit, a phase asks for more synthetic images than
                there will be, or an arm has too few epochs for its phases.
        """
        self.training.image_weights(self.data.labels, self.data.num_classes)
        model = make_classifier(self.training.classifier, self.data, seed)
        for arm in self.arms:
            fit.rate_of(model, arm)
        for number in range(len(self.judging.splits)):
            train = self.fold(number).train
            n = synthetic_images.planned(self.augmenter, train, self.n_synthetic)
            for arm in self.arms:
                self.steps(arm, train)
                for phase in arm:
                    if phase.needs_synthetic and n < 1:
                        raise ValueError(
                            "A phase trains on synthetic images, and n_synthetic="
                            f"{self.n_synthetic!r} asks for none. Leave n_synthetic out, or ask "
                            "for 1 or more."
                        )
                    if phase.ratio is not None:
                        check_count(round(phase.ratio * len(train)), n)

    def steps(self, arm: Arm, train: ImageDataset) -> int:
        """Return the planned steps of a fit, with those of the ensemble that it needs."""
        n = synthetic_images.planned(self.augmenter, train, self.n_synthetic)
        sizes = [phase.planned_size(len(train), n) for phase in arm]
        equal = self.training.budget == "equal_steps"
        epochs = sum(arm.phase_epochs(sizes, len(train), self.training.epochs, equal=equal))
        if arm.needs_ensemble:
            epochs += arm.ensemble * self.training.epochs
        return epochs * math.ceil(len(train) / self.training.batch_size)

    def generator_steps(self, train: ImageDataset) -> int:
        """Return what generators take, in steps of a classifier, as far as the augmenter tells."""
        known = hasattr(self.augmenter, "planned_steps")  # not of images that are given
        if not known or synthetic_images.is_fitted(self.augmenter):
            return 0
        return _A_GENERATOR_STEP * int(self.augmenter.planned_steps(train.class_counts))

    def synthetic_key(self, fold: Fold, seed: int) -> str:
        """Return the digest of all that determines the synthetic images of a fold and seed."""
        if isinstance(self.augmenter, ImageDataset):
            return digest(self.augmenter)
        own = synthetic_images.for_seed(self.augmenter, seed)
        return digest([versions(), own, fold.train, self.n_synthetic, seed])

    def generators_key(self, fold: Fold, seed: int) -> str:
        """Return the digest of what determines the generators: not how many images they make."""
        own = synthetic_images.for_seed(self.augmenter, seed)
        return digest([versions(), own, fold.train, seed])

    def keys(self, fold: Fold, seed: int) -> dict[str, str]:
        """Return the digest of all that determines each fit of a fold and seed, by arm."""
        training = self.training
        model = make_classifier(training.classifier, fold.train, seed)
        common = digest(
            [
                versions(),
                *(fold.train, fold.test, fold.validation, seed),
                *(training.epochs, training.batch_size, training.budget, training.class_weight),
                *(fold.test.positive_class, training.callbacks),
                model_digest(model, training.classifier),
            ]
        )
        augmentation = augmentation_digest(training.batch_augmentation().transform)
        found = {}
        for arm in self.arms:
            phases = [(phase.source, phase.to_dict()) for phase in arm]
            parts: list[Any] = [common, phases]
            if arm.needs_ensemble:
                parts.append(arm.ensemble)
            if arm.needs_ensemble or any(phase.augment for phase in arm):
                parts.append(augmentation)
            if arm.uses_synthetic and self.augmenter is not None:
                parts.append(self.synthetic_key(fold, seed))
            found[arm.name] = digest(parts)
        return found


def make_synthetic(plan: Plan, number: int, seed: int, verbose: Any = 0) -> ImageDataset:
    """Train the generators of a fold and seed, and return their images."""
    if isinstance(plan.augmenter, ImageDataset):
        return plan.augmenter
    fold, cache = plan.fold(number), plan.cache
    workdir = None
    if cache is not None:
        key = plan.synthetic_key(fold, seed)
        if (kept := cache.load_synthetic(key)) is not None:
            return kept
        workdir = cache.generators(plan.generators_key(fold, seed))
    options = {"verbose": verbose, "workdir": workdir}
    own = synthetic_images.fitted_for_seed(plan.augmenter, fold.train, seed, **options)
    counts = fold.train.class_counts if plan.n_synthetic is None else plan.n_synthetic
    found: ImageDataset = own.sample(counts, seed=seed)
    if cache is not None:
        cache.save_synthetic(found, key)
    return found


def run_fits(
    plan: Plan,
    number: int,
    seed: int,
    arms: list[Arm],
    made: ImageDataset | None,
    known: Packed = (),
    progress: Sequence[Any] = (),
    verbose: Any = 0,
) -> list[ArmRun]:
    """Train and judge a classifier by each of these arms, where some features are known."""
    remember(known)
    fold = plan.fold(number)
    labelled: dict[tuple[Phase, int], ImageDataset] = {}
    found = []
    for arm in arms:
        start = time.perf_counter()
        trained = train(plan, fold, seed, arm, made, labelled, progress, verbose)
        run = fit.evaluate(trained, arm, fold, seed, start)
        _log.info("arm %s, fold %d, seed %d: %s", arm.name, number, seed, run.scores)
        found.append(run)
    return found


def train(
    plan: Plan,
    fold: Fold,
    seed: int,
    arm: Arm,
    made: ImageDataset | None,
    known: dict[tuple[Phase, int], ImageDataset],
    progress: Sequence[Any],
    verbose: Any,
) -> Trained:
    """Train a classifier by an arm.

    Args:
        plan: How.
        fold: On whose images.
        seed: Of everything.
        arm: The arm.
        made: Synthetic images.
        known: Images that ensembles have labelled, by phase and number of classifiers; more come.
        progress: Callbacks that show how far it is.
        verbose: As in Keras `fit`.
    """
    training = plan.training
    parts = [phase.data(fold.train, made) for phase in arm]
    keys = [(phase, arm.ensemble) for phase in arm]
    new = {
        key: part
        for key, part in zip(keys, parts, strict=True)
        if key[0].labels == "ensemble" and key not in known
    }
    if new:
        images = list(new.values())
        labelled = fit.label_by_ensemble(
            training, fold, images, arm.ensemble, seed, callbacks=progress, verbose=verbose
        )
        known |= zip(new, labelled, strict=True)
    parts = [known.get(key, part) for key, part in zip(keys, parts, strict=True)]
    own = [] if training.callbacks is None else training.callbacks(arm.name, seed)
    callbacks = [*progress, *own]
    return fit.train_arm(training, arm, parts, fold, seed, callbacks=callbacks, verbose=verbose)


def check_data(
    train: ImageDataset, test: ImageDataset, validation: ImageDataset | None = None
) -> None:
    """Raise where data sets do not belong together.

    Raises:
        TypeError: If one is not an `ImageDataset`.
        ValueError: If one is empty or holds synthetic images, shapes or classes differ, or a class
            has no training image.
    """
    sets = {"train": train, "test": test}
    if validation is not None:
        sets["validation"] = validation
    check_alike(sets)
    for name, data in sets.items():
        if data.synthetic.any():
            raise ValueError(
                f"{int(data.synthetic.sum())} of {len(data)} images of {name} are synthetic. Only "
                "augmenter= may hold synthetic images: data.select(~data.synthetic)."
            )
    empty = [name for name, count in train.class_counts.items() if not count]
    if empty or train.num_classes < 2:
        raise ValueError(
            f"Expected training images of two or more classes, got {train.class_counts}."
        )


def checked_seeds(seeds: Any) -> list[int]:
    """Return the seeds as a list.

    Raises:
        ValueError: If there is none, one is not an integer from 0, or one appears twice.
    """
    found: list[Any] = list(seeds) if hasattr(seeds, "__iter__") else []
    whole = all(isinstance(seed, int | np.integer) and seed >= 0 for seed in found)
    if not found or not whole or len(set(found)) != len(found):
        raise ValueError(
            "seeds must be different integers from 0, such as (0,) or range(5); got "
            f"{found if found else seeds}."
        )
    return [int(seed) for seed in found]
