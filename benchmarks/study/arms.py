"""The arms of the study, and what they train on that the library has no word for (PLAN.md)."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import synthray as sr
from synthray.comparison.augmentation import BatchAugmentation

LAST = 0.25  # of the steps, at a tenth of the rate, in every arm
LOWER = 0.1
REAL_RATE = 1 / 3  # of real images after a warm start
WARM = 1 / 3  # of the steps
STRENGTHS = ("rotation", "shift", "zoom", "contrast")  # of classic_augmentation
RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
MANY = 16.0  # drawn images for each real one, where they know more than the real ones


@dataclass(frozen=True)
class AugmentedCopies:
    """Real images, as many of each class as were drawn, each changed once: for `soft-real`."""

    batch: int = 256

    def __call__(self, train: sr.ImageDataset, drawn: sr.ImageDataset | None) -> sr.ImageDataset:
        if drawn is None:
            raise ValueError("Copies are as many as drawn images, and there are none.")
        copies = sr.Phase("copies").data(train, drawn)
        change = BatchAugmentation(sr.classic_augmentation(seed=0), batch_size=self.batch)
        starts = range(0, len(copies), self.batch)
        images = [copies.images[s : s + self.batch].astype(np.float32) for s in starts]
        changed = [change(part, 0, step) for step, part in enumerate(images)]
        pixels = np.clip(np.round(np.concatenate(changed)), 0, 255).astype(np.uint8)
        return replace(copies, images=pixels)


def ending_slowly(phase: sr.Phase, share: float = 1.0) -> list[sr.Phase]:
    """Return a phase whose last steps, a quarter of the arm's, go at a tenth of its rate."""
    main = replace(phase, share=share - LAST)
    return [main, replace(phase, share=LAST, rate=phase.rate * LOWER, reset=())]


def arm(name: str, phase: sr.Phase) -> sr.Arm:
    return sr.Arm(name, ending_slowly(phase))


def warm(name: str, source: Any, *, reset: tuple[Any, ...] = (), **options: Any) -> sr.Arm:
    """Return an arm that begins with `source` and goes on with real images, at a lower rate."""
    first = sr.Phase(source, augment=True, share=WARM, **options)
    then = sr.Phase("real", augment=True, rate=REAL_RATE, reset=("optimizer", *reset))
    return sr.Arm(name, [first, *ending_slowly(then, share=1 - WARM)])


ORIGINAL = arm("original", sr.Phase())


def classic(name: str) -> sr.Arm:
    return arm(name, sr.Phase(augment=True))


def mixed(name: str, ratio: float = 1.0, **options: Any) -> sr.Arm:
    return arm(name, sr.Phase("mixed", augment=True, ratio=ratio, **options))


def alone(name: str) -> sr.Arm:
    return arm(name, sr.Phase("synthetic", augment=True))


@dataclass(frozen=True)
class Run:
    """Arms that share drawn images and an augmentation.

    Attributes:
        arms: The arms.
        pool: Name of the generator whose images they use; `None` for none.
        filtered: Which images of the pool: `"filter"`, `"hard"`, or `""` for all.
        augmentation: Arguments of `classic_augmentation`; `None` for the defaults.
    """

    arms: tuple[sr.Arm, ...]
    pool: str | None = None
    filtered: str = ""
    augmentation: dict[str, Any] | None = None


def strength(factor: float, **more: Any) -> dict[str, Any]:
    """Return the arguments of a classic augmentation so many times as strong as the default."""
    defaults = inspect.signature(sr.classic_augmentation).parameters
    return {name: defaults[name].default * factor for name in STRENGTHS} | more


