"""A generator's state in a folder, so that a killed training goes on where it was.

Also what tells one generator's settings from another's, which such a folder has to know.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from synthray._fingerprint import digest
from synthray.augmenter._files import hash_of, load_generator, sha256, slug, write_json
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.gan import GAN

_NOTHING = "nothing"  # what a message calls the value of a setting that one side lacks

State = tuple[GAN | None, dict[str, list[float]], int]


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
        gan: The generator as its user made it, untrained: callbacks may change a learning rate.
    """

    def __init__(
        self,
        workdir: str | PathLike[str] | None,
        class_name: str,
        data: ImageDataset,
        batch_size: int,
        random_state: int | None,
        gan: GAN,
    ) -> None:
        self._folder = None if workdir is None else Path(workdir) / slug(class_name)
        self.ended_at: int | None = None  # epochs that a training was to take which has ended
        if self._folder is None:
            return
        self._settings = {
            "class_name": class_name,
            "images_sha256": _images_digest(data),
            "image_shape": list(data.image_shape),
            "batch_size": plain(batch_size),
            "random_state": plain(random_state),
            "generator": describe_generator(gan),
        }

    def restore(self) -> State:
        """Return the generator, its metrics so far and the epochs done; `(None, {}, 0)` if new.

        Raises:
            ValueError: If the folder holds a generator with other settings, or does not say.
        """
        if self._folder is None or not (self._folder / "state.json").exists():
            return None, {}, 0
        state = json.loads((self._folder / "state.json").read_text(encoding="utf-8"))
        stored = state.get("settings", {})
        unknown = [key for key in self._settings if key not in stored]
        if unknown:
            raise ValueError(
                f"{self._folder} was written by an earlier version of synthray, which did not "
                f"record {', '.join(unknown)}: whether it holds what is now asked for cannot be "
                "told. Use another workdir, or remove this one to train anew."
            )
        changed = _differences(stored, self._settings)
        if changed:
            raise ValueError(
                f"{self._folder} holds a generator trained with another {', '.join(changed)}. "
                "Use another workdir, or remove this one to train anew."
            )
        gan = load_generator(self._folder / state["file"], state["sha256"])
        self.ended_at = state.get("ended_at")
        return gan, state["history"], int(state["epochs"])

    def callbacks(
        self, history: Mapping[str, list[float]], given: list[Any]
    ) -> list[keras.callbacks.Callback]:
        """Return the user's callbacks and behind them that which writes what they left."""
        kept = {k: list(v) for k, v in history.items()}
        return [*given, _WriteCheckpoint(self, kept, at_end=bool(given))]

    def write(
        self,
        gan: GAN,
        history: Mapping[str, list[float]],
        epochs: int,
        *,
        ended_at: int | None = None,
    ) -> None:
        """Write the state after so many epochs.

        Args:
            gan: The generator.
            history: Its metrics so far.
            epochs: How many it has been trained for.
            ended_at: How many it was to be trained for, where that has ended: a callback may have
                stopped it before.
        """
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        mark = "" if ended_at is None else "-end"
        path = self._folder / f"epoch{epochs:05d}{mark}.keras"
        gan.save(path)
        write_json(
            self._folder / "state.json",
            {
                "settings": self._settings,
                "epochs": epochs,
                "file": path.name,
                "sha256": sha256(path),
                "history": dict(history),
                "ended_at": ended_at,
            },
        )
        for old in self._folder.glob("epoch*.keras"):
            if old != path:
                old.unlink()


def _images_digest(data: ImageDataset) -> str:
    found = hashlib.sha256(data.images.tobytes())
    if len(np.unique(data.labels)) > 1:  # a model of several classes: which image is of which
        found.update(data.labels.tobytes())
    return found.hexdigest()


