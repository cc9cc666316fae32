"""What all benchmarks of speed share: their options, and the file that each of them writes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from records import instructions, processor, record, write
from speed._pairs import as_text

RESULTS = Path(__file__).resolve().parents[1] / "results" / "speed"


class MissingError(Exception):
    """Says what a benchmark lacks on this machine, and how to get it."""


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    found = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--rounds", type=int, default=5, help="how often each has its turn")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--out", type=Path, default=RESULTS, help="folder for the raw results")
    found.add_argument("--quick", action="store_true", help="little work, to see that it runs")
    return found


def parsed(
    options: argparse.ArgumentParser, arguments: list[str] | None, quick: Mapping[str, Any]
) -> argparse.Namespace:
    """Return the arguments; `--quick` changes the defaults, and what is given holds."""
    args = options.parse_args(arguments)
    if args.quick:
        options.set_defaults(rounds=1, **quick)
        args = options.parse_args(arguments)
    return args


def keep(args: argparse.Namespace, script: str, name: str, values: Mapping[str, Any]) -> None:
    """Print the ratios and write the raw result."""
    for peer, ratio in values.get("ratios", {}).items():
        print(f"{name}, {peer}: {as_text(ratio)}", flush=True)
    told = {
        **values,
        "seed": args.seed,
        "rounds": args.rounds,
        "quick": args.quick,
        "processor": processor(),
        "instructions": instructions(),
        "cores": cores(),
        "load_at_the_end": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    write(args.out / f"{name}.json", record(f"benchmarks/speed/{script}.py", told))


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def need(*packages: str) -> None:
    """Raise `MissingError` where a package is not installed."""
    for name in packages:
        if find_spec(name) is None:
            extra = f"pip install -e '.[{name}]'" if name in ("torch", "jax") else "make dev"
            raise MissingError(f"{name} is not installed ({extra})")


def need_tensorflow(more: str = "") -> None:
    """Raise `MissingError` where Keras runs on another backend; `more` says what else would do."""
    import keras

    if keras.backend.backend() != "tensorflow":
        rows = f"TensorFlow, {more}" if more else "TensorFlow"
        raise MissingError(f"this row is of {rows}; set KERAS_BACKEND=tensorflow")


def use_threads(count: int | None) -> int:
    """Give TensorFlow and torch so many threads, and return the number; by default all cores."""
    if count is not None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    return count or cores()


def run(main: Any) -> None:
    """Run a benchmark from the command line; one that must be skipped says why and ends well."""
    try:
        main()
    except MissingError as reason:
        print(f"skipped: {reason}")
