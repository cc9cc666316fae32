"""`import synthray` against `import keras`, each in new processes.

    python benchmarks/speed/importing.py [--rounds 9]

A round is the seconds of `python -c "import ..."`, start and end of Python included; one of each
comes before, so that files are in the system's cache. Writes `importing.json`; its ratio is ours
over Keras'.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from speed import _options
from speed._pairs import paired, take_turns, timed


def bring_in(name: str) -> None:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", f"import {name}"]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def main(arguments: list[str] | None = None) -> None:
    options = _options.parser(__doc__)
    options.set_defaults(rounds=9)
    args = _options.parsed(options, arguments, {})
    work = {
        "ours": timed(lambda: bring_in("synthray")),
        "keras": timed(lambda: bring_in("keras")),
    }
    for each in work.values():
        each()
    seconds = take_turns(work, args.rounds)
    values = {"ratios": {"keras": paired(seconds["ours"], seconds["keras"])}, "seconds": seconds}
    _options.keep(args, "importing", "importing", values)


if __name__ == "__main__":
    _options.run(main)
