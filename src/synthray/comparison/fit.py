"""One fit of a comparison: an arm with a seed, trained and judged."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthray._backend import LayerDraws
from synthray.comparison.apart import BatchesOfOneKind
from synthray.comparison.arms import Arm, Budget
from synthray.comparison.augmentation import BatchAugmentation
from synthray.comparison.batches import FloatBatches, PhaseStream
from synthray.comparison.metrics import score
from synthray.comparison.models import ClassifierFactory, predict
from synthray.comparison.phases import Phase
from synthray.comparison.result import ArmRun
from synthray.comparison.stretches import Beginning, stretches, take_statistics
from synthray.comparison.targets import probabilities_of, targets
from synthray.comparison.training import fit_phases
from synthray.datasets._streams import Kept
from synthray.datasets.image_dataset import ImageDataset

ClassWeight = Literal["balanced"] | Mapping[int, float] | None

_JUDGED_AT_ONCE = 256
_OF_LABELS = {"accuracy"}  # metrics that have no meaning where labels are probabilities


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

    def phase_steps(self, arm: Arm, parts: list[ImageDataset]) -> list[int]:
        """Return the gradient steps of each phase, given the images of each."""
        return arm.steps(
            [math.ceil(len(data) / self.batch_size) for data in parts],
            total=self.epochs * self.epoch_steps,
            epochs=self.epochs,
            budget=self.budget,
        )

    def fit(
        self, arm: Arm, seed: int, fold: int = 0, *, callbacks: list[Any], verbose: Any
    ) -> ArmRun:
        """Train and judge; where training diverged, scores are `None`."""
        start = time.perf_counter()
        parts = self.data[arm.name]
        model, history = self.trained(arm, parts, seed, callbacks=callbacks, verbose=verbose)
        return self.judged(model, history, arm, seed, fold, start=start)

    def judged(
        self,
        model: Any,
        history: Mapping[str, list[float]],
        arm: Arm,
        seed: int,
        fold: int,
        *,
        start: float,
    ) -> ArmRun:
        """Judge a trained classifier; `start` is when its training began, by `perf_counter`."""
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
            phase_steps=tuple(self.phase_steps(arm, self.data[arm.name])),
            steps_per_entry=self.epoch_steps,
            seconds=round(time.perf_counter() - start, 3),
        )

    def trained(
        self,
        arm: Arm,
        parts: list[ImageDataset],
        seed: int,
        *,
        callbacks: list[Any],
        verbose: Any,
    ) -> tuple[Any, dict[str, list[float]]]:
        """Return a classifier that went through an arm, and its history.

        The classifier holds until the next one is made.

        Args:
            arm: The arm.
            parts: The images of each of its phases.
            seed: Of weights, order and augmentation.
            callbacks: Keras callbacks.
            verbose: As in Keras `fit`.
        """
        model = self.factory(seed)
        beginning = Beginning(model, arm)
        judged = self.validation_batches(model)
        history: dict[str, list[float]] = {}
        epochs = 0
        for first, streams in self.stretches(model, arm, parts, seed):
            beginning.begin(model, first)
            found = fit_phases(
                model,
                streams,
                epoch_steps=self.epoch_steps,
                first_epoch=epochs,
                callbacks=[LayerDraws(seed), *callbacks],
                validation=judged,
                verbose=verbose,
            )
            if first.apart:
                take_statistics(model, self.train.images, seed)
            epochs += len(found["loss"])
            add_history(history, found, first)
        return model, history

    def stretches(
        self, model: Any, arm: Arm, parts: list[ImageDataset], seed: int
    ) -> list[tuple[Phase, list[PhaseStream]]]:
        """Return the stretches of an arm: the first phase of each, and the batches of all."""
        planned = iter(list(zip(arm, parts, self.phase_steps(arm, parts), strict=True)))
        found = []
        passes = 0
        for first, count in stretches(arm):
            streams = []
            for phase, data, n in islice(planned, count):
                batches = self.batches(model, data, self.batch_size, phase, seed)
                augment = self.augment if phase.augment else None
                streams.append(PhaseStream(batches, n, passes, augment, seed))
                passes = streams[-1].next_pass
            found.append((first, streams))
        return found

    def validation_batches(self, model: Any) -> FloatBatches | None:
        """Return the images that are judged after each epoch."""
        if self.validation is None:
            return None
        return self.batches(model, self.validation, _JUDGED_AT_ONCE)

    def batches(
        self,
        model: Any,
        data: ImageDataset,
        batch_size: int,
        phase: Phase | None = None,
        seed: int | None = None,
    ) -> FloatBatches:
        """Return batches as a classifier takes them; those of a phase are shuffled and weighted."""
        arrays = [data.images, targets(model, data)]
        if phase is None:
            return FloatBatches(*arrays, batch_size=batch_size, kept=self.kept)
        weights = self._weights(data, phase)
        if weights is not None:
            arrays.append(weights)
        options: dict[str, Any] = {"batch_size": batch_size, "seed": seed or 0, "kept": self.kept}
        if phase.apart:
            return BatchesOfOneKind(*arrays, kinds=data.synthetic, **options)
        return FloatBatches(*arrays, shuffle=True, **options)

    def _weights(self, data: ImageDataset, phase: Phase) -> NDArray[np.float32] | None:
        weights = None
        if self.class_weight is not None:
            shares = probabilities_of(data)
            weights = image_weights(
                data.labels, data.num_classes, self.class_weight, probabilities=shares
            )
        if phase.weight != 1 and data.synthetic.any():
            own = np.where(data.synthetic, phase.weight, 1.0).astype(np.float32)
            weights = own if weights is None else weights * own
        return weights


def add_history(
    history: dict[str, list[float]], found: Mapping[str, list[float]], first: Phase
) -> None:
    """Add what a stretch found; what has no meaning for its labels is NaN."""
    for name, values in found.items():
        known = not (first.labels == "teachers" and name in _OF_LABELS)
        history.setdefault(name, []).extend(values if known else [math.nan] * len(values))


def image_weights(
    labels: NDArray[np.int64],
    num_classes: int,
    class_weight: ClassWeight,
    *,
    probabilities: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return one weight an image; with soft labels, the mean of the classes' weights.

    Raises:
        ValueError: If a dict lacks a label, or the weights are something else.
    """
    if class_weight == "balanced":
        counts = np.bincount(labels, minlength=num_classes)
        if probabilities is not None:
            counts = probabilities.sum(axis=0)
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    elif isinstance(class_weight, Mapping) and set(class_weight) == set(range(num_classes)):
        weights = np.asarray([class_weight[label] for label in range(num_classes)])
    else:
        raise ValueError(
            f'class_weight must be "balanced", None, or a dict with a weight for each label '
            f"{list(range(num_classes))}, got {class_weight!r}."
        )
    found = weights[labels] if probabilities is None else probabilities @ weights
    return found.astype(np.float32)
