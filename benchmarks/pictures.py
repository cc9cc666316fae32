"""Pictures of real and drawn images side by side, from what `benchmarks/generators.py` kept.

    python benchmarks/pictures.py --set fracatlas --data PATH --class fractured

Real images are those that were held out. The first images of a fixed seed are shown, none chosen.
Writes `docs/assets/generators_<set>.png` (`generators_<set>_<tag>.png`) from the generators that
draw, `translations_<set>.png` from `CycleGAN`, and copies the closest pairs. What was not kept is
left out, and said.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from generators import SETS, load
from synthray._report.images import class_rows

ASSETS = Path(__file__).resolve().parents[1] / "docs" / "assets"
GENERATORS = ("DCGAN", "R3GAN", "CycleGAN")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--class", dest="kind", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "generators")
    parser.add_argument("--generators", nargs="+", choices=GENERATORS, default=GENERATORS)
    parser.add_argument("--tag", default="", help="at the end of the picture's name")
    parser.add_argument("--columns", type=int, default=10)
    args = parser.parse_args()
    train, held_out = next(load(args.set, args.data).folds(5, seed=0))
    n, kind = 2 * args.columns, args.kind.replace(" ", "-")
    rng = np.random.default_rng(0)
    own = held_out.by_class()[args.kind].images
    rows = {"real, held out": own[rng.permutation(len(own))[:n]]}
    label = train.class_names.index(args.kind)
    others = train.images[rng.permutation(np.flatnonzero(train.labels != label))[: args.columns]]
    for generator in args.generators:
        name = f"{args.set}_{kind}_{generator}".lower()
        if not (args.runs / f"{name}.keras").is_file():
            print(f"{generator} is left out: {name}.keras is not in {args.runs.name}/.")
            continue
        gan = keras.saving.load_model(args.runs / f"{name}.keras")
        pairs = args.runs / f"{name}_pairs.png"
        if pairs.is_file():
            shutil.copy(pairs, ASSETS / f"pairs_{args.set}_{generator.lower()}.png")
        if generator == "CycleGAN":
            write_translations(gan, others, args)
        else:
            rows[generator] = gan.sample(n, seed=0)
    if len(rows) == 1:
        return
    lines = {}
    for place, (name, images) in enumerate(rows.items()):
        lines[name] = images[: args.columns]
        lines[" " * (place + 1)] = images[args.columns :]  # a second line, without a name
    picture = f"generators_{args.set}{args.tag and '_'}{args.tag}.png"
    class_rows(lines, args.columns).savefig(ASSETS / picture, dpi=110)
    print(f"wrote {picture}: {', '.join(rows)}")


def write_translations(gan: Any, images: NDArray[np.uint8], args: argparse.Namespace) -> None:
    """Draw images of the other class, what they become, and what has changed."""
    becoming = gan.translate(images, to=args.kind)
    change = np.clip(128 + becoming.astype(int) - images, 0, 255).astype(np.uint8)
    lines = {
        "real, of the other class": images,
        f"CycleGAN: the same, made {args.kind}": becoming,
        "what it changed (gray: nothing)": change,
    }
    class_rows(lines, args.columns).savefig(ASSETS / f"translations_{args.set}.png", dpi=110)
    print(f"wrote translations_{args.set}.png")


if __name__ == "__main__":
    main()
