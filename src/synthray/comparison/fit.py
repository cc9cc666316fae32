"""One fit of a comparison: an arm with a seed, trained and judged."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthray._backend import LayerDraws
from synthray.comparison.arms import Arm, Budget
from synthray.comparison.augmentation import BatchAugmentation
from synthray.comparison.batches import FloatBatches, PhaseStream
from synthray.comparison.metrics import score
from synthray.comparison.models import ClassifierFactory, labels_for, predict
from synthray.comparison.result import ArmRun
from synthray.comparison.training import fit_phases
from synthray.datasets._streams import Kept
from synthray.datasets.image_dataset import ImageDataset

ClassWeight = Literal["balanced"] | Mapping[int, float] | None

_JUDGED_AT_ONCE = 256


@dataclass(frozen=True)
class Bench:
    """What all fits of a comparison share.

    Attributes:
        data: The images of each phase of each arm, by the arm's name.
        train: The real training images.
        test: The images to judge by.
        validation: Images judged after each epoch, or `None`.
        factory: Makes the classifiers.
        augment: What augmented phases apply.
        epochs: As in `run_comparison`.
        batch_size: As in `run_comparison`.
        budget: As in `run_comparison`.
        class_weight: As in `run_comparison`.
        positive: Label of the positive class.
        kept: Images as TensorFlow's fits read them, one copy of each source.
    """

    data: Mapping[str, list[ImageDataset]]
    train: ImageDataset
    test: ImageDataset
    validation: ImageDataset | None
    factory: ClassifierFactory
    augment: BatchAugmentation
    epochs: int
    batch_size: int
    budget: Budget
    class_weight: ClassWeight
    positive: int
    kept: Kept = field(default_factory=Kept)

    @property
    def epoch_steps(self) -> int:
        """Steps of one pass over the training images."""
        return math.ceil(len(self.train) / self.batch_size)

    def phase_steps(self, arm: Arm) -> list[int]:
        """Return the gradient steps of each phase."""
        return arm.steps(
            [math.ceil(len(data) / self.batch_size) for data in self.data[arm.name]],
            total=self.epochs * self.epoch_steps,
            epochs=self.epochs,
            budget=self.budget,
        )

    def fit(
        self, arm: Arm, seed: int, fold: int = 0, *, callbacks: list[Any], verbose: Any
    ) -> ArmRun:
        """Train and judge; where training diverged, scores are `None`."""
        start = time.perf_counter()
        model = self.factory(seed)
        steps = self.phase_steps(arm)
        phases: list[PhaseStream] = []
        for phase, data, count in zip(arm, self.data[arm.name], steps, strict=True):
            batches = self.batches(model, data, self.batch_size, self.class_weight, seed)
            first = phases[-1].next_pass if phases else 0
            augment = self.augment if phase.augment else None
            phases.append(PhaseStream(batches, count, first, augment, seed))
        judged = None
        if self.validation is not None:
            judged = self.batches(model, self.validation, _JUDGED_AT_ONCE)
        history = fit_phases(
            model,
            phases,
            epoch_steps=self.epoch_steps,
            callbacks=[LayerDraws(seed), *callbacks],
            validation=judged,
            verbose=verbose,
        )
        probabilities = predict(model, self.test.images)
        probabilities.flags.writeable = False
        scores = score(probabilities, self.test.labels, positive_class=self.positive)
        return ArmRun(
            arm=arm.name,
            seed=seed,
            fold=fold,
            scores=scores,
            history={name: tuple(values) for name, values in history.items()},
            probabilities=probabilities,
            phase_steps=tuple(steps),
            steps_per_entry=self.epoch_steps,
            seconds=round(time.perf_counter() - start, 3),
        )

    def batches(
        self,
        model: Any,
        data: ImageDataset,
        batch_size: int,
        class_weight: ClassWeight = None,
        seed: int | None = None,
    ) -> FloatBatches:
        """Return batches as a classifier takes them, shuffled where there is a seed."""
        arrays = [data.images, labels_for(model, data.labels, data.num_classes)]
        if class_weight is not None:
            arrays.append(image_weights(data.labels, data.num_classes, class_weight))
        shuffle = seed is not None
        return FloatBatches(
            *arrays, batch_size=batch_size, shuffle=shuffle, seed=seed or 0, kept=self.kept
        )


def image_weights(
    labels: NDArray[np.int64], num_classes: int, class_weight: ClassWeight
) -> NDArray[np.float32]:
    """Return one weight an image.

    Raises:
        ValueError: If a dict lacks a label, or the weights are something else.
    """
    if class_weight == "balanced":
        counts = np.bincount(labels, minlength=num_classes)
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    elif isinstance(class_weight, Mapping) and set(class_weight) == set(range(num_classes)):
        weights = np.asarray([class_weight[label] for label in range(num_classes)])
    else:
        raise ValueError(
            f'class_weight must be "balanced", None, or a dict with a weight for each label '
            f"{list(range(num_classes))}, got {class_weight!r}."
        )
    return weights[labels].astype(np.float32)
