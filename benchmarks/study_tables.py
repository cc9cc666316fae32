"""Tables and the figure of the study of what synthetic images add, from its analysis.

`python benchmarks/study_tables.py --plot` draws `docs/assets/study.png`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from generator_tables import kid_interval

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "study"
ANALYSIS = RESULTS / "analysis.json"
PICTURE = ROOT / "docs" / "assets" / "study.png"
COLUMNS = 3  # of the figure
BASELINE = "best-classic"
PRIMARY = "best-synthetic"
NOT_DONE = "Not measured yet."
SETS = {
    "fracatlas": "FracAtlas",
    "bone": "the slides' bone set",
    "chest": "chest films",
    "phantoms": "phantoms",
}
VARIANTS = {
    "base": "`base` preset of `R3GAN`",
    "shared": "`base` preset that has seen all training images",
    "simultaneous": "simultaneous updates of `R3GAN`",
    "conditional": "one generator for both classes",
    "from-bone": "`R3GAN` of the bone set",
    "from-fracatlas": "`R3GAN` of FracAtlas",
}  # of what draws, behind the name of the set
FORMS = {
    "base": ", `base` preset",
    "conditional": " of both classes",
    "simultaneous": ", simultaneous updates",
}
CLASSIFIERS = {"deck": "the slides' classifier", "residual": "the residual network"}


def pools(folder: Path = RESULTS / "generators") -> str:
    """Return a table of the generators that the study trained."""
    rows = [
        "| images | fold | generator | minutes | images seen | KID | of real images | recall | "
        "coverage |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in sorted(folder.glob("*.json")):
        v = json.loads(path.read_text(encoding="utf-8"))["values"]
        if v["generator"] == "truth" or v["report"] is None:
            continue
        size = "all" if v["size"] is None else f"{v['size']} groups"
        for kind, report in v["report"].items():
            drawn, real = report["scores"]["drawn"], report["scores"]["real"]
            kid = kid_interval(drawn)
            made = f"`{v['generator']}`"
            made += FORMS.get(path.stem.rpartition("-")[2], "")
            cells = [f"{SETS[v['set']]}, {size}, {kind}", str(v["fold"]), made]
            minutes = f"{sum(v['minutes']):.0f}" + (" of a GPU" if v.get("gpu") else "")
            cells += [minutes, f"{sum(v['images_seen']):,}", kid]
            cells += [f"{real['kid']:.3f}", f"{drawn['recall']:.2f}", f"{drawn['coverage']:.2f}"]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) if len(rows) > 2 else NOT_DONE


def analysis() -> dict[str, Any]:
    """Return what was analysed, by classifier, set and size; nothing where nothing was."""
    if not ANALYSIS.exists():
        return {}
    return dict(json.loads(ANALYSIS.read_text(encoding="utf-8"))["values"])


def title(name: str) -> str:
    """Return the name of a part of the study in words."""
    classifier, rest = name.split("/")
    data, size = rest.rsplit("_", 1)
    amount = "all training images" if size == "all" else f"{size} groups to train on"
    return ", ".join([set_name(data), amount, CLASSIFIERS[classifier]])


def set_name(name: str) -> str:
    """Return the name of a set, and of what drew for it where not as planned, in words."""
    data, _, variant = name.partition("-")
    return ", ".join([SETS[data], *([VARIANTS[variant]] if variant else [])])


def study() -> str:
    """Return a table for each part of the study."""
    parts = [table(name, values) for name, values in sorted(analysis().items())]
    return "\n\n".join(parts) if parts else NOT_DONE


def table(name: str, values: dict[str, Any]) -> str:
    auc, balanced = (values["statistics"][m] for m in ("auc", "balanced_accuracy"))
    rows = [
        f"**{title(name)}**",
        "",
        "| arm | AUC | AUC less `best-classic` | p (Holm) | verdict | balanced accuracy less it | "
        "AUC less its control |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm, scores in auc["intervals"].items():
        cells = [f"`{arm}`", interval(scores["auc"])]
        if arm == BASELINE:
            cells += ["", "", "baseline", "", ""]
        else:
            found, also = auc["differences"][arm], balanced["differences"][arm]
            control = values["controls"]["auc"].get(arm)
            cells += [
                difference(found),
                "-" if found["p_holm"] is None else f"{found['p_holm']:.3f}",
                found["verdict"],
                difference(also),
                "" if control is None else f"{difference(control)} of `{control['baseline']}`",
            ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", note(values)])


def note(values: dict[str, Any]) -> str:
    """Return what must be known to read a table."""
    auc = values["statistics"]["auc"]
    counts = [sum(each.values()) for each in values["training_images"]]
    smallest = [d["detectable"] for d in auc["differences"].values() if d["detectable"]]
    lines = [
        f"{len(values['folds'])} of 5 grouped folds x {len(values['seeds'])} seeds; "
        f"{min(counts):,} to {max(counts):,} training images; judged by {auc['n_images']:,} images "
        f"of {auc['n_groups']:,} groups."
    ]
    for name, arms in values["chosen"].items():
        told = ", ".join(f"`{arm}` ({n})" for arm, n in Counter(arms).most_common())
        lines.append(f"Chosen on validation images as `{name}`, by folds: {told}.")
    if PRIMARY in values["above"]:
        n, pairs = values["above"][PRIMARY]
        lines.append(f"`{PRIMARY}` is above `{BASELINE}` in {n} of {pairs} pairs of fold and seed.")
    if smallest:
        lines.append(
            f"Differences below about {min(smallest):.3f} to {max(smallest):.3f} were out of reach."
        )
    if values["left_out"]:
        left = ", ".join(f"`{arm}`" for arm in values["left_out"])
        lines.append(f"Not done in every fold, and left out: {left}.")
    return " ".join(lines)


def interval(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "-"
    if found["low"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def difference(found: dict[str, Any]) -> str:
    if found["difference"] is None:
        return "-"
    text = f"{found['difference']:+.3f}"
    return text if found["low"] is None else f"{text} [{found['low']:+.3f}, {found['high']:+.3f}]"


def superseded(name: str) -> bool:
    return any(f"-{variant}_" in name for variant in ("conditional", "simultaneous"))


def plot(path: Path = PICTURE) -> None:
    """Draw the differences of AUC from `best-classic` with their intervals.

    Of parts with drawn images, but those whose generators others have taken the place of.
    """
    import matplotlib.pyplot as plt

    known = sorted(analysis().items())
    parts = [part for part in known if PRIMARY in part[1]["above"] and not superseded(part[0])]
    arms = [len(values["statistics"]["auc"]["differences"]) for _, values in parts]
    columns = min(len(parts), COLUMNS)
    starts = range(0, len(arms), columns)
    heights = [1.2 + 0.22 * max(arms[start : start + columns]) for start in starts]
    size = (5.2 * columns, sum(heights))
    figure, axes = plt.subplots(
        len(heights), columns, figsize=size, squeeze=False, height_ratios=heights
    )
    for axis in axes.flat[len(parts) :]:
        axis.remove()
    for axis, (name, values) in zip(axes.flat, parts, strict=False):
        differences = values["statistics"]["auc"]["differences"]
        for place, found in enumerate(reversed(differences.values())):
            ink = "#1f5fa8" if found["verdict"] == "cannot be told apart" else "#b2402c"
            axis.plot([found["low"], found["high"]], [place, place], color=ink, lw=1.6)
            axis.plot(found["difference"], place, "o", color=ink, ms=5)
        axis.set_yticks(range(len(differences)), list(reversed(differences)))
        axis.axvline(0, color="0.4", lw=1)
        axis.axvline(0.03, color="0.4", lw=1, ls=":")
        axis.set_xlabel("AUC less that of best-classic, 95 % interval")
        axis.set_title(title(name).replace(", ", ",\n").replace("`", ""), fontsize=9)
        axis.locator_params(axis="x", nbins=5)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", action="store_true", required=True)
    parser.parse_args()
    plot()
