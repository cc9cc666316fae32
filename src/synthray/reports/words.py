"""Numbers and settings of a comparison in words, for tables, plots and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthray.reports import Comparison, SampleReport
from synthray.statistics.verdicts import Statistics

SHARES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")
_SOURCES = {
    "real": "real images",
    "synthetic": "synthetic images",
    "both": "real and synthetic images",
    "copies": "copies of real images",
    "duplicated": "real images and copies of them",
}
_HEADLINES = {
    "better": "Better than “{}”",
    "worse": "Worse than “{}”",
    "cannot be told apart": "Cannot be told apart from “{}”",
    "no verdict": "No verdict",
}
_UNGROUPED = (
    "UNGROUPED FOLDS",
    "images of one radiograph or one patient may both train and judge. These scores do not tell "
    "how well the classifier does on new patients.",
)
_UNCHECKED = (
    "LEAKAGE NOT CHECKED",
    "nothing looked for test images that are also in training. If there are any, these scores "
    "measure memory.",
)


def cautions(result: Comparison) -> list[tuple[str, str]]:
    """Return title and text of each reason why the scores may measure memory."""
    found = []
    if result.n_folds > 1 and not result.settings.get("grouped", True):
        found.append(_UNGROUPED)
    if result.leak is None:
        found.append(_UNCHECKED)
    elif result.leak.found:
        text = result.leak.describe().removeprefix("LEAKAGE: ")
        found.append(("LEAKAGE", text))
    return found


def copies(reports: Mapping[str, SampleReport]) -> list[tuple[str, str]]:
    """Return title and text for each report that found copies of training images."""
    screens = {name: report.memorization for name, report in reports.items()}
    return [
        (f"COPIES AMONG THE SYNTHETIC IMAGES: {name}", screen.describe().removeprefix("COPIES: "))
        for name, screen in screens.items()
        if screen is not None and len(screen.copies)
    ]


def headline(statistics: Statistics) -> str:
    """Return all verdicts in a line."""
    if not statistics.differences:
        return f"“{statistics.baseline}” is the only arm: there is nothing to compare"
    sentences = []
    for verdict, text in _HEADLINES.items():
        arms = [f"“{d.arm}”" for d in statistics.differences.values() if d.verdict == verdict]
        if arms:
            sentences.append(f"{text.format(statistics.baseline)}: {', '.join(arms)}")
    return ". ".join(sentences)


def size(statistics: Statistics) -> str:
    """Return how much a comparison rests on: images, groups, folds, seeds."""
    images = count(statistics.n_images, "image")
    if statistics.n_groups != statistics.n_images:
        images += f" in {count(statistics.n_groups, 'group')}"
    folds = "one test set" if statistics.n_folds == 1 else f"{statistics.n_folds} folds"
    return f"{images}, {folds}, {count(statistics.n_seeds, 'seed')}"


def count(n: int, what: str) -> str:
    """Return a number of things."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def sensitivity(result: Comparison) -> str:
    """Return what sensitivity means here."""
    if result.positive_class is None:
        return "AUC, sensitivity and specificity are means over classes, one against rest."
    return f"Sensitivity is the share of {result.positive_class!r} images found."


def training(result: Comparison, arm: str) -> str:
    """Return what an arm is trained on; empty where the settings do not tell."""
    return ", then ".join(_phase(phase) for phase in result.settings.get("arms", {}).get(arm, ()))


def steps(result: Comparison, arm: str) -> str:
    """Return the gradient steps of an arm's fits: fewest and most, where they differ."""
    found = [sum(run.phase_steps) for run in result[arm]]
    low, high = min(found), max(found)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def failed(result: Comparison, arm: str) -> int:
    """Return how many fits of an arm diverged."""
    return sum(run.scores.accuracy is None for run in result[arm])


def amount(metric: str, value: float | None) -> str:
    """Return a score: shares in percent, others in three decimals."""
    return "-" if value is None else _number(metric, value) + (" %" if metric in SHARES else "")


def difference(metric: str, value: float | None, *, sign: str = "+") -> str:
    """Return a difference of scores: shares in percentage points."""
    points = " points" if metric in SHARES else ""
    return "-" if value is None else _number(metric, value, sign) + points


def interval(metric: str, low: float | None, high: float | None, *, sign: str = "") -> str:
    """Return the ends of an interval, without a unit."""
    if low is None or high is None:
        return "not known"
    return f"{_number(metric, low, sign)} to {_number(metric, high, sign)}"


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return amount("accuracy", share)


def p_value(value: float | None) -> str:
    """Return a p-value as papers print it."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _phase(phase: Mapping[str, Any]) -> str:
    source = str(phase.get("source"))
    text = _SOURCES.get(source, f"images that {source} chooses")
    if phase.get("labels") == "ensemble":
        text += " labelled by an ensemble"
    return f"{text}, augmented" if phase.get("augment") else text


def _number(metric: str, value: float, sign: str = "") -> str:
    text = f"{100 * value:{sign}.1f}" if metric in SHARES else f"{value:{sign}.3f}"
    return text.replace("-", "\N{MINUS SIGN}")
