"""`run_comparison`: the same classifier trained in several ways, judged on the same images."""

from __future__ import annotations

import logging
import platform
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, get_args

import keras

from synthray._version import __version__
from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison import synthetic as drawn_images
from synthray.comparison.arms import ARMS, Arm, Budget, Phase, resolve_arms
from synthray.comparison.augmentation import BatchAugmentation, classic_augmentation
from synthray.comparison.checks import check_data, checked_seeds, positive_label
from synthray.comparison.fit import Bench, ClassWeight, image_weights
from synthray.comparison.leaks import check_leaks
from synthray.comparison.models import ClassifierFactory
from synthray.comparison.result import ComparisonResult
from synthray.comparison.training import StepProgress
from synthray.datasets.image_dataset import ImageDataset

_log = logging.getLogger("synthray")
_STEPS_AT_ONCE = 8


def run_comparison(
    train: ImageDataset,
    test: ImageDataset,
    *,
    augmenter: Any = None,
    classifier: Callable[..., Any] = FractureClassifier,
    arms: Iterable[Arm | str] = tuple(ARMS),
    epochs: int = 20,
    batch_size: int = 32,
    seeds: Iterable[int] = (0,),
    budget: Budget = "equal_steps",
    validation: ImageDataset | None = None,
    augmentation: Any = None,
    class_weight: ClassWeight = None,
    n_synthetic: int | Mapping[Any, int] | None = None,
    positive_class: int | str | None = None,
    callbacks: Callable[[str, int], list[Any]] | None = None,
    verbose: Any = "auto",
) -> ComparisonResult:
    """Train a classifier in several ways and judge each on the same test images.

    All arms start from the same weights and, with the default budget, take the same number of
    gradient steps: `epochs * ceil(len(train) / batch_size)`. The arm `"original"` with seed `s` is
    what `FractureClassifier(seed=s).fit(train, epochs=epochs)` computes. Test images train nothing
    and choose nothing. That they are not training images is the caller's duty; byte-identical ones
    and shared groups are looked for, and the result says loudly if there are any.

    Args:
        train: Real images to train on, and for an augmenter that is not fitted to learn from.
        test: Real images to judge by.
        augmenter: A fitted `SyntheticAugmenter`, used as it is; one that is not fitted, which is
            then fitted on `train` (the object itself, so that its generators can be kept); or an
            `ImageDataset` of drawn images. Needed only by arms that use synthetic images.
        classifier: Makes a new classifier for each fit: called with those of `num_classes=`,
            `image_shape=` and `seed=` that its signature names (so with none, for
            `lambda: my_model()`). Returns a Keras model that takes float32 images of 0 to 255,
            shape `(n, *train.image_shape)`, and ends in a softmax over all classes or, for two, in
            one sigmoid. A model that is not compiled gets Adam at 1e-3 and the cross-entropy.
        arms: Names of [`ARMS`][synthray.ARMS], or `Arm` objects.
        epochs: Passes over `train` that the steps of each arm amount to.
        batch_size: Images a step.
        seeds: One fit of each arm a seed, which determines initial weights, dropout, order and
            augmentation. Images are drawn once, with the first seed, and serve all fits.
        budget: `"equal_steps"`: every arm takes the same number of steps, shared out over its
            phases. `"epochs"`: every phase sees its data `epochs` times, as in the original
            experiment; arms with more data or more phases then train longer.
        validation: Real images judged after each epoch, for the histories (`val_...`) only.
        augmentation: What phases with `augment=True` apply: a Keras layer, or a function from a
            float32 batch of 0 to 255 to the same (given `seed=` if its signature names it). By
            default [`classic_augmentation()`][synthray.classic_augmentation].
        class_weight: `"balanced"` weighs images so that all classes of a phase count the same; a
            dict gives the weight of each label.
        n_synthetic: How many images to draw, in all or for each class. By default as many of each
            class as `train` has.
        positive_class: For two classes, the one whose recall is the sensitivity, by name or label;
            by default label 1.
        callbacks: Called with an arm's name and a seed, returns Keras callbacks for that fit.
        verbose: 0 for silence, 1 or `"auto"` for one progress bar over all steps, 2 for a line an
            epoch. The logger `synthray` tells more.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If data sets or arguments do not fit; the message says what to do.

    Warns:
        UserWarning: If test images are byte-identical to training images, or share groups with
            them; if training diverged.

    Examples:
        >>> import synthray as sr
        >>> train, test = sr.make_phantoms(96, seed=0).split(0.33, seed=0)
        >>> result = sr.run_comparison(
        ...     train, test, arms=["original"], epochs=1, positive_class="fractured", verbose=0)
        >>> result.scores("original")["accuracy"].shape
        (1,)
    """
    chosen, seeds = resolve_arms(arms), checked_seeds(seeds)
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be 1 or more, got {epochs}, {batch_size}.")
    if budget not in get_args(Budget):
        raise ValueError(f"budget must be one of {get_args(Budget)}, got {budget!r}.")
    check_data(train, test, validation)
    positive = positive_label(positive_class, train.class_names)
    if class_weight is not None:
        image_weights(train.labels, train.num_classes, class_weight)
    drawn_images.check_augmenter(augmenter, chosen, train, n_synthetic)
    transform = classic_augmentation() if augmentation is None else augmentation
    augment = BatchAugmentation(transform, batch_size=batch_size)
    # Torch has no compiled loop to gain from; elsewhere the numbers stay the same.
    at_once = 1 if keras.backend.backend() == "torch" else _STEPS_AT_ONCE
    factory = ClassifierFactory(classifier, train, steps_per_execution=at_once)
    factory(seeds[0])  # a mistake in it shows before generators are trained
    leak = check_leaks(train, test)
    if leak.found:
        warnings.warn(leak.describe(), UserWarning, stacklevel=2)

    synthetic = None
    if augmenter is not None:
        synthetic = drawn_images.draw(augmenter, train, n_synthetic, seed=seeds[0], verbose=verbose)
    sources = {phase.source for arm in chosen for phase in arm}
    images = {source: Phase(source).data(train, synthetic) for source in sources}
    bench = Bench(
        data={arm.name: [images[phase.source] for phase in arm] for arm in chosen},
        train=train,
        test=test,
        validation=validation,
        factory=factory,
        augment=augment,
        epochs=epochs,
        batch_size=batch_size,
        budget=budget,
        class_weight=class_weight,
        positive=positive,
    )
    fits = [(arm, seed) for seed in seeds for arm in chosen]
    total = sum(sum(bench.phase_steps(arm)) for arm, _ in fits)
    _log.info("%d fits, %d steps of %d images in all", len(fits), total, batch_size)
    shown: list[Any] = []
    if verbose in (1, "auto"):
        shown.append(StepProgress(keras.utils.Progbar(total, unit_name="step")))
    runs = []
    for arm, seed in fits:
        given = [] if callbacks is None else callbacks(arm.name, seed)
        runs.append(
            bench.fit(arm, seed, callbacks=[*shown, *given], verbose=2 if verbose == 2 else 0)
        )
        _log.info(
            "arm %s, seed %d: %s in %.1f s", arm.name, seed, runs[-1].scores, runs[-1].seconds
        )
    weights = dict(class_weight) if isinstance(class_weight, Mapping) else class_weight
    return ComparisonResult(
        runs=tuple(runs),
        labels=test.labels,
        names=test.names,
        groups=test.groups,
        class_names=test.class_names,
        positive_class=None if test.num_classes > 2 else test.class_names[positive],
        leak=leak,
        settings={
            "arms": {arm.name: [phase.to_dict() for phase in arm] for arm in chosen},
            "epochs": epochs,
            "batch_size": batch_size,
            "seeds": seeds,
            "budget": budget,
            "steps_per_entry": bench.epoch_steps,
            "class_weight": weights,
            "classifier": factory.name,
            "augmentation": augment.name,
            "train": _describe(train),
            "test": _describe(test),
            "validation": _describe(validation),
            "synthetic": _describe(synthetic),
        },
        versions=_versions(),
    )


def _describe(data: ImageDataset | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {
        "image_shape": list(data.image_shape),
        "class_counts": data.class_counts,
        "provenance": dict(data.provenance),
    }


def _versions() -> dict[str, str]:
    backend = keras.backend.backend()
    return {
        "synthray": __version__,
        "python": platform.python_version(),
        "backend": backend,
        **{name: version(name) for name in ("keras", backend, "numpy", "scikit-learn")},
    }
