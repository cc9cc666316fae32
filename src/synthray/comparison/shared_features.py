"""Features that the processes of a comparison share: computed once, in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import joblib
import numpy as np
from numpy.typing import NDArray

from synthray._parts import slices
from synthray.classifiers.feature_cache import Packed, Rows, computed, image_name, packed
from synthray.comparison.arms import Arm, Phase
from synthray.comparison.classifiers import learns_from_features, make_classifier
from synthray.comparison.parallel import Watch, run_jobs
from synthray.comparison.plan import Plan
from synthray.datasets.image_dataset import ImageDataset

Place: TypeAlias = tuple[int, int]  # fold and seed
_AT_ONCE = 256  # images of a job


def share_features(
    plan: Plan,
    arms: Iterable[Arm],
    made: Mapping[Place, ImageDataset | None],
    n_jobs: int | None,
    verbose: Any,
) -> dict[Place, Packed]:
    """Return what the fits of each place read, where several processes learn from features.

    Args:
        plan: The comparison.
        arms: Those that have fits to come.
        made: Synthetic images of each place, a fold and a seed.
        n_jobs: As in `run_comparison`.
        verbose: As in `run_comparison`.
    """
    if joblib.effective_n_jobs(n_jobs) < 2 or not made:
        return {}
    if not learns_from_features(make_classifier(plan.training.classifier, plan.data, 0)):
        return {}
    sets = _sets(plan, [phase for arm in arms for phase in arm], made)
    first: dict[bytes, int] = {}  # set that has an image, of equal ones the first
    sources: dict[int, set[int]] = {}
    owners, jobs = [], []
    for key, (data, plain, augmented) in sets.items():
        names = [image_name(image) for image in data.images]
        new = {name: row for row, name in enumerate(names) if name not in first}
        first |= dict.fromkeys(new, key)
        sources[key] = {first[name] for name in names}
        rows = list(new.values())
        for at in slices(len(rows), _AT_ONCE):
            owners.append(key)
            jobs.append((plan, data.images[rows[at]], plain, augmented))
    found: dict[int, Rows] = {key: {} for key in sets}
    counts = [len(images) for _, images, *_ in jobs]
    with Watch(len(jobs), sum(counts), "features", n_jobs, verbose, unit="images") as watch:
        for place, features in run_jobs(_compute, jobs, n_jobs):
            found[owners[place]] |= features
            watch.add(counts[place])
    arrays = {key: packed(features) for key, features in found.items()}
    real = sets.keys() - {id(data) for data in made.values()}
    return {
        place: [each for key in real | sources.get(id(data), set()) for each in arrays[key]]
        for place, data in made.items()
    }


def _sets(
    plan: Plan, phases: list[Phase], made: Mapping[Place, ImageDataset | None]
) -> dict[int, tuple[ImageDataset, bool, bool]]:
    """Return what is read: sets, whether their images are, and augmented copies of them."""
    ensembles = any(phase.labels == "ensemble" for phase in phases)
    real = ensembles or any(p.augment for p in phases if p.source != "synthetic")
    shown = [phase.augment for phase in phases if phase.shows_synthetic]
    sets = {id(plan.data): (plan.data, True, real)}
    for own in (plan.judging.images, plan.training.validation):
        if isinstance(own, ImageDataset):
            sets.setdefault(id(own), (own, True, False))
    for data in made.values() if shown else ():
        if data is not None:
            sets.setdefault(id(data), (data, ensembles or not all(shown), any(shown)))
    return sets


def _compute(plan: Plan, images: NDArray[np.uint8], plain: bool, augmented: bool) -> Rows:
    """Return the features of images themselves, and of their augmented copies."""
    model = make_classifier(plan.training.classifier, plan.data, 0)

    def compute() -> None:
        if plain:
            model.features(images)
        if augmented:
            model.augmented_features(images, plan.training.batch_augmentation().transform)

    return computed(compute)
