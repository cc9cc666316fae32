"""A comparison of six arms with five seeds, against thirty plain `fit` calls in one process.

Ours is `run_comparison` on phantoms with `n_jobs=-1`; other phantoms stand for synthetic images, so
that no generator is trained, and the leakage audit is off. It also scores every fit by the test
images. The peer trains the same network in plain Keras, rebuilt for each fit, with the same batch
size and as many steps, and scores nothing. Its thirty fits are one and the same, without
augmentation: only `--fits-of-peer` of them are timed, half before ours and half after, and counted
for all. One round: it takes long.
"""

from __future__ import annotations

import time

import numpy as np

import synthray as sr
from benchmarks.rows import timing
from benchmarks.rows.classifier_fit import PEERS, checked, phantoms

ARMS = ("original", "duplicated", "augmented", "mixed", "warm_start", "real_warm_start")
QUICK = {"images": 96, "epochs": 2, "size": 32, "seeds": 1, "fits_of_peer": 2}


def other_phantoms(train: sr.ImageDataset, seed: int) -> sr.ImageDataset:
    """Return as many further phantoms of each class, which stand for synthetic images."""
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
    options = timing.parser(__doc__, rounds=1)
    options.add_argument("--images", type=int, default=9_240, help="to train on")
    options.add_argument("--size", type=int, default=64, help="height and width")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--fits-of-peer", type=int, default=6, help="timed; 2 or more")
    args = timing.parsed(options, arguments, QUICK)
    from benchmarks.rows.peers_keras import JIT_COMPILE, plain_classifier

    train, test = phantoms(args.images, args.size, args.seed)
    synthetic = other_phantoms(train, args.seed + 1)
    apart = checked(train)[2]
    images = train.images.astype(np.float32)
    seconds: timing.Seconds = {name: [] for name in ("ours", *PEERS)}

    def fits(count: int) -> None:
        for name in PEERS * count:
            began = time.perf_counter()
            jit_compile = JIT_COMPILE[name.removeprefix("plain")]
            model = plain_classifier(train.image_shape, jit_compile=jit_compile)
            model.fit(images, train.labels, batch_size=32, epochs=args.epochs, verbose=0)
            seconds[name].append(time.perf_counter() - began)
            print(f"  {name}: {seconds[name][-1]:.1f} s", flush=True)

    fits(args.fits_of_peer - args.fits_of_peer // 2)
    began = time.perf_counter()
    sr.run_comparison(
        train,
        test,
        augmenter=synthetic,
        arms=ARMS,
        training=sr.Training(epochs=args.epochs, batch_size=32),
        seeds=range(args.seeds),
        leakage="off",
        n_jobs=-1,
        verbose=0,
    )
    seconds["ours"].append(time.perf_counter() - began)
    print(f"  run_comparison: {seconds['ours'][0]:.1f} s", flush=True)
    fits(args.fits_of_peer // 2)
    count = len(ARMS) * args.seeds
    values = {
        "ratios": {
            name: timing.spread(count * each / seconds["ours"][0] for each in seconds[name])
            for name in PEERS
        },
        "seconds": seconds,
        "fits": count,
        "fits_of_the_peer_timed": args.fits_of_peer,
        "arms": ARMS,
        "seeds": args.seeds,
        "epochs": args.epochs,
        "training_images": len(train),
        "agreement": {"largest_difference": apart},
    }
    timing.keep(args, "comparison_fits", "speed/comparison_fits", values)


if __name__ == "__main__":
    timing.run(main)
