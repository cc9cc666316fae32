"""A classifier's way through an arm: one call of Keras `fit` a phase."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._keras.backend import LayerDraws, fixed_rate, steps_taken
from synthray._keras.batches import ArrayBatches
from synthray._keras.devices import divides_batches
from synthray._keras.streams import streamed
from synthray._seeds import spawn_seeds
from synthray.comparison.arms import SOFT_LABELS, Arm, Phase
from synthray.comparison.classifiers import (
    inputs,
    learns_from_features,
    make_classifier,
    predict,
    soft_labels,
    targets,
)
from synthray.comparison.result import ArmRun
from synthray.comparison.training import Training
from synthray.datasets.image_dataset import ImageDataset
from synthray.statistics.metrics import score

ENSEMBLE_ARM = Arm("ensemble", Phase("real", augment=True))
"""How the classifiers of an ensemble that labels images are trained."""

_JUDGED_AT_ONCE = 256
_OF_LABELS = {"accuracy"}  # metrics that have no meaning where labels are probabilities


@dataclass(frozen=True)
class Fold:
    """The images of one fold, or of a training and a test set.

    Attributes:
        number: Of the fold, from 0.
        train: Real images to train on.
        test: Real images that judge.
        validation: Images that are evaluated after each epoch, or `None`.
    """

    number: int
    train: ImageDataset
    test: ImageDataset
    validation: ImageDataset | None


class PhaseBatches(ArrayBatches):
    """Batches of a phase in epochs of a set length, whatever the number of its images.

    Passes over the images follow each other, each in an order of its own.
    """

    def __init__(self, *arrays: NDArray[Any], epoch_steps: int, batch_size: int, seed: int) -> None:
        self._epoch_steps = epoch_steps
        self._a_pass = math.ceil(len(arrays[0]) / batch_size)
        super().__init__(*arrays, batch_size=batch_size, shuffle=True, seed=seed)

    def __len__(self) -> int:
        """Return the number of batches an epoch."""
        return self._epoch_steps

    def set_epoch(self, epoch: int) -> None:
        """Take the rows of this epoch: those of a short batch are followed by -1."""
        self.epoch = epoch
        first = epoch * self._epoch_steps
        passes = range(first // self._a_pass, (first + self._epoch_steps - 1) // self._a_pass + 1)
        n, full = len(self.arrays[0]), self._a_pass * self.batch_size
        orders = [np.random.default_rng([self._seed, p]).permutation(n) for p in passes]
        rows = np.concatenate([np.pad(o, (0, full - n), constant_values=-1) for o in orders])
        start = (first - passes[0] * self._a_pass) * self.batch_size
        self.order = rows[start : start + self._epoch_steps * self.batch_size]

    def rows_of(self, index: Any, order: Any) -> Any:
        """Return the rows of batch `index` in an order; both may be tensors."""
        rows = super().rows_of(index, order)
        return rows[rows >= 0]


@dataclass(frozen=True)
class Trained:
    """A classifier that went through an arm; the next one made may take its place.

    Attributes:
        model: The classifier.
        history: Metrics of all phases, one value an epoch.
        phase_steps: Gradient steps of each phase.
        epoch_steps: Gradient steps of an epoch.
    """

    model: Any
    history: dict[str, list[float]]
    phase_steps: list[int]
    epoch_steps: int


def train_arm(
    training: Training,
    arm: Arm,
    parts: list[ImageDataset],
    fold: Fold,
    seed: int,
    *,
    callbacks: Sequence[Any],
    verbose: Any,
) -> Trained:
    """Train a new classifier through the phases of an arm.

    Args:
        training: How.
        arm: The arm.
        parts: The images of each of its phases.
        fold: Its training images set the length of an epoch; its validation images are evaluated.
        seed: Of weights, order and augmentation.
        callbacks: Keras callbacks.
        verbose: As in Keras `fit`.

    Raises:
        ValueError: If a phase changes the learning rate of an optimizer that has a schedule.
    """
    model = make_classifier(training.classifier, fold.train, seed)
    rate = rate_of(model, arm)
    augment = training.batch_augmentation()
    epoch_steps = math.ceil(len(fold.train) / training.batch_size)
    epochs = arm.phase_epochs(
        [len(part) for part in parts],
        len(fold.train),
        training.epochs,
        equal=training.budget == "equal_steps",
    )
    held_out = _held_out(model, fold.validation)
    found = Trained(model, {}, [], epoch_steps)
    done = 0
    for place, (phase, data, count) in enumerate(zip(arm, parts, epochs, strict=True)):
        if rate is not None:
            model.optimizer.learning_rate = rate * phase.rate
        # The first phase takes the order of `FractureClassifier.fit`, others one of their own.
        order_seed = seed if place == 0 else spawn_seeds(seed, place)[-1]
        batches = PhaseBatches(
            *_columns(training, model, phase, data),
            epoch_steps=epoch_steps,
            batch_size=training.batch_size,
            seed=order_seed,
        )
        # Epochs of batches are counted from the first of the phase.
        in_order = keras.callbacks.LambdaCallback(
            lambda epoch, _, own=batches, first=done: own.set_epoch(epoch - first)
        )
        transform: Callable[[Any, Any], Any] = _unchanged
        if phase.augment and not learns_from_features(model):
            transform = augment.in_stream(order_seed, data.images[:1].astype(np.float32))
        before = steps_taken(model)
        fitted = model.fit(
            streamed(batches, transform, lasting=not divides_batches(model)),
            initial_epoch=done,
            epochs=done + count,
            shuffle=False,
            callbacks=[in_order, LayerDraws(seed), *callbacks],
            validation_data=held_out,
            verbose=verbose,
        )
        for name, values in fitted.history.items():
            known = not (phase.labels == "ensemble" and name in _OF_LABELS)
            line = [float(value) if known else math.nan for value in values]
            found.history.setdefault(name, []).extend(line)
        found.phase_steps.append(steps_taken(model) - before)
        done += count
        if model.stop_training:
            break
    found.phase_steps.extend([0] * (len(parts) - len(found.phase_steps)))
    return found


def evaluate(trained: Trained, arm: Arm, fold: Fold, seed: int, start: float) -> ArmRun:
    """Judge a trained classifier on the test images; where training diverged, scores are `None`."""
    probabilities = predict(trained.model, fold.test.images)
    probabilities.flags.writeable = False
    return ArmRun(
        arm=arm.name,
        seed=seed,
        fold=fold.number,
        scores=score(probabilities, fold.test.labels, positive_class=fold.test.positive_label or 0),
        history={name: tuple(values) for name, values in trained.history.items()},
        probabilities=probabilities,
        phase_steps=tuple(trained.phase_steps),
        steps_per_entry=trained.epoch_steps,
        seconds=round(time.perf_counter() - start, 3),
    )


def label_by_ensemble(
    training: Training,
    fold: Fold,
    parts: list[ImageDataset],
    size: int,
    seed: int,
    *,
    callbacks: Sequence[Any],
    verbose: Any,
) -> list[ImageDataset]:
    """Return data sets with the mean probabilities of an ensemble as soft labels.

    Args:
        training: How its classifiers are trained.
        fold: Whose training images they learn from.
        parts: What they label.
        size: Number of classifiers; each has weights and an order of its own.
        seed: Of the ensemble.
        callbacks: Show the progress.
        verbose: As in Keras `fit`.
    """
    found = [np.zeros((len(part), part.num_classes)) for part in parts]
    for member in spawn_seeds(seed, size):
        trained = train_arm(
            training, ENSEMBLE_ARM, [fold.train], fold, member, callbacks=callbacks, verbose=verbose
        )
        for total, part in zip(found, parts, strict=True):
            total += predict(trained.model, part.images) / size
    return [
        replace(part, annotations={**part.annotations, SOFT_LABELS: p.astype(np.float32)})
        for part, p in zip(parts, found, strict=True)
    ]


def rate_of(model: Any, arm: Arm) -> float | None:
    """Return the learning rate that phases multiply; `None` where none does.

    Raises:
        ValueError: If an arm cannot change it as it should.
    """
    if all(phase.rate == 1 for phase in arm):
        return None
    rate = fixed_rate(model.optimizer)
    if rate is None:
        raise ValueError(
            "A phase multiplies the learning rate (rate=), but the classifier was compiled with a "
            "schedule. Compile it with a number."
        )
    return rate


def _columns(
    training: Training, model: Any, phase: Phase, data: ImageDataset
) -> list[NDArray[Any]]:
    """Return images, targets and, where some image counts more than others, weights.

    Features take the place of images where training never changes them; of augmented images, those
    of a number of copies.
    """
    weights = training.image_weights(data.labels, data.num_classes, soft_labels(data))
    if phase.weight != 1 and data.synthetic.any():
        own = np.where(data.synthetic, phase.weight, 1.0).astype(np.float32)
        weights = own if weights is None else weights * own
    columns = [targets(model, data), *([] if weights is None else [weights])]
    if not (phase.augment and learns_from_features(model)):
        return [inputs(model, data.images), *columns]
    found = model.augmented_features(data.images, training.batch_augmentation().transform)
    return [np.concatenate(found), *(np.repeat(each, found.shape[1], 0) for each in columns)]


def _held_out(model: Any, validation: ImageDataset | None) -> Any:
    if validation is None:
        return None
    columns = inputs(model, validation.images), targets(model, validation)
    batches = ArrayBatches(*columns, batch_size=_JUDGED_AT_ONCE)
    return streamed(batches, _unchanged, lasting=not divides_batches(model))


def _unchanged(images: Any, step: Any) -> Any:
    """Leave the float32 images of a stream as they are."""
    return images
