"""`augment` in front of a `tf.data` pipeline, against the pipeline over an array of all images.

    python benchmarks/speed/augmenting.py [--images 4000] [--rounds 7]

A pipeline shuffles, batches by 32 and scales to 0 to 1. Ours is `augmenter.augment(pipeline)`, half
of whose images are drawn; the peer is the same pipeline over one array that holds the same images.
Checks first that both hand out the same images with the same labels. A round passes once over all:
`pass` does nothing with the batches, `fit` trains the slides' classifier on them. Ratios are ours
over the peer's. The drawing comes before, once; its seconds are told. Writes `augmenting.json`.
"""

from __future__ import annotations

import functools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from speed import _options
from speed._pairs import paired, take_turns, timed

QUICK = {"images": 64, "size": 32}


def pipeline(images: np.ndarray, labels: np.ndarray, seed: int) -> Any:
    """Return batches as a user would make them."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    dataset = dataset.shuffle(len(images), seed=seed).batch(32)
    scaled = dataset.map(lambda x, y: (tf.cast(x, tf.float32) / 255, y))
    return scaled.prefetch(tf.data.AUTOTUNE)


def fingerprints(dataset: Any) -> np.ndarray:
    """Return a number for each image with its label, sorted."""
    found = []
    for images, labels in dataset.as_numpy_iterator():
        flat = np.rint(images.reshape(len(images), -1).astype(np.float64) * 255)
        places = np.arange(1, flat.shape[1] + 1)
        found.append(flat @ places * 2 + labels.ravel())
    return np.sort(np.concatenate(found))


def tiny_augmenter(data: sr.ImageDataset, seed: int) -> sr.SyntheticAugmenter:
    """Return a fitted augmenter that draws quickly: what it draws does not matter here."""
    make = functools.partial(sr.DCGAN, width=0.125)
    few = data.select(np.arange(min(len(data), 64)))
    return sr.SyntheticAugmenter(make, epochs=1, random_state=seed).fit(few, verbose=0)


def walk(dataset: Any) -> None:
    for _ in dataset:
        pass


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.set_defaults(rounds=7)
    options.add_argument("--images", type=int, default=4_000, help="real ones; as many are drawn")
    options.add_argument("--size", type=int, default=64, help="height and width")
    args = _options.parsed(options, arguments, QUICK)
    _options.need_tensorflow()
    shape = (args.size, args.size, 1)
    data = sr.make_phantoms(args.images, image_shape=shape, seed=args.seed)
    augmenter = tiny_augmenter(data, args.seed)
    real = data.images, data.labels
    began = time.perf_counter()
    augmented = augmenter.augment(pipeline(*real, args.seed), seed=args.seed)
    drawing = time.perf_counter() - began
    together = augmenter.augment(real, seed=args.seed)
    cached = pipeline(*together, args.seed)
    if not np.array_equal(fingerprints(augmented), fingerprints(cached)):
        raise SystemExit("The two pipelines hand out other images.")
    print(f"both hand out the same {2 * args.images:,} images")

    seconds = {}
    for name in ("pass", "fit"):
        work = {}
        for who, dataset in (("ours", augmented), ("cached", cached)):
            if name == "pass":
                work[who] = functools.partial(walk, dataset)
            else:
                model = sr.FractureClassifier(image_shape=shape, value_range=(0, 1), seed=args.seed)
                work[who] = functools.partial(model.fit, dataset, verbose=0)
            work[who]()  # traces
        print(name)
        seconds[name] = take_turns({who: timed(w) for who, w in work.items()}, args.rounds)
    values = {
        "ratios": {name: paired(s["ours"], s["cached"]) for name, s in seconds.items()},
        "seconds": seconds,
        "seconds_of_drawing": drawing,
        "real_images": args.images,
        "drawn_images": args.images,
    }
    _options.keep(args, "augmenting", "augmenting", values)


if __name__ == "__main__":
    _options.run(main)
