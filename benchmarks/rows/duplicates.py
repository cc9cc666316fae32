"""How well `find_duplicates` finds copies, and what it costs.

`--data` holds `fracatlas_64.npz`, `fracatlas_128.npz`, `chest_pneumonia_64.npz`,
`bone-fracture-160/`, `busi/` and `blood_cell_originals/` (see docs/public_sets.md). Four parts:
copies planted among radiographs, scans, photographs and simulated images, so that the truth is
known; the duplicate clusters of the bone set; time and memory; and clusters that join images known
to be different. With `--parts`, the record keeps what was found before in the others.
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
from PIL import Image

import synthray as sr
from benchmarks.records import ROOT, cores
from benchmarks.rows import timing

sys.path.append(str(ROOT / "tests"))

from helpers.planted import (
    AFFINE,
    KINDS,
    Images,
    cells,
    changed,
    found_by_kind,
    lesions,
    one_a_group,
    pair_scores,
    plant,
    resized,
    speckled,
)

SEED = 20_000  # the tests use others
LARGE = 20
QUICK = {"radiographs": 20, "counts": [50, 100, 200]}
Numbers = NDArray[np.int64]


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.set_defaults(seed=SEED)
    options.add_argument("--radiographs", type=int, default=500, help="how many get copies")
    options.add_argument("--counts", type=int, nargs="+", default=[5_000, 10_000, 100_000])
    options.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    options.add_argument("--measure", type=Path, help="for the children")
    args = timing.parsed(options, arguments, QUICK)
    if args.measure:
        measure(args.measure)
        return
    before = timing.before(args, "duplicates")
    values = {name: PARTS[name](args) for name in args.parts}
    timing.keep(args, "duplicates", "duplicates", {**before, **values})


def all_planted(args: Any) -> list[dict[str, Any]]:
    """Plant copies in every kind of image; radiographs are also changed before they are shrunk."""
    n, seed = args.radiographs, args.seed
    large, small, films = (
        timing.need_data(args, f"{name}.npz")
        for name in ("fracatlas_128", "fracatlas_64", "chest_pneumonia_64")
    )
    scans, photographs = (timing.need_data(args, name) for name in ("busi", "blood_cell_originals"))
    kinds = (
        ("fracatlas", one_a_group(large, n, seed=seed), "files"),
        ("fracatlas", one_a_group(small, n, seed=seed), "affine"),
        ("fracatlas", one_a_group(large, n, seed=seed), "affine"),
        ("chest", one_a_group(films, n, seed=seed), "affine"),
        ("busi", different(scans, n, seed=seed), "affine"),
        ("blood_cells", different(photographs, n, seed=seed), "affine"),
        ("cells", cells(n, seed=seed), "affine"),
        ("speckle", speckled(n, seed=seed), "affine"),
        ("lesions", lesions(n, seed=seed), "affine"),
    )
    return [row for name, images, how in kinds for row in planted(name, images, how, seed)]


def all_different(args: Any) -> dict[str, dict[str, int]]:
    n, seed = args.radiographs, args.seed
    alone = one_a_group(timing.need_data(args, "fracatlas_128.npz"), 2 * n, seed=seed + 1)
    with np.load(timing.need_data(args, "chest_pneumonia_64.npz")) as archive:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(archive["images"]))[: 3 * n])
        chest, patients = archive["images"][chosen], archive["group"][chosen]
    phantoms = sr.make_phantoms(n, image_shape=(64, 64, 1), seed=seed)
    return {
        "fracatlas": joined(alone, np.arange(len(alone))),
        "chest": joined(chest, np.asarray(patients, np.int64)),
        "phantoms": joined(phantoms.images, phantoms.group_codes),
    }


def different(folder: Path, n: int, *, seed: int) -> Images:
    """Return random images of a folder, one of each of its duplicate clusters, `(m, 64, 64)`."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))
    images = np.stack([resized(Image.open(path).convert("L"), 64) for path in paths])
    _, first = np.unique(sr.find_duplicates(images, verbose=0), return_index=True)
    return images[np.random.default_rng(seed).permutation(first)[:n]]


