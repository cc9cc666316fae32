"""What the rows share: options, paired rounds, processes of their own, and the record they write.

In paired rounds, all competitors take turns, so that a busy machine slows all of them alike. A
round times each competitor once. A ratio is taken within a round; the result is the median of all
rounds, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.records import RESULTS, ROOT, record, write

Seconds = dict[str, list[float]]
Spread = dict[str, float]


class MissingError(Exception):
    """Says what a row lacks on this machine, and how to get it."""


def parser(doc: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """Return a parser with the options that every row has."""
    found = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--rounds", type=int, default=rounds, help="turns of each competitor")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--data", type=Path, help="folder with the data sets")
    found.add_argument("--out", type=Path, default=RESULTS, help="folder for the raw results")
    found.add_argument("--quick", action="store_true", help="little work, to see that it runs")
    return found


def parsed(
    options: argparse.ArgumentParser, arguments: list[str] | None, quick: Mapping[str, Any]
) -> argparse.Namespace:
    """Return the arguments; `--quick` changes the defaults."""
    args = options.parse_args(arguments)
    if args.quick:
        options.set_defaults(rounds=1, **quick)
        args = options.parse_args(arguments)
    return args


def run(main: Callable[[], Any]) -> None:
    """Run a row from the command line; one that lacks something says what and ends well."""
    try:
        main()
    except MissingError as reason:
        print(f"skipped: {reason}")


def keep(args: argparse.Namespace, script: str, name: str, values: Mapping[str, Any]) -> None:
    """Print the ratios and write the record `<out>/<name>.json`."""
    for peer, ratio in values.get("ratios", {}).items():
        print(f"{name}, {peer}: {as_text(ratio)}", flush=True)
    told = {**values, "rounds": args.rounds, "quick": args.quick}
    write(args.out / f"{name}.json", record(told, script=script, seed=args.seed))


def before(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the values that the record holds so far; none if there is no record."""
    path = args.out / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["values"]) if path.exists() else {}


def need(package: str, how: str | None = None) -> None:
    """Raise `MissingError` where a package is not installed; say how to install it."""
    if find_spec(package) is None:
        how = how or f"pip install -e '.[{package}]'"
        raise MissingError(f"{package} is not installed ({how})")


def need_data(args: argparse.Namespace, name: str) -> Path:
    """Return the path of a data set; raise `MissingError` where it is not there."""
    if args.data is None or not (args.data / name).exists():
        raise MissingError(f"needs {name} in the folder that --data names")
    return Path(args.data / name)


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that does the work and returns its seconds."""

    def seconds() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return seconds


def take_turns(competitors: Mapping[str, Callable[[], float]], rounds: int) -> Seconds:
    """Return the seconds of each competitor in each round; every second one in reverse order."""
    seconds: Seconds = {name: [] for name in competitors}
    for number in range(rounds):
        names = list(competitors)
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(competitors[name]())
        told = ", ".join(f"{name} {values[-1]:.3f} s" for name, values in seconds.items())
        print(f"  round {number + 1} of {rounds}: {told}", flush=True)
    return seconds


def spread(values: Iterable[float]) -> Spread:
    """Return median, lowest and highest."""
    found = sorted(values)
    return {"median": statistics.median(found), "low": found[0], "high": found[-1]}


def paired(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return the spread of the ratios of two series, round by round."""
    return spread(a / b for a, b in zip(over, under, strict=True))


def times_as_fast(seconds: Seconds, ours: str = "ours") -> dict[str, Spread]:
    """Return the spread of each peer's seconds over ours."""
    return {name: paired(values, seconds[ours]) for name, values in seconds.items() if name != ours}


def as_text(ratio: Mapping[str, float]) -> str:
    """Return a spread as `median [low, high]`."""
    return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def ask(script: str, *words: str) -> dict[str, Any]:
    """Run a row in a new process and return the JSON of its last line."""
    command = [sys.executable, "-m", f"benchmarks.rows.{script}", *words]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def watch_memory() -> float:
    """Begin to watch the peak of memory, and return what this process holds now, in MiB (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the imports' own peak hides later ones
    return _held("VmRSS")


def peak_memory() -> float:
    """Return the most memory that this process has held since `watch_memory`, in MiB."""
    return _held("VmHWM")


def _held(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
