"""The page of a comparison: what it shows, gathered for the template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from synthray._report import template
from synthray._report.svg import inline_svg
from synthray.audit.samples import page as drawn
from synthray.comparison import plots
from synthray.comparison.metrics import HEADINGS
from synthray.comparison.report import images, words
from synthray.comparison.table import p_value, sensitivity_note, size, steps_of

if TYPE_CHECKING:
    from synthray.audit.samples.report import SampleReport
    from synthray.comparison.result import ComparisonResult
    from synthray.comparison.verdicts import Difference, Statistics

_TABLE = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity")
_MORE = ("brier", "calibration_error")
_MOST_POINTS = 40_000  # of all training curves together: a page stays small whatever the run


def render(
    result: ComparisonResult,
    *,
    metric: str,
    baseline: str | None,
    samples: Mapping[str, SampleReport],
) -> str:
    """Return the page: HTML that needs no network, no script and no other file.

    Args:
        result: The comparison.
        metric: The score that the verdicts are about.
        baseline: The arm to compare with; `None` as in `ComparisonResult.statistics`.
        samples: Reports on drawn images, by what was drawn.
    """
    statistics = result.statistics(metric=metric, baseline=baseline)
    content = _content(result, statistics)
    content["judged_samples"] = drawn.sections(samples)
    content["warnings"] += drawn.warnings(samples)
    return template.render("comparison/report/page.html.j2", content)


def _content(result: ComparisonResult, statistics: Statistics) -> dict[str, Any]:
    """Return the names that the template knows."""
    found = list(statistics.differences.values())
    verdicts = [
        {
            "arm": d.arm,
            "kind": words.kind(d),
            "sentences": words.explain(result, statistics, d),
            "training": words.training(result, d.arm),
        }
        for d in found
    ]
    return {
        "classes": words.classes(result.class_names),
        "headline": words.headline(statistics),
        "warnings": words.warnings(result),
        "verdicts": verdicts,
        "facts": _facts(result, statistics),
        "metric": HEADINGS[statistics.metric],
        "baseline": statistics.baseline,
        "baseline_training": words.training(result, statistics.baseline),
        "confidence": f"{100 * statistics.confidence:.0f}\N{NO-BREAK SPACE}%",
        "level": f"{1 - statistics.confidence:.2g}",
        "one_run": statistics.n_seeds == statistics.n_folds == 1,
        "size": size(statistics),
        "sensitivity": sensitivity_note(result),
        "positive": result.positive_class,
        "columns": [words.column(name) for name in (*_TABLE, *_MORE)],
        "rows": _rows(result, statistics),
        "tests": [_test(statistics, d) for d in found],
        "test_name": words.TESTS.get(found[0].test, found[0].test) if found else "",
        "forest": _forest(result, statistics) if found else None,
        "histories": _each_arm(result, _history) if any(r.history for r in result.runs) else [],
        "calibrations": _each_arm(result, _calibration),
        "leak": _leak(result),
        "pictures": images.classes(result.pictures),
        "pairs": images.pairs(result),
        "pictures_kept": result.pictures is not None,
        "settings": dict(result.settings),
        "versions": dict(result.versions),
    }


def _facts(result: ComparisonResult, statistics: Statistics) -> list[tuple[str, str]]:
    seconds = sum(run.seconds for run in result.runs)
    folds = "one test set" if statistics.n_folds == 1 else f"{statistics.n_folds} folds"
    return [
        ("judging images", f"{statistics.n_images:,}"),
        ("independent groups", f"{statistics.n_groups:,}"),
        ("judged by", folds),
        ("seeds", f"{statistics.n_seeds}"),
        ("classifiers trained", f"{len(result.runs):,}"),
        ("time to train them", words.duration(seconds)),
    ]


def _rows(result: ComparisonResult, statistics: Statistics) -> list[dict[str, Any]]:
    rows = []
    for arm in result.arms:
        intervals = statistics.intervals[arm]
        cells = [
            (
                words.amount(name, intervals[name].value),
                words.interval(name, intervals[name].low, intervals[name].high),
            )
            for name in (*_TABLE, *_MORE)
        ]
        rows.append(
            {
                "arm": arm,
                "training": words.training(result, arm),
                "cells": cells,
                "steps": steps_of(result, arm),
                "failed": sum(run.scores.accuracy is None for run in result[arm]),
                "runs": len(result[arm]),
            }
        )
    return rows


def _test(statistics: Statistics, found: Difference) -> dict[str, Any]:
    name = statistics.metric
    needed = found.needed_images
    return {
        "arm": found.arm,
        "kind": words.kind(found),
        "difference": words.signed_amount(name, found.difference),
        "interval": words.signed_interval(name, found.low, found.high),
        "p": p_value(found.p_value),
        "p_holm": p_value(found.p_holm),
        "p_permutation": p_value(found.p_permutation),
        "p_mcnemar": p_value(found.p_mcnemar),
        "detectable": words.size(name, found.detectable),
        "needed": "-" if needed is None else f"{needed:,}",
    }


def _forest(result: ComparisonResult, statistics: Statistics) -> str:
    figure = plots.forest(result, metric=statistics.metric, baseline=statistics.baseline)
    lines = "; ".join(found.describe() for found in statistics.differences.values())
    return inline_svg(figure, "forest", f"Differences from {statistics.baseline}. {lines}")


def _each_arm(
    result: ComparisonResult, draw: Callable[[ComparisonResult, str, str], str]
) -> list[str]:
    """Return a figure an arm, so that they wrap on a narrow screen."""
    return [draw(result, arm, str(place)) for place, arm in enumerate(result.arms)]


def _history(result: ComparisonResult, arm: str, place: str) -> str:
    lines = sum(len(run.history) for run in result.runs)
    figure = plots.history_curves(result, arms=[arm])
    _thin_out(figure, max(20, _MOST_POINTS // max(lines, 1)))
    return inline_svg(figure, f"history-{place}", f"Training curves of {arm}")


def _thin_out(figure: Any, most: int) -> None:
    for axis in figure.axes:
        for line in axis.get_lines():
            x, y = line.get_data()
            if len(x) > most:
                step = -(-len(x) // most)
                line.set_data(x[::step], y[::step])


def _calibration(result: ComparisonResult, arm: str, place: str) -> str:
    figure = plots.calibration(result, arms=[arm])
    return inline_svg(figure, f"calibration-{place}", f"Calibration of {arm}")


def _leak(result: ComparisonResult) -> dict[str, Any] | None:
    leak = result.leak
    if leak is None:
        return None
    rows = [
        (name, words.percent(shares["train"]), words.percent(shares["test"]))
        for name, shares in leak.by_class().items()
    ]
    rows.append(("all", words.percent(leak.train_share), words.percent(leak.test_share)))
    group = leak.same_group
    unknown = "not known: both sets need groups from one source"
    return {
        "found": leak.found,
        "text": leak.describe(),
        "rows": rows,
        "facts": [
            ("training images looked at", f"{leak.n_train:,}"),
            ("judging images looked at", f"{leak.n_test:,}"),
            ("judging images with the very pixels of one", words.percent(leak.identical_share)),
            ("known from training under another class", f"{len(leak.conflicts):,}"),
            ("sharing a given group with training", unknown if group is None else f"{group:,}"),
        ],
    }
