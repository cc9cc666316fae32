"""Loading a folder of images to arrays, against `image_dataset_from_directory`.

`--data` holds the folder of the set. Both stretch to 64x64 in RGB; ours gives uint8, the peer
float32 from batches of 256 that are put together. The peer ends at the first file that it cannot
decode: it loads links to those that ours did not skip. Checks first that both load the same files.
Each measurement has a process of its own; the files are in the system's cache. `memory` is our peak
beyond that of the imports, over the bytes of the result; `cpu_ratio` the peer's processor time over
ours, which a busy machine changes less.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import timing

SIDE = 64


def ours(folder: Path) -> Any:
    """Return what our loader returns: data sets by split."""
    import synthray as sr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that files were skipped
        return sr.load_image_folder(folder, image_shape=(SIDE, SIDE, 3), progress=False)


def theirs(folder: Path, splits: list[str]) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Return images and file names of each split, by Keras."""
    import keras

    found = {}
    for split in splits:
        dataset = keras.utils.image_dataset_from_directory(
            folder / split,
            image_size=(SIDE, SIDE),
            batch_size=256,
            shuffle=False,
            verbose=False,
        )
        images = np.concatenate([images for images, _ in dataset.as_numpy_iterator()])
        found[split] = images, [str(Path(p).relative_to(folder)) for p in dataset.file_paths]
    return found


def check(data: Any, folder: Path) -> int:
    """Return how many images both load.

    Raises:
        SystemExit: If they are other files.
    """
    for split, (_, names) in theirs(folder, list(data)).items():
        if sorted(names) != sorted(data[split].names.tolist()):
            raise SystemExit(f"The two loaded different files of {split}.")
    return sum(map(len, data.values()))


def measure(who: str, folder: Path, splits: list[str]) -> None:
    """Print time and memory of one loading as JSON, in a process of its own."""
    if who == "ours":
        import synthray  # noqa: F401
    else:
        import tensorflow as tf

        tf.constant(0) + 1
    before, began, worked = timing.watch_memory(), time.perf_counter(), time.process_time()
    if who == "ours":
        images = [data.images for data in ours(folder).values()]
    else:
        images = [images for images, _ in theirs(folder, splits).values()]
    values = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - worked,
        "peak_mib": timing.peak_memory() - before,
        "result_mib": sum(part.nbytes for part in images) / 2**20,
    }
    print(json.dumps(values), flush=True)


def main(arguments: list[str] | None = None) -> None:
    options = timing.parser(__doc__)
    options.add_argument("--name", default="bone-fracture-160", help="of the folder in --data")
    options.add_argument("--measure", choices=("ours", "peer"), help="for the children")
    options.add_argument("--splits", nargs="*", default=[], help="for the children")
    args = timing.parsed(options, arguments, {})
    folder = timing.need_data(args, args.name)
    if args.measure:
        measure(args.measure, folder, args.splits)
        return
    data = ours(folder)  # also brings the files into the system's cache
    skipped = sum(len(part.skipped) for part in data.values())
    names = [name for part in data.values() for name in part.names.tolist()]
    told: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / args.name
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).symlink_to((folder / name).resolve())
        images = check(data, copy)
        print(f"both load {images:,} images; {skipped} files are skipped")

        def child(who: str, parent: Path) -> float:
            words = ("--measure", who, "--data", str(parent.resolve()), "--name", args.name)
            told[who].append(timing.ask("loading", *words, "--splits", *data))
            return float(told[who][-1]["seconds"])

        turns = {
            "ours": lambda: child("ours", args.data),
            "peer": lambda: child("peer", Path(temporary)),
        }
        seconds = timing.take_turns(turns, args.rounds)
    work = [[each["cpu_seconds"] for each in told[who]] for who in ("peer", "ours")]
    values = {
        "ratios": {"image_dataset_from_directory": timing.times_as_fast(seconds)["peer"]},
        "cpu_ratio": timing.paired(*work),
        "memory": {
            who: timing.spread(each["peak_mib"] / each["result_mib"] for each in found)
            for who, found in told.items()
        },
        "seconds": seconds,
        "measured": told,
        "set": args.name,
        "skipped_files": skipped,
        "images": images,
    }
    timing.keep(args, "loading", f"speed/loading_{args.name}", values)


if __name__ == "__main__":
    timing.run(main)
