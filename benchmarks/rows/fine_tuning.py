"""Fine-tunes a preset on a few images, against as long a training from scratch.

    python -m benchmarks.rows.fine_tuning limbs_64 --data FOLDER --set chest --images 100

Of the third of the groups that a preset has never seen (of any other set, of a third), half gives
so many images a class to learn from and half judges as many synthetic images of both classes.
The preset untouched is judged too. Seeds change the images to learn from, and the training.
"""

from __future__ import annotations

import time
from typing import Any

import keras

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.data import SOURCES, load
from benchmarks.rows.presets import PRESETS, UNSEEN, few

QUICK = {"images": 20, "images_seen": 16, "set": "phantoms", "seeds": 1}


class Seen(keras.callbacks.Callback):
    """Ends a training after so many images."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self._images = images

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.images_seen.numpy()) >= self._images:
            self.model.stop_training = True


def fitted(start: Any, own: sr.ImageDataset, images: int, seed: int) -> tuple[Any, float]:
    """Return an augmenter after so many images, and its seconds."""
    augmenter = sr.SyntheticAugmenter(start, epochs=10**6, random_state=seed)
    began = time.perf_counter()
    augmenter.fit(own, callbacks=lambda name: [Seen(images)], verbose=0)
    return augmenter, time.perf_counter() - began


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("preset", choices=tuple(PRESETS))
    options.add_argument("--set", choices=tuple(SOURCES), default="fracatlas")
    options.add_argument("--images", type=int, default=100, help="a class, to learn from")
    options.add_argument("--images-seen", type=int, default=4_000)
    options.add_argument("--seeds", type=int, default=1)
    args = timing.parsed(options, arguments, QUICK)
    unseen = load(args.set, args).split(UNSEEN, seed=0)[1]
    learn, judge = unseen.split(0.5, seed=1)
    real, judge = few(learn, 500), few(judge, 500)
    runs = []
    for seed in range(args.seeds):
        own = few(learn, args.images, seed)
        run: dict[str, Any] = {"seed": seed, "images": own.class_counts}
        for name, start in (("from scratch", sr.ProjectedGAN), ("fine-tuned", args.preset)):
            augmenter, run[f"{name}, seconds"] = fitted(start, own, args.images_seen, seed)
            counts = dict.fromkeys(own.class_names, len(judge) // own.num_classes)
            run[name] = scores(real, augmenter.sample(counts, seed=seed), judge)
        if not args.quick:
            untouched = sr.ProjectedGAN.from_preset(args.preset).sample(len(judge), seed=seed)
            run["untouched"] = scores(real, untouched, judge)
        runs.append(run)
    values = {
        "preset": args.preset,
        "set": args.set,
        "images_seen": args.images_seen,
        "judging_images": len(judge),
        "runs": runs,
    }
    name = f"fine_tuning/{args.preset}_{args.set}_{args.images}"
    timing.keep(args, "fine_tuning", name, values)


def scores(real: sr.ImageDataset, synthetic: Any, judge: sr.ImageDataset) -> Any:
    """Return the report of synthetic images as plain values."""
    report = sr.evaluate_samples(real, synthetic, judge)
    print(report, flush=True)
    return report.to_dict()


if __name__ == "__main__":
    timing.run(main)
