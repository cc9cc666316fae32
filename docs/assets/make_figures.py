"""Make the pictures of the documentation: `python docs/assets/make_figures.py`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib.pyplot as plt

import synthray as sr

HERE = Path(__file__).parent

RESULTS = HERE.parents[1] / "benchmarks" / "results"
GENERATORS = {
    "": ("+ generator of the same images", "D", "#D55E00"),
    "-shared": ("+ generator of more patients", "s", "#0072B2"),
    "-from-bone": ("+ generator of another set", "^", "#009E73"),
}  # behind the name of the set in the study's results


def values(name: str) -> dict[str, Any]:
    """Read the values of a raw result."""
    return dict(json.loads((RESULTS / name).read_text(encoding="utf-8"))["values"])


def phantoms() -> None:
    """Make the contact sheet of simulated radiographs."""
    data = sr.make_phantoms(200, image_shape=(128, 128, 1), seed=0)
    data.plot_samples(8).savefig(HERE / "phantoms.png", dpi=120)


def study_curve() -> None:
    """Plot the AUC of the study by the number of training images: FracAtlas, deck's classifier."""
    study, probe = values("study/analysis.json"), values("transfer.json")["probe"]
    curve = study["curves"]["deck/fracatlas"]
    real = {size: found["value"] for size, found in curve["intervals"].items()}
    images = {size: mean(counts) for size, counts in curve["training_images"].items()}
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    errors = [
        [abs(found[end] - found["value"]) for found in curve["intervals"].values()]
        for end in ("low", "high")
    ]
    axes.errorbar(
        list(images.values()),
        list(real.values()),
        errors,
        color="0.2",
        marker="o",
        capsize=3,
        label="real images only",
    )
    for variant, (label, marker, color) in GENERATORS.items():
        known = [s for s in real if f"deck/fracatlas{variant}_{s}" in study["parts"]]
        parts = [study["parts"][f"deck/fracatlas{variant}_{size}"] for size in known]
        added = [
            part["statistics"]["auc"]["differences"]["best-synthetic"]["difference"]
            for part in parts
        ]
        points = [real[size] + more for size, more in zip(known, added, strict=True)]
        x = [images[size] for size in known]
        axes.plot(x, points, marker, color=color, mfc="none" if not variant else None, label=label)
    axes.plot(
        list(images.values()),
        [probe[size]["value"] for size in images],
        "--x",
        color="#CC79A7",
        label="pretrained features, real images",
    )
    axes.set(
        xscale="log", xlabel="real training images", ylabel="AUC on test images", ylim=(0.58, 0.9)
    )
    axes.set_xticks(list(images.values()), [f"{n:,.0f}" for n in images.values()])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(HERE / "study_curve.png", dpi=130)
    plt.close(figure)


def judge() -> None:
    """Plot KID and precision (coverage, where images are few) by the amount of damage."""
    judges = values("judge.json")["judges"]
    kinds = list(next(iter(judges["random features"].values()))["damaged"])
    figure, rows = plt.subplots(
        4, len(kinds), figsize=(13, 8), sharex=True, sharey="row", layout="constrained"
    )
    names = ("pretrained\nfeatures", "random\nfeatures")
    for place, (by_set, name) in enumerate(zip(judges.values(), names, strict=True)):
        for kind, above, below in zip(kinds, rows[2 * place], rows[2 * place + 1], strict=True):
            share = "coverage" if kind == "dropped" else "precision"
            for found in by_set.values():
                points = [found["real"], *found["damaged"][kind]]
                kid = [each["kid"] / points[-1]["kid"] for each in points]
                above.plot(kid, marker="o", ms=3)
                below.plot([each[share] for each in points], marker="o", ms=3)
            above.set_title(kind if not place else "")
            below.set_xticks(range(4), ["real", "", "", "most"])
        rows[2 * place][0].set_ylabel(f"{name}\nKID, of that of the most")
        rows[2 * place + 1][0].set(ylabel=f"{name}\nprecision", ylim=(-0.05, 1.1))
    for axes in rows.ravel():
        axes.spines[["top", "right"]].set_visible(False)
    for axes in rows[1::2, -1]:
        axes.set_ylabel("coverage")
    sets = [name.replace("_", ", ") for name in by_set]
    figure.legend(
        rows[0][0].lines, sets, loc="outside lower center", ncols=len(sets), frameon=False
    )
    figure.savefig(HERE / "judge.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    phantoms()
    study_curve()
    judge()
