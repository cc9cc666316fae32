"""Soft labels: an ensemble trained on the real training images says what it sees in others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray._seeds import spawn_seeds
from synthray.comparison.arms import Arm
from synthray.comparison.fit import Bench
from synthray.comparison.models import predict
from synthray.comparison.phases import SOFT_LABELS, Phase
from synthray.datasets.image_dataset import ImageDataset

TEACHER = Arm("teacher", Phase("real", augment=True))
"""How a teacher is trained: as any classifier of the comparison, with classic augmentation."""


def with_soft_labels(
    bench: Bench, arms: list[Arm], count: int, seed: int, *, callbacks: list[Any], verbose: Any
) -> Bench:
    """Return a bench whose images have the teachers' probabilities where a phase asks for them.

    Args:
        bench: What the fits of a cell share.
        arms: The arms that will be trained.
        count: Number of teachers; each has weights and an order of its own.
        seed: Of the teachers.
        callbacks: Show the progress.
        verbose: As in Keras `fit`.
    """
    asked: dict[int, ImageDataset] = {}
    for arm in arms:
        for phase, data in zip(arm, bench.data[arm.name], strict=True):
            if phase.labels == "teachers":
                asked[id(data)] = data
    if not asked:
        return bench
    found: dict[int, NDArray[np.float64]] = {
        key: np.zeros((len(data), data.num_classes)) for key, data in asked.items()
    }
    for member in spawn_seeds(seed, count):
        model, *_ = bench.trained(
            TEACHER, [bench.train], member, callbacks=callbacks, verbose=verbose
        )
        for key, data in asked.items():
            found[key] += predict(model, data.images) / count
    labelled = {key: _labelled(data, found[key]) for key, data in asked.items()}
    parts = dict(bench.data)
    for arm in arms:
        parts[arm.name] = [
            labelled[id(data)] if phase.labels == "teachers" else data
            for phase, data in zip(arm, bench.data[arm.name], strict=True)
        ]
    return replace(bench, data=parts)


def _labelled(data: ImageDataset, probabilities: NDArray[np.float64]) -> ImageDataset:
    annotations = {**data.annotations, SOFT_LABELS: probabilities.astype(np.float32)}
    return replace(data, annotations=annotations)
