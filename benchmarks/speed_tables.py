"""The tables and the plot of speed, from the raw results in `benchmarks/results/speed/`.

    python benchmarks/speed_tables.py [--plot]

prints the tables, or draws `docs/assets/speed.png`. `benchmarks/tables.py` fills the tables in.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from speed_lines import (
    BFLOAT16,
    FASTER,
    NO_XLA,
    SETTINGS,
    VARIABLES,
    Line,
    lines_for,
    ratio_of,
    without_waits,
)

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "speed"
PICTURE = HERE.parent / "docs" / "assets" / "speed.png"


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the raw results by name; those of `--quick` tell nothing and are left out."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    return {name: raw for name, raw in found.items() if not raw["values"].get("quick")}


def as_text(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def speed(folder: Path = RESULTS, picture: Path = PICTURE) -> str:
    """Return the table of all rows with what was measured so far, and what goes with it."""
    raw = load(folder)
    parts = [rows_of(lines_for(raw), raw), notes(raw)]
    for other in sorted(path for path in folder.iterdir() if path.is_dir()):
        elsewhere = load(other)
        machines = dict.fromkeys(machine(each) for each in elsewhere.values())
        where = f"{'; '.join(machines)} (`{other.name}`)"
        parts.append(f"The same on another machine, {where}:")
        measured = [line for line in lines_for(elsewhere) if ratio_of(line, elsewhere) is not None]
        parts += [rows_of(measured, elsewhere), "\n".join(waits(elsewhere))]
    if picture.is_file():
        parts.append(
            f"![Times as fast as the peer, with the spread over the rounds](assets/{picture.name})"
        )
    return "\n\n".join(part for part in parts if part)


def rows_of(lines: list[Line], raw: dict[str, dict[str, Any]]) -> str:
    rows = ["| # | work | compared with | measured | aim | met |", "|---|---|---|---|---|---|"]
    for line in lines:
        ratio = ratio_of(line, raw)
        told = "not measured" if ratio is None else f"{as_text(ratio)} {line.unit}"
        met = "" if ratio is None else "yes" if line.met(ratio) else "no"
        aim = f"{'at least' if line.more_is_better else 'at most'} {line.aim:g}"
        rows.append(f"| {line.row} | {line.work} | {line.peer} | {told} | {aim} | {met} |")
    return "\n".join(rows)


def notes(raw: dict[str, dict[str, Any]]) -> str:
    """Return lines on what was measured beside the ratios."""
    lines = []
    if BFLOAT16 in raw:
        below = "[below](#what-the-processor-decides)"
        lines.append(f"- Row 2 is about time alone; what becomes of the images is told {below}.")
    lines += waits(raw)
    if "classifier_accuracy" in raw:
        v = raw["classifier_accuracy"]["values"]
        ours, plain = (sum(v["accuracies"][k]) / len(v["accuracies"][k]) for k in ("ours", "plain"))
        error = v["standard_error"]
        lines.append(
            f"- Accuracy on {v['held_out_images']:,} held-out phantoms after {v['epochs']} epochs, "
            f"{len(v['accuracies']['ours'])} seeds: ours {ours:.1%}, plain {plain:.1%}; difference "
            f"{v['difference']:+.1%}"
            + ("." if error is None else f" ± {error:.1%} (standard error).")
        )
    found = next((name for name in ("comparison_fits", NO_XLA) if name in raw), None)
    if found is not None:
        v = raw[found]["values"]
        lines.append(
            f"- Row 5 has one round. {v['fits_of_the_peer_timed']} of the {v['fits']} identical "
            "plain fits were timed and count for all; the spread is theirs."
        )
    if "augmenting" in raw:
        v = raw["augmenting"]["values"]
        lines.append(
            f"- Row 7: {v['real_images']:,} real and {v['drawn_images']:,} drawn images; drawing "
            "them, once, is not part of the time."
        )
    for name in ("gpu_step_jax", "gpu_step_torch"):
        if name in raw:
            lines.append(gpu_note(raw[name]))
    machines = dict.fromkeys(
        machine(each)
        for name, each in sorted(raw.items())
        if "gpu" not in name and name not in SETTINGS  # which tell their own
    )
    if machines:
        lines.append(f"- Measured on {'; '.join(machines)}.")
    return "\n".join(lines)


def waits(raw: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line on each row that leaves out rounds in which a peer waited."""
    lines = []
    for line in lines_for(raw):
        left = without_waits(line, raw)
        if left is not None:
            rounds = len(raw[line.file]["values"]["seconds"]["ours"])
            lines.append(
                f"- Row {line.row}, {line.peer}: without {rounds - len(left)} of {rounds} rounds, "
                "in which the peer's `fit` [waited](#how-it-is-measured)."
            )
    return lines


def gpu_note(raw: dict[str, Any]) -> str:
    v = raw["values"]
    peak = v["peak_teraflops"]
    trained, drawn = (
        ", ".join(f"`{k}` {s['median']:,.0f}" for k, s in v[group].items())
        for group in ("images_a_second", "drawn_a_second")
    )
    reached = ", ".join(
        f"`{k}` {flops:.1f} TFLOP/s" + (f" ({flops / peak:.1%} of the card's peak)" if peak else "")
        for k, flops in v["teraflops_reached"].items()
    )
    return (
        f"- {v['gpu']}, Keras on {raw['versions']['backend']}, `{v['dtype']}`, batch "
        f"{v['batch_size']}: images a second in training {trained}"
        + (f", in drawing {drawn}" if drawn else "")
        + f"; in a step {reached}."
        + (f" {v['note']}" if "note" in v else "")
    )


