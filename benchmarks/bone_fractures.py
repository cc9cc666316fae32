"""The slides' experiment with its raw result kept.

Run it with `python benchmarks/bone_fractures.py --data PATH` and the flags of
`examples/bone_fractures.py`, which it runs. Writes `benchmarks/results/bone_fractures.json`;
`python benchmarks/tables.py` then fills in the tables of the documentation.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from records import record, write

HERE = Path(__file__).resolve().parent


def load_example() -> Any:
    spec = importlib.util.spec_from_file_location(
        "bone_fractures_example", HERE.parent / "examples" / "bone_fractures.py"
    )
    if spec is None or spec.loader is None:
        raise SystemExit("examples/bone_fractures.py is missing.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> None:
    example = load_example()
    args = example.parse(arguments)
    result = example.main(arguments)
    states = [
        json.loads(path.read_text())
        for path in sorted((args.workdir / "generators").glob("*/state.json"))
    ]
    values = {
        "generator": {
            "class": "DCGAN",
            "width": args.gan_width,
            "precision": args.precision,
            "epochs": args.gan_epochs,
            "batch_size": states[0]["settings"]["batch_size"],
            "seed": states[0]["settings"]["random_state"],
            "drawn_a_class": args.synthetic,
            "histories": {state["settings"]["class_name"]: state["history"] for state in states},
        },
        "comparison": result.to_dict(),
    }
    write(HERE / "results" / "bone_fractures.json", record("benchmarks/bone_fractures.py", values))


if __name__ == "__main__":
    main(sys.argv[1:])
