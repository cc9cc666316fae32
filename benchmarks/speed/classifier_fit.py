"""Training of the slides' classifier, against `fit` of the same network in plain Keras.

    python benchmarks/speed/classifier_fit.py [--epochs 4] [--rounds 5] [--accuracy]

Both train on the same phantoms with batches of 32: ours as `FractureClassifier().fit(images,
labels)`, the peer on float32 arrays. Checks first that equal weights give equal probabilities. A
round is the seconds of one `fit` of `--epochs` epochs, which goes on from the round before; an
epoch before the first round traces. `plain` leaves `jit_compile` at Keras' "auto", which is XLA;
`plain_no_xla` turns it off, as ours does. Writes `classifier_fit.json`.

`--few` takes 50 images for 40 epochs of two steps, where what an epoch costs beside its steps
counts, and writes `classifier_few.json`. With `--accuracy` it measures no time, but trains both
from new weights for 20 epochs with five seeds, and writes `classifier_accuracy.json`: accuracies
on images that were held out.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from speed import _options
from speed._pairs import take_turns, timed, times_as_fast
from speed._plain_classifier import largest_difference, plain_classifier

HELD_OUT = 1_000
FEW = (50, 40)  # images and epochs
PEERS: dict[str, Any] = {"plain": "auto", "plain_no_xla": False}  # jit_compile
QUICK = {"images": 128, "epochs": 1, "size": 32, "seeds": 1, "full": 1}


def phantoms(n: int, size: int, seed: int) -> tuple[sr.ImageDataset, sr.ImageDataset]:
    """Return images to train on and images to judge by, of other patients."""
    held_out = min(HELD_OUT, n)
    data = sr.make_phantoms(n + held_out, image_shape=(size, size, 1), seed=seed)
    return data.select(np.arange(n)), data.select(np.arange(n, n + held_out))


def train_plain(model: keras.Model, data: sr.ImageDataset, epochs: int) -> None:
    images, labels = data.images.astype(np.float32), data.labels
    model.fit(images, labels, batch_size=32, epochs=epochs, verbose=0)


def speed(args: Any, train: sr.ImageDataset) -> None:
    ours = sr.FractureClassifier(image_shape=train.image_shape, seed=args.seed)
    peers = {
        name: plain_classifier(train.image_shape, jit_compile=PEERS[name]) for name in args.peers
    }
    apart = {
        name: largest_difference(ours, model, train.images[:64]) for name, model in peers.items()
    }
    print(f"probabilities agree: {apart}")

    def our_work(epochs: int) -> None:
        ours.fit(train.images, train.labels, batch_size=32, epochs=epochs, verbose=0)

    work: dict[str, Callable[[int], None]] = {"ours": our_work}
    for name, model in peers.items():
        work[name] = lambda epochs, model=model: train_plain(model, train, epochs)
    first = {name: timed(lambda each=each: each(1))() for name, each in work.items()}
    seconds = take_turns(
        {name: timed(lambda each=each: each(args.epochs)) for name, each in work.items()},
        args.rounds,
    )
    values = {
        "ratios": times_as_fast(seconds),
        "seconds": seconds,
        "seconds_of_the_first_epoch": first,
        "epochs_a_round": args.epochs,
        "training_images": len(train),
        "agreement": {"largest_difference": apart},
    }
    name = "classifier_few" if args.few else "classifier_fit"
    _options.keep(args, "classifier_fit", name, values)


def accuracy(args: Any, train: sr.ImageDataset, held_out: sr.ImageDataset) -> None:
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for seed in range(args.seeds):
        keras.utils.set_random_seed(seed)
        ours = sr.FractureClassifier(image_shape=train.image_shape, seed=seed)
        ours.fit(train.images, train.labels, batch_size=32, epochs=args.full, verbose=0)
        plain = plain_classifier(train.image_shape, jit_compile=False)
        train_plain(plain, train, args.full)
        probabilities = {
            "ours": ours.predict(held_out.images, verbose=0),
            "plain": plain.predict(held_out.images.astype(np.float32), verbose=0),
        }
        for name, values in probabilities.items():
            found[name].append(float(((values[:, 0] > 0.5) == held_out.labels).mean()))
        print(f"seed {seed}: " + ", ".join(f"{k} {v[-1]:.3f}" for k, v in found.items()))
    differences = [a - b for a, b in zip(found["ours"], found["plain"], strict=True)]
    several = len(differences) > 1
    values = {
        "accuracies": found,
        "difference": statistics.fmean(differences),
        "standard_error": statistics.stdev(differences) / len(differences) ** 0.5
        if several
        else None,
        "epochs": args.full,
        "training_images": len(train),
        "held_out_images": len(held_out),
    }
    _options.keep(args, "classifier_fit", "classifier_accuracy", values)


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=list(PEERS))
    options.add_argument("--images", type=int, default=9_240, help="to train on")
    options.add_argument("--few", action="store_true", help="few images, many epochs")
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--epochs", type=int, default=4, help="a round")
    options.add_argument("--threads", type=int, help="of TensorFlow; default: all cores")
    options.add_argument("--accuracy", action="store_true", help="accuracies, no times")
    options.add_argument("--seeds", type=int, default=5, help="with --accuracy")
    options.add_argument("--full", type=int, default=20, help="epochs with --accuracy")
    args = _options.parsed(options, arguments, QUICK)
    if args.few:
        args.images, args.epochs = FEW
    _options.need_tensorflow()
    _options.use_threads(args.threads)
    train, held_out = phantoms(args.images, args.size, args.seed)
    if args.accuracy:
        accuracy(args, train, held_out)
    else:
        speed(args, train)


if __name__ == "__main__":
    _options.run(main)
