"""`augment` in front of a `tf.data` pipeline, against the pipeline over an array of all images.

A pipeline shuffles, batches by 32 and scales to 0 to 1. Ours is `augmenter.augment(pipeline)`, half
of whose images are synthetic; the peer is the same pipeline over one array that holds the same
images. Checks first that both hand out the same images with the same labels. A round passes once
over all: `pass` does nothing with the batches, `fit` trains the classifier on them. Ratios are ours
over the peer's. The images are generated before, once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import synthray as sr
from benchmarks.rows import timing

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


def walk(dataset: Any) -> None:
    for _ in dataset:
        pass


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__, rounds=7)
    options.add_argument("--images", type=int, default=4_000, help="real ones; as many synthetic")
    options.add_argument("--size", type=int, default=64, help="height and width")
    args = timing.parsed(options, arguments, QUICK)
    shape = (args.size, args.size, 1)
    data = sr.make_phantoms(args.images, image_shape=shape, seed=args.seed)
    make = functools.partial(sr.DCGAN, width=0.125)
    augmenter = sr.SyntheticAugmenter(make, epochs=1, random_state=args.seed)
    augmenter.fit(data.select(np.arange(min(len(data), 64))), verbose=0)
    real = data.images, data.labels
    augmented = augmenter.augment(pipeline(*real, args.seed), seed=args.seed)
    cached = pipeline(*augmenter.augment(real, seed=args.seed), args.seed)
    if not np.array_equal(fingerprints(augmented), fingerprints(cached)):
        raise SystemExit("The two pipelines hand out other images.")
    print(f"both hand out the same {2 * args.images:,} images")
    pipelines = {"ours": augmented, "cached": cached}
    seconds = {}
    for name in ("pass", "fit"):
        work: dict[str, Any] = {}
        for who, dataset in pipelines.items():
            if name == "pass":
                work[who] = functools.partial(walk, dataset)
            else:
                model = sr.FractureClassifier(image_shape=shape, value_range=(0, 1), seed=args.seed)
                work[who] = functools.partial(model.fit, dataset, verbose=0)
            work[who]()  # traces
        print(name)
        turns = {who: timing.timed(each) for who, each in work.items()}
        seconds[name] = timing.take_turns(turns, args.rounds)
    values = {
        "ratios": {name: timing.paired(s["ours"], s["cached"]) for name, s in seconds.items()},
        "seconds": seconds,
        "real_images": args.images,
    }
    timing.keep(args, "augmenting", "speed/augmenting", values)


if __name__ == "__main__":
    timing.run(main)
