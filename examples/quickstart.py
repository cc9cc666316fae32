"""The whole experiment on simulated radiographs: `python examples/quickstart.py`.

Trains one small DCGAN per class and the classifier in four ways, prints the table and writes
pictures and a report.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import synthray as sr


def main(arguments: list[str] | None = None) -> sr.ComparisonResult:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for pictures")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--gan-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args(arguments)

    data = sr.make_phantoms(args.images, image_shape=(args.size, args.size, 1), seed=0)
    train, test = data.split(test_size=1 / 3, seed=0)

    small = functools.partial(sr.DCGAN, width=0.25)
    augmenter = sr.SyntheticAugmenter(small, epochs=args.gan_epochs, random_state=0)
    augmenter.fit(train)

    result = sr.run_comparison(
        train,
        test,
        augmenter=augmenter,
        training=sr.Training(epochs=args.epochs),
        seeds=range(args.seeds),
        leakage="off",  # simulated patients all differ; with your own images, leave it on
    )
    print(result)

    args.out.mkdir(parents=True, exist_ok=True)
    synthetic = augmenter.sample(16, seed=0)
    train.plot_samples().savefig(args.out / "real.png")
    synthetic.plot_samples().savefig(args.out / "synthetic.png")
    result.plot_accuracy().savefig(args.out / "accuracy.png")
    result.plot_histories().savefig(args.out / "histories.png")
    result.save(args.out / "result.json")
    result.to_html(args.out / "report.html")
    print(f"report.html, pictures and result.json are in {args.out.resolve()}")
    return result


if __name__ == "__main__":
    main()