class _WriteCheckpoint(keras.callbacks.Callback):
    def __init__(
        self, checkpoint: Checkpoint, history: dict[str, list[float]], *, at_end: bool
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._history = history
        self._at_end = at_end
        self._epochs = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        self._epochs = epoch + 1
        self._checkpoint.write(self.model, self._history, self._epochs)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        # Callbacks such as SampleMonitor put the best weights back when a training ends.
        if self._at_end:
            planned = self.params["epochs"]
            self._checkpoint.write(self.model, self._history, self._epochs, ended_at=planned)


def steps_to_go(
    states: Mapping[str, State],
    counts: Mapping[str, int],
    epochs: Mapping[str, int],
    batch_size: int,
) -> int:
    """Return the training steps that all generators still need.

    Raises:
        ValueError: If one has been trained for more epochs than asked for.
    """
    for name, (_, _, done) in states.items():
        if done > epochs[name]:
            raise ValueError(
                f"The workdir holds a generator of {name!r} trained for {done} epochs, more "
                f"than the {epochs[name]} asked for. Raise epochs, or use another workdir."
            )
    steps = {name: -(-count // batch_size) for name, count in counts.items()}
    return sum((epochs[name] - done) * steps[name] for name, (_, _, done) in states.items())


def fitted_attributes(augmenter: Any) -> list[str]:
    """Return the names of what `fit` has set: those that end in an underscore."""
    return [k for k in vars(augmenter) if k.endswith("_") and not k.startswith("_")]


def fingerprint_of(augmenter: Any, image_shape: Iterable[int] | None) -> str:
    """Return the hash of arguments, generator configuration, and weights where fitted.

    Raises:
        ValueError: If it has not been fitted and no shape is given.
    """
    fitted = hasattr(augmenter, "generators_")
    if fitted:
        image_shape = augmenter.image_shape_
    if image_shape is None:
        raise ValueError(
            "An augmenter that has not been fitted does not know the shape of its images. Call "
            "fingerprint(image_shape=(height, width, channels)), or fit it first."
        )
    shape = tuple(int(d) for d in image_shape)
    gans = augmenter.generators_ if fitted else {"": augmenter.generator(image_shape=shape, seed=0)}
    # The generator counts by what it makes: equal ones come from a class, a partial or a function.
    skipped = {"generator", "sampling_strategy", "filter", *fitted_attributes(augmenter)}
    arguments = {k: v for k, v in vars(augmenter).items() if k not in skipped and k[0] != "_"}
    settings = {
        "class": class_path(augmenter),
        "arguments": plain(arguments),
        "image_shape": list(shape),
        "n_train": augmenter.n_train_ if fitted else None,
        "generators": {name: describe_generator(gan) for name, gan in gans.items()},
    }
    if augmenter.filter is not None:
        settings["filter"] = digest(augmenter.filter)
    if augmenter.looks_at_sources:
        settings["sources"] = digest(augmenter.sources_) if hasattr(augmenter, "sources_") else None
    return hash_of(settings, gans.values() if fitted else ())


def describe_generator(gan: GAN) -> dict[str, Any]:
    """Return what its user chose about a generator, save name and seed, as plain JSON values.

    Class, dtype policy, `get_config()`, and the optimizer with its settings. Two generators made
    by the same call have equal descriptions, in any process.
    """
    config = _without_identity(gan.get_config())
    config.pop("dtype", None)  # a name, an object or nothing for one and the same policy
    optimizer = gan.optimizer if gan.compiled else gan.default_optimizer()
    return {
        "class": class_path(gan),
        "dtype": gan.dtype_policy.name,
        "config": plain(config),
        "optimizer": {
            "class": class_path(optimizer),
            "config": plain(_without_identity(optimizer.get_config())),
        },
    }


def class_path(value: Any) -> str:
    """Return the module and name of an object's class."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def plain(value: Any) -> Any:
    """Turn a setting into JSON values; Keras objects lose their name and seed.

    Raises:
        TypeError: If it is an object that Keras cannot serialize.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(v) for v in value)
    if not isinstance(value, Mapping):
        return plain(keras.saving.serialize_keras_object(value))
    if "class_name" in value and isinstance(value.get("config"), Mapping):
        value = _without_identity(value)
        if not str(value["class_name"]).endswith("DTypePolicy"):  # the name is all it has
            value["config"] = _without_identity(value["config"])
    return {str(k): _plain_wiring(v) if k in _WIRING else plain(v) for k, v in value.items()}


_WIRING = ("keras_history", "input_layers", "output_layers")


def _plain_wiring(value: Any) -> Any:
    # Where a serialized network refers to layers by name, Keras' own names count up in a process.
    if isinstance(value, str):
        return re.sub(r"_\d+$", "", value)
    return [_plain_wiring(v) for v in value] if isinstance(value, list | tuple) else value


def _without_identity(config: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if k not in ("name", "seed", "shared_object_id")}


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Name what differs: `"generator.config.width (0.125, now 0.25)"`."""
    old, new = _flat(stored), _flat(asked)
    return [
        f"{key} ({_shown(old.get(key, _NOTHING))}, now {_shown(new.get(key, _NOTHING))})"
        for key in dict.fromkeys([*new, *old])
        if old.get(key, _NOTHING) != new.get(key, _NOTHING)
    ]


def _shown(value: Any) -> str:
    # Keras holds a learning rate of 1e-4 in single precision, as 9.999999747378752e-05.
    return f"{value:.7g}" if isinstance(value, float) else repr(value)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        nested = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {}
        flat |= nested or {prefix + key: value}
    return flat
