"""A comparison as a table: plain text for `print`, Markdown for papers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from synthray.comparison.metrics import HEADINGS

if TYPE_CHECKING:
    from synthray.comparison.result import ComparisonResult
    from synthray.comparison.verdicts import Interval, Statistics

SHARES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")
_SHOWN = tuple(name for name in HEADINGS if name != "loss")
_WIDTH = 110
_NONE = "-"


def render(result: ComparisonResult) -> str:
    """Return the table in plain text, the verdicts and what must be known to read them."""
    statistics = result.statistics()
    columns = [_arm_column(result)]
    steps = ["steps", *_two_lines((steps_of(result, arm), "") for arm in result.arms)]
    room = _WIDTH - len(columns[0][0]) - _widest(steps) - 4
    for name in _SHOWN:
        column = [HEADINGS[name], *_two_lines(_cell(statistics, arm, name) for arm in result.arms)]
        room -= _widest(column) + 2
        if room < 0:
            break
        columns.append([line.rjust(_widest(column)) for line in column])
    columns.append([line.rjust(_widest(steps)) for line in steps])
    columns = [[column[0], "-" * len(column[0]), *column[1:]] for column in columns]
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    return "\n".join([*lines, "", statistics.describe(), "", *notes(result, statistics)])


def steps_of(result: ComparisonResult, arm: str) -> str:
    """Return the steps of an arm's fits: fewest and most, where folds or callbacks differ."""
    steps = sorted({run.steps for run in result[arm]})
    return f"{steps[0]:,}" + (f" to {steps[-1]:,}" if len(steps) > 1 else "")


def markdown(result: ComparisonResult, *, metric: str, baseline: str | None) -> str:
    """Return the table in Markdown, a caption below it.

    Args:
        result: The comparison.
        metric: The score that the verdicts are about.
        baseline: The arm to compare with.
    """
    statistics = result.statistics(metric=metric, baseline=baseline)
    name = HEADINGS[metric]
    head = ["arm", *(HEADINGS[shown] for shown in _SHOWN)]
    rival = bool(statistics.differences)
    if rival:
        base = _escaped(statistics.baseline)
        head += [f"difference in {name} from {base}", "p (Holm)", "verdict"]
    rows = [head, ["---", *["---:"] * (len(head) - (2 if rival else 1)), *["---"] * rival]]
    for arm in result.arms:
        cells = [" ".join(_cell(statistics, arm, shown)).strip() for shown in _SHOWN]
        found = statistics.differences.get(arm)
        if found is not None:
            interval = _brackets(found.low, found.high, "+.3f")
            verdict = found.verdict if found.difference is not None else "no verdict"
            cells += [
                f"{signed(found.difference)} {interval}".strip(),
                p_value(found.p_holm),
                verdict,
            ]
        elif rival:
            cells += [_NONE, _NONE, "baseline"]
        rows.append([_escaped(arm), *cells])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _escaped(" ".join(_caption(result, statistics)), names=False)])


def notes(result: ComparisonResult, statistics: Statistics) -> list[str]:
    """Return what must be known to read the table, one or two sentences a line.

    Args:
        result: The comparison.
        statistics: Any statistics of it.
    """
    share = f"{statistics.confidence:.0%}"
    lines = cautions(result)
    lines.append(f"{size(statistics)}. Means over folds and seeds; in brackets {share} intervals.")
    lines.append(sensitivity_note(result))
    return lines


def cautions(result: ComparisonResult) -> list[str]:
    """Return why the scores may measure memory; nothing where the audit found no reason."""
    lines = []
    if result.settings.get("protocol") == "leaky":
        lines.append(
            "LEAKY PROTOCOL, as asked: images of one radiograph or one patient may both train and "
            "judge. These scores do not tell what happens on new patients."
        )
    if result.leak is None:
        lines.append(
            "AUDIT OFF: nobody looked for judging images that are known from training. If there "
            "are any, these scores measure memory."
        )
    elif result.leak.found:
        lines.append(result.leak.describe())
    return lines


def size(statistics: Statistics) -> str:
    """Return how much the comparison rests on: images, groups, folds, seeds."""
    images = _count(statistics.n_images, "image")
    if statistics.n_groups != statistics.n_images:
        images += f" in {_count(statistics.n_groups, 'group')}"
    folds = "one test set" if statistics.n_folds == 1 else f"{statistics.n_folds} folds"
    return f"{images}, {folds}, {_count(statistics.n_seeds, 'seed')}"


def sensitivity_note(result: ComparisonResult) -> str:
    """Return what sensitivity means here."""
    if result.positive_class is None:
        return "AUC, sensitivity and specificity are means over classes, one against rest."
    return f"Sensitivity is the share of {result.positive_class!r} images found."


def number(value: float | None) -> str:
    """Return a score in three decimals."""
    return _NONE if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Return a difference in three decimals, with its sign."""
    return _NONE if value is None else f"{value:+.3f}"


def p_value(value: float | None) -> str:
    """Return a p-value as papers print it."""
    if value is None:
        return _NONE
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _caption(result: ComparisonResult, statistics: Statistics) -> list[str]:
    share = f"{statistics.confidence:.0%}"
    lines = [
        f"n = {size(statistics)}. Means over folds and seeds with {share} intervals "
        "(bootstrap of groups)."
    ]
    first = next(iter(statistics.differences.values()), None)
    if first is not None:
        tests = {
            "corrected t": "corrected resampled t test (Nadeau & Bengio 2003)",
            "bootstrap": "bootstrap of groups",
            "bootstrap and corrected t": "bootstrap of groups and corrected resampled t test, both",
        }
        lines.append(
            f"p: {tests.get(first.test, first.test)}, corrected for "
            f"{_count(len(statistics.differences), 'comparison')} (Holm 1979)."
        )
    lines.append(sensitivity_note(result))
    leak = result.leak
    found = cautions(result)
    return [*lines, *(found or ([leak.describe()] if leak is not None else []))]


def _arm_column(result: ComparisonResult) -> list[str]:
    column = ["arm", *_two_lines((arm, "") for arm in result.arms)]
    return [line.ljust(_widest(column)) for line in column]


def _two_lines(cells: Iterable[tuple[str, str]]) -> list[str]:
    """Return the mean of each arm, its interval below: seven scores fit beside each other so."""
    return [line for cell in cells for line in cell]


def _cell(statistics: Statistics, arm: str, metric: str) -> tuple[str, str]:
    found: Interval = statistics.intervals[arm][metric]
    return number(found.value), _brackets(found.low, found.high, ".3f")


def _brackets(low: float | None, high: float | None, how: str) -> str:
    return "" if low is None or high is None else f"[{low:{how}}, {high:{how}}]"


def _widest(column: list[str]) -> int:
    return max(len(line) for line in column)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _escaped(text: str, *, names: bool = True) -> str:
    """Return text that Markdown shows as it is; in sentences only what would be HTML."""
    for character in "\\`*_|[]" if names else "\\`":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
