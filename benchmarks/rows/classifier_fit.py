"""Training of `FractureClassifier`, against `fit` of the same network in plain Keras.

Both train on the same phantoms with batches of 32: ours as `FractureClassifier().fit(images,
labels)`, the peer on float32 arrays. Checks first that equal weights give equal probabilities. A
round is the seconds of one `fit` of `--epochs` epochs, which goes on from the round before; an
epoch before the first round traces. `plain` leaves `jit_compile` at Keras' "auto", which is XLA;
`plain_no_xla` turns it off, as ours does. `--few` takes 50 images for 40 epochs of two steps, where
what an epoch costs beside its steps counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import synthray as sr
from benchmarks.rows import timing

PEERS = ("plain", "plain_no_xla")
HELD_OUT = 1_000
FEW = (50, 40)  # images and epochs
QUICK = {"images": 128, "epochs": 1, "size": 32}


def phantoms(n: int, size: int, seed: int) -> tuple[sr.ImageDataset, sr.ImageDataset]:
    """Return images to train on and images to judge by, of other patients."""
    held_out = min(HELD_OUT, n)
    data = sr.make_phantoms(n + held_out, image_shape=(size, size, 1), seed=seed)
    return data.select(np.arange(n)), data.select(np.arange(n, n + held_out))


def checked(
    train: sr.ImageDataset, tolerance: float = 1e-5
) -> tuple[Any, dict[str, Any], dict[str, float]]:
    """Return ours, its peers by name, and how far their probabilities are apart."""
    from benchmarks.rows.peers_keras import JIT_COMPILE, largest_difference, plain_classifier

    ours = sr.FractureClassifier(image_shape=train.image_shape, seed=0)
    peers = {
        name: plain_classifier(
            train.image_shape, jit_compile=JIT_COMPILE[name.removeprefix("plain")]
        )
        for name in PEERS
    }
    images = train.images[:64]
    apart = {
        name: largest_difference(ours, peer, images, tolerance=tolerance)
        for name, peer in peers.items()
    }
    print(f"probabilities agree: {apart}")
    return ours, peers, apart


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--images", type=int, default=9_240, help="to train on")
    options.add_argument("--few", action="store_true", help="few images, many epochs")
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--epochs", type=int, default=4, help="a round")
    args = timing.parsed(options, arguments, QUICK)
    if args.few:
        args.images, args.epochs = FEW
    train, _ = phantoms(args.images, args.size, args.seed)
    ours, peers, apart = checked(train)

    def fit(name: str, epochs: int) -> None:
        if name == "ours":
            ours.fit(train.images, train.labels, batch_size=32, epochs=epochs, verbose=0)
        else:
            images = train.images.astype(np.float32)
            peers[name].fit(images, train.labels, batch_size=32, epochs=epochs, verbose=0)

    names = ("ours", *peers)
    first = {name: timing.timed(lambda name=name: fit(name, 1))() for name in names}
    turns = {name: timing.timed(lambda name=name: fit(name, args.epochs)) for name in names}
    seconds = timing.take_turns(turns, args.rounds)
    values = {
        "ratios": timing.times_as_fast(seconds),
        "seconds": seconds,
        "seconds_of_the_first_epoch": first,
        "epochs_a_round": args.epochs,
        "training_images": len(train),
        "agreement": {"largest_difference": apart},
    }
    name = "classifier_few" if args.few else "classifier_fit"
    timing.keep(args, "classifier_fit", f"speed/{name}", values)


if __name__ == "__main__":
    timing.run(main)
