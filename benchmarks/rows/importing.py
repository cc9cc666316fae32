"""`import synthray` against `import keras`, each in new processes.

A round is the seconds of `python -c "import ..."`, start and end of Python included; one of each
comes before, so that files are in the system's cache. The ratio is ours over Keras'.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.rows import timing


def bring_in(name: str) -> None:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", f"import {name}"]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def main(arguments: list[str] | None = None) -> None:
    args = timing.parsed(timing.parser(__doc__, rounds=9), arguments, {})
    work = {
        "ours": timing.timed(lambda: bring_in("synthray")),
        "keras": timing.timed(lambda: bring_in("keras")),
    }
    for each in work.values():
        each()
    seconds = timing.take_turns(work, args.rounds)
    ratios = {"keras": timing.paired(seconds["ours"], seconds["keras"])}
    timing.keep(args, "importing", "speed/importing", {"ratios": ratios, "seconds": seconds})


if __name__ == "__main__":
    timing.run(main)
