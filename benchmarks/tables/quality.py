"""Pretrained features, the judge and the generators."""

from __future__ import annotations

import statistics

import numpy as np

from benchmarks.tables.markdown import RESULTS, SETS, Values, interval, load, table
from benchmarks.tables.study import BASELINE, PRIMARY

# Pretrained features.


def transfer() -> str:
    """`TransferClassifier` beside `FractureClassifier`, and what its comparisons cost."""
    raw = load("transfer.json")
    values = raw["values"]
    rows = []
    for name, found in values["sets"].items():
        for size, auc in found["auc"].items():
            frozen = auc["TransferClassifier"]
            rows.append(
                [
                    SETS[name],
                    f"{found.get('seeds', 3)}",
                    f"{found['groups']:,} (all)" if size == "all" else size,
                    interval(auc["FractureClassifier"]["original"]),
                    interval(frozen["original"]),
                    interval(frozen["augmented"]) if "augmented" in frozen else "-",
                ]
            )
    notes = [
        "20 epochs, classes weighted equally, 5 folds; in brackets the 95 % interval. Of "
        "fewer groups, each fold trains on as many of its training side and is judged by all of "
        "the other."
    ]
    if "copies" in values:
        copies = ", ".join(f"{n} {interval(each, '+')}" for n, each in values["copies"].items())
        notes.append(
            "Augmented copies of each image of 100 groups, and the difference of AUC from none: "
            f"{copies}."
        )
    if "seconds" in values:
        cases = "; ".join(f"{name} {n / 60:.1f}" for name, n in values["seconds"].items())
        notes.append(
            "Minutes of a comparison of 5 folds x 3 seeds x 4 arms on FracAtlas, with synthetic "
            f"images: {cases} (2 cores of {raw['machine']['processor']})."
        )
    heads = (
        *("images", "seeds", "groups", "`FractureClassifier`"),
        *("`TransferClassifier`", "the same, classic augmentation"),
    )
    return table(heads, rows, *notes)


def weak_baselines() -> str:
    """The study's best results beside a linear probe."""
    parts = load("study/analysis.json")["values"]["parts"]
    residual = parts["residual/fracatlas_all"]["statistics"]["auc"]["intervals"][BASELINE]["value"]
    rows = []
    for size, found in load("transfer.json")["values"]["probe"].items():
        shared = "_all" if size == "all" else f"-shared_{size}"
        auc = parts[f"deck/fracatlas{shared}"]["statistics"]["auc"]
        alone = auc["intervals"][BASELINE]["value"]
        rows.append(
            [
                size,
                f"{alone:.3f}" + f" (residual network {residual:.3f})" * (size == "all"),
                f"{alone + auc['differences'][PRIMARY]['difference']:.3f}",
                f"**{found['value']:.3f} ± {found['plus_minus']:.3f}**",
            ]
        )
    heads = (
        *("training groups", "best arm without synthetic images"),
        "with images of a generator that saw all patients",
        "linear probe on pretrained features",
    )
    return table(heads, rows)


# Generators.


ORDER = ("DCGAN", "R3GAN", "ProjectedGAN", "CycleGAN")


