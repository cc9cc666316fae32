"""`run_comparison`: the same classifier trained in several ways, judged on the same images."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

from synthray.classifiers.fracture_classifier import FractureClassifier
from synthray.comparison import execution
from synthray.comparison import protocol as protocols
from synthray.comparison.arms import ARMS, Arm, Budget
from synthray.comparison.cells import Cell, CellResult, describe
from synthray.comparison.checks import check_data, check_validation, checked_seeds
from synthray.comparison.fit import ClassWeight
from synthray.comparison.pictures import Pictures, examples
from synthray.comparison.protocol import Audit, Judging, Protocol
from synthray.comparison.recipe import Recipe, make_recipe
from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.datasets.image_dataset import ImageDataset

_log = logging.getLogger("synthray")


def run_comparison(
    data: ImageDataset,
    test: ImageDataset | None = None,
    *,
    folds: int | None = None,
    augmenter: Any = None,
    classifier: Callable[..., Any] = FractureClassifier,
    arms: Iterable[Arm | str] = tuple(ARMS),
    epochs: int = 20,
    batch_size: int = 32,
    seeds: Iterable[int] = (0,),
    budget: Budget = "equal_steps",
    validation: ImageDataset | float | None = None,
    augmentation: Any = None,
    class_weight: ClassWeight = None,
    n_synthetic: int | Mapping[Any, int] | None = None,
    positive_class: int | str | None = None,
    teachers: int = 5,
    protocol: Protocol = "grouped",
    audit: Audit = "warn",
    fold_seed: int = 0,
    workdir: str | PathLike[str] | None = None,
    executor: execution.Execution = "auto",
    callbacks: Callable[[str, int], list[Any]] | None = None,
    verbose: Any = "auto",
) -> ComparisonResult:
    """Train a classifier in several ways and judge each on the same images.

    Two forms: `run_comparison(data, folds=5)` cuts one data set into grouped, stratified folds, and
    every image judges once a seed; `run_comparison(train, test)` judges on a test set of its own.
    Before anything is trained, an audit looks for radiographs that would be both trained on and
    judged by, whatever their files are called.

    All arms start from the same weights and, with the default budget, take the same number of
    gradient steps: `epochs * ceil(len(train) / batch_size)`. The arm `"original"` with seed `s` is
    what `FractureClassifier(seed=s).fit(train, epochs=epochs)` computes. Images that judge train
    nothing and choose nothing: generators and validation images come from the training side.

    Args:
        data: Real images: all of them, or those to train on where there is a test set.
        test: Real images to judge by.
        folds: Number of folds; 5 where there is no test set.
        augmenter: One that is not fitted, such as `SyntheticAugmenter(...)`: a copy is fitted for
            each fold and seed, on its training images alone, and the object itself is left as it
            is. With a test set also a fitted one, which draws anew for each seed, or an
            `ImageDataset` of drawn images. Needed only by arms that use synthetic images.
        classifier: Makes a new classifier for each fit: called with those of `num_classes=`,
            `image_shape=` and `seed=` that its signature names (so with none, for
            `lambda: my_model()`). Returns a Keras model that takes float32 images of 0 to 255,
            shape `(n, *image_shape)`, and ends in a softmax over all classes or, for two, in one
            sigmoid. A model that is not compiled gets Adam at 1e-3 and the cross-entropy.
        arms: Names of [`ARMS`][synthray.ARMS] and [`CONTROLS`][synthray.CONTROLS], or `Arm`
            objects.
        epochs: Passes over the training images that the steps of each arm amount to.
        batch_size: Images a step.
        seeds: One fit of each arm a seed and fold. A seed determines initial weights, dropout,
            order, augmentation, generators and what they draw.
        budget: `"equal_steps"`: every arm takes the same number of steps, shared out over its
            phases. `"epochs"`: every phase sees its data `epochs` times, as in the original
            experiment; arms with more data or more phases then train longer.
        validation: Judged after each epoch, for the histories (`val_...`) and `callbacks`. A share
            such as 0.15 is taken out of the training side, whole groups; with a test set also an
            `ImageDataset`.
        augmentation: What phases with `augment=True` apply: a Keras layer, or a function from a
            float32 batch of 0 to 255 to the same (given `seed=` if its signature names it). By
            default [`classic_augmentation()`][synthray.classic_augmentation].
        class_weight: `"balanced"` weighs images so that all classes of a phase count the same; a
            dict gives the weight of each label.
        n_synthetic: How many images to draw, in all or for each class. By default as many of each
            class as there are to train on.
        positive_class: For two classes, the one whose recall is the sensitivity, by name or label;
            by default label 1.
        teachers: How many classifiers, trained on the real training images with classic
            augmentation, label images together in phases with `labels="teachers"`. Their training
            comes on top of the steps of the arms.
        protocol: `"grouped"`: folds keep whole the groups that the data have and the duplicates
            that the audit finds. `"leaky"`: folds cut them, or a test set is known to leak; the
            result carries that name.
        audit: What happens where test images are known from training, or `"raise"` also where
            folds would cut duplicates by the groups given: `"warn"` goes on and says so; `"off"`
            does not look.
        fold_seed: Seed of the cut into folds and of validation shares, the same for all `seeds`.
        workdir: Folder where generators, drawn images and every finished fit are kept at once. A
            run that was killed, called again, goes on where it was. Fits count as the same only if
            all that determines them is: images, arm, classifier, settings, versions.
        executor: `"auto"` trains 20,000 steps or more (one of a generator counts as 100) in several
            processes of one thread each, one a usable core: not with an accelerator, `callbacks`
            or `verbose=2`. Another number of threads rounds otherwise. On JAX with an accelerator
            it trains 50,000 steps or more as `"stacked"` does: many fits as one program, each with
            the numbers that it has alone, up to rounding. `None` trains in this process alone, one
            fit after the other. Through any `concurrent.futures.Executor`, folds and seeds are
            computed side by side.
        callbacks: Called with an arm's name and a seed, returns Keras callbacks for that fit.
        verbose: 0 for silence, 1 or `"auto"` for what the audit found, what the run will cost and
            one progress bar over all steps, 2 for a line an epoch. The logger `synthray` tells
            more.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If data sets or arguments do not fit; the message says what to do.

    Warns:
        UserWarning: If test images are known from training; if training diverged; if a callback
            stopped an arm before its last phase.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(96, image_shape=(32, 32, 1), seed=0)
        >>> result = sr.run_comparison(
        ...     data, folds=2, arms=["original"], epochs=1, positive_class="fractured", verbose=0)
        >>> result.scores("original")["accuracy"].shape
        (2,)
    """
    k = protocols.check_protocol(test, folds, protocol, audit)
    seeds = checked_seeds(seeds)
    check_data(data, data if test is None else test)
    check_validation(validation, data, with_folds=k is not None)
    execution.check_executor(executor)
    recipe = make_recipe(
        data,
        arms,
        augmenter=augmenter,
        classifier=classifier,
        epochs=epochs,
        batch_size=batch_size,
        budget=budget,
        augmentation=augmentation,
        class_weight=class_weight,
        n_synthetic=n_synthetic,
        positive_class=positive_class,
        teachers=teachers,
        callbacks=callbacks,
        workdir=workdir,
        with_folds=k is not None,
    )
    chosen = recipe.arms
    recipe.try_classifier(seeds[0])

    def say(text: str) -> None:
        _log.info(text)
        if verbose != 0:
            sys.stdout.write(f"{text}\n")

    if test is not None:
        judging = protocols.one_test_set(data, test, protocol=protocol, audit=audit, say=say)
    else:
        judging = protocols.cross_validation(
            data, int(k or 0), seed=fold_seed, protocol=protocol, audit=audit, say=say
        )
    cells = _cells(recipe, judging, seeds, validation, fold_seed)
    for cell in cells:
        cell.check()
    found = _run(cells, recipe, executor, say, verbose)
    runs = _in_order(cells, recipe, found)
    shown = next(
        (result for results in found.values() for result in results if result.examples), None
    )
    return ComparisonResult(
        runs=runs,
        labels=judging.images.labels,
        folds=judging.folds,
        names=judging.images.names,
        groups=judging.groups,
        class_names=data.class_names,
        positive_class=None if data.num_classes > 2 else data.class_names[recipe.positive],
        leak=judging.leak,
        settings={
            "protocol": protocol,
            "audit": audit,
            "n_folds": len(judging.splits),
            "fold_seed": int(fold_seed),
            "arms": {arm.name: [phase.to_dict() for phase in arm] for arm in chosen},
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "seeds": seeds,
            "budget": budget,
            "class_weight": recipe.class_weight,
            "classifier": recipe.factory.name,
            "augmentation": recipe.augment.name,
            **({"teachers": int(teachers)} if any(arm.needs_teachers for arm in chosen) else {}),
            "train": describe(judging.splits[0][0]),
            "test": describe(judging.images),
            "validation": validation if isinstance(validation, float) else describe(validation),
            "synthetic": None if shown is None else shown.synthetic,
        },
        versions=recipe.versions,
        pictures=Pictures(
            real=examples(judging.splits[0][0]),
            synthetic={} if shown is None else shown.examples,
            leaked=() if judging.leak is None else tuple(judging.leak.examples),
        ),
    )


def _cells(
    recipe: Recipe,
    judging: Judging,
    seeds: list[int],
    validation: ImageDataset | float | None,
    fold_seed: int,
) -> list[Cell]:
    """Return the cells, fold by fold within each seed: a stopped run has whole seeds first."""
    splits: list[tuple[ImageDataset, ImageDataset, ImageDataset | None]] = []
    for train, test in judging.splits:
        if isinstance(validation, float):
            kept, held = train.split(validation, seed=fold_seed)
            splits.append((kept, test, held))
        else:
            splits.append((train, test, validation))
    return [
        Cell(recipe, fold, seed, train, test, held)
        for seed in seeds
        for fold, (train, test, held) in enumerate(splits)
    ]


def _run(
    cells: list[Cell],
    recipe: Recipe,
    executor: execution.Execution,
    say: Callable[[str], None],
    verbose: Any,
) -> dict[Cell, list[CellResult]]:
    """Return what every cell found, computed now or kept from before."""
    found: dict[Cell, list[CellResult]] = {}
    jobs = []
    kept = 0
    for cell in cells:
        finished = cell.finished()
        kept += len(finished)
        missing = [arm for arm in recipe.arms if arm.name not in finished]
        found[cell] = [CellResult(tuple(finished.values()), None, {})]
        if missing:
            jobs.append((cell, missing))
    fits = len(cells) * len(recipe.arms)
    if recipe.store is not None:
        others = recipe.store.count_fits() - kept
        text = f"{kept} of {fits} fits are in the workdir, {fits - kept} to compute."
        say(text + (f" {others} fits there are of other settings." if others else ""))
    with contextlib.closing(execution.compute(jobs, executor, say=say, verbose=verbose)) as results:
        for cell, result in results:
            found[cell].append(result)
            for run in result.runs:
                _warn_diverged(run)
                _warn_unreached(run)
    first = cells[0]  # whose drawn images are shown, whatever was computed now
    drawing = any(arm.uses_synthetic for arm in recipe.arms)
    if drawing and not any(result.examples for result in found[first]):
        found[first].append(first.drawn_examples())
    return found


def _in_order(
    cells: list[Cell], recipe: Recipe, found: Mapping[Cell, list[CellResult]]
) -> tuple[ArmRun, ...]:
    ordered = []
    for cell in cells:
        runs = {run.arm: run for result in found[cell] for run in result.runs}
        ordered += [runs[arm.name] for arm in recipe.arms]
    return tuple(ordered)


def _warn_unreached(run: ArmRun) -> None:
    if 0 in run.phase_steps:
        place = run.phase_steps.index(0)
        warnings.warn(
            f"Callbacks stopped arm {run.arm!r} with seed {run.seed} before phase {place + 1} of "
            f"its {len(run.phase_steps)} began: it is judged without. Stop later, or leave arms of "
            "several phases out.",
            UserWarning,
            stacklevel=4,
        )


def _warn_diverged(run: ArmRun) -> None:
    if run.scores.accuracy is None:
        warnings.warn(
            f"Arm {run.arm!r} with seed {run.seed} diverged: its predictions are not finite, and "
            "it has no scores. Lower the learning rate.",
            UserWarning,
            stacklevel=4,
        )
