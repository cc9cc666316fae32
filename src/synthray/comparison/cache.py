"""Finished work in a folder, so that a killed comparison goes on where it was."""

from __future__ import annotations

import os
from pathlib import Path

from synthray._files import open_json, sha256, slug, write_json
from synthray.comparison.result import ArmRun
from synthray.datasets.image_dataset import ImageDataset

_KEY = 16


class Cache:
    """A folder of finished fits, synthetic images and generators' checkpoints.

    The name of each file holds the digest of all that determines it. So work of other settings has
    other names: it is neither used nor touched.

    Args:
        workdir: The folder; made where it is missing.
    """

    def __init__(self, workdir: str | os.PathLike[str]) -> None:
        self._root = Path(workdir).absolute()

    def generators(self, key: str) -> Path:
        """Return the folder of generators' checkpoints."""
        return self._root / "generators" / key[:_KEY]

    def load_run(
        self, arm: str, fold: int, seed: int, key: str, shape: tuple[int, int]
    ) -> ArmRun | None:
        """Return a finished fit that judged images of this number and classes, or `None`.

        Raises:
            FileFormatError: If the file is damaged, or holds another fit.
        """
        path = self._run(arm, fold, seed, key)
        if not path.exists():
            return None
        with open_json(path, "a finished fit", "Remove it to have it computed anew.") as values:
            run = ArmRun.from_dict(values["run"], shape)
            if (values["settings"], run.arm, run.fold, run.seed) != (key, arm, fold, seed):
                raise ValueError("it holds another fit than its name says")
            return run

    def save_run(self, run: ArmRun, key: str) -> None:
        """Keep a finished fit."""
        path = self._run(run.arm, run.fold, run.seed, key)
        write_json(path, {"settings": key, "run": run.to_dict()})

    def load_synthetic(self, key: str) -> ImageDataset | None:
        """Return synthetic images, or `None`.

        Raises:
            FileFormatError: If the file is damaged, or holds other images.
        """
        path = self._synthetic(key)
        seal = path.with_suffix(".json")  # written last
        if not (path.exists() and seal.exists()):
            return None
        hint = "Remove it to have the images made anew."
        with open_json(seal, f"the hash of {path.name}", hint) as values:
            if (values["settings"], values["sha256"]) != (key, sha256(path)):
                raise ValueError(f"{path.name} is not what was kept")
        return ImageDataset.load(path, max_bytes=2**63)

    def save_synthetic(self, data: ImageDataset, key: str) -> None:
        """Keep synthetic images."""
        path = self._synthetic(key)
        data.save(path)
        write_json(path.with_suffix(".json"), {"settings": key, "sha256": sha256(path)})

    def count_fits(self) -> int:
        """Return how many fits the folder holds, of any settings."""
        return sum(1 for _ in (self._root / "fits").glob("[!.]*.json"))

    def _run(self, arm: str, fold: int, seed: int, key: str) -> Path:
        return self._root / "fits" / f"{slug(arm)}-fold{fold}-seed{seed}-{key[:_KEY]}.json"

    def _synthetic(self, key: str) -> Path:
        return self._root / "synthetic" / f"{key[:_KEY]}.npz"
