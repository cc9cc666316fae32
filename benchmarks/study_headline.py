"""What the study found, in a few lines: the first thing that README and `docs/study.md` tell."""

from __future__ import annotations

import statistics
from typing import Any

from study_tables import (
    BASELINE,
    CLASSIFIERS,
    NOT_DONE,
    PRIMARY,
    SETS,
    analysis,
    difference,
)

ALONE = "synthetic-only"
WITHOUT = (
    *("original", "classic-0.5", "classic-1", "classic-2", "classic-flip"),
    *("real-warm-start", "soft-real", "best-mixed", "best-synthetic", "off-unless-proven"),
)  # arms that train on no drawn image, or on those that were chosen
SEEN = (
    ("the classifier's own radiographs", "", ("all", "250", "100", "50")),
    ("the same, a larger generator on a GPU", "-base", ("all",)),
    ("more patients of the same set", "-shared", ("50", "100", "250")),
    ("another set", "-from-bone", ("100",)),
    ("another set", "-from-fracatlas", ("100",)),
)  # what a generator has learnt from, behind the name of a set, and sizes
SHOWN = ("deck/fracatlas", "residual/fracatlas", "deck/bone", "deck/chest")


def table() -> str:
    """Return a line for each kind of generator, set and size: what its images add."""
    rows = [
        "| what the generator has learnt from | classifier | its training images | "
        "AUC without drawn images | with them | better in | proven |",
        "|---|---|---|---|---|---|---|",
    ]
    found = analysis()
    for seen, variant, sizes in SEEN:
        for name in SHOWN:
            for size in sizes:
                values = found.get(f"{name}{variant}_{size}")
                if values is not None and PRIMARY in values["above"]:
                    rows.append(line(seen, name, values))
    if len(rows) == 2:
        return NOT_DONE
    told = (
        "Each side is the best arm by validation images, in each fold; the one with drawn images "
        "may choose none. With them: the difference of AUC and its 95 % interval, by a bootstrap "
        "of groups. Better in: pairs of fold and seed. Proven: also by the corrected resampled t "
        "test, after correction for all arms."
    )
    return "\n".join([*rows, "", told])


def line(seen: str, name: str, values: dict[str, Any]) -> str:
    """Return the line of one part of the study."""
    classifier, data = name.split("/")
    auc = values["statistics"]["auc"]
    images = statistics.mean(sum(each.values()) for each in values["training_images"])
    best = auc["differences"][PRIMARY]
    above, pairs = values["above"][PRIMARY]
    proven = {"cannot be told apart": "no", "better": "yes"}.get(best["verdict"], best["verdict"])
    cells = [
        seen,
        CLASSIFIERS[classifier],
        f"{images:,.0f} of {SETS[data]}",
        f"{auc['intervals'][BASELINE]['auc']['value']:.3f}",
        difference(best),
        f"{above} of {pairs}",
        proven,
    ]
    return f"| {' | '.join(cells)} |"


def primary() -> str:
    """Return the primary endpoint in a sentence or two."""
    found = analysis().get("deck/fracatlas_all")
    if found is None:
        return NOT_DONE
    lines = []
    for metric, word in (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy")):
        best = found["statistics"][metric]["differences"].get(PRIMARY)
        base = found["statistics"][metric]["intervals"][BASELINE][metric]["value"]
        if best is None:
            return NOT_DONE
        lines.append(
            f"{word} {base:.3f} without synthetic images, {difference(best)} with them "
            f"({best['verdict']})"
        )
    differences = found["statistics"]["auc"]["differences"]
    drawn = {arm: each for arm, each in differences.items() if arm not in WITHOUT}
    verdicts = [each["verdict"] for each in drawn.values()]
    n_better = verdicts.count("better")
    single = max(drawn, key=lambda arm: drawn[arm]["difference"])
    both = zip(found["chosen"][BASELINE], found["chosen"][PRIMARY], strict=True)
    changed = sum(without != with_them for without, with_them in both)
    return (
        f"On leak-free folds of FracAtlas ({len(found['folds'])} of 5 folds x "
        f"{len(found['seeds'])} seeds), the slides' classifier, each side chosen on validation "
        f"images: {'; '.join(lines)}. Of {len(drawn)} arms that train on drawn images, {n_better} "
        f"{'is' if n_better == 1 else 'are'} better than the best one without and "
        f"{verdicts.count('worse')} worse, after correction for their number; the highest is "
        f"`{single}`, {difference(drawn[single])} AUC. Validation images preferred an arm "
        f"with drawn images in {changed} of {len(found['folds'])} folds." + larger()
    )


def larger() -> str:
    """Return a sentence on the generator that was trained on a GPU, where it is done."""
    found = analysis().get("deck/fracatlas-base_all")
    if found is None:
        return ""
    auc = found["statistics"]["auc"]
    best, alone = auc["differences"][PRIMARY], auc["intervals"][ALONE]["auc"]["value"]
    return (
        f" With a larger generator, trained on a GPU: {difference(best)} AUC; a classifier that "
        f"sees nothing but its images has {alone:.3f}."
    )
