"""A measurement in a process of its own: for imports, and for the peak of memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def ask(script: str, *words: str) -> dict[str, Any]:
    """Run a script in a new process and return the JSON of its last line."""
    command = [sys.executable, str(Path(script).resolve()), *words]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(script).name} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def answer(values: dict[str, Any]) -> None:
    """Print what the process that asked is waiting for."""
    print(json.dumps(values), flush=True)


def peak_mib() -> float:
    """Return the most memory that this process has held so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere, the peak of the process that started this one counts too
        (line,) = (at for at in status.read_text().splitlines() if at.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
