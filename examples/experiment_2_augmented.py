"""Experiment 2: classic augmentation (small rotations, shifts, zooms and contrast).

Run it with `python examples/experiment_2_augmented.py`.
"""

from __future__ import annotations

import argparse

import synthray as sr


def main(arguments: list[str] | None = None) -> sr.ComparisonResult:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args(arguments)

    data = sr.make_phantoms(args.images, image_shape=(args.size, args.size, 1), seed=0)
    train, test = data.split(test_size=1 / 3, seed=0)
    result = sr.run_comparison(
        train,
        test,
        arms=["augmented"],
        training=sr.Training(epochs=args.epochs),
        leakage="off",  # simulated patients all differ
    )
    print(result)
    return result


if __name__ == "__main__":
    main()