def bone_images(args: Any) -> sr.ImageDataset:
    folder = timing.need_data(args, "bone-fracture-160")
    splits = sr.load_image_folder(folder, image_shape=(64, 64, 1), progress=False)
    if args.quick:
        return splits["test"]
    first, *others = splits.values()
    return first.concatenate(*others)


def planted(name: str, base: Images, how: str, seed: int) -> list[dict[str, Any]]:
    """Measure recall and precision on copies that were made on purpose.

    Files are changed before they are shrunk; affine changes are made at the size of the images.
    """
    full, rows = base.shape[1], []
    base = base.reshape(len(base), full, full)
    sides = ((64, 1), (64, 2), (128, 1)) if how == "files" else ((full, 1), (full, 2))
    for side, together in sides:
        kinds_of = KINDS if how == "files" else AFFINE
        images, truth, kinds = plant(
            base, copies=5, side=side, seed=seed, together=together, among=kinds_of
        )
        began = time.process_time()
        found = sr.find_duplicates(images, verbose=0)
        seconds = time.process_time() - began
        precision, recall = pair_scores(found, truth)
        by_kind = found_by_kind(found, truth, kinds)
        rows.append(
            {
                "of": name,
                "changed": how,
                "side": side,
                "changes": together,
                "originals": len(base),
                "images": len(images),
                "pair_precision": round(precision, 5),
                "pair_recall": round(recall, 5),
                "clusters_of_several": crossing(found, truth),
                "cpu_seconds": round(seconds, 1),
                "recall_by_kind": {
                    kind: round(hits / all_, 4) for kind, (hits, all_) in sorted(by_kind.items())
                },
            }
        )
        print(f"planted: {rows[-1]}", flush=True)
    return rows


def crossing(found: Numbers, truth: Numbers) -> int:
    """Count clusters that hold more than one of what is known to be different."""
    pairs = np.unique(np.stack([found, truth]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def clusters_of_bone(args: Any) -> dict[str, Any]:
    data = bone_images(args)
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


def cost(args: Any) -> list[dict[str, Any]]:
    """Measure time and memory on radiographs of which one in eleven is a sheared copy.

    Where there are not enough radiographs, phantoms are added. Each size is measured in a process
    of its own.
    """
    images = []
    for name in ("fracatlas_64.npz", "chest_pneumonia_64.npz"):
        with np.load(timing.need_data(args, name)) as archive:
            images.append(archive["images"].reshape(-1, 64, 64))
    rng, rows = np.random.default_rng(args.seed), []
    images = rng.permutation(np.concatenate(images))
    if (more := max(args.counts) - max(args.counts) // 11 - len(images)) > 0:
        made = sr.make_phantoms(more, image_shape=(64, 64, 1), seed=args.seed)
        images = np.concatenate([images, made.images[..., 0]])
    with tempfile.TemporaryDirectory() as folder:
        for n in args.counts:
            path, copies = Path(folder) / f"{n}.npy", n // 11
            made = [changed(Image.fromarray(each), "shear", rng) for each in images[:copies]]
            np.save(path, np.concatenate([images[: n - copies], np.stack(made)]))
            rows.append(timing.ask("duplicates", "--measure", str(path)))
            print(f"cost: {rows[-1]}", flush=True)
    return rows


def measure(path: Path) -> None:
    """Print time and peak memory of one call, and the share of copies found, as JSON."""
    images = np.load(path)
    sr.find_duplicates(images[:8], verbose=0)  # imports are not part of the time
    before, began, spent = timing.watch_memory(), time.perf_counter(), time.process_time()
    found = sr.find_duplicates(images, verbose=0)
    copies = len(images) // 11
    values = {
        "images": len(images),
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - spent, 2),
        "megabytes": round(timing.peak_memory()),
        "megabytes_before": round(before),
        "copies_found": round(float((found[:copies] == found[-copies:]).mean()), 4),
        "cpus": cores(),
    }
    print(json.dumps(values))


PARTS = {
    "planted": all_planted,
    "bone": clusters_of_bone,
    "cost": cost,
    "different": all_different,
}


if __name__ == "__main__":
    timing.run(main)
