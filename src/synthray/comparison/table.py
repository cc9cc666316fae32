"""A comparison as a table in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synthray.comparison.metrics import accuracy_standard_error

if TYPE_CHECKING:
    from synthray.comparison.result import ComparisonResult

_HEADINGS = {
    "accuracy": "accuracy",
    "loss": "loss",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}


def render(result: ComparisonResult) -> str:
    """Return the table and the notes below it."""
    rows = [["arm", *_HEADINGS.values(), "steps"]]
    for arm in result.arms:
        scores = result.scores(arm)
        cells = [_cell(scores[name]) for name in _HEADINGS]
        rows.append([arm, *cells, f"{result[arm][0].steps:,}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *notes(result)])


def notes(result: ComparisonResult) -> list[str]:
    """Return what must be known to read the table, one sentence or two a line."""
    lines = [result.leak.describe()] if result.leak.found else []
    n = len(result.labels)
    mean = float(np.mean([result.scores(arm)["accuracy"] for arm in result.arms]))
    if np.isfinite(mean):
        error = accuracy_standard_error(mean, n)
        lines.append(
            f"{n} test images: an accuracy near {mean:.2f} has a standard error of {error:.3f}, "
            f"more where images depend on each other. Two arms closer than about "
            f"{2 * 2**0.5 * error:.2f} need a paired test or more images to be told apart."
        )
    if len(result.seeds) > 1:
        lines.append(f"Mean and standard deviation of {len(result.seeds)} seeds.")
    else:
        lines.append("One seed: how much chance in training changes is not known.")
    if result.positive_class is None:
        lines.append("AUC, sensitivity and specificity are means over classes, one against rest.")
    else:
        lines.append(f"Sensitivity is the share of {result.positive_class!r} images found.")
    return lines


def _cell(values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        return "-"
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"