def generators() -> str:
    """Generators at equal cost, of one class of a set or of all."""
    found: dict[str, list[Values]] = {}
    for path in sorted((RESULTS / "generators").glob("*.json")):
        raw = load(f"generators/{path.name}")
        values = raw["values"] | raw["machine"]
        kind = "all classes" if values["class"] == "all" else values["class"].lower()
        found.setdefault(f"{SETS[values['set']]}, {kind}", []).append(values)
    if not found:
        return "*No generator has been scored by this judge yet.*"
    heads = (
        "images",
        "generator",
        "minutes",
        "images seen",
        *SCORES,
        "by random features",
        "verdict",
    )
    rows = []
    for title, runs in found.items():
        runs.sort(key=lambda run: ORDER.index(run["generator"]))
        for run in runs:
            minutes, seen = f"{run['minutes']:.0f}", f"{run['images_seen']:,}"
            cells = [*scored(run["report"]["scores"]["synthetic"]), before(run, "synthetic")]
            name, verdict = f"`{run['generator']}`", run["report"]["verdict"]
            rows.append([title, name, minutes, seen, *cells, verdict])
        for which, name in (("blurred", "real, blurred"), ("real", "real")):
            cells = [*scored(runs[-1]["report"]["scores"][which]), before(runs[-1], which)]
            rows.append([title, f"*{name}*", "", "", *cells, ""])
    runs = [run for each in found.values() for run in each]
    return table(
        heads,
        rows,
        f"Minutes of one core ({', '.join(sorted({run['processor'] for run in runs}))}). "
        f"{min(run['report']['n_judged'] for run in runs)} images and more, synthetic and held "
        f"out, are compared by {runs[0]['report']['judge']}; KID has its 95 % interval. Real "
        "images are those that the generators learnt from. By random features: precision and "
        "coverage by the judge before this one.",
    )


def before(run: Values, which: str) -> str:
    """Return precision and coverage by the judge before this one."""
    return "{precision:.2f}, {coverage:.2f}".format(**run["random_features"][which])


SCORES = ("KID", "Fréchet", "precision", "coverage")


def scored(scores: Values) -> list[str]:
    shares = (f"{scores[name]:.2f}" for name in ("precision", "coverage"))
    return [interval(scores), f"{scores['frechet']:.2f}", *shares]


# Presets.


def presets() -> str:
    """The pretrained generators, judged by the groups that they never saw."""
    heads = ("preset", "images seen", "minutes of one core", *SCORES, "recall", "copies", "C_T")
    rows, notes = [], []
    for path in sorted((RESULTS / "presets").glob("*.json")):
        values = load(f"presets/{path.name}")["values"]
        report, name = values["report"], path.stem
        screen = report["memorization"]
        copied = [f"{len(screen['copies'])} of {screen['n_synthetic']}", f"{screen['c_t']:.1f}"]
        seen = f"{sum(run['images_seen'] for run in values['runs']):,}"
        minutes = f"{sum(run['minutes'] for run in values['runs']):.0f}"
        for which, told in (("synthetic", ""), ("blurred", "real, blurred"), ("real", "real")):
            own = report["scores"][which]
            first = [f"*{told}*", "", ""] if told else [f"`{name}`", seen, minutes]
            last = ["", ""] if told else copied
            rows.append([*first, *scored(own), f"{own['recall']:.2f}", *last])
        looks, before = [], 0.0
        for run in values["runs"]:
            each = run["images_seen"] / len(run["curve"]) / 1000
            looks += [(before + each * (i + 1), look) for i, look in enumerate(run["curve"])]
            before = looks[-1][0]
        curve = ", ".join(
            f"{n:.0f}k {look['kid']:.2f} ({look['coverage']:.2f})"
            for n, look in (looks[i] for i in np.linspace(0, len(looks) - 1, 8).round().astype(int))
        )
        notes.append(f"KID (coverage) of `{name}` by images seen: {curve}.")
    return table(heads, rows, *notes)


def fine_tuning() -> str:
    """Fine-tuned presets beside a start from scratch at equal cost."""
    heads = ("images to learn from", "preset", "images a class", "images seen")
    heads += ("from scratch", "fine-tuned", "preset untouched", "real")
    rows = []
    for path in sorted((RESULTS / "fine_tuning").glob("*.json")):
        values = load(f"fine_tuning/{path.name}")["values"]
        runs = values["runs"]
        cells = [
            told([run[which]["scores"]["synthetic"] for run in runs])
            for which in ("from scratch", "fine-tuned", "untouched")
        ]
        real = told([run["fine-tuned"]["scores"]["real"] for run in runs])
        count = f"{max(runs[0]['images'].values())}"
        seen = f"{values['images_seen']:,}"
        rows.append([SETS[values["set"]], f"`{values['preset']}`", count, seen, *cells, real])
    return table(heads, rows)


