"""How well `find_duplicates` finds copies, and what it costs.

`--data` holds `fracatlas_128.npz`, `chest_pneumonia_64.npz` and `bone-fracture-160/`. Four parts:
copies planted among real radiographs, so that the truth is known; the duplicate clusters of the
bone set; time and memory; and clusters that join images known to be different.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import synthray as sr
from benchmarks.records import ROOT, cores
from benchmarks.rows import timing

sys.path.append(str(ROOT / "tests"))

from helpers.planted import found_by_kind, one_a_group, pair_scores, plant

SEED = 20_000  # the tests use others
LARGE = 20
QUICK = {"radiographs": 20, "counts": [50, 100, 200]}
Numbers = NDArray[np.int64]


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.set_defaults(seed=SEED)
    options.add_argument("--radiographs", type=int, default=500, help="how many get copies")
    options.add_argument("--counts", type=int, nargs=3, default=[2_500, 5_000, 10_000])
    options.add_argument("--measure", type=Path, help="for the children")
    args = timing.parsed(options, arguments, QUICK)
    if args.measure:
        measure(args.measure)
        return
    fracatlas = timing.need_data(args, "fracatlas_128.npz")
    with np.load(timing.need_data(args, "chest_pneumonia_64.npz")) as archive:
        chest, patients = archive["images"], archive["group"]
    n, bone = args.radiographs, bone_images(args)
    chosen = np.sort(np.random.default_rng(args.seed).permutation(len(chest))[: 3 * n])
    alone = one_a_group(fracatlas, 2 * n, seed=args.seed + 1)
    phantoms = sr.make_phantoms(n, image_shape=(64, 64, 1), seed=args.seed)
    values = {
        "planted": planted(fracatlas, n, args.seed),
        "bone": clusters_of(bone),
        "cost": cost(bone.images, args),
        "different": {
            "fracatlas": joined(alone, np.arange(len(alone))),
            "chest": joined(chest[chosen], np.asarray(patients[chosen], np.int64)),
            "phantoms": joined(phantoms.images, phantoms.group_codes),
        },
    }
    timing.keep(args, "duplicates", "duplicates", values)


def bone_images(args: Any) -> sr.ImageDataset:
    folder = timing.need_data(args, "bone-fracture-160")
    splits = sr.load_image_folder(folder, image_shape=(64, 64, 1), progress=False)
    if args.quick:
        return splits["test"]
    first, *others = splits.values()
    return first.concatenate(*others)


def planted(path: Path, n: int, seed: int) -> list[dict[str, Any]]:
    """Measure recall and precision on copies that were made on purpose."""
    base = one_a_group(path, n, seed=seed)
    rows = []
    for side, together in ((64, 1), (64, 2), (128, 1)):
        images, truth, kinds = plant(base, copies=5, side=side, seed=seed, together=together)
        found = sr.find_duplicates(images, verbose=0)
        precision, recall = pair_scores(found, truth)
        by_kind = found_by_kind(found, truth, kinds)
        rows.append(
            {
                "side": side,
                "changes": together,
                "radiographs": n,
                "images": len(images),
                "pair_precision": precision,
                "pair_recall": recall,
                "clusters_of_several": crossing(found, truth),
                "recall_by_kind": {
                    kind: hits / max(all_, 1) for kind, (hits, all_) in by_kind.items()
                },
            }
        )
        print(f"planted, {side} pixels, {together} change(s): {rows[-1]}", flush=True)
    return rows


def crossing(found: Numbers, truth: Numbers) -> int:
    """Count clusters that hold more than one of what is known to be different."""
    pairs = np.unique(np.stack([found, truth]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def clusters_of(data: sr.ImageDataset) -> dict[str, Any]:
    found = sr.find_duplicates(data, verbose=0)
    sizes = np.bincount(found)
    large = sizes[sizes > LARGE]
    return {
        "images": len(data),
        "clusters": len(sizes),
        "sizes_over_20": sorted(large.tolist(), reverse=True),
        "images_in_clusters_over_20": int(large.sum()),
        "clusters_with_two_classes": crossing(found, data.labels),
    }


def joined(images: NDArray[np.uint8], truth: Numbers) -> dict[str, int]:
    """Count the clusters among images that are known to be different."""
    found = sr.find_duplicates(images, verbose=0)
    return {
        "images": len(found),
        "groups": len(np.unique(truth)),
        "clusters": len(np.unique(found)),
        "clusters_across_groups": crossing(found, truth),
    }


def cost(images: NDArray[np.uint8], args: Any) -> list[dict[str, Any]]:
    """Measure time and memory on random parts, each in a process of its own."""
    order = np.random.default_rng(args.seed).permutation(len(images))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in args.counts:
            path = Path(folder) / f"{n}.npy"
            np.save(path, images[order[:n]])
            rows.append(timing.ask("duplicates", "--measure", str(path)))
            print(f"cost: {rows[-1]}", flush=True)
    return rows


def measure(path: Path) -> None:
    """Print time and peak memory of one call as JSON."""
    images = np.load(path)
    sr.find_duplicates(images[:8], verbose=0)  # imports are not part of the time
    before, began = timing.watch_memory(), time.perf_counter()
    sr.find_duplicates(images, verbose=0)
    values = {
        "images": len(images),
        "seconds": round(time.perf_counter() - began, 2),
        "megabytes": round(timing.peak_memory()),
        "megabytes_before": round(before),
        "cpus": cores(),
    }
    print(json.dumps(values))


if __name__ == "__main__":
    timing.run(main)
