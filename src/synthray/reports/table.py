"""A comparison as a table: plain text for `print`, Markdown for papers."""

from __future__ import annotations

from synthray.reports import Comparison, words
from synthray.statistics.metrics import HEADINGS
from synthray.statistics.verdicts import Statistics

_TEXT = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity")
_MARKDOWN = (*_TEXT, "brier", "calibration_error")


def render(result: Comparison) -> str:
    """Return the table in plain text, the verdicts and what must be known to read them."""
    statistics = result.statistics()
    rows = [["arm", *(HEADINGS[name] for name in _TEXT), "steps"]]
    for arm in result.arms:
        cells = [_cell(statistics, arm, name) for name in _TEXT]
        rows.append([arm, *(value for value, _ in cells), words.steps(result, arm)])
        rows.append(["", *(interval for _, interval in cells), ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    share = f"{statistics.confidence:.0%}"
    notes = [
        *_cautions(result),
        f"{words.size(statistics)}. Means over folds and seeds; in brackets {share} intervals.",
        words.sensitivity(result),
    ]
    return "\n".join([*lines, "", statistics.describe(), "", *notes])


def markdown(result: Comparison, statistics: Statistics) -> str:
    """Return the table in Markdown, a caption below it."""
    several = bool(statistics.differences)
    rows = [["arm", *(HEADINGS[name] for name in _MARKDOWN)], ["---"] + ["---:"] * len(_MARKDOWN)]
    if several:
        change = f"difference in {HEADINGS[statistics.metric]} from {_escaped(statistics.baseline)}"
        rows[0] += [change, "p (Holm)", "verdict"]
        rows[1] += ["---:", "---:", "---"]
    for arm in result.arms:
        row = [_escaped(arm), *(" ".join(_cell(statistics, arm, name)) for name in _MARKDOWN)]
        found = statistics.differences.get(arm)
        if found is not None:
            value = "-" if found.difference is None else f"{found.difference:+.3f}"
            interval = _brackets(found.low, found.high, "+.3f")
            row += [f"{value} {interval}", words.p_value(found.p_holm), found.verdict]
        elif several:
            row += ["-", "-", "baseline"]
        rows.append([cell.strip() for cell in row])
    caption = [
        f"n = {words.size(statistics)}.",
        f"Means over folds and seeds with {statistics.confidence:.0%} intervals "
        "(bootstrap of groups).",
    ]
    if several:
        count = words.count(len(statistics.differences), "comparison")
        caption.append(f"p: {statistics.test}, corrected for {count} (Holm 1979).")
    caption.append(words.sensitivity(result))
    caption += _cautions(result) or [result.leak.describe()]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _escaped(" ".join(caption), special="\\`")])


def _cautions(result: Comparison) -> list[str]:
    return [f"{title}: {text}" for title, text in words.cautions(result)]


def _cell(statistics: Statistics, arm: str, metric: str) -> tuple[str, str]:
    found = statistics.intervals[arm][metric]
    value = "-" if found.value is None else f"{found.value:.3f}"
    return value, _brackets(found.low, found.high, ".3f")


def _brackets(low: float | None, high: float | None, how: str) -> str:
    return "" if low is None or high is None else f"[{low:{how}}, {high:{how}}]"


def _escaped(text: str, *, special: str = "\\`*_|[]") -> str:
    """Return text that Markdown shows as it is."""
    for character in special:
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
