"""What a comparison found, in numbers and in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from synthray.comparison.metrics import HEADINGS, LOWER_IS_BETTER

Verdict = Literal["better", "worse", "cannot be told apart"]

_TESTS = {
    "bootstrap": "bootstrap of groups",
    "bootstrap and corrected t": "bootstrap of groups and the corrected resampled t test",
}


@dataclass(frozen=True)
class Interval:
    """A value with its interval; `None` where it is not defined.

    Attributes:
        value: The value as measured.
        low: Lower end.
        high: Upper end.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """An arm against the baseline, on one metric. Floats are `None` where the design gives none.

    Attributes:
        arm: The arm.
        baseline: What it is compared with.
        metric: On which score.
        difference: Arm less baseline, the mean over folds and seeds.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_bootstrap: Two-sided, of the same error as the interval: below one less the confidence
            exactly where the interval leaves out zero. With one training of each arm on one test
            set it is about these two trained networks alone.
        p_permutation: Two-sided sign-flip test over (fold, seed) pairs: could arm and baseline be
            trainings of one kind? `None` for so few pairs that it could never find anything: its p
            cannot fall below `2 ** (1 - pairs)`, which for three pairs is 0.25.
        p_corrected_t: Nadeau and Bengio's corrected resampled t test over (fold, seed) pairs;
            `None` for one test set.
        p_mcnemar: Exact McNemar test of right and wrong images, one prediction an image:
            probabilities are averaged over seeds. It takes images as independent and the trained
            networks as given.
        test: What the verdict rests on: `"bootstrap and corrected t"` with folds, else
            `"bootstrap"`.
        p_value: Its p, of two tests the larger one, since the verdict needs both (Berger 1982);
            `None` where there is no verdict, as for one training of each arm.
        p_holm: The same, corrected for the number of arms (Holm 1979).
        detectable: The smallest true difference that such a run would find in four of five cases,
            at the level of the first of Holm's steps.
        needed_images: At about how many judging images a true difference as large as the measured
            one would be found in four of five cases. `None` where it was found, where it is zero,
            and where chance in training alone would hide it.
        verdict: `"better"` or `"worse"` where `p_holm` is below one less the confidence and the
            interval leaves out zero. Of scores such as the loss, lower is better.
    """

    arm: str
    baseline: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p_bootstrap: float | None
    p_permutation: float | None
    p_corrected_t: float | None
    p_mcnemar: float | None
    test: str
    p_value: float | None
    p_holm: float | None
    detectable: float | None
    needed_images: int | None
    verdict: Verdict

    @property
    def numbers(self) -> str:
        """The difference, its interval and its p, as far as they are defined."""
        if self.difference is None:
            return "not defined"
        text = f"{self.difference:+.3f}"
        if self.low is not None:
            text += f" [{self.low:+.3f}, {self.high:+.3f}]"
        if self.p_holm is not None:
            text += f", p = {self.p_holm:.3f}" if self.p_holm >= 0.001 else ", p < 0.001"
        return text

    def describe(self) -> str:
        """Return one sentence for a reader who knows no statistics."""
        name = HEADINGS[self.metric]
        if self.difference is None:
            return (
                f"{self.arm}: no verdict, {name} is not defined in every fold and seed for it or "
                f"for {self.baseline} (training diverged, or images of a class are missing)."
            )
        numbers = f"{name} {self.numbers}"
        if self.verdict != "cannot be told apart":
            return f"{self.arm} is {self.verdict} than {self.baseline} ({numbers})."
        text = f"{self.arm} and {self.baseline} cannot be told apart ({numbers})"
        return f"{text}{self._why()}."

    def _why(self) -> str:
        if self.low is None:
            return ": too few groups of images to tell"
        if self.p_value is None:
            return ": one training of each does not show what a repeat would give, use more seeds"
        if self.needed_images is not None:
            return f": would need about {self.needed_images:,} test images"
        if self.difference and self.detectable and abs(self.difference) < self.detectable:
            return ": would need more seeds, for trainings differ by as much"
        return ""


