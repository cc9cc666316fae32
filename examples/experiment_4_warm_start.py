"""Experiment 4: a warm start on synthetic images, then the original ones.

Run it with `python examples/experiment_4_warm_start.py`.
"""

from __future__ import annotations

import argparse
import functools

import synthray as sr


def main(arguments: list[str] | None = None) -> sr.ComparisonResult:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--gan-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(arguments)

    data = sr.make_phantoms(args.images, image_shape=(args.size, args.size, 1), seed=0)
    train, test = data.split(test_size=1 / 3, seed=0)
    small = functools.partial(sr.DCGAN, width=0.25)
    augmenter = sr.SyntheticAugmenter(small, epochs=args.gan_epochs, random_state=0)
    result = sr.run_comparison(
        train,
        test,
        augmenter=augmenter.fit(train),
        arms=["warm_start"],
        training=sr.Training(epochs=args.epochs),
        leakage="off",  # simulated patients all differ
    )
    print(result)
    return result


if __name__ == "__main__":
    main()
