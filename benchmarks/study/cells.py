"""The data of the study: sets, folds, training images of each size, pools of drawn images."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from generators import SETS, load
from synthray.comparison.protocol import join_groups

SIZES: tuple[int | None, ...] = (50, 100, 250, None)  # groups; None for all
VALIDATION = 0.15
FOLDS = 5
RUNS = Path("runs") / "study"


@dataclass(frozen=True)
class Split:
    """One fold at one size.

    Attributes:
        train: What classifiers and generators learn from.
        validation: What settings are chosen by.
        test: What judges.
        test_rows: The rows of the test images in the whole set.
    """

    train: sr.ImageDataset
    validation: sr.ImageDataset
    test: sr.ImageDataset
    test_rows: NDArray[np.int64]


def whole(name: str, path: Path | None) -> sr.ImageDataset:
    """Return a set whose groups hold what was given and what the audit finds."""
    data = load(name, path)
    kept = RUNS / f"{name}_groups.npy"
    if kept.exists():
        groups = np.load(kept, allow_pickle=False)
    else:
        groups = join_groups(data, sr.find_duplicates(data, verbose=0))
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, groups)
    rows = np.arange(len(data))
    return sr.ImageDataset.from_arrays(
        data.images,
        data.labels,
        class_names=data.class_names,
        groups=groups,
        annotations={"row": rows},
    )


def split(data: sr.ImageDataset, fold: int, size: int | None) -> Split:
    """Return a fold; its training images are those of `size` groups."""
    seen, test = list(data.folds(FOLDS, seed=0))[fold]
    train, validation = seen.split(VALIDATION, seed=0)
    if size is not None:
        train = train.select(first_groups(train, size, seed=fold))
    rows = test.annotations["row"]
    parts = [replace(part, annotations={}) for part in (train, validation, test)]
    return Split(*parts, test_rows=rows)


def first_groups(data: sr.ImageDataset, size: int, seed: int) -> NDArray[np.bool_]:
    """Return a mask of the images of `size` groups, each class with its share of them.

    Smaller sizes are parts of larger ones. A group counts for the class of its first image.
    """
    groups, first, codes = np.unique(data.groups, return_index=True, return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    kinds = data.labels[first][order]
    chosen: list[int] = []
    shares = np.bincount(kinds, minlength=data.num_classes) / len(kinds)
    counts = np.maximum(np.round(shares * size).astype(int), 1)
    counts[counts.argmax()] += size - counts.sum()
    for label, count in enumerate(counts):
        chosen += order[kinds == label][:count].tolist()
    return np.isin(codes, chosen)


def options(description: str) -> argparse.ArgumentParser:
    """Return a parser of what both stages ask for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["all"], help="groups, or all")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--core", type=int, help="the core to stay on")
    return parser


def sizes_of(words: list[str]) -> list[int | None]:
    """Return the sizes that a command line names: groups, or `all`.

    Raises:
        SystemExit: If one is not planned.
    """
    sizes = [None if word == "all" else int(word) for word in words]
    if not set(sizes) <= set(SIZES):
        raise SystemExit(f"--sizes must be of {SIZES[:-1]} or all, got {words}.")
    return sizes


def name_of(set_name: str, size: int | None, fold: int) -> str:
    return f"{set_name}_{'all' if size is None else size}_fold{fold}"


def pool_path(set_name: str, size: int | None, fold: int, generator: str) -> Path:
    return RUNS / "pools" / f"{name_of(set_name, size, fold)}_{generator.lower()}.npz"


def read_pool(path: Path, like: sr.ImageDataset) -> sr.ImageDataset:
    """Return the drawn images of a pool, those of all classes in turn."""
    with np.load(path, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    return sr.ImageDataset.from_arrays(
        images,
        labels,
        class_names=like.class_names,
        synthetic=True,
        provenance={"source": path.name},
    )
