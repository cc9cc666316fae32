"""`Arm`: what a classifier is trained on, in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.image_dataset import ImageDataset

_Named = Literal["real", "synthetic", "both", "copies", "duplicated"]
Source = _Named | Callable[[ImageDataset, ImageDataset | None], ImageDataset]
Labels = Literal["own", "ensemble"]

SOFT_LABELS = "soft_labels"
"""The annotation of probabilities that are learnt in place of labels, `(n, classes)`."""


@dataclass(frozen=True)
class Phase:
    """One call of `fit`: which images, how, and for how long.

    Attributes:
        source: `"real"` for the training set, `"synthetic"` for synthetic images, `"both"` for the
            two together. For controls: `"copies"` for real images repeated until there are as many
            of each class as there are synthetic ones, `"duplicated"` for the training set and those
            copies together. Or a function `(train, synthetic) -> ImageDataset`, where `synthetic`
            is `None` in a comparison without an augmenter. Images whose annotation `"soft_labels"`,
            `(n, classes)`, is not NaN are learnt with those probabilities in place of their label.
        augment: Whether images pass through the augmentation of the `Training`.
        share: This phase's part of the arm's epochs, in proportion to the shares of its other
            phases. With `budget="epochs"` it has no effect.
        ratio: Synthetic images for each real one, of those that there are, each class with its
            share of them; `None` for all.
        weight: Weight of a synthetic image in the loss; a real one has 1.
        labels: `"ensemble"`: images are learnt with the probabilities that an ensemble gives them,
            which is trained on the real training images (knowledge distillation, Hinton et al.
            2015, arXiv 1503.02531; from synthetic images, Ding et al. 2021, arXiv 2104.03164).
        rate: Multiplies the learning rate that the classifier was compiled with.

    Raises:
        ValueError: If the source is unknown or a number is out of its range.
    """

    source: Source = "real"
    augment: bool = False
    share: float = 1.0
    _: KW_ONLY
    ratio: float | None = None
    weight: float = 1.0
    labels: Labels = "own"
    rate: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not callable(self.source) and self.source not in get_args(_Named):
            raise ValueError(
                f"source must be one of {get_args(_Named)} or a function, got {self.source!r}."
            )
        for name in ("share", "weight", "rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}.")
        if self.labels not in get_args(Labels):
            raise ValueError(f"labels must be one of {get_args(Labels)}, got {self.labels!r}.")
        if self.ratio is None:
            return
        if not 0 < self.ratio < math.inf:
            raise ValueError(
                f'ratio must be positive, got {self.ratio!r}. For real images alone: Phase("real").'
            )
        if callable(self.source) or self.source == "real":
            raise ValueError(
                "ratio is the number of synthetic images for each real one; the source "
                f"{self.source!r} is not one of {get_args(_Named)[1:]}."
            )

    @property
    def needs_synthetic(self) -> bool:
        """Whether the phase cannot do without synthetic images, or without their number."""
        return not callable(self.source) and self.source != "real"

    @property
    def uses_synthetic(self) -> bool:
        """Whether synthetic images change what the phase trains on."""
        return callable(self.source) or self.needs_synthetic

    @property
    def shows_synthetic(self) -> bool:
        """Whether it trains on synthetic images themselves; a function is taken to."""
        return callable(self.source) or self.source in ("synthetic", "both")

    def planned_size(self, n_real: int, n_synthetic: int) -> int:
        """Return how many images the phase has; a function is taken to return all."""
        if self.ratio is not None:
            n_synthetic = round(self.ratio * n_real)
        both = n_real + n_synthetic
        sizes = {"real": n_real, "synthetic": n_synthetic, "copies": n_synthetic}
        return both if callable(self.source) else sizes.get(self.source, both)

    def data(self, train: ImageDataset, synthetic: ImageDataset | None) -> ImageDataset:
        """Return the images of this phase.

        Raises:
            ValueError: If there are too few synthetic images for its ratio, or a function returns
                images of another kind.
        """
        if callable(self.source):
            made = self.source(train, synthetic)
            like = (train.image_shape, train.class_names)
            if not isinstance(made, ImageDataset) or (made.image_shape, made.class_names) != like:
                raise ValueError(
                    f"The source of a phase must return an ImageDataset of shape "
                    f"{train.image_shape} and classes {train.class_names}, got {made!r}."
                )
            return made
        if synthetic is None or self.source == "real":
            return train
        if self.ratio is not None:
            synthetic = first_of_each_class(synthetic, round(self.ratio * len(train)))
        if self.source == "synthetic":
            return synthetic
        if self.source == "both":
            return _together(train, synthetic)
        # Real images, each class repeated until there are as many as synthetic ones.
        index: list[NDArray[np.int64]] = [
            np.resize(np.flatnonzero(train.labels == label), count)
            for label, count in enumerate(synthetic.class_counts.values())
        ]
        copies = train.select(np.concatenate(index))
        return copies if self.source == "copies" else train.concatenate(copies)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; a function by its name."""
        source = self.source
        name = getattr(source, "__qualname__", repr(source)) if callable(source) else source
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"source": name}


