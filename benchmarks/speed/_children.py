"""A measurement in a process of its own: for imports, and for the peak of memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def ask(
    script: str, *words: str, environment: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """Run a script in a new process and return the JSON of its last line.

    Args:
        script: Its file.
        *words: Given to it.
        environment: Variables to change; `None` for one that is to be unset.
    """
    command = [sys.executable, str(Path(script).resolve()), *words]
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
    given = {name: value for name, value in variables.items() if value is not None}
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(script).name} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def answer(values: dict[str, Any]) -> None:
    """Print what the process that asked is waiting for."""
    print(json.dumps(values), flush=True)


def watch_memory() -> float:
    """Begin to watch for the peak, and return what this process holds now, in MiB."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():  # the imports' own peak would hide what comes after them
        reset.write_text("5")
        return _held("VmRSS")
    return peak_mib()


def peak_mib() -> float:
    """Return the most memory that this process has held since `watch_memory`, in MiB."""
    if Path("/proc/self/status").exists():
        return _held("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def _held(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
