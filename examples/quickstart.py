"""The whole experiment on simulated radiographs: `python examples/quickstart.py`.

Fine-tunes a pretrained generator, trains the classifier in four ways, prints the table and writes
pictures and a report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import synthray as sr


def main(arguments: list[str] | None = None) -> sr.ComparisonResult:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for pictures")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--gan-epochs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)

    data = sr.make_phantoms(args.images, image_shape=(args.size, args.size, 1), seed=0)
    train, test = data.split(test_size=1 / 3, seed=0)

    augmenter = sr.SyntheticAugmenter("limbs_64", epochs=args.gan_epochs, random_state=0)
    augmenter.fit(train)
    both = train.concatenate(augmenter.sample(16, seed=0))
    both.plot_samples().savefig(args.out / "real_and_synthetic.png")

    result = sr.run_comparison(
        train,
        test,
        augmenter=augmenter,
        training=sr.Training(epochs=args.epochs),
        seeds=range(args.seeds),
    )
    print(result)
    result.plot_accuracy().savefig(args.out / "accuracy.png")
    result.plot_histories().savefig(args.out / "histories.png")
    result.save(args.out / "result.json")
    result.to_html(args.out / "report.html")
    print(f"""
Open {args.out.resolve() / "report.html"}. The pictures are beside it.
1. Your own images: data = sr.load_image_folder("bones/"), a subfolder for each class.
2. More steps, better images: leave epochs out of SyntheticAugmenter("limbs_64").
3. Do they help? sr.tune(train, augmenter=augmenter) says so before you touch your test set.""")
    return result


if __name__ == "__main__":
    main()
