"""The deck's experiment on its own images.

Run `python examples/bone_fractures.py --data PATH`. PATH holds `train/` and `test/` with one
folder per class (the public "Fracture Multi-Region X-ray Data" set). The defaults are the deck's
budgets: on two CPU cores the generators alone take a day or two. With `--workdir`, a killed run
continues; the flags lower the budgets.

The official split leaks: nearly every test file is byte-identical to a training file, and the
comparison warns about it. The accuracies measure memory, not skill.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import synthray as sr


def main(arguments: list[str] | None = None) -> sr.ComparisonResult:
    args = parse(arguments)
    splits = sr.load_image_folder(args.data, image_shape=(args.size, args.size, 3))
    if not isinstance(splits, dict) or not {"train", "test"} <= set(splits):
        raise SystemExit(f"{args.data} must hold the folders train/ and test/.")
    train, test = (splits[k].with_positive_class(args.positive_class) for k in ("train", "test"))
    print(f"train: {train}\ntest:  {test}")

    generator = functools.partial(sr.DCGAN, width=args.gan_width, dtype=args.precision)
    augmenter = sr.SyntheticAugmenter(generator, epochs=args.gan_epochs, random_state=0)
    augmenter.fit(train, workdir=args.workdir / "generators", verbose=args.verbose)
    synthetic = augmenter.sample(dict.fromkeys(train.class_names, args.synthetic), seed=0)

    training = sr.Training(
        # The deck's network takes gray images; its generators make three channels.
        classifier=functools.partial(sr.FractureClassifier, to_grayscale=True),
        epochs=args.epochs,
        budget=args.budget,
    )
    result = sr.run_comparison(
        train,
        test,
        augmenter=synthetic,
        arms=args.arms,
        training=training,
        seeds=range(args.seeds),
        verbose=args.verbose,
    )
    print(result)

    args.out.mkdir(parents=True, exist_ok=True)
    train.plot_samples(10).savefig(args.out / "bone_real.png", dpi=110)
    synthetic.plot_samples(10).savefig(args.out / "bone_synthetic.png", dpi=110)
    result.plot_accuracy().savefig(args.out / "bone_accuracy.png", dpi=110)
    result.plot_histories().savefig(args.out / "bone_histories.png", dpi=110)
    result.save(args.out / "result.json")
    print(f"Pictures and result.json are in {args.out.resolve()}")
    return result


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--workdir", type=Path, default=Path("runs/bone_fractures"))
    parser.add_argument("--out", type=Path, default=Path("runs/bone_fractures"))
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--gan-epochs", type=int, default=100)
    parser.add_argument("--gan-width", type=float, default=1.0, help="1.0 is the deck's network")
    parser.add_argument("--precision", default="mixed_bfloat16", help="Keras dtype policy")
    parser.add_argument("--synthetic", type=int, default=10_500, help="images per class")
    parser.add_argument("--arms", nargs="+", default=list(sr.ARMS), help="arms to train")
    parser.add_argument("--epochs", type=int, default=20, help="classifier epochs")
    parser.add_argument("--budget", choices=("epochs", "equal_steps"), default="epochs")
    parser.add_argument("--seeds", type=int, default=1, help="repetitions of every arm")
    parser.add_argument(
        "--positive-class", default="fractured", help="class that sensitivity is for"
    )
    parser.add_argument("--verbose", type=int, default=1, help="0 for no progress bars")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
