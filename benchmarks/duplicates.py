"""How well `find_duplicates` finds copies, and what it costs.

Run it with `python benchmarks/duplicates.py --data PATH`, where PATH holds `fracatlas_128.npz`,
`chest_pneumonia_64.npz` and the folder `bone-fracture-160/`. Four parts: copies planted among real
radiographs, so that the truth is known; the families of the bone set; time and memory; and unions
of what is known to be different. Writes one JSON file to `benchmarks/results/`. `--quick` runs all
parts on little data, to see that they run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import synthray as sr
from records import record, write

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from planted import found_by_kind, one_a_group, pair_scores, plant

SEED = 20_000  # the tests use others
LARGE = 20


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with the archives and the bone set")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--radiographs", type=int, default=500, help="how many get copies")
    parser.add_argument("--quick", action="store_true", help="little data, to see that it runs")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.measure:
        measure(args.measure)
        return
    if args.data is None:
        parser.error("--data is required")
    small = args.quick
    bone = bone_images(args.data / "bone-fracture-160", small)
    values = {
        "planted": planted(args.data / "fracatlas_128.npz", 20 if small else args.radiographs),
        "bone": bone_families(bone),
        "cost": cost(bone.images, (50, 100, 200) if small else (2_500, 5_000, 10_000)),
        "different": {
            "fracatlas": fracatlas(
                args.data / "fracatlas_128.npz", 60 if small else 2 * args.radiographs
            ),
            "chest": chest(
                args.data / "chest_pneumonia_64.npz", 60 if small else 3 * args.radiographs
            ),
            "phantoms": phantoms(40 if small else args.radiographs),
        },
        "seed": SEED,
        "quick": small,
    }
    write(args.out / "duplicates.json", record("benchmarks/duplicates.py", values))


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def planted(path: Path, n: int) -> list[dict[str, Any]]:
    """Measure recall and precision on copies that were made on purpose."""
    base = one_a_group(path, n, seed=SEED)
    rows = []
    for side, together in ((64, 1), (64, 2), (128, 1)):
        images, truth, kinds = plant(base, copies=5, side=side, seed=SEED, together=together)
        began = time.perf_counter()
        found = sr.find_duplicates(images, verbose=0)
        seconds = time.perf_counter() - began
        precision, recall = pair_scores(found, truth)
        by_kind = found_by_kind(found, truth, kinds)
        rows.append(
            {
                "side": side,
                "changes": together,
                "radiographs": n,
                "images": len(images),
                "pair_precision": round(precision, 5),
                "pair_recall": round(recall, 5),
                "mixed_families": mixed(found, truth),
                "found_with_original": round(with_original(by_kind), 5),
                "recall_by_kind": {k: round(a / max(b, 1), 4) for k, (a, b) in by_kind.items()},
                "copies_by_kind": {k: b for k, (_, b) in by_kind.items()},
                "seconds": round(seconds, 1),
            }
        )
        say(f"planted, {side} pixels, {together} change(s): {rows[-1]}")
    return rows


def with_original(by_kind: dict[str, tuple[int, int]]) -> float:
    hits, counts = np.asarray(list(by_kind.values())).sum(0)
    return float(hits / counts)


def mixed(found: NDArray[np.int64], truth: NDArray[np.int64]) -> int:
    """Count families that hold more than one of what is known to be different."""
    pairs = np.unique(np.stack([found, truth]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def bone_images(folder: Path, small: bool) -> sr.ImageDataset:
    say("loading the bone set")
    if small:
        return sr.load_image_folder(folder / "test", image_shape=(64, 64, 1), progress=False)
    splits = sr.load_image_folder(folder, image_shape=(64, 64, 1), progress=False)
    first, *others = splits.values()
    return first.concatenate(*others)


def bone_families(data: sr.ImageDataset) -> dict[str, Any]:
    began = time.perf_counter()
    families = sr.find_duplicates(data, verbose=0)
    sizes = np.bincount(families)
    large = sizes[sizes > LARGE]
    values = {
        "images": len(data),
        "families": len(sizes),
        "sizes_over_20": sorted(large.tolist(), reverse=True),
        "images_in_families_over_20": int(large.sum()),
        "images_alone": int((sizes == 1).sum()),
        "families_with_two_classes": mixed(families, data.labels),
        "families_by_class": {
            name: len(np.unique(families[data.labels == label]))
            for label, name in enumerate(data.class_names)
        },
        "seconds": round(time.perf_counter() - began, 1),
    }
    say(f"bone set: {values}")
    return values


def cost(images: NDArray[np.uint8], counts: tuple[int, ...]) -> dict[str, Any]:
    """Measure time and memory on random parts, each in a process of its own."""
    order = np.random.default_rng(SEED).permutation(len(images))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in counts:
            path = Path(folder) / f"{n}.npy"
            np.save(path, images[order[:n]])
            command = [sys.executable, str(Path(__file__).resolve()), "--measure", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            say(f"cost: {rows[-1]}")
    n = np.asarray([row["images"] for row in rows], float)
    seconds = np.asarray([row["seconds"] for row in rows])
    memory = np.asarray([row["megabytes"] - row["megabytes_before"] for row in rows], float)
    # Relative errors, and no negative part: three points do not carry more.
    a, b = nonnegative(np.stack([n, n * n], 1) / seconds[:, None], np.ones(len(n)))
    (per_image,) = nonnegative(n[:, None], memory)
    values = {
        "rows": rows,
        "fit": "seconds = a * n + b * n^2; megabytes over those of an idle process = c * n",
        "a": float(a),
        "b": float(b),
        "c": float(per_image),
        "seconds_at_100000": round(float(a * 1e5 + b * 1e10)),
        "megabytes_at_100000": round(float(per_image * 1e5)),
        "extrapolated": True,
    }
    say(f"cost: {values}")
    return values


def nonnegative(columns: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import nnls

    scale = np.linalg.norm(columns, axis=0)
    return np.asarray(nnls(columns / scale, target)[0] / scale)


def measure(path: Path) -> None:
    """Print time and peak memory of one call as JSON."""
    images = np.load(path)
    sr.find_duplicates(images[:8], verbose=0)  # imports are not part of the time
    before, began = peak_megabytes(), time.perf_counter()
    families = sr.find_duplicates(images, verbose=0)
    seconds = time.perf_counter() - began
    values = {
        "images": len(images),
        "families": len(np.unique(families)),
        "seconds": round(seconds, 2),
        "megabytes": peak_megabytes(),
        "megabytes_before": before,
        "cpus": os.cpu_count(),
    }
    print(json.dumps(values))


def peak_megabytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere, the peak of the process that started this one counts too
        (line,) = (at for at in status.read_text().splitlines() if at.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024))


def fracatlas(path: Path, n: int) -> dict[str, int]:
    """Count unions among radiographs of different groups, one a group."""
    found = sr.find_duplicates(one_a_group(path, n, seed=SEED + 1), verbose=0)
    return unions("FracAtlas, one a group", found, np.arange(len(found)))


def chest(path: Path, n: int) -> dict[str, int]:
    """Count families of chest films that cross patients."""
    with np.load(path) as archive:
        images, patients = archive["images"], archive["group"]
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(images))[:n])
    found = sr.find_duplicates(images[chosen], verbose=0)
    return unions("chest films", found, np.asarray(patients[chosen], np.int64))


def phantoms(n: int) -> dict[str, int]:
    """Count families of simulated radiographs that cross patients."""
    data = sr.make_phantoms(n, image_shape=(64, 64, 1), seed=SEED)
    return unions("phantoms", sr.find_duplicates(data, verbose=0), data.group_codes)


def unions(name: str, found: NDArray[np.int64], groups: NDArray[np.int64]) -> dict[str, int]:
    crossing = [
        family for family in np.unique(found) if len(np.unique(groups[found == family])) > 1
    ]
    values = {
        "images": len(found),
        "groups": len(np.unique(groups)),
        "families": len(np.unique(found)),
        "families_across_groups": len(crossing),
        "images_in_them": int(np.isin(found, crossing).sum()),
        "largest_of_them": max((int((found == family).sum()) for family in crossing), default=0),
    }
    say(f"{name}: {values}")
    return values


if __name__ == "__main__":
    main()
