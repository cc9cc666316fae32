"""The tables of generators: at equal cost, setting by setting, and at scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SETS = {
    "fracatlas": "FracAtlas",
    "bone": "bone set",
    "chest": "chest films",
    "pneumoniamnist": "PneumoniaMNIST",
    "phantoms": "phantoms",
}
ORDER = ("DCGAN", "R3GAN", "CycleGAN")
EARLIER = "earlier"  # tag of a run that another, of the same generator, has replaced
_EQUAL = 1.3  # times the minutes
_NO_COVERAGE = 0.005  # a ratio to so little tells nothing

Run = dict[str, Any]


def runs_of(folder: Path) -> list[Run]:
    """Return the values of each raw result, with the words of the file's name and its machine."""
    found = []
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text(encoding="utf-8"))
        name, kind, generator, *tag = path.stem.split("_")
        found.append(
            {
                **raw["values"],
                "set": name,
                "class": kind.replace("-", " "),
                "tag": tag[0] if tag else "",
                "machine": raw["machine"],
                "versions": raw["versions"],
            }
        )
        if found[-1]["generator"].lower() != generator:
            raise ValueError(f"{path.name} holds a result of {found[-1]['generator']}.")
    return found


def generators(folder: Path) -> str:
    """Return the table of generators at equal cost, and what it says."""
    found = runs_of(folder)
    runs = [run for run in found if not run["tag"]]
    before = {_name(run): run for run in found if run["tag"] == EARLIER}
    rows = [
        "| images | generator | minutes | images seen | KID | to augmented | coverage | "
        "precision | copies | C_T |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines = []
    for title, mine in _by_class(runs):
        for generator in sorted(mine, key=ORDER.index):
            run = mine[generator]
            rows.append(_row(title, run))
            if _name(run) in before:
                rows.append(_row(title, before[_name(run)]))
        rows += [_references(title, next(iter(mine.values())))]
        if {"DCGAN", "R3GAN"} <= set(mine):
            lines.append(f"- {title}: {_versus(mine['R3GAN'], mine['DCGAN'])}")
    judged = min(run["report"]["n_judged"] for run in runs)
    note = (
        f"Minutes are of one core: {_machines(runs)}. {judged} images and more, drawn and held "
        "out, are compared in random features. KID has its 95 % interval; *to augmented* is its "
        "ratio to that of classic augmentation of the training images."
    )
    return "\n".join([*rows, "", *lines, "", note])


def briefly(folder: Path) -> str:
    """Return one row for each class of each set: DCGAN, R3GAN and real images.

    Of a generator that was trained twice it is the run with the lower KID.
    """
    known = [run for run in runs_of(folder) if run["tag"] in ("", EARLIER)]
    known.sort(key=lambda run: -run["report"]["scores"]["drawn"]["kid"])
    better = {_name(run): run for run in known}
    runs = [better[name] for name in sorted(better) if name[2] != "CycleGAN"]
    rows = [
        "| images | KID: `DCGAN` | `R3GAN` | real images | coverage: `DCGAN` | `R3GAN` | "
        "real images |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, mine in _by_class(runs):
        if not {"DCGAN", "R3GAN"} <= set(mine):
            continue
        scores = [mine[g]["report"]["scores"]["drawn"] for g in ("DCGAN", "R3GAN")]
        scores.append(mine["R3GAN"]["report"]["scores"]["real"])
        cells = [f"{each['kid']:.3f}" for each in scores]
        cells += [f"{each['coverage']:.2f}" for each in scores]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", _budget(runs)])


def _name(run: Run) -> tuple[str, str, str]:
    return run["set"], run["class"], run["generator"]


def _by_class(runs: list[Run]) -> list[tuple[str, dict[str, Run]]]:
    """Return the runs by generator for each class of each set, with its title."""
    names = dict.fromkeys((run["set"], run["class"]) for run in runs)
    return [
        (
            f"{SETS[name[0]]}, {name[1]}",
            {run["generator"]: run for run in runs if (run["set"], run["class"]) == name},
        )
        for name in names
    ]


def _budget(runs: list[Run]) -> str:
    parts = []
    for title, mine in _by_class(runs):
        minutes = sorted({round(run["minutes"]) for run in mine.values()})
        spent = " to ".join(str(m) for m in dict.fromkeys((minutes[0], minutes[-1])))
        parts.append(f"{title}, {spent}")
    return f"Minutes of one core that each generator had: {'; '.join(parts)} ({_machines(runs)})."


def _machines(runs: list[Run]) -> str:
    """Return the processors and precisions that the minutes are of; the most frequent first."""
    found: dict[str, list[str]] = {}
    for title, mine in _by_class(runs):
        for run in mine.values():
            versions, precision = run["versions"], run["config"]["dtype"]
            told = (
                f"{run['machine']['processor']}, {versions['backend']}, Keras {versions['keras']}, "
                f"`{precision}`"
            )
            found.setdefault(told, []).append(f"{made_by(run)} of {title}")
    most, *others = sorted(found, key=lambda told: -len(found[told]))
    return "; ".join([most, *(f"{told} for {', '.join(found[told])}" for told in others)])


def few(folder: Path) -> str:
    """Return the table of a small training set, with augmentation and without."""
    names = {"few-diffaugment": "with `DiffAugment`", "few-plain": "without"}
    runs = {run["tag"]: run for run in runs_of(folder) if run["tag"] in names}
    rows = [
        "| training | images seen | KID | to augmented | coverage | precision | copies | C_T |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for tag, name in names.items():
        report = runs[tag]["report"]
        cells = [
            name,
            f"{runs[tag]['images_seen']:,}",
            *_scores(report["scores"]["drawn"], report["scores"]["augmented"]),
            *_screen(report["memorization"]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _screen(screen: dict[str, Any]) -> list[str]:
    return [f"{len(screen['copies'])} of {screen['n_drawn']:,}", f"{screen['c_t']:+.1f}"]


def _row(title: str, run: Run) -> str:
    drawn, screen = run["report"]["scores"]["drawn"], run["report"]["memorization"]
    cells = [
        title,
        made_by(run),
        f"{run['minutes']:.0f}",
        f"{run['images_seen']:,}",
        *_scores(drawn, run["report"]["scores"]["augmented"]),
        *_screen(screen),
    ]
    return f"| {' | '.join(cells)} |"


def made_by(run: Run) -> str:
    """Return a generator's name; of results from before `R3GAN` updated in turns, that too."""
    before = run["generator"] == "R3GAN" and run["config"].get("updates") != "alternating"
    name = f"`{run['generator']}`" + ", simultaneous updates" * before
    return name + ", an earlier run" * (run["tag"] == EARLIER)


def _references(title: str, run: Run) -> str:
    real = run["report"]["scores"]["real"]
    return f"| {title} | *real images* | | | {' | '.join(_scores(real, None))} | | |"


def _scores(scores: dict[str, float], augmented: dict[str, float] | None) -> list[str]:
    times = "" if augmented is None else f"{scores['kid'] / augmented['kid']:.1f}"
    return [
        kid_interval(scores),
        times,
        f"{scores['coverage']:.2f}",
        f"{scores['precision']:.2f}",
    ]


def kid_interval(scores: dict[str, float]) -> str:
    return f"{scores['kid']:.3f} [{scores['kid_low']:.3f}, {scores['kid_high']:.3f}]"


def _versus(new: Run, old: Run) -> str:
    if new["minutes"] > _EQUAL * old["minutes"]:
        minutes = f"`DCGAN` had {old['minutes']:.0f} minutes, `R3GAN` {new['minutes']:.0f}"
        return f"{minutes}: not compared."
    scores = [run["report"]["scores"] for run in (new, old)]
    a, b = (found["drawn"] for found in scores)
    more, much_more = (found["drawn"]["kid"] - found["real"]["kid"] for found in scores)
    beyond = more / much_more
    told = (
        f"{beyond:.2g} times, beyond that of real images" if beyond > 0 else "that of real images"
    )
    kid = f"`R3GAN` has {a['kid'] / b['kid']:.2g} times the KID of `DCGAN` ({told}) and "
    if b["coverage"] < _NO_COVERAGE:
        return f"{kid}covers {a['coverage']:.0%} of the held-out images, `DCGAN` next to none."
    return f"{kid}{a['coverage'] / b['coverage']:.1f} times its coverage."


def sweep(folder: Path) -> str:
    """Return the table of one setting changed at a time."""
    runs = runs_of(folder)
    seeds = [run for run in runs if run["tag"] == "default" or run["tag"].startswith("seed")]
    kids = [run["report"]["scores"]["drawn"]["kid"] for run in seeds]
    rows = [
        "| changed | images seen | KID | coverage | precision | diversity |",
        "|---|---|---|---|---|---|",
    ]
    for run in sorted(runs, key=lambda run: run["report"]["scores"]["drawn"]["kid"]):
        drawn = run["report"]["scores"]["drawn"]
        cells = [
            run["tag"].replace("-", " ").replace("e 3", "e-3"),
            f"{run['images_seen']:,}",
            kid_interval(drawn),
            f"{drawn['coverage']:.2f}",
            f"{drawn['precision']:.2f}",
            f"{run['history']['diversity'][-1]:.2f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    note = (
        f"{runs[0]['minutes']:.0f} minutes of one core each. {len(seeds)} runs of the defaults "
        f"with other seeds have KIDs of {min(kids):.3f} to {max(kids):.3f}: smaller differences "
        "than that tell nothing."
    )
    return "\n".join([*rows, "", note])


def alternating(path: Path) -> str:
    """Return the table of simultaneous updates against alternating ones."""
    if not path.exists():
        return "Not measured yet."
    values = json.loads(path.read_text(encoding="utf-8"))["values"]
    rows = ["| updates | seed | minutes | KID | coverage | recall |", "|---|---|---|---|---|---|"]
    for run in sorted(values["runs"], key=lambda run: (run["updates"], run["seed"])):
        drawn = run["drawn"]
        cells = [run["updates"], str(run["seed"]), f"{run['minutes']:.1f}", kid_interval(drawn)]
        cells += [f"{drawn['coverage']:.2f}", f"{drawn['recall']:.2f}"]
        rows.append(f"| {' | '.join(cells)} |")
    seen = values["runs"][0]["images_seen"]
    return "\n".join(
        [*rows, "", f"{seen:,} images seen by each; minutes of one core, of the training alone."]
    )


def sampling(paths: list[Path]) -> str:
    """Return one line a generator: the rate of drawing as a share of that of `predict`."""
    lines = []
    for path in paths:
        v = json.loads(path.read_text(encoding="utf-8"))["values"]
        lines.append(
            f"- `{v['generator']}`: {v['rate_as_a_share_of_predict']:.2f} "
            f"({v['share_low']:.2f} to {v['share_high']:.2f}) of the rate of the bare generator's "
            f"`predict`; {v['streamed']:,} images in {v['streamed_seconds']:.0f} s."
        )
    return "\n".join(lines)
