"""All benchmarks of speed, one after the other, each in a process of its own.

    python benchmarks/bench.py [--data FOLDER] [--only dcgan_step growth] [--quick]

FOLDER holds `bone-fracture-160/`, `bone-fracture-originals/` and `fracatlas_64.npz`; what is not
there is skipped, and so is what needs a package, a card or instructions of the processor that are
not there. Says first what each costs. Writes `benchmarks/results/speed/`; `--quick` does little
work, to see that all run, and keeps nothing unless `--out` says where. Then `python
benchmarks/speed_tables.py --plot` draws the plot and `python benchmarks/tables.py` fills the
tables. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from records import lacks_bfloat16

HERE = Path(__file__).resolve().parent
GET_BONES = "the bone fracture set of Kaggle, 10,580 files in train/, val/ and test/"


@dataclass(frozen=True)
class Benchmark:
    """One call of a file in `benchmarks/speed/`.

    Attributes:
        script: Name of the file.
        minutes: About how many it takes on two cores.
        options: Given to it.
        data: File or folder that it needs in `--data`.
        can_do_without: Whether it has a substitute for that.
        backend: Of Keras.
        half: Whether it is about bfloat16, for which a processor should have instructions.
        source: Where the data come from.
    """

    script: str
    minutes: float
    options: tuple[str, ...] = ()
    data: str | None = None
    can_do_without: bool = False
    backend: str = "tensorflow"
    half: bool = False
    source: str = ""

    def missing(self, data: Path | None, quick: bool = False) -> str | None:
        """Return what it lacks here, and how to get it; `None` if it can run."""
        if find_spec(self.backend) is None:
            extra = self.backend if self.backend != "tensorflow" else ""
            return f"{self.backend} is not installed (pip install -e '.[{extra}]')"
        if self.half and not quick and lacks_bfloat16():
            own = " ".join((f"benchmarks/speed/{self.script}.py", *self.options))
            return f"no instructions for bfloat16 here, float32 is faster; it may take hours: {own}"
        if self.data is None or self.can_do_without:
            return None
        if data is None:
            return f"needs {self.data} ({self.source}): pass --data, or DATA= to make"
        if not (data / self.data).exists():
            return f"{self.data} ({self.source}) is not in the folder that --data names"
        return None


def bones(name: str, minutes: float) -> Benchmark:
    return Benchmark("loading", minutes, ("--name", name), data=name, source=GET_BONES)


BENCHMARKS = {
    "dcgan_step": Benchmark("dcgan_step", 15),
    "dcgan_step_bf16": Benchmark("dcgan_step", 10, ("--dtype", "mixed_bfloat16"), half=True),
    "r3gan_share": Benchmark("r3gan_share", 2),
    "classifier_fit": Benchmark("classifier_fit", 6),
    "classifier_few": Benchmark("classifier_fit", 3, ("--few",)),
    "classifier_accuracy": Benchmark("classifier_fit", 10, ("--accuracy",)),
    "comparison_fits": Benchmark("comparison_fits", 25),
    "loading_bone-fracture-160": bones("bone-fracture-160", 5),
    "loading_bone-fracture-originals": bones("bone-fracture-originals", 2),
    "augmenting": Benchmark("augmenting", 2),
    "growth": Benchmark(
        "growth", 60, data="fracatlas_64.npz", can_do_without=True, source="FracAtlas at 64x64"
    ),
    "importing": Benchmark("importing", 3),
    "settings": Benchmark("settings", 20),
    "comparison_fits_gpu": Benchmark("comparison_fits", 3, backend="jax"),
    "gpu_step_jax": Benchmark("gpu_step", 5, backend="jax"),
    "gpu_step_torch": Benchmark("gpu_step", 5, backend="torch"),
}


def command(name: str, args: argparse.Namespace, out: Path) -> list[str]:
    """Return the command of one benchmark."""
    one = BENCHMARKS[name]
    words = [sys.executable, str(HERE / "speed" / f"{one.script}.py"), "--out", str(out)]
    words += one.options
    if one.data is not None and args.data is not None:
        words += ["--data", str(args.data)]
    return [*words, "--quick"] if args.quick else words


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with the images")
    parser.add_argument("--only", nargs="+", choices=tuple(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="little work, to see that all run")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/speed")
    args = parser.parse_args(arguments)
    lacks = {name: BENCHMARKS[name].missing(args.data, args.quick) for name in args.only}
    left = [name for name, reason in lacks.items() if reason is None]
    for name, reason in lacks.items():
        minutes = "under a minute" if args.quick else f"about {BENCHMARKS[name].minutes:.0f} min"
        print(f"{name:32} {minutes if reason is None else f'skipped: {reason}'}")
    total = sum(BENCHMARKS[name].minutes for name in left)
    if not args.quick:
        print(f"{len(left)} benchmarks, about {total:.0f} minutes on two cores.")
    temporary = tempfile.mkdtemp() if args.quick and args.out is None else None
    out = Path(temporary) if temporary else args.out or HERE / "results" / "speed"
    failed: list[str] = []
    rest = list(left)
    try:
        for name in left:
            print(f"\n{name}", flush=True)
            settings = {"KERAS_BACKEND": BENCHMARKS[name].backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
            began = time.perf_counter()
            done = subprocess.run(command(name, args, out), env=os.environ | settings, check=False)
            print(f"  {time.perf_counter() - began:.0f} s", flush=True)
            if done.returncode:
                failed.append(name)
            rest.remove(name)
    except KeyboardInterrupt:
        print(f"\nInterrupted. To go on: --only {' '.join(rest)}")
    if temporary:
        shutil.rmtree(temporary)
    if failed:
        print("\nfailed:", *failed)
    return int(bool(failed or rest))


if __name__ == "__main__":
    sys.exit(main())
