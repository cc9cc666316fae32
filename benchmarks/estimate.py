"""Does the way of the README cost what it says first? On real images, shortened or not.

    python benchmarks/estimate.py --data PATH [--images 800] [--epochs 40] [--full [--size 32]]

PATH is FracAtlas at 64x64, `.npz`. Runs `SyntheticAugmenter(epochs=...).tune(train)` on part of a
training fold, with two folds and one seed, and notes what was printed before and how long it took.
Let nothing else run meanwhile. Writes `benchmarks/results/estimate.json`.

`--full` shortens nothing but the images, whose sides it makes smaller: generators train as long as
by default, with five folds and two seeds, and the last of the four lines trains what was found.
Writes `estimate_full.json`.
"""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import synthray as sr
from generators import load
from records import record, write

RESULTS = Path(__file__).resolve().parent / "results"


class Told(logging.Handler):
    """Keeps what a comparison says of its cost, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        if record.getMessage().startswith("Cost"):
            self.text, self.at = record.getMessage(), time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=40, help="of the generators")
    parser.add_argument("--full", action="store_true", help="the four lines as they are")
    parser.add_argument("--size", type=int, default=32, help="height and width, with --full")
    args = parser.parse_args()
    train, _ = next(load("fracatlas", args.data).folds(5, seed=0))
    share = args.images / len(train)
    _, train = train.split(share, seed=0)
    told = Told()
    logger = logging.getLogger("synthray")
    logger.addHandler(told)
    logger.setLevel(logging.INFO)

    shortened: dict[str, Any] = {"folds": 2, "seeds": (0,)}
    epochs: Any = args.epochs
    if args.full:
        train, shortened, epochs = train.resize(args.size, args.size), {}, "auto"
    with tempfile.TemporaryDirectory() as workdir:
        augmenter = sr.SyntheticAugmenter(epochs=epochs)
        began = time.perf_counter()
        advice = augmenter.tune(train, workdir=workdir, **shortened)
        ended = time.perf_counter()
    print(advice)
    advice.fit(train)
    values = {
        "images": len(train),
        "image_shape": list(train.image_shape),
        "epochs": epochs,
        "told": told.text,
        "told_minutes": minutes_in(told.text),
        "minutes_before_it_was_told": (told.at - began) / 60,
        "minutes_after": (ended - told.at) / 60,
        "minutes_of_the_last_line": (time.perf_counter() - ended) / 60,
        "advice": str(advice),
        "use_synthetic": advice.use_synthetic,
    }
    print(values)
    name = "estimate_full.json" if args.full else "estimate.json"
    write(RESULTS / name, record("benchmarks/estimate.py", values))


def minutes_in(text: str) -> float:
    """Return the last duration that a text names, in minutes."""
    number, unit = re.findall(r"([\d.]+) (min|h)\b", text)[-1]
    return float(number) * (60 if unit == "h" else 1)


if __name__ == "__main__":
    main()
