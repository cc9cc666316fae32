"""Runs benchmarks by name, each row in a process of its own.

    python benchmarks/run.py [--data FOLDER] [--only dcgan_step leak] [--quick] [--list]

Without `--only`, it runs the rows of speed. FOLDER holds the data sets; a row that lacks one, or a
package, or a GPU, is skipped and says why. Each row writes one record to `benchmarks/results/`;
`--quick` does little work, to see that all run, and keeps nothing unless `--out` says where. Then
`python -m benchmarks.tables` fills the tables of README and docs. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Row:
    """One call of a module in `benchmarks/rows/`."""

    minutes: float  # about, on two cores
    module: str = ""  # where its name is not that of the row
    options: tuple[str, ...] = ()
    backend: str = "tensorflow"
    speed: bool = True  # such rows run by default


ROWS = {
    "dcgan_step": Row(15),
    "dcgan_step_bf16": Row(10, "dcgan_step", ("--dtype", "mixed_bfloat16")),
    "projected_step": Row(4),
    "classifier_fit": Row(6),
    "classifier_few": Row(3, "classifier_fit", ("--few",)),
    "comparison_fits": Row(25),
    "loading_160": Row(5, "loading"),
    "loading_originals": Row(2, "loading", ("--name", "bone-fracture-originals")),
    "augmenting": Row(2),
    "features": Row(2, "backbone_features"),
    "features_judging": Row(3, "backbone_features", ("--role", "judging")),
    "importing": Row(3),
    "gpu_step_jax": Row(5, "gpu_step", backend="jax"),
    "gpu_step_torch": Row(5, "gpu_step", backend="torch"),
    "leak": Row(1, speed=False),
    "duplicates": Row(10, speed=False),
    "peers_duplicates": Row(10, speed=False),
    "public_sets": Row(10, speed=False),
    "error_rates": Row(30, speed=False),
    "judge": Row(30, speed=False),
    "generators": Row(50, speed=False),
    "transfer": Row(60, speed=False),
    "bone_fractures": Row(600, "experiment", ("--part", "official"), speed=False),
    "grouped_bone": Row(90, "experiment", ("--part", "bone"), speed=False),
    "grouped_fracatlas": Row(120, "experiment", ("--part", "fracatlas"), speed=False),
}


def run(name: str, args: argparse.Namespace, out: Path) -> bool:
    """Run one row; return whether it ended well."""
    row = ROWS[name]
    if find_spec(row.backend) is None:
        print(f"skipped: {row.backend} is not installed (pip install -e '.[{row.backend}]')")
        return True
    command = [sys.executable, "-m", f"benchmarks.rows.{row.module or name}", *row.options]
    command += ["--out", str(out.resolve())]
    if args.data is not None:
        command += ["--data", str(args.data.resolve())]
    settings = {"KERAS_BACKEND": row.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [*command, *(["--quick"] if args.quick else [])],
        env=os.environ | settings,
        cwd=ROOT,
        check=False,
    )
    return done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    of_speed = [name for name, row in ROWS.items() if row.speed]
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--only", nargs="+", choices=tuple(ROWS), default=of_speed)
    parser.add_argument("--quick", action="store_true", help="little work, to see that all run")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results")
    parser.add_argument("--list", action="store_true", help="list the rows, run nothing")
    args = parser.parse_args(arguments)
    if args.list:
        for name, row in ROWS.items():
            print(f"{name:20} about {row.minutes:.0f} min{'' if row.speed else ', only by name'}")
        return 0
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        out = args.out or (Path(temporary) if args.quick else RESULTS)
        for name in args.only:
            print(f"\n{name}", flush=True)
            began = time.perf_counter()
            if not run(name, args, out):
                failed.append(name)
            print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    if failed:
        print("\nfailed:", *failed)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
