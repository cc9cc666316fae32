"""Makes a pretrained generator from scratch, from two thirds of the groups of a set.

    python -m benchmarks.rows.presets limbs_64 --data FOLDER --workdir runs/limbs --preset limbs_64

The other third is never seen; its groups are in the record. A part of those that are seen is left
out too: after each epoch it judges as many synthetic images, for the curve of scores, by which
nothing is chosen. With the same `--workdir`, a run that was stopped goes on; `--minutes` ends one
in time. `--start` begins from a preset that an earlier run has written, with a new optimizer.
"""

from __future__ import annotations

import argparse
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import synthray as sr
from benchmarks.records import RESULTS, record, write
from benchmarks.rows.data import load

UNSEEN, ASIDE = 1 / 3, 0.1  # shares of the groups, and of those that are seen


@dataclass(frozen=True)
class Preset:
    """A pretrained generator: its data, and what its card says of them."""

    set: str
    card: str


PRESETS = {
    "limbs_64": Preset(
        "fracatlas",
        "Learnt from radiographs of limbs, fractured and not: two thirds of FracAtlas (Abedeen et "
        "al. 2023, CC BY 4.0), near-duplicates kept together.",
    ),
    "chest_64": Preset(
        "chest",
        "Learnt from chest films of children, normal and with pneumonia: two thirds of the "
        "patients of Kermany et al. 2018 (CC BY 4.0).",
    ),
}


class Deadline(keras.callbacks.Callback):
    """Interrupts a training between two epochs."""

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self._end = time.monotonic() + 60 * minutes

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if time.monotonic() > self._end:
            raise KeyboardInterrupt


def balanced(data: sr.ImageDataset) -> sr.ImageDataset:
    """Return as many images of each class, the first ones."""
    fewest = min(data.class_counts.values())
    rows = [np.flatnonzero(data.labels == label)[:fewest] for label in range(data.num_classes)]
    return data.select(np.concatenate(rows))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=tuple(PRESETS))
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--workdir", type=Path, required=True, help="of the checkpoints")
    parser.add_argument("--preset", type=Path, required=True, help="folder to write it to")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the raw results")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of this run")
    parser.add_argument("--start", type=Path, help="a preset")
    parser.add_argument("--quick", action="store_true", help="phantoms and a tiny network")
    args = parser.parse_args(arguments)
    preset = PRESETS[args.name]
    data = load(preset.set, args)
    seen, unseen = data.split(UNSEEN, seed=0)
    own, aside = seen.split(ASIDE, seed=1)
    make: Any = sr.ProjectedGAN
    if args.quick:
        make = functools.partial(make, width=0.125, size=32)
    if args.start is not None:
        make = functools.partial(sr.ProjectedGAN.from_preset, args.start)
    augmenter = sr.SyntheticAugmenter(make, epochs=args.epochs, random_state=0)
    monitor = sr.SampleMonitor(
        balanced(aside), features=sr.ImageFeatures("judging"), restore_best=False
    )
    try:
        augmenter.fit(
            own,
            workdir=args.workdir,
            callbacks=lambda name: [monitor, Deadline(args.minutes)],
            verbose=2,
        )
        gan: Any = augmenter.generators_[data.class_names[0]]
    except KeyboardInterrupt:
        gan = monitor.model
    gan.save_to_preset(args.preset, class_names=data.class_names, card=preset.card)
    values = {
        "set": preset.set,
        "start": None if args.start is None else args.start.name,
        "images": len(own),
        "images_seen": int(gan.images_seen.numpy()),
        "curve": monitor.looks,
        "unseen_groups": np.unique(unseen.group_codes if data.groups is None else unseen.groups),
    }
    values["unseen_groups"] = values["unseen_groups"].tolist()
    write(args.out / "presets" / f"{args.name}.json", record(values, script="presets", seed=0))


if __name__ == "__main__":
    main()
