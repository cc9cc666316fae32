"""Small file tools: names, hashes, whole writes, hash-checked models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

from synthray.generators.gan import GAN


def slug(name: str) -> str:
    """Turn a class name into a file name; names that would meet get a part of their hash."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of(settings: Mapping[str, Any], gans: Iterable[GAN] = ()) -> str:
    """Return one hash of settings (plain JSON values) and of the weights of GANs.

    Weights count in their order, by type, shape and value: their paths hold names that Keras
    counts up in a process.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for gan in gans:
        for variable in gan.weights:
            values = variable.numpy()
            digest.update(f"{values.dtype}{values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON so that a reader never sees half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def load_generator(path: Path, expected_sha256: str) -> GAN:
    """Load a `.keras` file whose hash is known, in Keras' safe mode."""
    if not path.exists():
        raise ValueError(f"{path} is missing. Restore the folder as it was saved.")
    if sha256(path) != expected_sha256:
        raise ValueError(
            f"{path} is not the file that was saved: its SHA-256 differs. Restore it; do not load "
            "it if you do not know who changed it."
        )
    return keras.saving.load_model(path, safe_mode=True)
