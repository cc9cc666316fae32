"""A generator's state in a folder, so that a killed training goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import keras

from synthray.augmenter._files import load_generator, sha256, slug, write_json
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.gan import GAN


class Checkpoint:
    """One generator's state in a folder, written after every epoch.

    The state is one `.keras` file whose name holds the number of epochs done, and a JSON file
    beside it that is written last and names it: a kill between the two leaves the older pair.

    Args:
        workdir: Folder; `None` keeps nothing.
        class_name: Class that the generator draws.
        data: Its training images.
        batch_size: Images a step.
        random_state: Seed of the augmenter.
    """

    def __init__(
        self,
        workdir: str | PathLike[str] | None,
        class_name: str,
        data: ImageDataset,
        batch_size: int,
        random_state: int | None,
    ) -> None:
        self._folder = None if workdir is None else Path(workdir) / slug(class_name)
        if self._folder is None:
            return
        self._settings = {
            "class_name": class_name,
            "images_sha256": hashlib.sha256(data.images.tobytes()).hexdigest(),
            "image_shape": list(data.image_shape),
            "batch_size": batch_size,
            "random_state": random_state,
        }

    def restore(self) -> tuple[GAN | None, dict[str, list[float]], int]:
        """Return the generator, its metrics so far and the epochs done; `(None, {}, 0)` if new."""
        if self._folder is None or not (self._folder / "state.json").exists():
            return None, {}, 0
        state = json.loads((self._folder / "state.json").read_text(encoding="utf-8"))
        for key, value in self._settings.items():
            if state["settings"].get(key) != value:
                raise ValueError(
                    f"{self._folder} holds a generator trained with another {key} "
                    f"({state['settings'].get(key)!r}, now {value!r}). Use another workdir, or "
                    "remove this one to train anew."
                )
        gan = load_generator(self._folder / state["file"], state["sha256"])
        return gan, state["history"], int(state["epochs"])

    def callback(self, history: Mapping[str, list[float]]) -> keras.callbacks.Callback:
        """Return the Keras callback that writes the state after every epoch."""
        return _WriteCheckpoint(self, {k: list(v) for k, v in history.items()})

    def write(self, gan: GAN, history: Mapping[str, list[float]], epochs: int) -> None:
        """Write the state after so many epochs."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"epoch{epochs:05d}.keras"
        gan.save(path)
        write_json(
            self._folder / "state.json",
            {
                "settings": self._settings,
                "epochs": epochs,
                "file": path.name,
                "sha256": sha256(path),
                "history": dict(history),
            },
        )
        for old in self._folder.glob("epoch*.keras"):
            if old != path:
                old.unlink()


class _WriteCheckpoint(keras.callbacks.Callback):
    def __init__(self, checkpoint: Checkpoint, history: dict[str, list[float]]) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._history = history

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        self._checkpoint.write(self.model, self._history, epoch + 1)
