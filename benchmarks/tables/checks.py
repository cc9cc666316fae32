"""Duplicates, statistics, and what the suites tried."""

from __future__ import annotations

from statistics import fmean, median

from benchmarks.tables.markdown import SETS, Values, load, table
from synthray._progress import duration

# Duplicates and statistics.


def duplicates() -> str:
    """Copies that were planted, and what is known to be different."""
    values = load("duplicates.json")["values"]
    rows = [
        [
            f"{SETS[found['of']]}, {found['side']}x{found['side']}",
            ("affine, " if found["changed"] == "affine" else "")
            + ("one change" if found["changes"] == 1 else "two changes"),
            f"{found['pair_precision']:.3f}",
            f"{found['pair_recall']:.3f}",
            f"{found['cpu_seconds']:.0f} s",
        ]
        for found in values["planted"]
    ]
    first, kinds = values["planted"][0], values["planted"][0]["recall_by_kind"]
    worst = min(kinds, key=kinds.__getitem__)
    fewest = min(found["originals"] for found in values["planted"])
    bone, costs = values["bone"], values["cost"]
    joined = "; ".join(
        f"{SETS[name]}, {found['clusters_across_groups']} among {found['images']:,} images"
        for name, found in values["different"].items()
    )
    return table(
        ("images, pixels", "copies", "precision", "recall", "CPU time"),
        rows,
        f"{first['originals']} originals ({fewest} blood cells) with 5 copies each, radiographs of "
        "different groups; precision and recall over all pairs of images. In the first row, the "
        f"kind found least often is `{worst}` ({kinds[worst]:.1%}). BUSI and blood cells are public"
        " sets, less their own copies; cells, speckle and lesions are simulated. Settings were "
        "chosen on other draws of FracAtlas, chest films, cells and phantoms, and none on the "
        "others.",
        f"The bone set: {bone['images']:,} images in {bone['clusters']} clusters, "
        f"{len(bone['sizes_over_20'])} of them of more than 20 images "
        f"({bone['images_in_clusters_over_20']:,} images in all). Clusters that join different "
        f"patients or groups: {joined}.",
        "Radiographs, and phantoms where there are too few, one in eleven a sheared copy, on "
        f"{costs[0]['cpus']} CPU core{'s' * (costs[0]['cpus'] > 1)}: "
        + "; ".join(
            f"{found['images']:,} images {duration(found['seconds'])} "
            f"({duration(found['cpu_seconds'])} of CPU time), {found['megabytes'] / 1024:.1f} GiB, "
            f"{found['copies_found']:.1%} of the copies"
            for found in costs
        )
        + ".",
    )


HASHES = ("PHash", "DHash", "AHash", "WHash")


def peers_duplicates() -> str:
    """Copies that other libraries find, and the CPU time that they take."""
    raw = load("peers_duplicates.json")
    values = raw["values"]
    heads = {
        "`find_duplicates`": "ours",
        "imagededup, best hash": "hash",
        **{f"imagededup's {name}": name for name in values["ratios"] if name.startswith("CNN")},
        "cleanvision": "cleanvision",
    }
    cases: dict[str, list[Values]] = {}
    for found in values["planted"]:
        methods = found["methods"]
        methods["hash"] = max((methods[name] for name in HASHES), key=lambda each: each["tuned_f1"])
        where = "in place" if found["changed"] == "files" else "affine"
        count = "one change" if found["changes"] == 1 else "two changes"
        cases.setdefault(f"{where}, {count}", []).append(methods)
    rows = []
    for case, sets in cases.items():
        cells = []
        for name in heads.values():
            precision, recall = (
                fmean(methods[name][f"pair_{key}"] for methods in sets)
                for key in ("precision", "recall")
            )
            cells.append(f"{precision:.2f}, {recall:.2f}")
        rows.append([case, *cells])
    every = [methods for sets in cases.values() for methods in sets]
    seconds = [median(each[name]["cpu_seconds"] for each in every) for name in heads.values()]
    rows.append(["*CPU time, median*", *(f"{each:.1f} s" for each in seconds)])
    versions = [f"{name} {raw['versions'][name]}" for name in ("imagededup", "cleanvision")]
    return table(
        ("copies", *heads),
        rows,
        "Precision, recall over all pairs of images: in place of FracAtlas, else the mean of "
        "radiographs, cells and speckle. "
        f"{values['originals']} originals, 5 copies of each, by another seed than above. Other "
        "libraries are judged by the pairs that they name or by the clusters of these, whichever "
        f"is better. {values['planted'][0]['images']} images, one core; {' and '.join(versions)}.",
    )


OFFICIAL = {("train", "test"), ("training", "testing")}  # splits


def public_sets() -> str:
    """What audits find in public sets."""
    rows = []
    for name, found in load("public_sets.json")["values"]["sets"].items():
        known = "no split"
        for leak in found["leaks"]:
            if (leak["train"].lower(), leak["test"].lower()) in OFFICIAL:
                n, of, shared = leak["known"], leak["n_test"], leak["same_group"]
                share = f"**{n / of:.1%}**" if n else "0.0%"
                known = f"{n:,} of {of:,} ({share})"
                known += f"; {shared:,} of a patient" if shared else ""
        conflicts = f"{found['conflicts']:,} ({found['conflicting_images']:,} images)"
        rows.append(
            [
                SETS[name],
                f"{found['images']:,}",
                f"{found['different']:,}",
                known,
                conflicts if found["conflicts"] else "0",
                f"{found['seconds']:.0f} s",
            ]
        )
    heads = (
        *("set", "images", "different", "test images that are known from training"),
        *("copies with contradicting labels", "CPU time"),
    )
    return table(heads, rows)


def error_rates() -> str:
    """How often verdicts are wrong where the truth is known."""
    values = load("error_rates.json")["values"]
    found = [
        (f"phantoms, {design}, `{arm}`", rates)
        for design, arms in values["phantoms"].items()
        for arm, rates in arms.items()
    ]
    found += [(f"random numbers, {design}", rates) for design, rates in values["numbers"].items()]
    rows = [
        [
            name,
            f"{rates['true_difference']:.3f}",
            *(f"{rates[key]:.1%}" for key in ("better", "worse", "coverage")),
        ]
        for name, rates in found
    ]
    return table(
        ("simulated studies", "true difference", "found better", "found worse", "in interval"),
        rows,
        f"{values['studies']} studies a row, verdicts at the level {values['level']:.0%}. `copy` "
        "is the baseline under another name and with other seeds, `more` has a real effect. In "
        "interval: how often the 95 % interval held the true difference.",
    )


# Faults.

TRIED = {
    "arrays": "arrays of any type, shape, order and range",
    "labels": "labels of any kind",
    "saves that came back equal": "saves that came back equal",
    "damaged files": "damaged files that loaded equal or were refused",
    "kills at random moments": "kills at random moments",
    "full disks": "full disks",
    "interrupts and terminations": "interrupts and terminations",
    "contended workdirs": "work folders that two processes asked for",
    "files tried for memory": "files within 1 GB and 30 s, or refused",
}  # what the suites count, and how the page says it


def promises() -> str:
    """How many inputs the suites tried, and how many faults were survived."""
    counts = load("promises.json")["values"]["counts"]
    rows = [[text, f"{counts[name]:,}"] for name, text in TRIED.items() if name in counts]
    rows += [[name, f"{number:,}"] for name, number in counts.items() if name not in TRIED]
    return table(("tried", "number"), rows)
