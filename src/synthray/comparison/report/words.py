"""Numbers and verdicts in words, for a reader without statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthray.comparison.metrics import HEADINGS, LOWER_IS_BETTER
from synthray.comparison.table import SHARES, p_value

if TYPE_CHECKING:
    from synthray.comparison.result import ComparisonResult
    from synthray.comparison.verdicts import Difference, Statistics

TESTS = {
    "corrected t": "corrected resampled t test (Nadeau and Bengio 2003)",
    "bootstrap": "bootstrap of groups",
    "bootstrap and corrected t": "bootstrap of groups and corrected resampled t test, both",
}
_SOURCES = {
    "real": "real images",
    "synthetic": "drawn images",
    "mixed": "real and drawn images together",
    "copies": "repeated real images",
    "duplicated": "real images and copies of them",
}
_KINDS = {"better": "better", "worse": "worse", "cannot be told apart": "same"}
_NAMED = 3


def classes(names: Sequence[str]) -> str:
    """Return class names for a title."""
    if len(names) <= 4:
        return " vs ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def kind(found: Difference) -> str:
    """Return `"better"`, `"worse"`, `"same"` or `"none"` (no verdict)."""
    return "none" if found.difference is None else _KINDS[found.verdict]


def headline(statistics: Statistics) -> str:
    """Return all verdicts in a sentence or two."""
    found = list(statistics.differences.values())
    if not found:
        return f"Only “{statistics.baseline}” was trained: there is nothing to compare it with."
    arms = {name: [d.arm for d in found if kind(d) == name] for name in (*_KINDS.values(), "none")}
    base = f"“{statistics.baseline}”"
    if len(arms["same"]) == len(found) > 1:
        return f"None of the {len(found)} other arms can be told apart from {base}."
    verbs = {
        "better": ("does better than", "do better than"),
        "worse": ("does worse than", "do worse than"),
        "same": ("cannot be told apart from",) * 2,
    }
    sentences = []
    for name, (one, many) in verbs.items():
        if arms[name]:
            verb = one if len(arms[name]) == 1 else many
            sentences.append(f"{_listed(arms[name], len(found))} {verb} {base}.")
            base = "it"
    if arms["none"]:
        sentences.append(f"There is no verdict on {_listed(arms['none'], len(found), plain=True)}.")
    return " ".join(sentences)


def explain(result: ComparisonResult, statistics: Statistics, found: Difference) -> list[str]:
    """Return a verdict in plain sentences."""
    name = HEADINGS[found.metric]
    if found.difference is None:
        failed = sum(run.scores.accuracy is None for run in result[found.arm])
        if failed:
            return [
                f"No verdict: training broke down in {failed} of {len(result[found.arm])} runs, "
                "which then predict nothing. A lower learning rate may help."
            ]
        failed = sum(run.scores.accuracy is None for run in result[found.baseline])
        if failed:
            return [f"No verdict: training of “{found.baseline}” broke down."]
        return [f"No verdict: the {name} is not defined in every fold and seed."]
    told = f"{name[0].upper()}{name[1:]} was {_change(found.metric, found.difference)}"
    if found.difference:
        told += f" than that of “{found.baseline}”"
    if found.metric in LOWER_IS_BETTER:
        told += " (lower is better)"
    if found.low is None or found.high is None:
        return [f"{told}."]
    span = _span(found.metric, found.low, found.high)
    if found.verdict != "cannot be told apart":
        return [f"{told}.", f"With other images and other training runs it would likely be {span}."]
    if found.p_value is None:
        return [
            f"{told}, {span} with other images. One training each: no verdict, for another "
            "training may turn out otherwise. Use several seeds."
        ]
    if found.low <= 0 <= found.high:
        sentences = [f"{told}, but chance can do that: these data fit a true difference {span}."]
    else:
        sentences = [
            f"{told}. Its interval ({span}) leaves out zero, but the test that the verdict goes by "
            f"does not rule out chance (p = {p_value(found.p_holm)})."
        ]
    if found.needed_images is not None:
        sentences.append(
            f"To settle a difference of this size would take about {found.needed_images:,} images; "
            f"{statistics.n_images:,} judged here."
        )
    elif found.difference:
        sentences.append("More images alone would not settle it: training differs by as much.")
    return sentences


def warnings(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return why these numbers may mean little, as title and text."""
    found = []
    if result.settings.get("protocol") == "leaky":
        found.append(
            (
                "Leaky protocol: these scores do not tell what happens on new patients",
                "The comparison was asked to judge on images of radiographs or patients that may "
                "be in training too. All scores and verdicts below are to be read so.",
            )
        )
    if result.leak is None:
        found.append(
            (
                "The leak audit was switched off",
                "Nobody looked for judging images that are known from training. If there are any, "
                "these scores measure memory.",
            )
        )
    elif result.leak.found:
        text = result.leak.describe().removeprefix("LEAK: ")
        found.append(("Leak: judging images are known from training", text))
    return found


