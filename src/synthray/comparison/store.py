"""Finished fits in a folder, so that a killed comparison goes on where it was."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthray.comparison._json import decode_run, encode_run
from synthray.comparison.result import ArmRun
from synthray.datasets.image_dataset import ImageDataset

_KEY = 16


class RunStore:
    """A folder of finished fits, each in a file whose name holds the digest of its settings.

    A file appears under its name only when it is whole (it is written beside, flushed to the disk
    and renamed), so a kill at any moment leaves either all of it or nothing. Fits of other settings
    have other names: they are neither used nor touched.

    Args:
        workdir: The folder; made where it is missing.
    """

    def __init__(self, workdir: str | os.PathLike[str]) -> None:
        self._root = Path(workdir).absolute()

    def runs(self, arm: str, fold: int, seed: int, key: str) -> Path:
        """Return where a fit is kept."""
        safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in arm)
        return self._root / "fits" / f"{safe}-fold{fold}-seed{seed}-{key[:_KEY]}.json"

    def drawn(self, key: str) -> Path:
        """Return where drawn images are kept."""
        return self._root / "drawn" / f"{key[:_KEY]}.npz"

    def generators(self, key: str) -> Path:
        """Return the folder of generators' checkpoints."""
        return self._root / "generators" / key[:_KEY]

    def load_run(self, path: Path, key: str, shape: tuple[int, int]) -> ArmRun | None:
        """Return a finished fit, or `None`.

        Raises:
            ValueError: If the file is damaged.
        """
        if not path.exists():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["settings"] != key:
                return None
            return decode_run(values["run"], shape)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}). Remove it to have this fit computed anew."
            ) from None

    def save_run(self, path: Path, key: str, run: ArmRun) -> None:
        """Keep a finished fit."""
        values = {"settings": key, "run": encode_run(run)}
        text = json.dumps(values, ensure_ascii=False, allow_nan=False)

        def write(part: Path) -> None:
            part.write_text(text, encoding="utf-8")

        write_whole(path, write)

    def load_drawn(self, path: Path) -> ImageDataset | None:
        """Return drawn images, or `None`."""
        return ImageDataset.load(path) if path.exists() else None

    def save_drawn(self, path: Path, data: ImageDataset) -> None:
        """Keep drawn images."""
        write_whole(path, data.save)

    def count_fits(self) -> int:
        """Return how many fits the folder holds, of any settings."""
        return sum(1 for _ in (self._root / "fits").glob("[!.]*.json"))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file so that its name never stands for a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
