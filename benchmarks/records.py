"""Raw results: one JSON file a run, with what made it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def record(script: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with command, versions and machine; folders by their last name alone."""
    import keras

    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return {
        "command": " ".join(["python", script, *words]),
        "versions": {
            "python": platform.python_version(),
            "backend": keras.backend.backend(),
            **versions("keras", "numpy", "scikit-learn", "tensorflow", "jax", "torch"),
        },
        "machine": {"processor": processor(), "cpus": os.cpu_count()},
        "values": _without_folders(values),
    }


def processor() -> str:
    """Return the name of the processor, where the system tells it."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def instructions() -> list[str]:
    """Return which wide instructions the processor has, where the system tells it."""
    words = _of_processor("flags").split()
    return sorted(word for word in words if word.startswith(("avx", "amx")))


def lacks_bfloat16(known: list[str] | None = None) -> bool:
    """Whether a processor is known to have no instructions for bfloat16: it is emulated then.

    Args:
        known: What `instructions` told of it; by default, of this one.
    """
    known = instructions() if known is None else known
    return bool(known) and not any("bf16" in word for word in known)


def _of_processor(key: str) -> str:
    """Return what Linux tells of the first processor; nothing on another system."""
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text(encoding="utf-8").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""


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


def versions(*names: str) -> dict[str, str]:
    """Return the versions of those that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _without_folders(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {k: _without_folders(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(v) for v in value]
    return Path(value).name if key == "path" and isinstance(value, str) else value


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Write one raw result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")
    print(f"wrote {path.name}")