def _together(train: ImageDataset, synthetic: ImageDataset) -> ImageDataset:
    """Return both, without annotations that one lacks and that have no value for "not known".

    None of those that are left out takes part in training.
    """
    both = []
    for own, other in ((train, synthetic), (synthetic, train)):
        kept = {
            name: column
            for name, column in own.annotations.items()
            if name in other.annotations or column.dtype.kind == "f" or name == SOFT_LABELS
        }
        both.append(replace(own, annotations=kept))
    return both[0].concatenate(both[1])


def first_of_each_class(synthetic: ImageDataset, n: int) -> ImageDataset:
    """Return `n` images in their order, each class with the share that it has.

    Raises:
        ValueError: If there are fewer.
    """
    check_count(n, len(synthetic))
    chosen = np.zeros(len(synthetic), bool)
    counts = np.bincount(synthetic.labels, minlength=synthetic.num_classes)
    ends = np.round(np.cumsum(counts) * (n / len(synthetic))).astype(int)
    for label, count in enumerate(np.diff(ends, prepend=0)):
        chosen[np.flatnonzero(synthetic.labels == label)[:count]] = True
    return synthetic.select(chosen)


def check_count(asked: int, found: int) -> None:
    """Raise where a phase asks for more synthetic images than there are."""
    if asked > found:
        raise ValueError(
            f"A phase asks for {asked} synthetic images and there are {found}. Generate more "
            "(n_synthetic=), or lower its ratio."
        )


