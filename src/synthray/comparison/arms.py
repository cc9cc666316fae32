"""`Arm`: what a classifier is trained on, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synthray.comparison.phases import Phase

Budget = Literal["equal_steps", "epochs"]


@dataclass(frozen=True)
class Arm:
    """One way to train the classifier: a name and the phases, one after the other.

    The classifier and its optimizer go through all phases without a restart, but for what a phase
    resets.

    Attributes:
        name: The name in tables and plots.
        phases: A `Phase`, or several.

    Raises:
        ValueError: If there is no phase.

    Examples:
        Warm start on augmented synthetic images, a quarter of the steps, then real ones:

        >>> import synthray as sr
        >>> arm = sr.Arm("augmented_warm_start", [
        ...     sr.Phase("synthetic", augment=True, share=0.25), sr.Phase("real", share=0.75)])
    """

    name: str
    phases: Sequence[Phase] | Phase = (Phase(),)

    def __post_init__(self) -> None:
        """Check the values and make the phases a tuple."""
        phases = (self.phases,) if isinstance(self.phases, Phase) else tuple(self.phases)
        if not phases or not all(isinstance(phase, Phase) for phase in phases):
            raise ValueError(f"An arm needs at least one Phase, got {self.phases!r}.")
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"An arm needs a name, got {self.name!r}.")
        object.__setattr__(self, "phases", phases)

    def __iter__(self) -> Any:
        """Iterate over the phases."""
        return iter(self.phases)  # type: ignore[arg-type]

    @property
    def needs_synthetic(self) -> bool:
        """Whether the arm cannot do without drawn images."""
        return any(phase.needs_synthetic for phase in self)

    @property
    def uses_synthetic(self) -> bool:
        """Whether drawn images change what the arm trains on."""
        return any(phase.uses_synthetic for phase in self)

    @property
    def shows_synthetic(self) -> bool:
        """Whether it trains on drawn images themselves: controls count them, and show real ones."""
        return any(phase.shows_synthetic for phase in self)

    @property
    def shows_real(self) -> bool:
        """Whether it trains on real images too; a function is taken to."""
        return any(phase.source != "synthetic" for phase in self)

    @property
    def needs_teachers(self) -> bool:
        """Whether some of its images are labelled by an ensemble."""
        return any(phase.labels == "teachers" for phase in self)

    def steps(self, sizes: Sequence[int], *, total: int, epochs: int, budget: Budget) -> list[int]:
        """Return the gradient steps of each phase.

        Args:
            sizes: Steps that one pass over the data of each phase takes.
            total: Steps of the arm with `budget="equal_steps"`, split by share.
            epochs: Passes of each phase over its data with `budget="epochs"`.
            budget: Which of the two.

        Raises:
            ValueError: If a phase is left without a step.
        """
        if budget == "epochs":
            return [epochs * size for size in sizes]
        shares = [phase.share for phase in self]
        ends = [round(total * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
        steps = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        if min(steps) < 1:
            raise ValueError(
                f"{total} steps are too few to share out over the {len(steps)} phases of arm "
                f"{self.name!r}. Raise epochs, or lower batch_size."
            )
        return steps


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("original"),
        Arm("augmented", Phase(augment=True)),
        Arm("synthetic", Phase("mixed")),
        Arm("warm_start", [Phase("synthetic", share=0.5), Phase("real", share=0.5)]),
    )
}
"""The four arms of the experiment: the training set as it is; classic augmentation; synthetic and
original images together; synthetic images first, then original ones."""

CONTROLS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("duplicated", Phase("duplicated")),
        Arm("real_warm_start", [Phase("copies", share=0.5), Phase("real", share=0.5)]),
        Arm("augmented_synthetic", Phase("mixed", augment=True)),
        Arm(
            "augmented_warm_start",
            [Phase("synthetic", augment=True, share=0.5), Phase("real", augment=True, share=0.5)],
        ),
        Arm("synthetic_only", Phase("synthetic", augment=True)),
    )
}
"""Arms that tell what an effect is owed to. `duplicated` is `synthetic` with copies of real images
in place of drawn ones; `real_warm_start` is `warm_start` with them, step for step: what these gain
over `original`, more steps have gained. `augmented_synthetic` and `augmented_warm_start` add
classic augmentation, to be set beside `augmented`. `synthetic_only` tells how much of the classes
the generators have learnt (Ravuri & Vinyals 2019, arXiv 1905.10887): images may look real and show
nothing of what the classes differ by."""


def resolve_arms(arms: Iterable[Arm | str]) -> list[Arm]:
    """Return the arms of names and `Arm` objects.

    Raises:
        ValueError: If a name is unknown or appears twice, or there is no arm.
    """
    if isinstance(arms, str | Arm):
        arms = (arms,)
    found = []
    for arm in arms:
        known = {**ARMS, **CONTROLS}
        if not isinstance(arm, Arm) and arm not in known:
            raise ValueError(f"arms must be Arm objects or names of {list(known)}, got {arm!r}.")
        found.append(arm if isinstance(arm, Arm) else known[arm])
    names = [arm.name for arm in found]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"Expected one or more arms with different names, got {names}.")
    return found