CLASSIC = (
    Run((ORIGINAL, classic("classic-1"))),
    Run((classic("classic-0.5"),), augmentation=strength(0.5)),
    Run((classic("classic-2"),), augmentation=strength(2.0)),
    Run((classic("classic-flip"),), augmentation=strength(1.0, flip=True)),
)
R3GAN = (
    Run(
        (
            *(mixed(f"mixed-{ratio:g}", ratio) for ratio in RATIOS),
            mixed("mixed-1-half-weight", weight=0.5),
            mixed("apart", apart=True),
            warm("warm-start", "synthetic"),
            warm("real-warm-start", "copies"),
            warm("warm-start-new-head", "synthetic", reset=("head",)),
            warm("soft", "synthetic", labels="teachers"),
            warm("soft-real", AugmentedCopies(), labels="teachers"),
            alone("synthetic-only"),
        ),
        pool="R3GAN",
        filtered="filter",
    ),
    Run((mixed("mixed-1-unfiltered"),), pool="R3GAN"),
    Run((mixed("hard"),), pool="R3GAN", filtered="hard"),
)
OTHERS = (
    Run((mixed("translated"),), pool="CycleGAN", filtered="filter"),
    Run(
        (mixed("deck-mixed"), warm("deck-warm-start", "synthetic")), pool="DCGAN", filtered="filter"
    ),
)
TRUTH = (
    Run(
        (
            mixed("truth-1", 1.0),
            mixed("truth-4", 4.0),
            warm("truth-warm-start", "synthetic"),
        ),
        pool="truth",
    ),
)
"""With phantoms alone: new ones in place of drawn ones, as a perfect generator would give."""
SHARED = (
    Run(
        (
            *(mixed(f"mixed-{ratio:g}", ratio) for ratio in (1.0, 4.0, MANY)),
            warm("warm-start", "synthetic"),
            alone("synthetic-only"),
        ),
        pool="R3GAN-base",
    ),
    Run(
        (
            mixed("mixed-16-filtered", MANY),
            warm("warm-start-filtered", "synthetic"),
            alone("synthetic-only-filtered"),
        ),
        pool="R3GAN-base",
        filtered="filter",
    ),
)
"""With few groups: images of a generator that has learnt from those of all groups. The filter too
is made of all: a filter made of the few would know less than the images do."""
ELSEWHERE = (
    Run(
        (
            *(mixed(f"mixed-{ratio:g}", ratio) for ratio in (1.0, 4.0, MANY)),
            warm("warm-start", "synthetic"),
            alone("synthetic-only"),
        ),
        pool="drawn",
        filtered="filter",
    ),
    Run(
        (
            mixed("others-1", 1.0),
            mixed("others-4", 4.0),
            warm("others-warm-start", "synthetic"),
            alone("others-only"),
        ),
        pool="radiographs",
    ),
    Run(
        (mixed("others-once-1", 1.0), warm("others-once-warm-start", "synthetic")),
        pool="radiographs-once",
    ),
    Run(
        (mixed("unfiltered-1", 1.0), warm("unfiltered-warm-start", "synthetic")),
        pool="drawn",
    ),
)
"""With few groups: images of a generator of another set's radiographs, filtered by these; and, as
controls, those radiographs themselves in their place, or one image of each group of them; and what
was drawn without the filter."""
SHORT = (
    "original",
    "classic-1",
    "classic-2",
    "classic-flip",
    "mixed-1",
    "warm-start",
    "real-warm-start",
)
"""Arms of the larger classifier. Its five teachers would cost as much as all of these."""
ANOTHER = ("mixed-0.25", "mixed-1", "warm-start", "soft", "synthetic-only")
"""Arms with images of another generator in place of the planned one's."""
REAL_ALONE = ("real-warm-start", "soft-real", *(arm.name for run in CLASSIC for arm in run.arms))
"""Arms that train on no drawn image, whatever the generator."""

CANDIDATES = {
    "best-classic": ("original", "classic-0.5", "classic-1", "classic-2", "classic-flip"),
    "best-mixed": ("best-classic", *(f"mixed-{ratio:g}" for ratio in (*RATIOS, MANY))),
    "best-others": ("best-classic", "others-1", "others-4", "others-warm-start"),
}
CONTROLS = {
    **{f"mixed-{ratio:g}": "classic-1" for ratio in (*RATIOS, MANY)},
    **dict.fromkeys(
        ("mixed-1-unfiltered", "mixed-1-half-weight", "apart", "hard", "translated", "deck-mixed"),
        "mixed-1",
    ),
    "warm-start": "real-warm-start",
    "warm-start-new-head": "warm-start",
    "mixed-16-filtered": "mixed-16",
    "warm-start-filtered": "warm-start",
    "deck-warm-start": "warm-start",
    "truth-1": "mixed-1",
    "truth-4": "mixed-4",
    "truth-warm-start": "warm-start",
    "soft": "soft-real",
    "others-1": "classic-1",
    "others-4": "classic-1",
    "others-warm-start": "real-warm-start",
    "others-once-1": "others-1",
    "others-once-warm-start": "others-warm-start",
    "unfiltered-1": "mixed-1",
    "unfiltered-warm-start": "warm-start",
}
OTHERS_CONTROLS = {
    "mixed-1": "others-1",
    "mixed-4": "others-4",
    "warm-start": "others-warm-start",
    "synthetic-only": "others-only",
    "best-synthetic": "best-others",
}
"""Where there are images of another set: those drawn beside the radiographs themselves."""


def evenly(pool: sr.ImageDataset) -> sr.ImageDataset:
    """Return as many images of each class as there are of the rarest, in their order."""
    fewest = min(pool.class_counts.values())
    rows = [np.flatnonzero(pool.labels == label)[:fewest] for label in range(pool.num_classes)]
    return pool.select(np.sort(np.concatenate(rows)))


def affordable(arm: sr.Arm, n_real: int, n_drawn: int) -> sr.Arm:
    """Return an arm that asks for no more drawn images than there are."""
    most = n_drawn / n_real
    phases = [
        phase if phase.ratio is None or phase.ratio <= most else replace(phase, ratio=most)
        for phase in arm
    ]
    return sr.Arm(arm.name, phases)
