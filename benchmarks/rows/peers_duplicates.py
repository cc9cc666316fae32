"""`find_duplicates` beside imagededup and cleanvision, on the copies of the row `duplicates`.

`--data` holds `fracatlas_64.npz`, `fracatlas_128.npz` and `chest_pneumonia_64.npz`. All read the
same PNG files. A peer runs with its default setting, and with the one that has the best F1 on
copies of as many other originals, changed in the same ways. It is judged by the pairs that it
names and by the clusters that they make; the better F1 counts. Ours is judged by its clusters.
CPU time includes that of processes that a peer starts. imagededup's own network is part of it where
its weights can be downloaded.
"""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.duplicates import (
    AFFINE,
    KINDS,
    Images,
    Numbers,
    cells,
    one_a_group,
    pair_scores,
    plant,
    speckled,
)

SEED = 33  # neither the tests nor the row `duplicates` use it
QUICK = {"originals": 5}
FILES = {
    ("fracatlas", 64): "fracatlas_64.npz",
    ("fracatlas", 128): "fracatlas_128.npz",
    ("chest", 64): "chest_pneumonia_64.npz",
}
STAYING = KINDS[:5]  # changes that leave all in its place, for which hashes are made
DISTANCES = tuple(range(25))
SIMILARITIES = (0.7, 0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95, 0.975, 0.99)
HASHES = (
    *((kind, size) for kind in ("phash", "dhash", "ahash", "whash") for size in (4, 8)),
    *(("phash", 5), ("phash", 6), ("dhash", 6), ("ahash", 6)),
)  # cleanvision's; sizes of a wavelet hash are powers of two
MOST, NUMBER = 10**6, slice(-10, -4)  # images, and where a file's name has its number
Pairs = NDArray[np.int64]  # (n, 2), places of images, the lower one first
Planted = tuple[Images, Numbers]  # and their truth
Scores = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """`find(folder, setting)` is timed, `pairs` reads its answer, `sweep(folder)` tries all."""

    find: Callable[[Path, Any], Any]
    pairs: Callable[[Any], Pairs]
    sweep: Callable[[Path], Iterable[tuple[Any, Pairs]]]
    default: Any


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.set_defaults(seed=SEED)
    options.add_argument("--originals", type=int, default=100, help="each gets five copies")
    args = timing.parsed(options, arguments, QUICK)
    for package in ("imagededup", "cleanvision"):
        timing.need(package, "pip install --group peers")
    for name in FILES.values():
        timing.need_data(args, name)
    logging.disable(logging.INFO)
    found, skipped = peers()
    with tempfile.TemporaryDirectory() as folder:
        warm = written(cells(8), Path(folder) / "warm")
        ours(warm)
        for peer in found.values():
            peer.find(warm, peer.default)
        rows = []
        for number, (told, judged, tuned) in enumerate(planted(args)):
            methods = compared(judged, tuned, found, Path(folder) / f"{number}", number % 2 == 1)
            rows.append({**told, "images": len(judged[0]), "methods": methods})
            print(f"{rows[-1]}", flush=True)
    spent = {
        name: [row["methods"][name]["cpu_seconds"] for row in rows] for name in ("ours", *found)
    }
    values = {
        "originals": args.originals,
        "ratios": timing.times_as_fast(spent),  # of CPU time
        "planted": rows,
        "skipped": skipped,
    }
    timing.keep(args, "peers_duplicates", "peers_duplicates", values)


def planted(args: Any) -> Iterator[tuple[dict[str, Any], Planted, Planted]]:
    """Plant copies in originals, and the same in others on which peers are tuned."""
    n, seed = args.originals, args.seed
    bases = {key: one_a_group(args.data / name, 2 * n, seed=seed) for key, name in FILES.items()}
    bases |= {("cells", 64): cells(2 * n, seed=seed), ("speckle", 64): speckled(2 * n, seed=seed)}
    sets = [("fracatlas", 64, "files", STAYING)]
    sets += [(name, side, "affine", AFFINE) for name, side in bases]
    for (name, side, how, kinds), together in itertools.product(sets, (1, 2)):
        base = bases[name, side].reshape(2 * n, side, side)
        judged, tuned = (
            plant(part, copies=5, side=side, seed=seed + k, together=together, among=kinds)[:2]
            for k, part in enumerate((base[:n], base[n:]))
        )
        yield {"of": name, "changed": how, "side": side, "changes": together}, judged, tuned


def compared(
    judged: Planted, tuned: Planted, found: dict[str, Peer], folder: Path, reverse: bool
) -> dict[str, Scores]:
    """Return quality and time of all on one set, one after the other."""
    path, other = written(judged[0], folder / "judged"), written(tuned[0], folder / "tuned")
    work: dict[str, Callable[[], Scores]] = {"ours": partial(run_ours, path, judged[1])}
    for name, peer in found.items():
        work[name] = partial(run_peer, peer, path, judged[1], other, tuned[1])
    return {name: work[name]() for name in (reversed(work) if reverse else work)}


