"""`train_classifier`: one arm, trained to be kept."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import keras

from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison import execution
from synthray.comparison.arms import Arm, Budget
from synthray.comparison.cells import Cell
from synthray.comparison.checks import check_data, checked_seeds
from synthray.comparison.fit import ClassWeight
from synthray.comparison.recipe import make_recipe
from synthray.datasets.image_dataset import ImageDataset

_log = logging.getLogger("synthray")


def train_classifier(
    train: ImageDataset,
    arm: Arm | str = "augmented",
    *,
    augmenter: Any = None,
    classifier: Callable[..., Any] = FractureClassifier,
    epochs: int = 20,
    batch_size: int = 32,
    seed: int = 0,
    budget: Budget = "equal_steps",
    augmentation: Any = None,
    class_weight: ClassWeight = None,
    n_synthetic: int | Mapping[Any, int] | None = None,
    teachers: int = 5,
    callbacks: list[Any] | None = None,
    workdir: str | PathLike[str] | None = None,
    verbose: Any = "auto",
) -> keras.Model:
    """Train a classifier by one arm and return it, as `run_comparison` trains and judges it.

    With equal arguments and seed the weights are those that the comparison judged.

    Args:
        train: Real images to train on.
        arm: A name of [`ARMS`][synthray.ARMS] or [`CONTROLS`][synthray.CONTROLS], or an `Arm`.
        augmenter: As in [`run_comparison`][synthray.run_comparison] with a test set; one that is
            not fitted is left so, a copy learns from `train`.
        classifier: As in `run_comparison`.
        epochs: Passes over the training images that the steps amount to.
        batch_size: Images a step.
        seed: Of initial weights, dropout, order, augmentation, generators and what they draw.
        budget: As in `run_comparison`.
        augmentation: As in `run_comparison`.
        class_weight: As in `run_comparison`.
        n_synthetic: As in `run_comparison`.
        teachers: As in `run_comparison`.
        callbacks: Keras callbacks.
        workdir: Folder of the generators' checkpoints and of what they draw: a training that was
            killed, called again, need not train them anew.
        verbose: 0 for silence, 1 or `"auto"` for what it will cost and one progress bar, 2 for a
            line an epoch.

    Returns:
        A Keras model that takes float32 images of 0 to 255, shape `(n, *image_shape)`, and returns
        what `classifier` makes it return.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If data or arguments do not fit; the message says what to do.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(64, image_shape=(32, 32, 1), seed=0)
        >>> model = sr.train_classifier(data, "augmented", epochs=1, verbose=0)
        >>> model.predict(data.images[:5].astype("float32"), verbose=0).shape
        (5, 1)
    """
    checked_seeds([seed])
    check_data(train, train)
    recipe = make_recipe(
        train,
        [arm],
        augmenter=augmenter,
        classifier=classifier,
        epochs=epochs,
        batch_size=batch_size,
        budget=budget,
        augmentation=augmentation,
        class_weight=class_weight,
        n_synthetic=n_synthetic,
        teachers=teachers,
        workdir=workdir,
    )
    recipe.try_classifier(seed)
    cell = Cell(recipe, 0, seed, train, train, None)  # nothing is judged
    cell.check()
    [chosen] = recipe.arms
    shown: list[Any] = []
    if verbose in (1, "auto"):
        work = execution.timed([(cell, [chosen])], lambda text: sys.stdout.write(f"{text}\n"))
        shown = [execution.progress_bar(work, verbose)]
    bench, _ = cell.prepared([chosen], shown=shown, verbose=verbose)
    model, *_ = bench.trained(
        chosen,
        bench.data[chosen.name],
        seed,
        callbacks=[*shown, *(callbacks or [])],
        verbose=2 if verbose == 2 else 0,
    )
    _log.info("arm %s, seed %d: trained", chosen.name, seed)
    trained: keras.Model = model
    return trained
