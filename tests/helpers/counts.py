"""Counts what the suites try, for the page *What is promised*.

Where the variable `SYNTHRAY_COUNTS` names a folder, each process adds up there what it tries;
`python tests/helpers/counts.py FOLDER` prints the sums; `--record` writes them to
`benchmarks/results/promises.json`.
"""

from __future__ import annotations

import atexit
import collections
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

_counted: collections.Counter[str] = collections.Counter()


def count(what: str, number: int = 1) -> None:
    """Count an input that was tried, or a fault that was survived."""
    if not _counted:
        atexit.register(_write)
    _counted[what] += number


def _write() -> None:
    if folder := os.environ.get("SYNTHRAY_COUNTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(_counted))


def summed(folder: Path) -> dict[str, int]:
    found: collections.Counter[str] = collections.Counter()
    for file in sorted(folder.glob("*.json")):
        found.update(json.loads(file.read_text()))
    return dict(sorted(found.items()))


if __name__ == "__main__":
    found = summed(Path(sys.argv[1]))
    print("Tried:", "; ".join(f"{number:,} {what}" for what, number in found.items()))
    if sys.argv[2:] == ["--record"]:
        ask = ["git", "rev-parse", "--short", "HEAD"]
        record = {
            "command": "make test-all, then python tests/helpers/counts.py .counts --record",
            "seed": None,
            "commit": subprocess.run(ask, capture_output=True, text=True).stdout.strip() or None,
            "versions": {"python": platform.python_version()},
            "machine": {"system": platform.system(), "processor": platform.machine()},
            "values": {"counts": found},
        }
        results = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
        (results / "promises.json").write_text(json.dumps(record, indent=1) + "\n")
