"""`run_comparison` and `train_classifier`: the same classifier trained in several ways."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from os import PathLike
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._files import held
from synthray._keras.backend import steps_taken, versions
from synthray._progress import resumable, say
from synthray.comparison import folds
from synthray.comparison import plan as plans
from synthray.comparison.arms import ARMS, Arm, resolve_arms
from synthray.comparison.cache import Cache
from synthray.comparison.classifiers import release_classifier
from synthray.comparison.folds import Judging, Leakage
from synthray.comparison.parallel import Watch, processes, run_jobs
from synthray.comparison.plan import Plan, check_data, checked_seeds
from synthray.comparison.result import ArmRun, ComparisonResult, Pictures
from synthray.comparison.shared_features import Place, share_features
from synthray.comparison.synthetic import check_augmenter
from synthray.comparison.training import Training
from synthray.datasets.image_dataset import ImageDataset
from synthray.exceptions import DivergenceWarning, FileFormatError, SynthrayWarning

_A_CLASS = 8  # images that are shown


def run_comparison(
    data: ImageDataset,
    test: ImageDataset | None = None,
    *,
    cv: Any = 5,
    augmenter: Any = None,
    arms: Iterable[Arm | str] = tuple(ARMS),
    training: Training | None = None,
    seeds: Iterable[int] = (0,),
    n_synthetic: int | Mapping[Any, int] | None = None,
    leakage: Leakage = "warn",
    workdir: str | PathLike[str] | None = None,
    n_jobs: int | None = None,
    verbose: Any = "auto",
) -> ComparisonResult:
    """Train a classifier in several ways and judge each on the same images.

    Two forms: `run_comparison(data)` cuts one data set into grouped, stratified folds, and every
    image judges once a seed; `run_comparison(train, test)` judges on a test set of its own. Before
    anything is trained, an audit looks for radiographs that would both train and judge, whatever
    their files are called.

    All arms start from the same weights and, with the default budget, take the same number of
    gradient steps. The arm `"original"` with seed `s` is what
    `FractureClassifier(seed=s).fit(train, epochs=epochs)` computes. Images that judge train nothing
    and choose nothing: generators and validation images come from the training side.

    Args:
        data: Real images: all of them, or those to train on where there is a test set.
        test: Real images to judge by.
        cv: How `data` is cut where there is no test set: a number of folds, which keep whole the
            groups that the data have and the duplicates that the audit finds; or a scikit-learn
            splitter that judges each image once. A splitter that cuts groups, such as
            `StratifiedKFold`, makes a leaky comparison, and every table says so.
        augmenter: One that is not fitted, such as `SyntheticAugmenter(...)`: a clone is fitted for
            each fold and seed, on its training images alone. With a test set also a fitted one,
            which generates anew for each seed, or an `ImageDataset` of synthetic images. Any object
            with `fit(train)` and `sample(counts, seed=)` that `sklearn.base.clone` copies will do.
            Needed only by arms that use synthetic images.
        arms: Names of [`ARMS`][synthray.ARMS] and [`CONTROLS`][synthray.CONTROLS], or `Arm`
            objects.
        training: How a classifier is trained; by default [`Training()`][synthray.Training].
        seeds: One fit of each arm a seed and fold. A seed determines initial weights, dropout,
            order, augmentation, generators and what they generate.
        n_synthetic: How many images to generate, in all or for each class. By default as many of
            each class as there are to train on.
        leakage: What happens where images that judge are known from training: `"warn"` goes on,
            with a warning and a mark in every table; `"raise"` stops; `"off"` does not look.
        workdir: Folder where generators, synthetic images and every finished fit are kept at once.
            A run that was killed, called again, goes on where it was. Fits count as the same only
            if all that determines them is: images, arm, classifier, settings, versions. One
            process at a time uses it (not ensured on Windows).
        n_jobs: Processes, as in joblib: `None` for one (or what `joblib.parallel_config` says), -1
            for one a core. Each has one thread and does not use a GPU. Generators train before the
            classifiers that need them. With `joblib.parallel_config(backend="dask")` the jobs run
            on several machines. Numbers are equal for any number of processes above one; another
            number of threads rounds otherwise.
        verbose: 0 for silence, 1 or `"auto"` for what the audit found, what the run will cost and
            progress bars, 2 for a line an epoch (in one process).

    Raises:
        FileFormatError: If a file in `workdir` is damaged or changed; the message names it.
        LeakageError: If images that judge are known from training and `leakage` is `"raise"`.
        RuntimeError: If another process uses `workdir`; the message says which.
        TypeError: If an argument is of another kind.
        ValueError: If data sets or arguments do not fit; the message says what to do.

    Warns:
        LeakageWarning: If images that judge are known from training.
        DivergenceWarning: If a training diverged.
        SynthrayWarning: If a callback stopped an arm before its last phase, or the file of images
            that would be shown is damaged.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(96, image_shape=(32, 32, 1), seed=0)
        >>> result = sr.run_comparison(
        ...     data, cv=2, arms=["original"], training=sr.Training(epochs=1), verbose=0)
        >>> result.scores("original")["accuracy"].shape
        (2,)
    """
    training = _checked(training)
    folds.check_leakage(leakage)
    found_seeds = checked_seeds(seeds)
    own = training.validation if isinstance(training.validation, ImageDataset) else None
    check_data(data, data if test is None else test, own)
    if own is not None and test is None:
        raise ValueError(
            "With folds, validation images come out of the training side of each: pass a share, "
            "such as Training(validation=0.15)."
        )
    chosen = tuple(resolve_arms(arms))
    check_augmenter(augmenter, chosen, data, n_synthetic, with_folds=test is None)
    tell = partial(say, verbose=verbose)
    if test is None:
        judging = folds.judge_by_folds(data, cv, leakage, tell)
    else:
        judging = folds.judge_by_test_set(data, test, leakage, tell)
    cache = None if workdir is None else Cache(workdir)
    grouped = data if test is not None else data.with_groups(judging.groups)
    plan = Plan(grouped, judging, training, chosen, augmenter, n_synthetic, cache)
    plan.check(found_seeds[0])
    with held(workdir), resumable(workdir, verbose=verbose), processes(n_jobs):
        runs, shown = _run(plan, found_seeds, n_jobs, verbose)
    return ComparisonResult(
        runs=runs,
        labels=judging.images.labels,
        folds=judging.folds,
        names=judging.images.names,
        groups=judging.groups,
        class_names=data.class_names,
        positive_class=judging.images.positive_class,
        leak=judging.leak,
        settings=_settings(plan, found_seeds, leakage, shown),
        versions=versions(),
        pictures=Pictures(
            real=_examples(plan.fold(0).train),
            synthetic={} if shown is None else _examples(shown),
            leaked=() if judging.leak is None else tuple(judging.leak.examples),
        ),
    )


def train_classifier(
    train: ImageDataset,
    arm: Arm | str = "augmented",
    *,
    training: Training | None = None,
    augmenter: Any = None,
    n_synthetic: int | Mapping[Any, int] | None = None,
    seed: int = 0,
    workdir: str | PathLike[str] | None = None,
    verbose: Any = "auto",
) -> keras.Model:
    """Train a classifier by one arm and return it, as `run_comparison` trains and judges it.

    With equal arguments and seed the weights are those that the comparison judged.

    Args:
        train: Real images to train on.
        arm: A name of [`ARMS`][synthray.ARMS] or [`CONTROLS`][synthray.CONTROLS], or an `Arm`.
        training: How; by default [`Training()`][synthray.Training].
        augmenter: As in [`run_comparison`][synthray.run_comparison] with a test set.
        n_synthetic: As in `run_comparison`.
        seed: Of initial weights, dropout, order, augmentation, generators and their images.
        workdir: Folder of the generators' checkpoints and synthetic images: a training that was
            killed, called again, need not train them anew. As in `run_comparison`, one process
            at a time uses it.
        verbose: 0 for silence, 1 or `"auto"` for a progress bar, 2 for a line an epoch.

    Returns:
        A Keras model that takes float32 images of 0 to 255, shape `(n, *image_shape)`, and returns
        what `Training.classifier` makes it return.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If data or arguments do not fit; the message says what to do.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(64, image_shape=(32, 32, 1), seed=0)
        >>> model = sr.train_classifier(data, training=sr.Training(epochs=1), verbose=0)
        >>> model.predict(data.images[:5].astype("float32"), verbose=0).shape
        (5, 1)
    """
    training = _checked(training)
    checked_seeds([seed])
    check_data(train, train)
    (chosen,) = resolve_arms([arm])
    check_augmenter(augmenter, (chosen,), train, n_synthetic, with_folds=False)
    rows = np.arange(len(train))
    judging = Judging(
        ((rows, rows),), train, np.zeros(len(train), np.int64), train.groups, None, "none", True
    )
    cache = None if workdir is None else Cache(workdir)
    plan = Plan(train, judging, training, (chosen,), augmenter, n_synthetic, cache)
    plan.check(seed)
    in_lines = 2 if verbose == 2 else 0
    made = None
    if augmenter is not None and chosen.uses_synthetic:
        with held(workdir), resumable(workdir, verbose=verbose):
            made = plans.make_synthetic(plan, 0, seed, verbose)
    fold = plan.fold(0)
    with Watch(1, plan.steps(chosen, fold.train), "classifier", 1, verbose) as watch:
        trained = plans.train(plan, fold, seed, chosen, made, {}, [_Steps(watch)], in_lines)
    release_classifier()
    model: keras.Model = trained.model
    return model


class _Steps(keras.callbacks.Callback):
    """Moves a bar by the steps that are taken in this process."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch
        self._before = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._before = steps_taken(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = steps_taken(self.model)
        self._watch.add(now - self._before)
        self._before = now


def _checked(training: Any) -> Training:
    if training is None:
        return Training()
    if not isinstance(training, Training):
        raise TypeError(
            f"training must be a Training, got {type(training).__name__}. Write "
            "training=Training(epochs=20)."
        )
    return training


def _run(
    plan: Plan, seeds: list[int], n_jobs: int | None, verbose: Any
) -> tuple[tuple[ArmRun, ...], ImageDataset | None]:
    """Return all fits, computed now or kept from before, and the synthetic images of the first."""
    # Seed by seed: a run that is stopped has whole seeds first.
    places: list[Place] = [
        (fold, seed) for seed in seeds for fold in range(len(plan.judging.splits))
    ]
    found: dict[tuple[int, int, str], ArmRun] = {}
    keys: dict[Place, dict[str, str]] = {}
    if plan.cache is not None:
        for fold, seed in places:
            images = plan.fold(fold)
            keys[fold, seed] = plan.keys(images, seed)
            shape = (len(images.test), images.test.num_classes)
            for arm, key in keys[fold, seed].items():
                run = plan.cache.load_run(arm, fold, seed, key, shape)
                if run is not None:
                    found[fold, seed, arm] = run
        fits = len(places) * len(plan.arms)
        others = plan.cache.count_fits() - len(found)
        text = f"{len(found)} of {fits} fits are in the workdir, {fits - len(found)} to compute."
        say(
            text + (f" {others} fits there are of other settings." if others else ""),
            verbose=verbose,
        )
    missing = {
        (fold, seed): [arm for arm in plan.arms if (fold, seed, arm.name) not in found]
        for fold, seed in places
    }
    made = _generate(plan, missing, places[0], n_jobs, verbose)
    lacking = {place: arms for place, arms in missing.items() if arms}
    to_come = [arm for arm in plan.arms if any(arm in arms for arms in lacking.values())]
    given = {place: made.get(place) for place in lacking}
    known = share_features(plan, to_come, given, n_jobs, verbose)
    jobs = [
        (plan, *place, arms, given[place] if _uses(plan, arms) else None, known.get(place, ()))
        for place, own in lacking.items()
        for arms in _split(own)
    ]
    for run in _fit(plan, jobs, n_jobs, verbose):
        found[run.fold, run.seed, run.arm] = run
        if plan.cache is not None:
            plan.cache.save_run(run, keys[run.fold, run.seed][run.arm])
        _warn(run)
    runs = tuple(found[fold, seed, arm.name] for fold, seed in places for arm in plan.arms)
    return runs, made.get(places[0])


def _generate(
    plan: Plan,
    missing: Mapping[Place, list[Arm]],
    first: Place,
    n_jobs: int | None,
    verbose: Any,
) -> dict[Place, ImageDataset]:
    """Return the synthetic images of each fold and seed that needs some."""
    if not _uses(plan, plan.arms):
        return {}
    if isinstance(plan.augmenter, ImageDataset):
        return dict.fromkeys(missing, plan.augmenter)
    needing = [place for place, arms in missing.items() if _uses(plan, arms)]
    made: dict[Place, ImageDataset] = {}
    if not needing:  # all fits are there: those of the first fold are shown
        shown = None
        try:
            if plan.cache is not None:
                key = plan.synthetic_key(plan.fold(first[0]), first[1])
                shown = plan.cache.load_synthetic(key)
        except FileFormatError as error:
            warnings.warn(f"{error} No images are shown.", SynthrayWarning, stacklevel=4)
        return {} if shown is None else {first: shown}
    steps = [plan.generator_steps(plan.fold(fold).train) for fold, _ in needing]
    jobs = [(plan, fold, seed, 2 if verbose == 2 else 0) for fold, seed in needing]
    with Watch(len(jobs), sum(steps), "generator trainings", n_jobs, verbose) as watch:
        for place, images in run_jobs(plans.make_synthetic, jobs, n_jobs):
            made[needing[place]] = images
            watch.add(steps[place])
            watch.finished(steps[place])
    return made


def _fit(plan: Plan, jobs: list[Any], n_jobs: int | None, verbose: Any) -> Iterable[ArmRun]:
    if not jobs:
        return
    trains = {fold: plan.fold(fold).train for fold in {job[1] for job in jobs}}
    steps = [sum(plan.steps(arm, trains[fold]) for arm in arms) for _, fold, _, arms, *_ in jobs]
    fits = sum(len(job[3]) for job in jobs)
    with Watch(fits, sum(steps), "fits", n_jobs, verbose) as watch:
        alone = watch.processes == 1
        if alone:
            more = ([_Steps(watch)], 2 if verbose == 2 else 0)
            jobs = [(*job, *more) for job in jobs]
        for place, runs in run_jobs(plans.run_fits, jobs, n_jobs):
            if not alone:
                watch.add(steps[place])
            watch.finished(steps[place])
            yield from runs


def _uses(plan: Plan, arms: Iterable[Arm]) -> bool:
    return plan.augmenter is not None and any(arm.uses_synthetic for arm in arms)


def _split(arms: list[Arm]) -> list[list[Arm]]:
    """Return one job an arm, but one for all whose images an ensemble labels."""
    together = [arm for arm in arms if arm.needs_ensemble]
    jobs = [[arm] for arm in arms if not arm.needs_ensemble]
    return [*jobs, together] if together else jobs


def _settings(
    plan: Plan, seeds: list[int], leakage: Leakage, shown: ImageDataset | None
) -> dict[str, Any]:
    training, judging = plan.training, plan.judging
    own = training.validation
    return {
        "leakage": leakage,
        "cv": judging.name,
        "grouped": judging.grouped,
        "n_folds": len(judging.splits),
        "arms": {arm.name: [phase.to_dict() for phase in arm] for arm in plan.arms},
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "seeds": seeds,
        "budget": training.budget,
        "class_weight": training.class_weight,
        "classifier": training.classifier_name,
        "augmentation": training.batch_augmentation().name,
        **{f"ensemble of {arm.name}": arm.ensemble for arm in plan.arms if arm.needs_ensemble},
        "train": _describe(plan.fold(0).train),
        "test": _describe(judging.images),
        "validation": own if isinstance(own, float) else _describe(own),
        "synthetic": _describe(shown),
    }


def _describe(data: ImageDataset | None) -> dict[str, Any] | None:
    if data is None:
        return None
    return {
        "image_shape": list(data.image_shape),
        "class_counts": data.class_counts,
        "provenance": dict(data.provenance),
    }


def _examples(data: ImageDataset) -> dict[str, NDArray[np.uint8]]:
    """Return evenly spaced images of each class, by name."""
    chosen = {}
    for label, name in enumerate(data.class_names):
        index = np.flatnonzero(data.labels == label)
        if len(index):
            places = np.linspace(0, len(index) - 1, min(_A_CLASS, len(index))).round()
            chosen[name] = data.images[index[places.astype(np.int64)]]
    return chosen


def _warn(run: ArmRun) -> None:
    if run.scores.accuracy is None:
        warnings.warn(
            f"Arm {run.arm!r} with seed {run.seed} diverged: its predictions are not finite, and "
            "it has no scores. Lower the learning rate.",
            DivergenceWarning,
            stacklevel=4,
        )
    if 0 in run.phase_steps:
        warnings.warn(
            f"A callback stopped arm {run.arm!r} with seed {run.seed} before phase "
            f"{run.phase_steps.index(0) + 1} of {len(run.phase_steps)} began: later phases never "
            "ran; the scores exclude them. Stop later, or leave arms of several phases out.",
            SynthrayWarning,
            stacklevel=4,
        )