def written(images: Images, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{place:06}.png")
    return folder


def timed(work: Callable[[], Any]) -> tuple[Any, Scores]:
    """Return a result, its seconds, and the CPU seconds of this process and its children."""
    began, spent = time.perf_counter(), sum(os.times()[:4])
    result = work()
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - spent
    return result, {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}


def ours(folder: Path) -> Numbers:
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    return sr.find_duplicates(images, verbose=0)


def run_ours(folder: Path, truth: Numbers) -> Scores:
    found, seconds = timed(lambda: ours(folder))
    return {**scored(*pair_scores(found, truth)), **seconds}


def run_peer(peer: Peer, path: Path, truth: Numbers, other: Path, their_truth: Numbers) -> Scores:
    """Return the scores of the best setting, with its seconds, and those of the default."""
    sweep = {setting: both_ways(pairs, their_truth) for setting, pairs in peer.sweep(other)}
    found = {}
    for way in ("pairs", "clusters"):  # each has its own best setting
        best = max(sweep, key=lambda setting: sweep[setting][way]["f1"])
        found[way] = {"setting": best, "tuned_f1": sweep[best][way]["f1"]}
    wanted = {peer.default, *(each["setting"] for each in found.values())}
    results = {setting: timed(lambda s=setting: peer.find(path, s)) for setting in wanted}
    scores = {key: both_ways(peer.pairs(each), truth) for key, (each, _) in results.items()}
    for way, each in found.items():
        each.update(scores[each["setting"]][way], judged_by=way, **results[each["setting"]][1])
    default = [{**each, "judged_by": way} for way, each in scores[peer.default].items()]
    best = max(found.values(), key=lambda each: each["f1"])
    return {**best, "default": {"setting": peer.default, **max(default, key=lambda e: e["f1"])}}


def both_ways(pairs: Pairs, truth: Numbers) -> dict[str, Scores]:
    """Return the scores of the pairs as they are, and of the clusters that they make."""
    ones, size = np.ones(len(pairs)), (len(truth), len(truth))
    clusters = connected_components(coo_array((ones, pairs.T), shape=size), directed=False)[1]
    right = float((truth[pairs[:, 0]] == truth[pairs[:, 1]]).sum())
    counts = np.bincount(truth)
    all_ = float((counts * (counts - 1) // 2).sum())
    direct = right / max(len(pairs), 1), right / max(all_, 1.0)
    return {"pairs": scored(*direct), "clusters": scored(*pair_scores(clusters, truth))}


def scored(precision: float, recall: float) -> Scores:
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    values = {"pair_precision": precision, "pair_recall": recall, "f1": f1}
    return {name: round(value, 5) for name, value in values.items()}


def as_pairs(names: Iterable[tuple[str, str]]) -> Pairs:
    """Return pairs of files as places, each pair once."""
    places = [int(name[NUMBER]) for pair in names for name in pair]
    low, high = np.sort(np.asarray(places, np.int64).reshape(-1, 2)).T
    codes = np.unique(low * MOST + high)  # many times as fast as whole rows
    return np.stack([codes // MOST, codes % MOST], axis=1)


def peers() -> tuple[dict[str, Peer], dict[str, str]]:
    """Return the peers by name, and why others are skipped."""
    import imagededup.methods as methods

    found, skipped = {}, {}
    for name in ("PHash", "DHash", "AHash", "WHash"):
        search = getattr(methods, name)(verbose=False).find_duplicates
        find = partial(search, num_enc_workers=1, num_dist_workers=1)
        found[name] = by_threshold(find, "max_distance_threshold", DISTANCES, 10)
    for name, given in (("CNN", {}), ("CNN, our backbone", {"model_config": our_backbone()})):
        try:
            search = methods.CNN(verbose=False, **given).find_duplicates
        except OSError as reason:  # it downloads the weights of MobileNet
            skipped[name] = f"its weights cannot be downloaded: {reason}"
            print(f"skipped: {name}: {skipped[name]}", flush=True)
            continue
        find = partial(search, num_sim_workers=0)
        found[name] = by_threshold(find, "min_similarity_threshold", SIMILARITIES, 0.9)
    found["cleanvision"] = Peer(by_hash, of_sets, all_hashes, ("phash", 8))
    return found, skipped


def by_threshold(search: Any, option: str, settings: Sequence[Any], default: Any) -> Peer:
    """Return a method of imagededup; one search, at the widest threshold, gives all others."""
    sign = 1 if option.startswith("max") else -1

    def find(folder: Path, setting: Any) -> Any:
        return search(image_dir=folder, **{option: setting})

    def pairs(found: Any) -> Pairs:
        return as_pairs((a, b) for a, others in found.items() for b in others)

    def sweep(folder: Path) -> Iterator[tuple[Any, Pairs]]:
        widest = max(settings, key=lambda each: sign * each)
        found = search(image_dir=folder, scores=True, **{option: widest})
        table = {(a, b): x for a, others in found.items() for b, x in others if a < b}
        names = sorted(table)  # the order of `as_pairs`
        places, scores = as_pairs(names), np.asarray([table[pair] for pair in names], float)
        for setting in settings:
            yield setting, places[sign * scores <= sign * setting]

    return Peer(find, pairs, sweep, default)


def our_backbone() -> Any:
    import torch
    from imagededup.utils import CustomModel

    features = sr.ImageFeatures("learning")

    class Backbone(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(features(images.numpy()))

    def transform(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image))

    return CustomModel(name=features.name, model=Backbone(), transform=transform)


def by_hash(folder: Path, setting: tuple[str, int]) -> Any:
    """Return the sets of files that cleanvision takes for exact or near duplicates."""
    from cleanvision import Imagelab

    kind, size = setting
    lab = Imagelab(data_path=str(folder), verbose=False)
    near = {"hash_type": kind, "hash_size": size}
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": near}, n_jobs=1, verbose=False)
    return [each for of in ("exact", "near") for each in lab.info[f"{of}_duplicates"]["sets"]]


def of_sets(sets: Any) -> Pairs:
    return as_pairs(pair for each in sets for pair in itertools.combinations(each, 2))


def all_hashes(folder: Path) -> Iterator[tuple[Any, Pairs]]:
    for setting in HASHES:
        yield setting, of_sets(by_hash(folder, setting))


if __name__ == "__main__":
    timing.run(main)