@dataclass(frozen=True)
class Statistics:
    """Every arm's scores with intervals, and every arm against the baseline. `print` shows both.

    Attributes:
        metric: The score that the verdicts are about.
        baseline: The arm that others are compared with.
        confidence: Of the intervals, and one less the level of the tests.
        n_images: Judging images.
        n_groups: Their groups: patients, or families of duplicates.
        n_folds: Folds; 1 where there is one test set.
        n_seeds: Seeds.
        intervals: Arm to metric to its value with interval.
        differences: Every arm but the baseline to its difference.
    """

    metric: str
    baseline: str
    confidence: float
    n_images: int
    n_groups: int
    n_folds: int
    n_seeds: int
    intervals: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Difference]

    def describe(self) -> str:
        """Return all verdicts, and what they rest on, in plain sentences."""
        if not self.differences:
            return f"{self.baseline} is the only arm: there is nothing to compare."
        lines = [found.describe() for found in self.differences.values()]
        first = next(iter(self.differences.values()))
        direction = "lower" if self.metric in LOWER_IS_BETTER else "higher"
        name = HEADINGS[self.metric]
        if self.n_seeds == 1 and self.n_folds == 1:
            lines.append(
                f"{name[0].upper()}{name[1:]} ({direction} is better) with "
                f"{self.confidence:.0%} intervals, which do not hold chance in training: one seed."
            )
            return "\n".join(lines)
        basis = (
            f"Verdicts on {name} ({direction} is better) by the "
            f"{_TESTS[first.test]}, corrected for {len(self.differences)} "
            f"arm{'s' if len(self.differences) > 1 else ''} (Holm), {self.confidence:.0%} intervals"
        )
        found = [d.detectable for d in self.differences.values() if d.detectable is not None]
        if found:
            basis += f"; smallest difference to be found with 80 % power: {min(found):.3f}"
            if max(found) - min(found) >= 0.0005:
                basis += f" to {max(found):.3f}"
        return "\n".join([*lines, f"{basis}."])

    def proven_best(self) -> str | None:
        """Return the arm that gains most of those that are better; `None` if none is."""
        better = [arm for arm, found in self.differences.items() if found.verdict == "better"]
        return max(
            better, key=lambda arm: abs(self.differences[arm].difference or 0.0), default=None
        )

    def __str__(self) -> str:
        """Return the same sentences."""
        return self.describe()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def decide(
    low: float | None, high: float | None, p_holm: float | None, alpha: float, metric: str
) -> Verdict:
    """Return the verdict: test and interval must both speak against no difference.

    Args:
        low: Lower end of the interval of the difference.
        high: Upper end.
        p_holm: The p of the test, corrected; `None` gives no verdict.
        alpha: Level of the test.
        metric: The score, for which lower may be better.
    """
    if low is None or high is None or p_holm is None or p_holm >= alpha or low <= 0 <= high:
        return "cannot be told apart"
    return "better" if (low > 0) != (metric in LOWER_IS_BETTER) else "worse"


def needed_images(
    difference: float | None, threshold: tuple[float, float] | None, share: float, n: int
) -> int | None:
    """Return how many images a true difference of this size would be found with, in two digits.

    Args:
        difference: As measured.
        threshold: From where the test rejects, and what is found in four of five runs.
        share: What part of the variance comes from images. More images lower that part alone.
        n: Images of this run.

    Returns:
        About how many; `None` where there is no difference, no test, or it was found, and where the
        rest of the variance is too large for any number of images.
    """
    if not difference or threshold is None or abs(difference) >= threshold[0]:
        return None
    # The variance with N images is that of n, times n * share / N + 1 - share.
    room = (difference / threshold[1]) ** 2 - (1 - share)
    if room <= 0:
        return None
    needed = n * share / room
    digits = max(0, int(math.log10(needed)) - 1)
    return math.ceil(needed / 10**digits) * 10**digits
