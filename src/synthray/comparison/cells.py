"""One fold with one seed: its generators, its drawn images, its arms. The unit that is sent out."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Self

from numpy.typing import NDArray

from synthray._fingerprint import augmentation_digest, digest, model_digest
from synthray.comparison import synthetic as drawn_images
from synthray.comparison.arms import Arm
from synthray.comparison.fit import Bench
from synthray.comparison.metrics import score
from synthray.comparison.phases import Phase, check_count
from synthray.comparison.pictures import examples
from synthray.comparison.recipe import Recipe
from synthray.comparison.result import ArmRun
from synthray.comparison.teachers import TEACHER, with_soft_labels
from synthray.datasets.image_dataset import ImageDataset

_log = logging.getLogger("synthray")


@dataclass(frozen=True, eq=False)
class Cell:
    """The fits of one fold with one seed.

    Attributes:
        recipe: What all cells share.
        fold: Number of the fold.
        seed: The seed.
        train: Real images to train on.
        test: Real images to judge by.
        validation: Images judged after each epoch, or `None`.
    """

    recipe: Recipe
    fold: int
    seed: int
    train: ImageDataset
    test: ImageDataset
    validation: ImageDataset | None

    def finished(self) -> dict[str, ArmRun]:
        """Return the fits that the store holds, by arm."""
        store = self.recipe.store
        if store is None:
            return {}
        shape = (len(self.test), self.test.num_classes)
        found = {}
        for arm in self.recipe.arms:
            key = self._keys[arm.name]
            run = store.load_run(store.runs(arm.name, self.fold, self.seed, key), key, shape)
            if run is not None:
                scores = score(
                    run.probabilities, self.test.labels, positive_class=self.recipe.positive
                )
                found[arm.name] = replace(run, scores=scores)
        return found

    @property
    def n_drawn(self) -> int:
        """How many images will be drawn, or are there, as known before they are drawn."""
        recipe = self.recipe
        return drawn_images.planned(recipe.augmenter, self.train, recipe.n_synthetic)

    def check(self) -> None:
        """Raise where an arm will lack drawn images: before generators train for hours.

        Raises:
            ValueError: If a phase asks for more than will be drawn.
        """
        for phase in (phase for arm in self.recipe.arms for phase in arm):
            if phase.needs_synthetic and self.n_drawn < 1:
                raise ValueError(
                    f"A phase trains on drawn images, and n_synthetic={self.recipe.n_synthetic!r} "
                    "asks for none. Leave n_synthetic out, or ask for 1 or more."
                )
            if phase.ratio is not None:
                check_count(round(phase.ratio * len(self.train)), self.n_drawn)

    def planned_steps(self, arm: Arm) -> int:
        """Return the steps of an arm as known before images are drawn.

        With `budget="epochs"`, a source that is a function counts as all images together.

        Raises:
            ValueError: If the steps do not suffice for its phases.
        """
        recipe = self.recipe
        sizes = [
            math.ceil(phase.planned_size(len(self.train), self.n_drawn) / recipe.batch_size)
            for phase in arm
        ]
        total = recipe.epochs * math.ceil(len(self.train) / recipe.batch_size)
        steps = arm.steps(sizes, total=total, epochs=recipe.epochs, budget=recipe.budget)
        return sum(steps)

    def compute(self, arms: list[Arm], *, shown: list[Any], verbose: Any) -> CellResult:
        """Draw what these arms need, train and judge them; keep each fit as it ends."""
        recipe = self.recipe
        bench, drawn = self.prepared(arms, shown=shown, verbose=verbose)
        runs = []
        for arm in arms:
            given = [] if recipe.callbacks is None else recipe.callbacks(arm.name, self.seed)
            run = bench.fit(
                arm,
                self.seed,
                self.fold,
                callbacks=[*shown, *given],
                verbose=2 if verbose == 2 else 0,
            )
            self.keep(run)
            runs.append(run)
        return CellResult.of(runs, drawn)

    def keep(self, run: ArmRun) -> None:
        """Put a fit that has ended into the store."""
        store = self.recipe.store
        if store is not None:
            key = self._keys[run.arm]
            store.save_run(store.runs(run.arm, self.fold, self.seed, key), key, run)
        _log.info(
            "arm %s, fold %d, seed %d: %s in %.1f s",
            *(run.arm, self.fold, self.seed, run.scores, run.seconds),
        )

    def prepared(
        self, arms: list[Arm], *, shown: list[Any], verbose: Any
    ) -> tuple[Bench, ImageDataset | None]:
        """Return what fits these arms, all their images drawn and labelled, and the drawn ones."""
        recipe = self.recipe
        drawn = None
        if recipe.augmenter is not None and any(arm.uses_synthetic for arm in arms):
            drawn = self._draw(2 if verbose == 2 else 0, shown[0] if shown else None)
        bench = with_soft_labels(
            self.bench(arms, drawn),
            arms,
            recipe.teachers,
            self.seed,
            callbacks=shown,
            verbose=2 if verbose == 2 else 0,
        )
        return bench, drawn

    def drawn_examples(self) -> CellResult:
        """Return what is shown of images that were drawn in an earlier run, and no fits."""
        drawn = None
        if isinstance(self.recipe.augmenter, ImageDataset):
            drawn = self.recipe.augmenter
        elif self.recipe.store is not None and self.recipe.augmenter is not None:
            drawn = self.recipe.store.load_drawn(self.recipe.store.drawn(self._drawn_key))
        return CellResult.of((), drawn)

    def bench(self, arms: list[Arm], drawn: ImageDataset | None) -> Bench:
        """Return what fits arms, given the drawn images."""
        recipe = self.recipe
        sources = dict.fromkeys((phase.source, phase.ratio) for arm in arms for phase in arm)
        images = {
            (source, ratio): Phase(source, ratio=ratio).data(self.train, drawn)
            for source, ratio in sources
        }
        return Bench(
            data={arm.name: [images[phase.source, phase.ratio] for phase in arm] for arm in arms},
            train=self.train,
            test=self.test,
            validation=self.validation,
            factory=recipe.factory,
            augment=recipe.augment,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            budget=recipe.budget,
            class_weight=recipe.class_weight,
            positive=recipe.positive,
        )

    def _draw(self, verbose: Any, shown: Any) -> ImageDataset:
        recipe, store = self.recipe, self.recipe.store
        draw = partial(
            drawn_images.draw,
            *(recipe.augmenter, self.train, recipe.n_synthetic),
            seed=self.seed,
            verbose=verbose,
            shown=shown,
        )
        if store is None or isinstance(recipe.augmenter, ImageDataset):
            return draw()
        path = store.drawn(self._drawn_key)
        drawn = store.load_drawn(path)
        if drawn is None:
            drawn = draw(workdir=store.generators(self._generators_key))
            store.save_drawn(path, drawn)
        return drawn

    def teacher_steps(self, arms: list[Arm]) -> int:
        """Return the steps of the teachers that these arms need."""
        if not any(arm.needs_teachers for arm in arms):
            return 0
        return self.recipe.teachers * self.planned_steps(TEACHER)

    @property
    def generator_steps(self) -> int:
        """Steps that the generators of this cell take, as far as the augmenter tells."""
        augmenter = self.recipe.augmenter
        if augmenter is None or isinstance(augmenter, ImageDataset):
            return 0
        told = all(
            hasattr(augmenter, name) for name in ("planned_steps", "batch_size", "generator")
        )
        if drawn_images.is_fitted(augmenter) or not told:
            return 0
        return int(augmenter.planned_steps(self.train.class_counts))

    @cached_property
    def _augmenter_key(self) -> str:
        return drawn_images.fingerprint(self.recipe.augmenter, self.train, seed=self.seed)

    @property
    def _generators_key(self) -> str:
        """The digest of all that determines the generators: not how many images they draw."""
        return digest([self.recipe.versions, self._augmenter_key, self.train, self.seed])

    @cached_property
    def _drawn_key(self) -> str:
        recipe = self.recipe
        if isinstance(recipe.augmenter, ImageDataset):
            return self._augmenter_key
        return digest(
            [recipe.versions, self._augmenter_key, self.train, recipe.n_synthetic, self.seed]
        )

    @cached_property
    def _keys(self) -> dict[str, str]:
        """The digest of all that determines each fit, by arm."""
        recipe = self.recipe
        common = digest(
            [
                recipe.versions,
                *(self.train, self.test, self.validation, self.seed),
                *(recipe.epochs, recipe.batch_size, recipe.budget, recipe.class_weight),
                *(recipe.positive, recipe.callbacks),
                model_digest(recipe.factory(self.seed), recipe.factory.make),
            ]
        )
        keys = {}
        for arm in recipe.arms:
            parts = [common, [(phase.source, phase.augment, phase.share) for phase in arm]]
            options = [phase.options() for phase in arm]
            if any(options):
                parts.append(options)
            if arm.needs_teachers:
                parts.append([f"{recipe.teachers} teachers"])
            if arm.needs_teachers or any(phase.augment for phase in arm):
                parts.append(augmentation_digest(recipe.augment.transform))
            if arm.uses_synthetic and recipe.augmenter is not None:
                parts.append(self._drawn_key)
            keys[arm.name] = digest(parts)
        return keys


Job = tuple[Cell, list[Arm]]
"""A cell, and the arms to compute of it."""


@dataclass(frozen=True, eq=False)
class CellResult:
    """What a cell found.

    Attributes:
        runs: The fits.
        synthetic: What the drawn images are, or `None`.
        examples: A few of them by class.
    """

    runs: tuple[ArmRun, ...]
    synthetic: Mapping[str, Any] | None
    examples: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, runs: Iterable[ArmRun], drawn: ImageDataset | None) -> Self:
        """Return fits with what is told of the drawn images."""
        return cls(tuple(runs), None if drawn is None else describe(drawn), _shown(drawn))


def describe(data: ImageDataset | None) -> dict[str, Any] | None:
    """Return what is recorded of a data set."""
    if data is None:
        return None
    return {
        "image_shape": list(data.image_shape),
        "class_counts": data.class_counts,
        "provenance": dict(data.provenance),
    }


def compute_elsewhere(cell: Cell, arms: list[Arm], shown: Iterable[Any] = ()) -> CellResult:
    """Compute a cell in a worker of an executor, in silence."""
    return cell.compute(arms, shown=list(shown), verbose=0)


def _shown(drawn: ImageDataset | None) -> dict[str, NDArray[Any]]:
    return {} if drawn is None else examples(drawn)
