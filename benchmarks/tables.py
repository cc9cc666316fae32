"""Fills the tables of README.md and docs/ from the raw results in `benchmarks/results/`.

Run it with `python benchmarks/tables.py`; with `--check` it changes nothing and fails where a table
is not what the raw results give. A place for a table looks like this, on lines of their own:

    <!-- results:bone -->
    <!-- /results:bone -->
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import base_tables
import generator_tables
import precision_tables
import speed_tables
import study_curves
import study_headline
import study_tables

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SLIDES = {"original": 92, "augmented": 87, "synthetic": 91, "warm_start": 93}
SETS = {
    "fracatlas": "FracAtlas, 64x64",
    "bone": "the slides' bone set, all three parts together, 64x64",
}
NAMES = {
    "original": "original",
    "augmented": "classic augmentation",
    "synthetic": "synthetic + original",
    "warm_start": "warm start on synthetic, then original",
    "duplicated": "control: original + copies of it",
    "real_warm_start": "control: warm start on copies, then original",
    "augmented_synthetic": "synthetic + original, augmented",
    "augmented_warm_start": "warm start, all augmented",
}


def load(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / name).read_text(encoding="utf-8")))


def leak() -> str:
    values = load("leak.json")["values"]
    copies, files = values["test_files_identical_to_a_training_file"], values["test_files"]
    return (
        f"{copies} of the {files} official test files ({copies / files:.0%}) are byte-identical to "
        f"a training file.\nOne nearest neighbour on raw 64x64 pixels scores "
        f"{values['nearest_neighbour_accuracy']:.1%} on the official test set.\n"
        f"{values['unreadable_files']} files of the set cannot be decoded."
    )


def bone() -> str:
    raw = load("bone_fractures.json")
    values = raw["values"]
    gan, comparison = values["generator"], values["comparison"]
    settings, runs = comparison["settings"], comparison["runs"]
    rows = [
        "| arm | slides | test accuracy here | AUC here | steps |",
        "|---|---|---|---|---|",
    ]
    for arm in dict.fromkeys(run["arm"] for run in runs):
        mine = [run for run in runs if run["arm"] == arm]
        steps = sum(mine[0]["phase_steps"])
        rows.append(
            f"| {NAMES[arm]} | {SLIDES[arm]} % | {mean(mine, 'accuracy', 100, 1)} % | "
            f"{mean(mine, 'auc', 1, 3)} | {steps:,} |"
        )
    leaked = comparison["leak"]
    n = leaked["n_test"]
    seeds = len({run["seed"] for run in runs})
    note = (
        f"Official split; **it leaks**: {leaked['identical']} of {n} decoded test images are "
        "byte-identical to training images, so these accuracies measure memory. "
        f"{'Mean ± standard deviation of' if seeds > 1 else 'Number of seeds:'} {seeds}"
        f"{' seeds' if seeds > 1 else ''}; {settings['epochs']} epochs a phase; "
        f"{gan['drawn_a_class']:,} images drawn a class by the exact DCGAN after "
        f"**{gan['epochs']} epochs** (the slides: 100) in `{gan['precision']}`. "
        f"{raw['machine']['cpus']} CPU cores, {raw['versions']['backend']} backend, Keras "
        f"{raw['versions']['keras']}.\n"
        f"At {n} test images the standard error of an accuracy near 0.9 is about "
        f"{(0.09 / n) ** 0.5:.1%}: differences of a point or two tell nothing, here as on the "
        "slides."
    )
    return "\n".join([*rows, "", note])


def grouped(name: str) -> str:
    """Return the table of one data set on grouped folds, with verdicts."""
    raw = load(f"grouped_{name}.json")
    values = raw["values"]
    settings, gan, found = values["settings"], values["generator"], values["statistics"]
    main, auc = found["balanced_accuracy"], found["auc"]
    rows = [
        "| arm | balanced accuracy | AUC | difference, balanced accuracy | p (Holm) | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for arm, intervals in main["intervals"].items():
        cells = [NAMES[arm], interval(intervals["balanced_accuracy"])]
        cells.append(interval(auc["intervals"][arm]["auc"]))
        against = main["differences"].get(arm)
        if against is None:
            cells += ["", "", "baseline"]
        else:
            sign = {"value": against["difference"], "low": against["low"], "high": against["high"]}
            cells += [interval(sign, "+"), p_value(against["p_holm"]), verdict(against)]
        rows.append(f"| {' | '.join(cells)} |")
    steps = sum(values["runs"][0]["phase_steps"])
    drawn = sum(settings["synthetic"]["class_counts"].values())
    smallest = [d["detectable"] for d in main["differences"].values() if d["detectable"]]
    epochs = f"{gan['epochs']} epoch{'s' if gan['epochs'] > 1 else ''}"
    note = (
        f"{SETS[name]}: {main['n_images']:,} images in {main['n_groups']:,} groups, "
        f"{main['n_folds']} grouped, stratified folds x {main['n_seeds']} seed"
        f"{'s' if main['n_seeds'] > 1 else ''}; every arm takes "
        f"{steps:,} steps of {settings['batch_size']} images, classes weighted alike. One DCGAN a "
        f"class, fold and seed, of width {gan['width']} in `{gan['precision']}` after "
        f"**{epochs}**; {drawn:,} images drawn. Intervals: 95 %, by a bootstrap of groups with "
        "chance in training added. Verdicts: both that and the corrected resampled t test, "
        "Holm over "
        f"{len(main['differences'])} arms. Differences below about {min(smallest):.3f} to "
        f"{max(smallest):.3f} were out of reach of this run.\n\n{values['leak']['verdict']}"
    )
    return "\n".join([*rows, "", note])


def interval(found: dict[str, Any], sign: str = "") -> str:
    if found["value"] is None:
        return "-"
    text = f"{found['value']:{sign}.3f}"
    return (
        text
        if found["low"] is None
        else f"{text} [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"
    )


def p_value(p: float | None) -> str:
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def verdict(against: dict[str, Any]) -> str:
    if against["needed_images"] is None or against["verdict"] != "cannot be told apart":
        return str(against["verdict"])
    return f"cannot be told apart: would need about {against['needed_images']:,} images"


def duplicates() -> str:
    values = load("duplicates.json")["values"]
    rows = ["| planted copies | pairs | precision | recall |", "|---|---|---|---|"]
    for found in values["planted"]:
        changes = "one change" if found["changes"] == 1 else "two changes, one after the other"
        rows.append(
            f"| {changes}, {found['side']}x{found['side']} pixels | {found['radiographs']} "
            f"radiographs, 5 copies each | {found['pair_precision']:.3f} | "
            f"{found['pair_recall']:.3f} |"
        )
    worst = sorted(values["planted"][0]["recall_by_kind"].items(), key=lambda item: item[1])[0]
    bone, cost, different = values["bone"], values["cost"], values["different"]
    largest = cost["rows"][-1]
    lines = [
        f"Precision and recall over all pairs of images of FracAtlas radiographs, one a group. The "
        f"kind found least often is `{worst[0]}` ({worst[1]:.1%}).",
        f"The bone set: {bone['images']:,} images in {bone['families']} families, "
        f"{len(bone['sizes_over_20'])} of them of more than 20 images "
        f"({bone['images_in_families_over_20']:,} images in all); "
        f"{bone['families_with_two_classes']} families hold two classes.",
        "Families that join different patients or groups: "
        + "; ".join(
            f"{name}, {found['families_across_groups']} among {found['images']:,} images"
            for name, found in different.items()
        )
        + ".",
        f"{largest['images']:,} images of the bone set took {largest['seconds']:.0f} s and "
        f"{largest['megabytes'] / 1024:.1f} GiB on {largest['cpus']} CPU cores; extrapolated from "
        f"{', '.join(format(row['images'], ',') for row in cost['rows'])} images, 100,000 would "
        f"take {cost['seconds_at_100000'] / 60:.0f} minutes. Sets without copies take longer, for "
        "more of their images are compared.",
    ]
    return "\n".join(rows) + "\n\n" + "\n\n".join(lines)


def estimate() -> str:
    path = RESULTS / "estimate.json"
    if not path.exists():
        return "Not measured yet."
    told = [estimated(load("estimate.json")["values"], "two folds and one seed")]
    if (RESULTS / "estimate_full.json").exists():
        values = load("estimate_full.json")["values"]
        shape = " x ".join(map(str, values["image_shape"][:2]))
        told.append(estimated(values, f"{shape} pixels, with all defaults"))
    return " ".join(told)


def estimated(values: dict[str, Any], how: str) -> str:
    return (
        f"`tune` on {values['images']:,} radiographs of FracAtlas, {how}, said "
        f"after {values['minutes_before_it_was_told']:.1f} minutes that it would take "
        f"{values['told_minutes']:.0f} more, and took {values['minutes_after']:.1f}."
    )


def error_rates() -> str:
    values = load("error_rates.json")["values"]
    rows = [
        "| simulated studies | arm | true difference | found better | found worse | in interval |",
        "|---|---|---|---|---|---|",
    ]
    found = [
        (f"phantoms, {k}", arm, v)
        for k, arms in values["phantoms"].items()
        for arm, v in arms.items()
    ]
    found += [(f"drawn numbers, {design}", "", v) for design, v in values["drawn"].items()]
    for design, arm, rates in found:
        rows.append(
            f"| {design} | {arm} | {rates['true_difference']:.3f} | {rates['better']:.1%} | "
            f"{rates['worse']:.1%} | {rates['coverage']:.1%} |"
        )
    note = (
        f"{values['studies']} studies a row, verdicts at the level {values['level']:.0%}. `copy` "
        "is the baseline under another name and with other seeds, `more` has a real effect. In "
        "interval: how often the 95 % interval held the true difference."
    )
    return "\n".join([*rows, "", note])


def mean(runs: list[dict[str, Any]], score: str, scale: float, digits: int) -> str:
    values = [run["scores"][score] * scale for run in runs]
    text = f"{statistics.fmean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


TABLES: dict[str, Callable[[], str]] = {
    "few": functools.partial(generator_tables.few, RESULTS / "generators"),
    "sweep": functools.partial(generator_tables.sweep, RESULTS / "sweep"),
    "alternating": functools.partial(generator_tables.alternating, RESULTS / "alternating.json"),
    "base": base_tables.table,
    "sampling": lambda: generator_tables.sampling(sorted(RESULTS.glob("sampling_*.json"))),
    "generators_briefly": functools.partial(generator_tables.briefly, RESULTS / "generators"),
    "generators": functools.partial(generator_tables.generators, RESULTS / "generators"),
    "bone": bone,
    "leak": leak,
    "grouped_bone": functools.partial(grouped, "bone"),
    "grouped_fracatlas": functools.partial(grouped, "fracatlas"),
    "duplicates": duplicates,
    "error_rates": error_rates,
    "estimate": estimate,
    "speed": functools.partial(speed_tables.speed, RESULTS / "speed"),
    "pools": study_tables.pools,
    "study": study_tables.study,
    "study_curves": study_curves.table,
    "study_headline": study_headline.table,
    "study_briefly": study_headline.primary,
    "growth": functools.partial(speed_tables.growth, RESULTS / "speed"),
    "precision": precision_tables.table,
    "settings": functools.partial(speed_tables.settings, RESULTS / "speed"),
}


def fill(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- results:{name} -->\n{TABLES[name]()}\n<!-- /results:{name} -->"

    pattern = r"<!-- results:(?P<name>\w+) -->\n.*?<!-- /results:(?P=name) -->"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(arguments)
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        filled = fill(text)
        if filled != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if not args.check:
                page.write_text(filled, encoding="utf-8")
    if stale:
        print("changed:" if not args.check else "not what the raw results give:", *stale)
    return int(args.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
