"""Loading a folder of images to arrays, against `image_dataset_from_directory`.

    python benchmarks/speed/loading.py --data FOLDER [--name bone-fracture-160]

FOLDER holds the folder of the set. Both stretch to 64x64 in RGB; ours gives uint8, the peer float32
from batches of 256 that are put together. The peer ends at the first file that it cannot decode: it
loads links to those that ours did not skip. The two are compared first: the same files, and how far
apart the pixels are (ours shrinks with antialiasing, the peer without). Each measurement has a
process of its own, behind its imports; the files are in the system's cache. `memory` is our peak
beyond that of the imports, over the bytes of the result; `cpu_ratio` the peer's processor time over
ours, which a busy machine changes less than the seconds that pass. Writes `loading_<name>.json`.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speed import _options
from speed._children import answer, ask, peak_mib, watch_memory
from speed._pairs import as_text, paired, spread, take_turns, times_as_fast

SETS = ("bone-fracture-160", "bone-fracture-originals")
SIDE = 64


def ours(folder: Path, fit: str) -> Any:
    """Return what our loader does: data sets by split."""
    import synthray as sr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that files were skipped
        found = sr.load_image_folder(folder, image_shape=(SIDE, SIDE, 3), fit=fit, progress=False)
    return found if isinstance(found, dict) else {"": found}


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


def link(folder: Path, names: list[str], target: Path) -> None:
    """Make a folder of links to some files of another."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to((folder / name).resolve())


def compare(data: Any, folder: Path) -> dict[str, Any]:
    """Return how far the images of both are apart.

    Raises:
        SystemExit: If they are other files.
    """
    total = count = 0.0
    for split, (images, names) in theirs(folder, list(data)).items():
        rows = {name: row for row, name in enumerate(data[split].names.tolist())}
        if sorted(rows) != sorted(names):
            raise SystemExit(f"The peer loaded {len(names)} files of {split}, ours {len(rows)}.")
        own = data[split].images[[rows[name] for name in names]]
        apart = np.abs(own.astype(np.float32) - images).mean(axis=(1, 2, 3))
        total, count = total + float(apart.sum()), count + len(apart)
    return {"images": int(count), "mean_absolute_difference_in_gray_values": total / count}


def measure(who: str, folder: Path, splits: list[str], fit: str) -> None:
    """Print time and memory of one loading, in a process of its own."""
    if who == "ours":
        import synthray  # noqa: F401
    else:
        import tensorflow as tf

        tf.constant(0) + 1
    before, began, worked = watch_memory(), time.perf_counter(), time.process_time()
    if who == "ours":
        images = [data.images for data in ours(folder, fit).values()]
    else:
        images = [images for images, _ in theirs(folder, splits).values()]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    peak = peak_mib() - before
    result = sum(part.nbytes for part in images) / 2**20
    answer(
        {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "peak_mib": peak,
            "result_mib": result,
            "before_mib": before,
        }
    )


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder with the set's folder")
    options.add_argument("--name", default=SETS[0], help=f"of the folder, such as {SETS[1]}")
    options.add_argument("--fit", choices=("stretch", "pad", "crop"), default="stretch")
    options.add_argument("--measure", choices=("ours", "peer"), help="for the children")
    options.add_argument("--splits", nargs="*", default=[], help="for the children")
    args = _options.parsed(options, arguments, {})
    folder = args.data / args.name
    if args.measure:
        measure(args.measure, folder, args.splits, args.fit)
        return
    if not folder.is_dir():
        raise _options.MissingError(f"no folder {args.name} in the folder that --data names")
    _options.need_tensorflow()
    data = ours(folder, args.fit)  # also brings the files into the system's cache
    skipped = sum(len(part.skipped) for part in data.values())
    names = [name for part in data.values() for name in part.names.tolist()]
    told: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as temporary:
        link(folder, names, Path(temporary) / args.name)
        agreement = compare(data, Path(temporary) / args.name)
        print(f"both load {agreement['images']:,} images; {skipped} files are skipped: {agreement}")

        def child(who: str, parent: Path) -> float:
            words = ["--measure", who, "--data", str(parent), "--name", args.name]
            found = ask(__file__, *words, "--fit", args.fit, "--splits", *data)
            told[who].append(found)
            return float(found["seconds"])

        seconds = take_turns(
            {
                "ours": lambda: child("ours", args.data),
                "peer": lambda: child("peer", Path(temporary)),
            },
            args.rounds,
        )
    memory = {
        who: spread(each["peak_mib"] / each["result_mib"] for each in found)
        for who, found in told.items()
    }
    work = paired(*([each["cpu_seconds"] for each in told[who]] for who in ("peer", "ours")))
    values = {
        "ratios": {"image_dataset_from_directory": times_as_fast(seconds)["peer"]},
        "cpu_ratio": work,
        "memory": memory,
        "seconds": seconds,
        "measured": told,
        "set": args.name,
        "fit": args.fit,
        "skipped_files": skipped,
        "agreement": agreement,
    }
    print(f"processor time of the peer over ours: {as_text(work)}")
    print(f"peak memory over the result: {memory}")
    _options.keep(args, "loading", f"loading_{args.name}", values)


if __name__ == "__main__":
    _options.run(main)
