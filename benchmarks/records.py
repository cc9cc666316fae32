"""Raw results: one JSON record a run, with what made it.

A record holds the command, the seed, the commit of the checkout, the versions, the machine and the
values. Scores of single images go into a compressed `.npz` beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KEYS = ("command", "seed", "commit", "versions", "machine", "values")
SCALE = 1_000  # probabilities are kept as whole numbers of so many parts


def record(values: Mapping[str, Any], *, script: str, seed: int | None) -> dict[str, Any]:
    """Return a record of this run; folders are told by their last name alone."""
    import keras

    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    packages = ("keras", "numpy", "scikit-learn", "joblib", "tensorflow", "jax", "torch")
    packages += ("imagededup", "cleanvision")
    return {
        "command": " ".join(["python -m", f"benchmarks.rows.{script}", *words]),
        "seed": seed,
        "commit": commit(),
        "versions": {
            "python": platform.python_version(),
            "backend": keras.backend.backend(),
            **versions(*packages),
        },
        "machine": {
            "processor": processor(),
            "cpus": os.cpu_count(),
            "cores": cores(),
            "instructions": instructions(),
            "gpu": gpu(),
            "load_at_the_end": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        },
        "values": values,
    }


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Write a record; floats keep six significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(value)) + "\n", encoding="utf-8")
    print(f"wrote {path.name}", flush=True)


def write_probabilities(path: Path, probabilities: Any, **arrays: Any) -> None:
    """Write the scores of single images, rounded to three digits, and arrays that go with them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = np.rint(np.asarray(probabilities, float) * SCALE).astype(np.uint16)
    np.savez_compressed(path, probabilities=parts, scale=np.asarray(SCALE), **arrays)


def rounded(value: Any, digits: int = 6) -> Any:
    """Return a value of JSON with its floats rounded to significant digits."""
    if isinstance(value, Mapping):
        return {key: rounded(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def commit() -> str | None:
    """Return the commit of the checkout, with a `+` where files differ from it."""
    try:
        git = ("git", "-C", str(ROOT))
        head = subprocess.check_output((*git, "rev-parse", "--short", "HEAD"), text=True)
        changed = subprocess.check_output((*git, "status", "--porcelain", "-uno"), text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + "+" * bool(changed)


def versions(*names: str) -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def processor() -> str:
    """Return the name of the processor, where the system tells it."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def instructions() -> list[str]:
    """Return which wide instructions the processor has, where the system tells it."""
    words = _of_processor("flags").split()
    return sorted(word for word in words if word.startswith(("avx", "amx")))


def has_bfloat16() -> bool:
    """Whether the processor is known to have instructions for bfloat16."""
    return any("bf16" in word for word in instructions())


def _of_processor(key: str) -> str:
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu() -> str | None:
    """Return the name of the GPU that Keras' backend sees; `None` if it sees none."""
    import keras

    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if backend == "jax":
        import jax

        found = [device for device in jax.devices() if device.platform == "gpu"]
        return found[0].device_kind if found else None
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(cards[0])["device_name"] if cards else None