@dataclass(frozen=True)
class Arm:
    """One way to train the classifier: a name and the phases, one after the other.

    The classifier and its optimizer go through all phases without a restart.

    Attributes:
        name: The name in tables and plots.
        phases: A `Phase`, or several.
        ensemble: Number of classifiers that label images together, where a phase asks for that.
            They are trained on the real training images with augmentation; their training comes on
            top of the steps of the arm.

    Raises:
        ValueError: If there is no phase, or a value is out of its range.

    Examples:
        Warm start on augmented synthetic images, a quarter of the epochs, then real ones:

        >>> import synthray as sr
        >>> arm = sr.Arm("long_warm_start", [
        ...     sr.Phase("synthetic", augment=True, share=0.25), sr.Phase("real", share=0.75)])
    """

    name: str
    phases: Sequence[Phase] | Phase = (Phase(),)
    ensemble: int = 5

    def __post_init__(self) -> None:
        """Check the values and make the phases a tuple."""
        phases = (self.phases,) if isinstance(self.phases, Phase) else tuple(self.phases)
        if not phases or not all(isinstance(phase, Phase) for phase in phases):
            raise ValueError(f"An arm needs at least one Phase, got {self.phases!r}.")
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"An arm needs a name, got {self.name!r}.")
        if self.ensemble < 1:
            raise ValueError(f"ensemble must be 1 or more, got {self.ensemble}.")
        object.__setattr__(self, "phases", phases)

    def __iter__(self) -> Any:
        """Iterate over the phases."""
        return iter(self.phases)  # type: ignore[arg-type]

    @property
    def needs_synthetic(self) -> bool:
        """Whether the arm cannot do without synthetic images."""
        return any(phase.needs_synthetic for phase in self)

    @property
    def uses_synthetic(self) -> bool:
        """Whether synthetic images change what the arm trains on."""
        return any(phase.uses_synthetic for phase in self)

    @property
    def shows_synthetic(self) -> bool:
        """Whether it trains on synthetic images themselves; controls only count them."""
        return any(phase.shows_synthetic for phase in self)

    @property
    def shows_real(self) -> bool:
        """Whether it trains on real images too; a function is taken to."""
        return any(phase.source != "synthetic" for phase in self)

    @property
    def needs_ensemble(self) -> bool:
        """Whether some of its images are labelled by an ensemble."""
        return any(phase.labels == "ensemble" for phase in self)

    def phase_epochs(
        self, sizes: Sequence[int], n_train: int, epochs: int, *, equal: bool
    ) -> list[int]:
        """Return the epochs of each phase.

        Args:
            sizes: Number of images of each phase.
            n_train: Number of real training images.
            epochs: Epochs of the arm; where not `equal`, passes of each phase over its images.
            equal: Whether all arms take the same number of steps.

        Raises:
            ValueError: If a phase is left without an epoch.
        """
        if not equal:
            return [max(1, round(epochs * size / n_train)) for size in sizes]
        shares = [phase.share for phase in self]
        ends = [round(epochs * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
        found = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        if min(found) < 1:
            raise ValueError(
                f"{epochs} epochs are too few to share out over the {len(found)} phases of arm "
                f"{self.name!r}: one of them gets none. Raise epochs."
            )
        return found


def _by_name(*arms: Arm) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms}


ARMS: dict[str, Arm] = _by_name(
    Arm("original"),
    Arm("augmented", Phase(augment=True)),
    Arm("mixed", Phase("both")),
    Arm("warm_start", [Phase("synthetic", share=0.5), Phase("real", share=0.5)]),
)
"""The four arms of the experiment: the training set as it is; classic augmentation; real and
synthetic images mixed; synthetic images first, then real ones."""

CONTROLS: dict[str, Arm] = _by_name(
    Arm("duplicated", Phase("duplicated")),
    Arm("real_warm_start", [Phase("copies", share=0.5), Phase("real", share=0.5)]),
    Arm("augmented_mixed", Phase("both", augment=True)),
    Arm(
        "augmented_warm_start",
        [Phase("synthetic", augment=True, share=0.5), Phase("real", augment=True, share=0.5)],
    ),
    Arm("synthetic_only", Phase("synthetic", augment=True)),
)
"""Arms that show what an effect is due to. `duplicated` is `mixed` with copies of real images in
place of synthetic ones, `real_warm_start` is `warm_start` with them, step for step: what these gain
over `original`, more steps have gained. `augmented_mixed` and `augmented_warm_start` add classic
augmentation; compare them with `augmented`. `synthetic_only` shows how much of the classes the
generators have learnt (Ravuri & Vinyals 2019, arXiv 1905.10887): images may look real and show
nothing of what the classes differ by."""


def resolve_arms(arms: Iterable[Arm | str]) -> list[Arm]:
    """Return the arms of names and `Arm` objects.

    Raises:
        ValueError: If a name is unknown or appears twice, or there is no arm.
    """
    known = {**ARMS, **CONTROLS}
    found = []
    for arm in (arms,) if isinstance(arms, str | Arm) else arms:
        if not isinstance(arm, Arm) and arm not in known:
            raise ValueError(f"arms must be Arm objects or names of {list(known)}, got {arm!r}.")
        found.append(arm if isinstance(arm, Arm) else known[arm])
    names = [arm.name for arm in found]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"Expected one or more arms with different names, got {names}.")
    return found