def machine(raw: dict[str, Any]) -> str:
    v, versions = raw["values"], raw["versions"]
    several = "s" if v["cores"] > 1 else ""
    return (
        f"{v['cores']} core{several} of {v['processor']}, Keras {versions['keras']} on "
        f"{versions['backend']} {versions.get(versions['backend'], '')}".rstrip()
    )


def growth(folder: Path = RESULTS) -> str:
    """Return the table of seconds by number of images, with exponents."""
    raw = load(folder)
    if "growth" not in raw:
        return "Not measured: `python benchmarks/speed/growth.py`."
    v = raw["growth"]["values"]
    sizes = v["sizes"]
    heads = [f"{n:,} images" for n in sizes]
    rows = [f"| work | {' | '.join(heads)} | exponents |", "|---" * (len(sizes) + 2) + "|"]
    for name, seconds in v["seconds"].items():
        work, _, step = name.partition(", ")
        cells = [f"{s:.1f} s" for s in seconds] + ["left out"] * (len(sizes) - len(seconds))
        cells.append(", ".join(f"{p:.2f}" for p in v["exponents"][name]))
        rows.append(f"| `{work}`{f', {step}' if step else ''} | {' | '.join(cells)} |")
    note = (
        f"{v['radiographs']:,} radiographs ({v['images']}) in so many versions as are needed; "
        "`evaluate_samples` gets three sets of that size. Seconds are the processor's. An exponent "
        "of 1 is linear, of 2 quadratic, as are the blocked search of neighbours and, by its "
        f"definition, the kernel distance. Measured on {machine(raw['growth'])}."
    )
    return "\n".join([*rows, "", note])


def settings(folder: Path = RESULTS) -> str:
    """Return the table of precisions and variables of the environment."""
    found = {name: raw for name, raw in sorted(load(folder).items()) if name in SETTINGS}
    if not found:
        return "Not measured: `python benchmarks/speed/settings.py`."
    rows = ["| step of | setting | times as fast | seconds |", "|---|---|---|---|"]
    notes: dict[str, list[str]] = {}
    for raw in found.values():
        v = raw["values"]
        for name, seconds in v["seconds_of_a_step"].items():
            dtype, _, variable = name.partition(", ")
            setting = f"`{dtype}`" + (f", `{VARIABLES[variable]}=1`" if variable else "")
            told = as_text(v["ratios"][name]) if name in v["ratios"] else "1"
            middle = statistics.median(seconds)
            rows.append(f"| `{v['network']}` | {setting} | {told} | {middle:.2f} |")
        note = (
            f"default model, {' x '.join(map(str, v['image_shape']))}, batch {v['batch_size']}, "
            f"each turn in a process of its own, {v['rounds']} rounds. Measured on {machine(raw)}; "
            f"its wide instructions: {', '.join(v['instructions']) or 'not told'}."
        )
        notes.setdefault(note, []).append(f"`{v['network']}`")
    told_of = [f"- {' and '.join(networks)}: {note}" for note, networks in notes.items()]
    return "\n".join([*rows, "", *told_of])


def plot(folder: Path = RESULTS, picture: Path = PICTURE) -> bool:
    """Draw how many times as fast as each peer ours is; returns whether there was anything."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    raw = load(folder)
    found = [(line, ratio) for line in lines_for(raw) if (ratio := ratio_of(line, raw))]
    found = [(line, ratio) for line, ratio in found if line.unit == FASTER]
    if not found:
        return False
    figure, axes = plt.subplots(figsize=(9, 0.8 + 0.42 * len(found)), layout="constrained")
    for place, (line, ratio) in enumerate(found):
        middle = ratio["median"]
        axes.barh(place, middle, 0.6, color="#00897b" if line.met(ratio) else "#90a4ae")
        spread = [[middle - ratio["low"]], [ratio["high"] - middle]]
        axes.errorbar(middle, place, xerr=spread, color="#263238", capsize=3, lw=1.2)
        axes.plot([line.aim] * 2, [place - 0.38, place + 0.38], color="#d84315", lw=2)
        axes.annotate(
            f"{middle:.2f}",
            (max(ratio["high"], line.aim), place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    names = [f"{line.work}\nagainst {line.peer}".replace("`", "") for line, _ in found]
    axes.set_yticks(range(len(found)), names, fontsize=8)
    axes.axvline(1, color="#263238", lw=0.8, ls=":")
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("times as fast as the peer: median and range of the rounds\nred: the aim")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    plt.close(figure)
    return True


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plot", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args(arguments)
    if not args.plot:
        parts = speed(args.results, args.picture), settings(args.results), growth(args.results)
        print(*parts, sep="\n\n")
    elif plot(args.results, args.picture):
        print(f"wrote {args.picture.name}")
    else:
        print("nothing to draw: no result in benchmarks/results/speed/")


if __name__ == "__main__":
    main()
