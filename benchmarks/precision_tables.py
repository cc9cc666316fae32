"""The table of precisions, from the raw results in `benchmarks/results/precision/`."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "precision"
FULL, HALF = "float32", "mixed_bfloat16"
LEVEL = 0.95


def table(folder: Path = RESULTS) -> str:
    """Return one row a generator: its KID in both precisions, and their ratio within a seed."""
    found = [
        json.loads(path.read_text("utf-8"))["values"] for path in sorted(folder.glob("*.json"))
    ]
    if not found:
        return "Not measured: `python benchmarks/precision.py`."
    rows = [
        "| generator | images seen | seeds | KID: `float32` | `mixed_bfloat16` | ratio | minutes |"
    ]
    rows.append("|---" * 7 + "|")
    for name in dict.fromkeys(run["generator"] for run in found):
        by_dtype = {
            dtype: {r["seed"]: r for r in found if (r["generator"], r["dtype"]) == (name, dtype)}
            for dtype in (FULL, HALF)
        }
        rows.append(_row(name, by_dtype))
    shape = " x ".join(map(str, found[0]["image_shape"][:2]))
    note = (
        f"FracAtlas, {found[0]['class']}, {shape} pixels, {found[0]['training_images']:,} training "
        f"images, judged by {found[0]['held_out_images']}. KID: median and range over the seeds. "
        f"Ratio: bfloat16 to float32 within a seed, geometric mean with its {LEVEL:.0%} interval "
        "(Student's t of the logarithms). Minutes of one core, median, float32 and bfloat16."
    )
    return "\n".join([*rows, "", note])


def _row(name: str, runs: dict[str, dict[int, dict[str, Any]]]) -> str:
    seeds = sorted(runs[FULL].keys() & runs[HALF].keys())
    if not seeds:
        return f"| `{name}` |  | 0 |  |  | no seed in both precisions |  |"
    kids = {dtype: [runs[dtype][s]["scores"]["drawn"]["kid"] for s in seeds] for dtype in runs}
    minutes = {dtype: statistics.median(runs[dtype][s]["minutes"] for s in seeds) for dtype in runs}
    arguments = "".join(f", {k} {v}" for k, v in runs[FULL][seeds[0]]["arguments"].items())
    cells = [
        f"`{name}`{arguments}",
        f"{runs[FULL][seeds[0]]['images_seen']:,}",
        str(len(seeds)),
        *(f"{statistics.median(k):.2f} ({min(k):.2f} to {max(k):.2f})" for k in kids.values()),
        _ratio(kids[HALF], kids[FULL]),
        " and ".join(f"{m:.1f}" for m in minutes.values()),
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(above: list[float], below: list[float]) -> str:
    if len(above) < 2:
        return "needs two seeds"
    if min(*above, *below) <= 0:  # an unbiased estimate may be
        return "none: a KID is 0 or below"
    return "{:.2f} [{:.2f}, {:.2f}]".format(*paired_ratio(above, below))


def paired_ratio(above: list[float], below: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean of paired ratios, and its interval."""
    from scipy import stats

    logs = [math.log(a / b) for a, b in zip(above, below, strict=True)]
    mean, n = statistics.fmean(logs), len(logs)
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * statistics.stdev(logs) / math.sqrt(n)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)