def training(result: ComparisonResult, arm: str) -> str:
    """Return what an arm was trained on; empty where the settings do not tell."""
    arms = result.settings.get("arms")
    phases = arms.get(arm) if isinstance(arms, Mapping) else None
    if not isinstance(phases, (list, tuple)):
        return ""
    return ", then ".join(_phase(phase) for phase in phases if isinstance(phase, Mapping))


def column(metric: str) -> str:
    """Return the heading of a score, with what is better where that is not plain."""
    return HEADINGS[metric] + (" (lower is better)" if metric in LOWER_IS_BETTER else "")


def amount(metric: str, value: float | None) -> str:
    """Return a score: shares in percent, others in three decimals."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if metric in SHARES else f"{value:.3f}"


def interval(metric: str, low: float | None, high: float | None) -> str:
    """Return the ends of an interval."""
    if low is None or high is None:
        return ""
    if metric in SHARES:
        return f"{100 * low:.1f} to {100 * high:.1f}"
    return f"{low:.3f} to {high:.3f}"


def size(metric: str, value: float | None) -> str:
    """Return how large a difference is: shares in percentage points."""
    return "-" if value is None else _size(metric, value)


def signed_amount(metric: str, value: float | None) -> str:
    """Return a difference with its sign: shares in percentage points."""
    if value is None:
        return "-"
    return _minus(f"{100 * value:+.1f} pts" if metric in SHARES else f"{value:+.3f}")


def signed_interval(metric: str, low: float | None, high: float | None) -> str:
    """Return the ends of the interval of a difference."""
    if low is None or high is None:
        return ""
    if metric in SHARES:
        return _minus(f"{100 * low:+.1f} to {100 * high:+.1f}")
    return _minus(f"{low:+.3f} to {high:+.3f}")


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return "-" if share is None else f"{share:.1%}".replace("%", " %")


def duration(seconds: float) -> str:
    """Return a time that a person can read."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _listed(names: list[str], total: int, *, plain: bool = False) -> str:
    if len(names) > _NAMED:
        return f"{len(names)} of {total} arms"
    quoted = [f"“{name}”" for name in names]
    if len(quoted) == 1:
        return quoted[0] if plain else f"The arm {quoted[0]}"
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _phase(phase: Mapping[str, Any]) -> str:
    source = str(phase.get("source", "?"))
    text = _SOURCES.get(source, f"images that {source} chooses")
    return f"{text}, augmented" if phase.get("augment") else text


def _change(metric: str, value: float) -> str:
    if not value:
        return "the same"
    side = "higher" if value > 0 else "lower"
    return f"{_size(metric, value)} {side}"


def _span(metric: str, low: float, high: float) -> str:
    if low >= 0 or high <= 0:
        side = "higher" if low >= 0 else "lower"
        near, far = sorted((abs(low), abs(high)))
        return f"between {_size(metric, near).split()[0]} and {_size(metric, far)} {side}"
    return f"anywhere from {_size(metric, low)} lower to {_size(metric, high)} higher"


def _size(metric: str, value: float) -> str:
    if metric in SHARES:
        return f"{100 * abs(value):.1f} points"
    return f"{abs(value):.3f}"


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
