"""Fills the tables of README.md and docs/ from the raw results in `benchmarks/results/`.

Run it with `python benchmarks/tables.py`; with `--check` it changes nothing and fails where a table
is not what the raw results give. A place for a table looks like this, on lines of their own:

    <!-- results:bone -->
    <!-- /results:bone -->
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SLIDES = {"original": 92, "augmented": 87, "synthetic": 91, "warm_start": 93}
NAMES = {
    "original": "original",
    "augmented": "classic augmentation",
    "synthetic": "synthetic + original",
    "warm_start": "warm start on synthetic, then original",
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


def mean(runs: list[dict[str, Any]], score: str, scale: float, digits: int) -> str:
    values = [run["scores"][score] * scale for run in runs]
    text = f"{statistics.fmean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


TABLES: dict[str, Callable[[], str]] = {"bone": bone, "leak": leak}


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
