"""Makes a pretrained generator from scratch, from two thirds of the groups of a set.

    python -m benchmarks.rows.presets limbs_64 --data FOLDER --workdir runs/limbs --preset limbs_64

The other third is never seen; its groups are in the record. A part of those that are seen is left
out too: after each epoch it judges as many synthetic images, for the curve of scores, by which
nothing is chosen. With the same `--workdir`, a run that was stopped goes on; `--minutes` ends one
in time. `--start` goes on from a preset that an earlier run has written, with a new optimizer; the
record keeps all runs. In the end the unseen third judges the preset, and its card is written.
`--judge` only does that, to one that is there, and `--pictures` writes those of the documentation:
unselected, of seed 0.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.data import load
from benchmarks.rows.generators import ASSETS
from synthray.augmenter.training import evened
from synthray.generators.presets import model_card
from synthray.reports.figures import class_rows

UNSEEN, ASIDE = 1 / 3, 0.1  # shares of the groups, and of those that are seen
JUDGED = 200  # images a class
ROWS, COLUMNS = 3, 10  # of a picture


@dataclass(frozen=True)
class Preset:
    """A pretrained generator: its data, and what its card says."""

    set: str
    card: str


PRESETS = {
    "limbs_64": Preset(
        "fracatlas",
        "Learnt from radiographs of limbs, fractured and not: two thirds of FracAtlas (Abedeen et "
        "al. 2023, CC BY 4.0), near-duplicates kept together. Judged by images of the other third:",
    ),
    "chest_64": Preset(
        "chest",
        "Learnt from chest films of children, normal and with pneumonia: two thirds of the "
        "patients of Kermany et al. 2018 (CC BY 4.0). Judged by images of the other third:",
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


def few(data: sr.ImageDataset, n: int, seed: int = 0) -> sr.ImageDataset:
    """Return so many images of each class by chance, or as many as the smallest has."""
    n = min(n, *data.class_counts.values())
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(data.labels == label) for label in range(data.num_classes)]
    return data.select(np.sort(np.concatenate([rng.permutation(part)[:n] for part in rows])))


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("name", choices=tuple(PRESETS))
    options.add_argument("--workdir", type=Path, help="of the checkpoints")
    options.add_argument("--preset", type=Path, help="folder to write it to")
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--minutes", type=float, default=float("inf"), help="of this run")
    options.add_argument("--start", type=Path, help="a preset")
    options.add_argument("--batch-size", type=int, default=16)
    options.add_argument("--dtype", default="float32", help="a Keras dtype policy of the networks")
    options.add_argument("--learning-rate", type=float, help="default: the generator's own")
    options.add_argument("--judge", action="store_true", help="train nothing")
    options.add_argument("--pictures", action="store_true", help="train and judge nothing")
    args = timing.parsed(options, arguments, {})
    preset = args.preset or args.name
    data = load(PRESETS[args.name].set, args)
    seen, unseen = data.split(UNSEEN, seed=0)
    if args.pictures:
        write_pictures(args.name, preset, seen, unseen)
        return
    record = args.out / "presets" / f"{args.name}.json"
    values: dict[str, Any] = {"runs": []}
    if args.judge or args.start is not None:
        values = json.loads(record.read_text(encoding="utf-8"))["values"]
    if not args.judge:
        before = sum(run["images_seen"] for run in values["runs"])
        gan, run = trained(seen, before, args)
        gan.save_to_preset(preset, class_names=data.class_names)
        values["runs"].append(run)
        codes = unseen.group_codes if data.groups is None else unseen.groups
        values |= {"set": PRESETS[args.name].set, "unseen_groups": np.unique(codes).tolist()}
    # As in training, images of rarer classes are repeated. All of them are looked for copies.
    own, judge = evened(seen), few(unseen, JUDGED)
    gan = sr.ProjectedGAN.from_preset(preset)
    synthetic = gan.sample(len(judge), seed=args.seed)
    report = sr.evaluate_samples(own, synthetic, judge)
    print(report)
    timing.keep(args, "presets", f"presets/{args.name}", values | {"report": report.to_dict()})
    total = sum(run["images_seen"] for run in values["runs"])
    text = f"{PRESETS[args.name].card}\n\n```text\n{report}\n```"
    card = model_card(text, gan.get_config(), data.class_names, total)
    (Path(preset) / "README.md").write_text(card, encoding="utf-8")


def trained(seen: sr.ImageDataset, before: int, args: Any) -> tuple[Any, dict[str, Any]]:
    """Train the generator; return it and what there is to say of the training."""
    began = time.process_time()
    own, aside = seen.split(ASIDE, seed=1)
    tiny = {"width": 0.125, "size": 32} if args.quick else {}

    def make(*, image_shape: Any, num_classes: int, seed: int) -> sr.ProjectedGAN:
        own: dict[str, Any] = {"dtype": args.dtype, "seed": seed}
        if args.start is not None:
            gan = sr.ProjectedGAN.from_preset(args.start, **own)
            gan.images_seen.assign(before)  # so that weights are averaged over as many images
        else:
            gan = sr.ProjectedGAN(image_shape, num_classes=num_classes, **own, **tiny)
        optimizer = gan.default_optimizer()
        if args.learning_rate is not None:
            optimizer.learning_rate = args.learning_rate
        gan.compile(optimizer=optimizer)
        return gan

    augmenter = sr.SyntheticAugmenter(
        make, epochs=args.epochs, batch_size=args.batch_size, random_state=args.seed
    )
    fewest = min(aside.class_counts.values())
    monitor = sr.SampleMonitor(
        few(aside, fewest), features=sr.ImageFeatures("judging"), restore_best=False
    )
    try:
        augmenter.fit(
            own,
            workdir=args.workdir,
            callbacks=lambda name: [monitor, Deadline(args.minutes)],
            verbose=2,
        )
        gan: Any = augmenter.generators_[own.class_names[0]]
    except KeyboardInterrupt:
        gan = monitor.model
    return gan, {
        "batch_size": args.batch_size,
        "learning_rate": float(gan.optimizer.learning_rate),
        "dtype": args.dtype,
        "images": len(own),
        "images_seen": int(gan.images_seen.numpy()) - before,
        "minutes": (time.process_time() - began) / 60,
        "curve": monitor.looks,
    }


def write_pictures(name: str, preset: Any, seen: sr.ImageDataset, unseen: sr.ImageDataset) -> None:
    """Write unseen real images beside synthetic ones, and these with their nearest real ones."""
    gan = sr.ProjectedGAN.from_preset(preset)
    n = ROWS * COLUMNS
    real, synthetic = few(unseen, n // 2).images, gan.sample(n, seed=0)
    lines = {}
    for kind, images in (("real", real), ("synthetic", synthetic)):
        for row, line in enumerate(images.reshape(ROWS, COLUMNS, *images.shape[1:])):
            lines[f"{kind}, unselected" if row == 0 else " " * len(lines)] = line
    class_rows(lines, COLUMNS).savefig(ASSETS / f"{name}.png", dpi=110)
    sr.plot_nearest(synthetic[:COLUMNS], seen).savefig(ASSETS / f"{name}_nearest.png", dpi=90)


if __name__ == "__main__":
    main()
