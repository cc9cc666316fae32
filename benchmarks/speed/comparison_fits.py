"""A comparison of six arms with five seeds, against thirty plain `fit` calls in a row.

    python benchmarks/speed/comparison_fits.py [--fits-of-peer 6]

Ours is `run_comparison` on phantoms, synthetic images given, the audit off; it also judges every
fit by the test images. The peer trains the same network in plain Keras, rebuilt for each fit, with
the same batch size and as many steps, and judges nothing. All its fits are on plain training
images: it is spared the augmentation, and its thirty fits are one and the same, so that only
`--fits-of-peer` of them are timed, half before ours and half after, and counted for all. One round:
it takes long. `plain` leaves `jit_compile` at Keras' "auto", which is XLA; `plain_no_xla` turns it
off. Writes a file for each peer, `comparison_fits.json` and `comparison_fits_no_xla.json`; with
`KERAS_BACKEND=jax` and a GPU, where ours trains many fits as one program, for `plain` alone,
`comparison_fits_gpu.json`.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthray as sr
from records import gpu
from speed import _options
from speed._pairs import spread, timed
from speed._plain_classifier import largest_difference, plain_classifier
from speed.classifier_fit import PEERS, phantoms

ARMS = ("original", "duplicated", "augmented", "synthetic", "warm_start", "real_warm_start")
QUICK = {"images": 96, "epochs": 1, "size": 32, "seeds": 1, "fits_of_peer": 2}


def drawn_like(train: sr.ImageDataset, seed: int) -> sr.ImageDataset:
    """Return as many phantoms of each class, marked as drawn: no generator has to be trained."""
    spare = sr.make_phantoms(len(train), image_shape=train.image_shape, seed=seed)
    rows = [
        np.resize(np.flatnonzero(spare.labels == label), count)
        for label, count in enumerate(train.class_counts.values())
    ]
    chosen = spare.select(np.concatenate(rows))
    return sr.ImageDataset.from_arrays(
        chosen.images, chosen.labels, class_names=train.class_names, synthetic=True
    )


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.set_defaults(rounds=1)
    options.add_argument("--images", type=int, default=9_240, help="to train on")
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--fits-of-peer", type=int, default=6, help="timed; 2 or more")
    options.add_argument(
        "--peers", nargs="+", choices=tuple(PEERS), help="default: all; GPU: plain"
    )
    args = _options.parsed(options, arguments, QUICK)
    card = gpu() if keras.backend.backend() == "jax" else None
    if card is None:
        _options.need_tensorflow("or of JAX with a GPU")
    train, test = phantoms(args.images, args.size, args.seed)
    drawn = drawn_like(train, args.seed + 1)
    peers = args.peers or (list(PEERS) if card is None else ["plain"])
    apart = {
        peer: largest_difference(
            sr.FractureClassifier(image_shape=train.image_shape, seed=0),
            plain_classifier(train.image_shape, jit_compile=PEERS[peer]),
            train.images[:64],
            tolerance=1e-5 if card is None else 1e-3,  # a GPU multiplies with fewer digits
        )
        for peer in peers
    }
    print(f"probabilities agree: {apart}")
    images = train.images.astype(np.float32)
    plain: dict[str, list[float]] = {peer: [] for peer in peers}
    accuracies: dict[str, list[float]] = {peer: [] for peer in peers}

    def fit(peer: str) -> keras.Model:
        model = plain_classifier(train.image_shape, jit_compile=PEERS[peer])
        model.fit(images, train.labels, batch_size=32, epochs=args.epochs, verbose=0)
        return model

    def fits(count: int) -> None:
        for _, peer in itertools.product(range(count), peers):
            began = time.perf_counter()
            model = fit(peer)
            plain[peer].append(time.perf_counter() - began)
            print(f"  {peer}: {plain[peer][-1]:.1f} s", flush=True)
            judged = model.predict(test.images.astype(np.float32), verbose=0)[:, 0] > 0.5
            accuracies[peer].append(float((judged == test.labels).mean()))

    compared: list[sr.ComparisonResult] = []

    def compare() -> None:
        compared.append(
            sr.run_comparison(
                train,
                test,
                arms=ARMS,
                augmenter=drawn,
                seeds=range(args.seeds),
                epochs=args.epochs,
                batch_size=32,
                audit="off",
                verbose=0,
            )
        )

    fits(args.fits_of_peer - args.fits_of_peer // 2)
    ours = timed(compare)()
    print(f"  run_comparison: {ours:.1f} s", flush=True)
    fits(args.fits_of_peer // 2)
    count = len(ARMS) * args.seeds
    (result,) = compared
    steps = {sum(run.phase_steps) for run in result.runs}
    if steps != {args.epochs * -(-len(train) // 32)}:
        raise SystemExit(f"The fits of the comparison have other steps than the peer's: {steps}.")
    common = {
        "gpu": card,
        "fits": count,
        "fits_of_the_peer_timed": args.fits_of_peer,
        "arms": ARMS,
        "seeds": args.seeds,
        "epochs": args.epochs,
        "steps_a_fit": steps.pop(),
        "training_images": len(train),
    }
    original = result.scores("original")["accuracy"].tolist()
    for peer, seconds in plain.items():
        values = {
            "ratios": {peer: spread(count * each / ours for each in seconds)},
            "seconds": {"ours": [ours], "plain_fits": seconds},
            "plain_seconds_scaled_to_all": count * statistics.median(seconds),
            **common,
            "agreement": {"largest_difference": apart[peer]},
            "accuracies": {"original": original, "plain": accuracies[peer]},
        }
        name = "comparison_fits" + peer.removeprefix("plain") + "_gpu" * (card is not None)
        _options.keep(args, "comparison_fits", name, values)


if __name__ == "__main__":
    _options.run(main)
