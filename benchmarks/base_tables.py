"""The table of the `base` preset, its curve, and what it draws beside real images.

    python benchmarks/base_tables.py --plot --data PATH

writes `docs/assets/base_curve.png`, and `base_images.png` from what `base_preset.py` kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from generator_tables import kid_interval

RESULTS = Path(__file__).resolve().parent / "results"
ASSETS = Path(__file__).resolve().parents[1] / "docs" / "assets"
COLUMNS = 10


def results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the raw results, one a class."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("base_preset_*"))]


def table(folder: Path = RESULTS) -> str:
    """Return the rows of each class: the small preset on one core, the larger, real images."""
    rows = [
        "| images | model | trained | images seen | KID | recall | coverage | precision | C_T |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for raw in results(folder):
        values = raw["values"]
        kind, fold, report = values["class"], values["fold"], values["report"]
        title = f"FracAtlas, fold {fold} of the study, {kind}"
        small = folder / "study" / "generators" / f"fracatlas_all_fold{fold}_r3gan.json"
        if small.exists():
            other = json.loads(small.read_text("utf-8"))["values"]
            place = list(other["training_images"]).index(kind)
            seen = f"{other['images_seen'][place]:,}"
            how = f"{other['minutes'][place]:.0f} minutes of one core"
            rows.append(row(title, "`small`", how, seen, other["report"][kind], None))
        seconds = statistics.median(values["seconds_of_epochs"])
        whole_time = sum(values["seconds_of_epochs"]) / 60
        how = f"{whole_time:.0f} minutes of a GPU"
        seen = f"{values['images_seen']:,}"
        model = f"`{values['preset']}`"
        rows.append(row(title, model, how, seen, report, report["memorization"]))
        rows.append(row(title, "*real images*", "", "", report, None, "real"))
        versions = raw["versions"]
        notes.append(
            f"{values['gpu']}, Keras {versions['keras']} on {versions['backend']} "
            f"{versions[versions['backend']]}, batch {values['batch_size']}, "
            f"`{values['config']['dtype']}`: {values['images_an_epoch'] / seconds:,.0f} images a "
            f"second, {values['training_images']:,} training images. The best of "
            f"{len(values['curve'])} looks, by validation images, is the one after "
            f"{values['best']['epoch'] * values['images_an_epoch']:,} images."
        )
    return "\n".join([*rows, "", *notes])


def row(
    title: str,
    model: str,
    how: str,
    seen: str,
    report: dict[str, Any],
    screen: dict[str, Any] | None,
    which: str = "drawn",
) -> str:
    scores = report["scores"][which]
    cells = [title, model, how, seen, kid_interval(scores)]
    cells += [f"{scores[key]:.2f}" for key in ("recall", "coverage", "precision")]
    cells.append("" if screen is None else f"{screen['c_t']:+.1f}")
    return f"| {' | '.join(cells)} |"


def plot_curve(path: Path = ASSETS / "base_curve.png") -> None:
    """Draw the kernel distance and the coverage of each look."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.8))
    for raw in results():
        values = raw["values"]
        seen = [look["epoch"] * values["images_an_epoch"] / 1e6 for look in values["curve"]]
        for axis, key in zip(axes, ("kid", "coverage"), strict=True):
            found = [look[key] for look in values["curve"]]
            axis.plot(seen, found, "o-", ms=3, lw=1.4, label=values["class"])
            axis.set_xlabel("images seen, millions")
            axis.set_ylabel({"kid": "KID", "coverage": "coverage"}[key] + ", validation images")
            axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylim(0)
    axes[1].set_ylim(0.5, 1)
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"wrote {path.name}")


def plot_images(data: Path, runs: Path, path: Path = ASSETS / "base_images.png") -> None:
    """Draw test images and the first drawn ones, two lines of each."""
    from study.cells import split, whole
    from synthray._report.images import class_rows

    lines: dict[str, Any] = {}
    for raw in results():
        kind = raw["values"]["class"]
        test = split(whole("fracatlas", data), raw["values"]["fold"], None).test.by_class()[kind]
        rng = np.random.default_rng(0)
        real = test.images[rng.permutation(len(test))[: 2 * COLUMNS]]
        with np.load(runs / kind.replace(" ", "-") / "drawn.npz", allow_pickle=False) as file:
            drawn = file["images"][: 2 * COLUMNS]
        for name, images in ((f"real, {kind}", real), (f"drawn by base, {kind}", drawn)):
            lines[name] = images[:COLUMNS]
            lines[" " * (len(lines) + 1)] = images[COLUMNS:]  # a second line, without a name
    class_rows(lines, COLUMNS).savefig(path, dpi=110)
    print(f"wrote {path.name}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plot", action="store_true", required=True)
    parser.add_argument("--data", type=Path, help="FracAtlas at 64x64, for the images")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "base_preset")
    args = parser.parse_args(arguments)
    plot_curve()
    if args.data is not None:
        plot_images(args.data, args.runs)


if __name__ == "__main__":
    main()