def told(scores: list[Values]) -> str:
    """Return medians of KID and coverage."""
    kid, coverage = (
        statistics.median(each[name] for each in scores) for name in ("kid", "coverage")
    )
    return f"{kid:.2f} ({coverage:.2f})"


# The judge.

DAMAGE = {
    "blur": ("Gaussian blur", "sigma {:g} pixels"),
    "noise": ("noise", "{:g} gray levels"),
    "checkerboard": ("checkerboard", "{:g} gray levels"),
    "swirl": ("swirl", "{:g} radians"),
    "low-pass": ("made smaller and enlarged", "{:g} times"),
    "blend": ("blend with another image", "{:.0%}"),
    "dropped": ("few images, repeated", "{:.0%} of them"),
}  # its name, and its amount


def judge() -> str:
    """Which checks the judge fails, and which the one before it failed."""
    judges = load("judge.json")["values"]["judges"]
    new, old = judges.values()
    rows = [
        [SETS[name], f"{found['images']:,}", failed(found), failed(old[name])]
        for name, found in new.items()
    ]
    count = sum(len(each) for each in next(iter(new.values()))["checks"].values())
    return table(
        ("set", "images", "this judge fails", "random features, the judge before, fail"),
        rows,
        f"{count} checks a set: of each of {len(DAMAGE)} kinds of damage in three amounts, whether "
        "KID grows with every amount, whether the Fréchet distance does, and whether a share "
        "falls: precision or density, or recall or coverage where images are few and repeated.",
    )


def failed(found: Values) -> str:
    """Return the checks that failed."""
    names = {"kid": "KID", "frechet": "Fréchet", "shares": "shares"}
    kinds = {
        kind: [names[check] for check, passed in checks.items() if not passed]
        for kind, checks in found["checks"].items()
    }
    count = sum(map(len, kinds.values()))
    told = "; ".join(
        f"{DAMAGE[kind][0]} ({', '.join(each)})" for kind, each in kinds.items() if each
    )
    return f"{count}: {told}" if told else "nothing"


def judge_of_damage() -> str:
    """What the judge says of each kind of damage in its weakest and strongest amount."""
    values = load("judge.json")["values"]["judges"]
    found = next(iter(values.values()))["fracatlas"]
    rows = [["*real images*", "", *scored(found["real"])]]
    for kind, (name, amount) in DAMAGE.items():
        for place, each in enumerate(found["damaged"][kind]):
            told = amount.format(found["amounts"][kind][place])
            told = "one image" if kind == "dropped" and not found["amounts"][kind][place] else told
            rows.append([name, told, *scored(each)])
    return table(("damage", "amount", *SCORES), rows)


def judge_of_real_images() -> str:
    """Real images compared with real ones, in sets of several sizes."""
    values = load("judge.json")["values"]
    found = next(iter(values["judges"].values()))
    rows = [
        [
            SETS[name],
            f"{int(n):,}",
            f"{each['kid']:.3f}",
            f"{each['holds_0']:.0%}",
            f"{each['frechet']:.2f}",
            f"{each['of_reference']:.2f}",
        ]
        for name, by_set in found.items()
        for n, each in by_set["real_against_real"].items()
    ]
    heads = ("KID", "its interval holds 0", "Fréchet", "coverage, of that of the reference")
    return table(
        ("set", "images a side", *heads), rows, f"Means of {values['divisions']} divisions."
    )


def judge_of_swirls() -> str:
    """What both judges say of images that anybody calls bad."""
    values = load("generators/tissue_tissue_r3gan.json")["values"]
    judges = {
        "this judge": values["report"]["scores"],
        "random features": values["random_features"],
    }
    rows = [
        [name, images, *scored(found[which])]
        for name, found in judges.items()
        for which, images in (("synthetic", "`R3GAN`"), ("real", "*real*"))
    ]
    return table(("judge", "images", *SCORES), rows)
