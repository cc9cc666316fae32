"""The experiment, its leak, and the study."""

from __future__ import annotations

import statistics

from benchmarks.tables.markdown import SETS, interval, load, table

# The experiment.

ARMS = {
    "original": ("original", "92 %"),
    "augmented": ("classic augmentation", "87 %"),
    "mixed": ("synthetic + original", "91 %"),
    "warm_start": ("warm start on synthetic, then original", "93 %"),
    "duplicated": ("control: original + copies of it", ""),
    "real_warm_start": ("control: warm start on copies, then original", ""),
    "augmented_mixed": ("synthetic + original, augmented", ""),
    "augmented_warm_start": ("warm start, all augmented", ""),
    "synthetic_only": ("synthetic images only, augmented", ""),
}  # their names, and the accuracies that the deck states


def bone() -> str:
    """The experiment: the official split, which leaks, and grouped folds."""
    official = load("bone_fractures.json")["values"]
    grouped = load("grouped_bone.json")["values"]
    runs, leaked = official["comparison"]["runs"], load("leak.json")["values"]
    scores = grouped["statistics"]["balanced_accuracy"]
    rows = []
    for arm, found in scores["intervals"].items():
        name, deck = ARMS.get(arm, (arm, ""))
        against = scores["differences"].get(arm)
        rows.append(
            [
                name,
                deck,
                mean([100 * run["scores"]["accuracy"] for run in runs if run["arm"] == arm]),
                interval(found["balanced_accuracy"]),
                "baseline" if against is None else interval(against, "+"),
                "" if against is None else against["verdict"],
            ]
        )
    heads = (
        *("arm", "the deck", "accuracy, official split", "balanced accuracy, grouped folds"),
        *("difference from original", "verdict"),
    )
    gan, small = official["generator"], grouped["generator"]
    copies, files = leaked["test_files_identical_to_a_training_file"], leaked["test_files"]
    return table(
        heads,
        rows,
        f"**The official split leaks**: {copies} of its {files} test files are byte-identical to "
        "training files, so these accuracies measure memory. Mean ± standard deviation of "
        f"{len({run['seed'] for run in runs})} seeds; one `DCGAN` a class after {gan['epochs']} "
        "epochs (the deck: 100).",
        f"The grouped folds keep copies together: {grouped['images']:,} images in "
        f"{scores['n_groups']:,} groups, {scores['n_folds']} folds x {scores['n_seeds']} seeds, "
        f"equal steps for all arms; one `DCGAN` a class of width {small['width']} after "
        f"{small['epochs']} epoch. Intervals: 95 %. Verdicts are corrected for "
        f"{len(scores['differences'])} arms.",
    )


def mean(values: list[float]) -> str:
    if not values:
        return ""
    text = f"{statistics.fmean(values):.1f}"
    return f"{text} ± {statistics.stdev(values):.1f} %" if len(values) > 1 else f"{text} %"


def leak() -> str:
    values = load("leak.json")["values"]
    copies, files = values["test_files_identical_to_a_training_file"], values["test_files"]
    return (
        f"- {copies} of the {files} official test files ({copies / files:.0%}) are byte-identical "
        f"to a training file.\n- One nearest neighbour on raw 64x64 pixels scores "
        f"{values['nearest_neighbour_accuracy']:.1%} on the official test set.\n"
        f"- {values['unreadable_files']} files of the set cannot be decoded."
    )


# The study.

BASELINE, PRIMARY = "best-classic", "best-synthetic"
SEEN = (
    ("the classifier's own images", "", ("all", "250", "100", "50")),
    ("the same, a larger generator", "-base", ("all",)),
    ("more patients of the same set", "-shared", ("50", "100", "250")),
    ("another set", "-from-bone", ("100",)),
    ("another set", "-from-fracatlas", ("100",)),
)  # what the generator was trained on, behind the name of a set, and numbers of groups
CLASSIFIERS = {"deck": "the deck's", "residual": "residual"}
BRIEFLY = ("fracatlas_all", "fracatlas_100", "fracatlas-from-bone_100")


def study_headline() -> str:
    """What the study found, for the README."""
    chosen = [f"deck/{name}" for name in (*BRIEFLY, "fracatlas-shared_50", "fracatlas-shared_100")]
    heads = (
        *("the generator learnt from", "training images of the classifier"),
        *("AUC without synthetic images", "with them", "better in"),
    )
    found = [(name, cells) for name, cells in study_lines() if name in chosen]
    rows = [[cells[0], *cells[2:6]] for _, cells in found]
    frozen = load("transfer.json")["values"]["sets"]["fracatlas"]
    for size, images in (("100", "107"), ("all", f"{frozen['images'] * 4 // 5:,}")):
        value = frozen["auc"][size]["TransferClassifier"]["original"]["value"]
        start = "none: `TransferClassifier`"
        rows.append([start, f"{images} of FracAtlas", f"**{value:.3f}**", "not measured", ""])
    return table(heads, rows, study_note())


def study() -> str:
    """What the study found, all classifiers and sets."""
    heads = (
        *("the generator learnt from", "classifier", "its training images"),
        *("AUC without synthetic images", "with them", "better in", "proven"),
    )
    proven = (
        "Proven: also by the corrected resampled t test, after correction for all arms. Raw "
        "results: `benchmarks/results/study/`."
    )
    return table(heads, (cells for _, cells in study_lines()), f"{study_note()} {proven}")


def study_note() -> str:
    return (
        "Each side is the best arm by validation images, in each fold; the one with synthetic "
        "images may choose none. With them: the difference of AUC with its 95 % interval. Better "
        "in: pairs of fold and seed."
    )


def study_lines() -> list[tuple[str, list[str]]]:
    """Return the name and the cells of each part of the study."""
    parts = load("study/analysis.json")["values"]["parts"]
    lines = []
    for seen, variant, sizes in SEEN:
        for classifier, data in (*(("deck", name) for name in SETS), ("residual", "fracatlas")):
            for size in sizes:
                name = f"{classifier}/{data}{variant}_{size}"
                if PRIMARY not in parts.get(name, {"above": ()})["above"]:
                    continue
                values = parts[name]
                auc = values["statistics"]["auc"]
                images = statistics.mean(sum(each.values()) for each in values["training_images"])
                best = auc["differences"][PRIMARY]
                cells = [
                    seen,
                    CLASSIFIERS[classifier],
                    f"{images:,.0f} of {SETS[data]}",
                    f"{auc['intervals'][BASELINE]['value']:.3f}",
                    interval(best, "+"),
                    "{} of {}".format(*values["above"][PRIMARY]),
                    "yes" if best["verdict"] == "better" else "no",
                ]
                lines.append((name, cells))
    return lines
