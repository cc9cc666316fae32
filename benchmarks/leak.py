"""How far the official split of the slides' data set leaks.

Run it with `python benchmarks/leak.py --data PATH`. Counts the test files that are byte-identical
to a training file, and scores one nearest neighbour on raw pixels, which learns nothing about
bones. Writes one JSON file to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from sklearn.neighbors import KNeighborsClassifier

import synthray as sr
from records import record, write


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(arguments)
    splits = sr.load_image_folder(args.data, image_shape=(64, 64, 1))
    if not isinstance(splits, dict):
        raise SystemExit(f"{args.data} must hold the folders train/ and test/.")
    train, test = splits["train"], splits["test"]

    def digests(split: str) -> list[bytes]:
        files = [p for p in sorted((args.data / split).rglob("*")) if p.is_file()]
        return [hashlib.sha256(p.read_bytes()).digest() for p in files]

    seen, asked = set(digests("train")), digests("test")
    neighbour = KNeighborsClassifier(1).fit(train.images.reshape(len(train), -1), train.labels)
    accuracy = neighbour.score(test.images.reshape(len(test), -1), test.labels)
    values = {
        "train_files": len(digests("train")),
        "test_files": len(asked),
        "test_files_identical_to_a_training_file": sum(digest in seen for digest in asked),
        "unreadable_files": sum(len(split.skipped) for split in splits.values()),
        "nearest_neighbour_accuracy": round(float(accuracy), 4),
    }
    print(values)
    write(args.out / "leak.json", record("benchmarks/leak.py", values))


if __name__ == "__main__":
    main()
