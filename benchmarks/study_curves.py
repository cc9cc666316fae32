"""What real images are worth beside drawn ones: table and figure of the study's sizes.

`python benchmarks/study_curves.py --plot` draws `docs/assets/study_curve.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from study_tables import (
    CLASSIFIERS,
    NOT_DONE,
    PRIMARY,
    RESULTS,
    ROOT,
    analysis,
    difference,
    interval,
    set_name,
)

CURVES = RESULTS / "curves.json"
PICTURE = ROOT / "docs" / "assets" / "study_curve.png"
NEW_PHANTOMS = ("truth-4", "truth-1")  # the better known of the two
SHARED = "-shared"  # behind a set whose generator has seen all groups, and the classifier few
OF_ANOTHER = {
    "fracatlas": "-from-bone",
    "bone": "-from-fracatlas",
}  # whose generator has seen another


def curves() -> dict[str, Any]:
    """Return the curves by classifier and set; nothing where there are none."""
    if not CURVES.exists():
        return {}
    return dict(json.loads(CURVES.read_text(encoding="utf-8"))["values"])


def drawn(name: str, size: str, variant: str = "") -> tuple[str, dict[str, Any]] | None:
    """Return what drawn images, or new phantoms, added at a size, and the arm's name."""
    found = analysis().get(f"{name}{variant}_{size}")
    if found is None:
        return None
    differences = found["statistics"]["auc"]["differences"]
    for arm in (*NEW_PHANTOMS, PRIMARY):
        if arm in differences:
            return arm, differences[arm]
    return None


def title(name: str) -> str:
    """Return the name of a set, and of the classifier where it is not the slides'."""
    classifier, data = name.split("/")
    return set_name(data) + (f", {CLASSIFIERS[classifier]}" if classifier != "deck" else "")


def elsewhere(name: str) -> str:
    """Return what stands behind the name of a set whose generator has seen another one."""
    return OF_ANOTHER.get(name.split("/")[1], "-from-no-other")


def table() -> str:
    """Return a line for each set and size."""
    rows = [
        "| images | groups | training images | AUC of `best-classic` | more than with fewer real "
        "images | more with drawn ones | more with those of a generator that has seen all groups | "
        "more with those of another set's generator |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes = {}
    for name, values in sorted(curves().items()):
        plural = "s" if values["seeds"] > 1 else ""
        notes[f"{len(values['folds'])} folds x {values['seeds']} seed{plural}"] = None
        for size, scores in values["intervals"].items():
            step = values["steps"].get(size)
            added = [drawn(name, size, variant) for variant in ("", SHARED, elsewhere(name))]
            cells = [title(name), size, f"{statistics.mean(values['training_images'][size]):,.0f}"]
            cells += [interval(scores), "" if step is None else difference(step)]
            cells += ["" if a is None else f"{difference(a[1])} (`{a[0]}`)" for a in added]
            rows.append(f"| {' | '.join(cells)} |")
    if len(rows) == 2:
        return NOT_DONE
    told = (
        "Differences of AUC with 95 % intervals, on the same test images; each line's real images "
        f"are compared with those of the line above it. {'; '.join(notes)}."
    )
    return "\n".join([*rows, "", told])


def plot(path: Path = PICTURE) -> None:
    """Draw the AUC by the number of training images, and what drawn ones make of it."""
    import matplotlib.pyplot as plt

    found = sorted(curves().items())
    figure, axes = plt.subplots(1, len(found), figsize=(4.6 * len(found), 4.2), squeeze=False)
    for axis, (name, values) in zip(axes.flat, found, strict=True):
        sizes = list(values["intervals"])
        x = [statistics.mean(values["training_images"][size]) for size in sizes]
        y = [values["intervals"][size] for size in sizes]
        known = [s["value"] for s in y]
        spread = [
            [s["value"] - s["low"] for s in y],
            [s["high"] - s["value"] for s in y],
        ]
        axis.errorbar(x, known, spread, fmt="o-", color="0.25", capsize=3, label="real images")
        label = "and new phantoms" if "phantoms" in name else "and drawn ones (best-synthetic)"
        of_all = "and those of a generator that has seen all groups"
        for variant, told, look in (
            ("", label, {"marker": "D", "color": "#b2402c", "mfc": "none"}),
            (SHARED, of_all, {"marker": "s", "color": "#1f5fa8"}),
            (
                elsewhere(name),
                "and those of another set's generator",
                {"marker": "^", "color": "#2f7d4f"},
            ),
        ):
            added = [drawn(name, size, variant) for size in sizes]
            points = [
                (at, k + a[1]["difference"])
                for at, k, a in zip(x, known, added, strict=True)
                if a is not None
            ]
            if points:
                axis.plot(*zip(*points, strict=True), ls="", ms=6, label=told, **look)
        axis.set_xscale("log")
        axis.set_xticks(x, [f"{at:,.0f}" for at in x])
        axis.minorticks_off()
        axis.set_xlabel("real training images")
        axis.set_ylabel("AUC on test images")
        axis.set_title(title(name), fontsize=10)
        axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.18))
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", action="store_true", required=True)
    parser.parse_args()
    plot()
