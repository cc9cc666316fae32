"""What a comparison found, in numbers and in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from synthray.statistics.metrics import HEADINGS, LOWER_IS_BETTER

Verdict = Literal["better", "worse", "cannot be told apart", "no verdict"]


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
        p_bootstrap: Two-sided, from the same standard error as the interval: below one less the
            confidence exactly where the interval excludes zero. With one training of each arm on
            one test set it is about these two trained networks alone.
        p_corrected_t: Nadeau and Bengio's corrected resampled t test over (fold, seed) pairs;
            `None` for one test set.
        p_value: What the verdict rests on: `p_bootstrap`, with folds the larger of both, since the
            verdict needs both tests (Berger 1982); `None` where there is no verdict, as for one
            training of each arm.
        p_holm: The same, corrected for the number of arms (Holm 1979).
        detectable: The smallest true difference that 80 % of such runs would find, at the level of
            the first of Holm's steps.
        needed_images: About how many test images would be needed to find a true difference as large
            as the measured one in 80 % of runs. `None` where it was found, where it is zero, and
            where chance in training alone would hide it.
        verdict: `"better"` or `"worse"` where `p_holm` is below one less the confidence and the
            interval excludes zero, with regard to scores such as the loss, of which lower is
            better; else `"cannot be told apart"`, or `"no verdict"` where there is no `p_holm`.
    """

    arm: str
    baseline: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p_bootstrap: float | None
    p_corrected_t: float | None
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

    @property
    def reason(self) -> str:
        """Why there is no verdict, or what it would take to tell the arms apart; or empty."""
        if self.difference is None:
            return (
                f"the {HEADINGS[self.metric]} is not defined in every fold and seed: training "
                "diverged, or test images of a class are missing"
            )
        if self.low is None:
            return "there are too few groups of images"
        if self.p_value is None:
            return "one training of each arm does not show how repeats differ; use more seeds"
        if self.needed_images is not None:
            return f"detecting such a difference needs about {self.needed_images:,} test images"
        if self.verdict == "cannot be told apart" and abs(self.difference) < (self.detectable or 0):
            return "more images would not be enough: trainings differ too much; use more seeds"
        return ""

    def describe(self) -> str:
        """Return one sentence for a reader who knows no statistics."""
        sentence = {
            "cannot be told apart": f"{self.arm} and {self.baseline} cannot be told apart",
            "no verdict": f"{self.arm} and {self.baseline}: no verdict",
        }.get(self.verdict, f"{self.arm} is {self.verdict} than {self.baseline}")
        reason = f"; {self.reason}" if self.reason else ""
        return f"{sentence} ({HEADINGS[self.metric]} {self.numbers}){reason}."


@dataclass(frozen=True)
class Statistics:
    """Every arm's scores with intervals, and every arm against the baseline. `print` shows both.

    Attributes:
        metric: The score that the verdicts are about.
        baseline: The arm that others are compared with.
        confidence: Of the intervals, and one less the level of the tests.
        n_images: Test images; with folds, all images.
        n_groups: Their groups: patients, or duplicate clusters.
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
        direction = "lower" if self.metric in LOWER_IS_BETTER else "higher"
        basis = (
            f"The verdict is about the {HEADINGS[self.metric]} ({direction} is better), with "
            f"{self.confidence:.0%} intervals. "
        )
        if self.n_seeds == self.n_folds == 1:
            return "\n".join([*lines, f"{basis}They leave out chance in training: one seed."])
        basis += f"Test: {self.test}; p corrected for all arms (Holm)."
        found = [d.detectable for d in self.differences.values() if d.detectable is not None]
        if found:
            basis += f" Smallest difference found with 80 % power: about {max(found):.3f}."
        return "\n".join([*lines, basis])

    @property
    def test(self) -> str:
        """Names of the tests that verdicts rest on."""
        both = " and corrected resampled t test (both must agree)"
        return "bootstrap of groups" + ("" if self.n_folds == 1 else both)

    def proven_best(self) -> str | None:
        """Return the arm that gains most of those that are better; `None` if none is."""
        better = [arm for arm, found in self.differences.items() if found.verdict == "better"]
        return max(
            better, key=lambda arm: abs(self.differences[arm].difference or 0.0), default=None
        )

    __str__ = describe

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def decide(
    low: float | None, high: float | None, p_holm: float | None, alpha: float, metric: str
) -> Verdict:
    """Return the verdict: test and interval must both exclude that there is no difference.

    Args:
        low: Lower end of the interval of the difference.
        high: Upper end.
        p_holm: The p of the test, corrected.
        alpha: Level of the test.
        metric: The score, for which lower may be better.
    """
    if low is None or high is None or p_holm is None:
        return "no verdict"
    if p_holm >= alpha or low <= 0 <= high:
        return "cannot be told apart"
    return "better" if (low > 0) != (metric in LOWER_IS_BETTER) else "worse"


def needed_images(
    difference: float | None, threshold: tuple[float, float] | None, share: float, n: int
) -> int | None:
    """Return how many images would show a true difference of this size, in two digits.

    Args:
        difference: As measured.
        threshold: The smallest significant difference, and the true one that 80 % of runs find.
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
