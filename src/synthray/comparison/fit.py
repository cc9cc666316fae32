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
        model, history, steps = self.trained(arm, parts, seed, callbacks=callbacks, verbose=verbose)
        return self.judged(model, history, arm, seed, fold, phase_steps=steps, start=start)

    def judged(
        self,
        model: Any,
        history: Mapping[str, list[float]],
        arm: Arm,
        seed: int,
        fold: int,
        *,
        phase_steps: list[int],
        start: float,
    ) -> ArmRun:
        """Judge a trained classifier.

        Args:
            model: The classifier.
            history: What its training told.
            arm: The arm that it went through.
            seed: Its seed.
            fold: Number of the fold.
            phase_steps: Steps that it took in each phase.
            start: When its training began, by `perf_counter`.
        """
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
            phase_steps=tuple(phase_steps),
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
    ) -> tuple[Any, dict[str, list[float]], list[int]]:
        """Return a classifier that went through an arm, its history, and the steps of each phase.

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
        phase_steps: list[int] = []
        epochs = 0
        for first, streams in self.stretches(model, arm, parts, seed):
            beginning.begin(model, first)
            found, taken = fit_phases(
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
            for stream in streams:  # where a callback stopped it, the last ones are cut
                phase_steps.append(min(stream.steps, taken))
                taken -= phase_steps[-1]
        return model, history, phase_steps

    def stretches(
        self, model: Any, arm: Arm, parts: list[ImageDataset], seed: int
    ) -> list[tuple[Phase, list[PhaseStream]]]:
        """Return the stretches of an arm: the first phase of each, and the batches of all."""
        planned = iter(list(zip(arm, parts, self.phase_steps(arm, parts), strict=True)))
        found = []
        passes = 0
        for first, count in stretches(arm):
            streams = []
            stretch = list(islice(planned, count))
            columns = self._columns(model, [(phase, data) for phase, data, _ in stretch])
            for (phase, data, n), arrays in zip(stretch, columns, strict=True):
                batches = self._shuffled(arrays, data, phase, seed)
                augment = self.augment if phase.augment else None
                streams.append(PhaseStream(batches, n, passes, augment, seed))
                passes = streams[-1].next_pass
            found.append((first, streams))
        return found

    def validation_batches(self, model: Any) -> FloatBatches | None:
        """Return the images that are judged after each epoch."""
        if self.validation is None:
            return None
        arrays = self.validation.images, targets(model, self.validation)
        return FloatBatches(*arrays, batch_size=_JUDGED_AT_ONCE, kept=self.kept)

    def batches(self, model: Any, data: ImageDataset, phase: Phase, seed: int) -> FloatBatches:
        """Return batches of a phase as a classifier takes them, shuffled and weighted."""
        [arrays] = self._columns(model, [(phase, data)])
        return self._shuffled(arrays, data, phase, seed)

    def _columns(
        self, model: Any, parts: list[tuple[Phase, ImageDataset]]
    ) -> list[list[NDArray[Any]]]:
        """Return images, targets and perhaps weights of phases: of one kind, as one fit needs."""
        answers = [targets(model, data) for _, data in parts]
        if len({answer.dtype for answer in answers}) > 1:  # labels here, probabilities there
            answers = [answer.astype(np.float32) for answer in answers]
        columns = [[data.images, each] for (_, data), each in zip(parts, answers, strict=True)]
        weights = [self._weights(data, phase) for phase, data in parts]
        if any(each is not None for each in weights):
            for arrays, each in zip(columns, weights, strict=True):
                arrays.append(np.ones(len(arrays[0]), np.float32) if each is None else each)
        return columns

    def _shuffled(
        self, arrays: list[NDArray[Any]], data: ImageDataset, phase: Phase, seed: int
    ) -> FloatBatches:
        options: dict[str, Any] = {"batch_size": self.batch_size, "seed": seed, "kept": self.kept}
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
