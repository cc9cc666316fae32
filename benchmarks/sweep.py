"""One setting of `R3GAN` changed at a time, at equal cost: what matters, and what does not.

    python benchmarks/sweep.py --data PATH [--jobs 2] [--minutes 4]

Each run trains on a part of FracAtlas' training fold and is judged by the rest of it, so that the
held-out fold has no part in the choice. Runs that have a result in `benchmarks/results/sweep/` are
not repeated: a sweep that was interrupted goes on. Says first what it will cost.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "sweep"

# By tag: the model's arguments (JSON, without the braces) and options of benchmarks/generators.py.
RUNS: dict[str, tuple[str, list[str]]] = {
    "default": ("", []),
    "seed 1": ("", ["--seed", "1"]),
    "seed 2": ("", ["--seed", "2"]),
    "gamma 0.02": ('"gamma": 0.02', []),
    "gamma 0.5": ('"gamma": 0.5', []),
    "sigma 0.02": ('"penalty_sigma": 0.02', []),
    "rate 1.5e-3": ("", ["--rate", "0.0015"]),
    "rate 6e-3": ("", ["--rate", "0.006"]),
    "batch 16": ("", ["--batch-size", "16"]),
    "batch 64": ("", ["--batch-size", "64"]),
    "width 0.7": ('"width": 0.7', []),
    "width 1.4": ('"width": 1.4', []),
    "no augmentation": ('"augment_strength": 0', []),
    "full augmentation": ('"augment_strength": 1', []),
    "average 5000": ('"ema_images": 5000', []),
    "latent 256": ('"latent_dim": 256', []),
    "simultaneous updates": ('"updates": "simultaneous"', []),
}


def run(tag: str, data: Path, minutes: float, dtype: str, core: int) -> None:
    arguments, options = RUNS[tag]
    arguments = ", ".join(part for part in (f'"dtype": "{dtype}"', arguments) if part)
    command = [sys.executable, str(HERE / "generators.py"), "--set", "fracatlas", "--inner"]
    command += ["--data", str(data), "--class", "not fractured", "--minutes", str(minutes)]
    command += ["--arguments", f"{{{arguments}}}", "--tag", tag, "--out", str(RESULTS)]
    command += ["--core", str(core), *options]

    print(f"{tag} ...", flush=True)
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | one)
    lines = [line for line in done.stdout.splitlines() if line.startswith("drawn")]
    print(f"{tag}: {lines[0] if lines else done.stderr[-2000:]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FracAtlas at 64x64, .npz")
    parser.add_argument("--minutes", type=float, default=4.0, help="of one core, a run")
    parser.add_argument("--dtype", default="float32", help="or mixed_bfloat16: the faster one")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, a core each")
    parser.add_argument("--only", nargs="*", choices=tuple(RUNS), default=tuple(RUNS))
    args = parser.parse_args()
    kept = {path.stem for path in RESULTS.glob("*.json")}
    left = [tag for tag in args.only if file_of(tag) not in kept]
    cores = sorted(os.sched_getaffinity(0))
    cost = len(left) * (args.minutes + 1.5) / args.jobs
    print(f"{len(left)} of {len(args.only)} runs to do, about {cost:.0f} minutes.")

    def every(job: int) -> None:
        for tag in left[job :: args.jobs]:
            run(tag, args.data, args.minutes, args.dtype, cores[job % len(cores)])

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(every, range(args.jobs)))


def file_of(tag: str) -> str:
    """Return the name that benchmarks/generators.py gives a run's file."""
    return f"fracatlas_not fractured_R3GAN_{tag}".replace(" ", "-").lower()


if __name__ == "__main__":
    main()
