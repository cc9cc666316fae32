"""How far the official split of the bone fracture set leaks.

Counts the test files that are byte-identical to a training file, and scores one nearest neighbour
on raw pixels, which learns nothing about bones. `--data` holds `bone-fracture-160/`.
"""

from __future__ import annotations

import hashlib

from sklearn.neighbors import KNeighborsClassifier

import synthray as sr
from benchmarks.rows import timing


def main(arguments: list[str] | None = None) -> None:
    args = timing.parsed(timing.parser(__doc__), arguments, {})
    folder = timing.need_data(args, "bone-fracture-160")
    splits = sr.load_image_folder(folder, image_shape=(64, 64, 1), progress=False)
    train, test = splits["train"], splits["test"]

    def digests(split: str) -> list[bytes]:
        files = [p for p in sorted((folder / split).rglob("*")) if p.is_file()]
        return [hashlib.sha256(p.read_bytes()).digest() for p in files]

    known, asked = set(digests("train")), digests("test")
    neighbour = KNeighborsClassifier(1).fit(train.images.reshape(len(train), -1), train.labels)
    accuracy = neighbour.score(test.images.reshape(len(test), -1), test.labels)
    values = {
        "test_files": len(asked),
        "test_files_identical_to_a_training_file": sum(each in known for each in asked),
        "unreadable_files": sum(len(split.skipped) for split in splits.values()),
        "nearest_neighbour_accuracy": round(float(accuracy), 4),
    }
    print(values)
    timing.keep(args, "leak", "leak", values)


if __name__ == "__main__":
    timing.run(main)
