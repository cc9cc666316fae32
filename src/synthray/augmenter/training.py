"""Training the generators of an augmenter: one a class or one for all, with checkpoints."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from synthray._digest import config_digest, digest
from synthray._files import open_json, slug, write_json
from synthray._keras.backend import steps_taken
from synthray._keras.batches import checked_batch_size
from synthray._progress import duration, resumable, say
from synthray._seeds import spawn_seeds
from synthray.augmenter import saving
from synthray.augmenter.sizes import check_proportions, in_shape, tell_of_sizes
from synthray.datasets.image_dataset import ImageDataset
from synthray.exceptions import DivergenceError
from synthray.generators.gan import GAN
from synthray.generators.presets import is_preset, preset_classes
from synthray.generators.projected_gan import ProjectedGAN

Conditional = bool | Literal["auto"]
Epochs = int | Literal["auto"]
BatchSize = int | Literal["auto"]
Plan = dict[str, tuple[Any, ImageDataset]]
"""An untrained generator and its training images, by the name of what it learns."""

ALL_CLASSES = "all classes"
_WORTH_SAYING = 60.0  # seconds
_TIMED = 20  # steps


def epochs_of(augmenter: Any, images: int) -> int:
    """Return the epochs of a generator that learns from so many images."""
    asked: Epochs = augmenter.epochs
    if asked == "auto":
        return -(-_recommended(augmenter, "IMAGES_SEEN") // images)
    if not isinstance(asked, int | np.integer) or asked < 1:
        raise ValueError(f'epochs must be an integer from 1, or "auto", got {asked!r}.')
    return int(asked)


def batch_size_of(augmenter: Any) -> int:
    """Return the images of a training step."""
    asked: BatchSize = augmenter.batch_size
    return _recommended(augmenter, "BATCH_SIZE") if asked == "auto" else checked_batch_size(asked)


def _recommended(augmenter: Any, name: str) -> int:
    """Return what the class of its generators says; where a function makes them, what all do."""
    if is_preset(augmenter.generator):
        return int(getattr(ProjectedGAN, f"{name}_BY_PRESET", getattr(ProjectedGAN, name)))
    kind = getattr(augmenter.generator, "func", augmenter.generator)  # of a functools.partial
    return int(getattr(kind, name, getattr(augmenter._makes, name)))


def maker_of(generator: Any, class_names: Collection[str]) -> Callable[..., GAN]:
    """Return what makes untrained generators, and for a preset, those that start from it."""
    if not is_preset(generator):
        return generator

    def make_one(*, image_shape: Any, seed: int) -> ProjectedGAN:
        return ProjectedGAN.from_preset(generator, seed=seed)

    def make(*, image_shape: Any, seed: int, num_classes: int | None = None) -> ProjectedGAN:
        names = None if num_classes is None else tuple(class_names)
        return ProjectedGAN.from_preset(generator, class_names=names, seed=seed)

    return make if preset_classes(generator) else make_one


def is_conditional(asked: Conditional, make: Callable[..., GAN], counts: Mapping[str, int]) -> bool:
    """Whether one model learns all classes."""
    if asked not in (True, False, "auto"):
        raise ValueError(f'conditional must be True, False or "auto", got {asked!r}.')
    able = len(counts) > 1 and "num_classes" in inspect.signature(make).parameters
    if asked is True and not able:
        raise ValueError(
            "conditional=True trains one model for all classes, of which there must be at least "
            "two; and the generator must take num_classes=, as ProjectedGAN does. Pass "
            "conditional=False for one generator a class."
        )
    return able and asked is not False


def plan_generators(
    generator: Any, data: ImageDataset, *, conditional: Conditional, seed: int, verbose: Any
) -> Plan:
    """Make untrained generators, and say which images each learns from.

    One model of all classes sees each equally often: images of rarer classes are repeated. A preset
    learns from images that are resized to its own.
    """
    make, shape = maker_of(generator, data.class_names), data.image_shape
    if is_conditional(conditional, make, data.class_counts):
        images = evened(data)
        one = spawn_seeds(seed, 1)[0]
        made = make(image_shape=shape, seed=one, num_classes=data.num_classes)
        plan: Plan = {ALL_CLASSES: (made, images)}
    else:
        seeds = spawn_seeds(seed, data.num_classes)
        plan = {
            name: (make(image_shape=shape, seed=each), images)
            for (name, images), each in zip(data.by_class().items(), seeds, strict=True)
        }
        if any(getattr(gan, "num_classes", None) is not None for gan, _ in plan.values()):
            raise ValueError(
                "The generator is class-conditional, but conditional=False trains one for each "
                "class. Leave num_classes out of the generator and pass conditional=True to the "
                "augmenter."
            )
    own = next(iter(plan.values()))[0].image_shape
    if is_preset(generator) and own != shape:
        check_proportions(own, shape)
        tell_of_sizes(own, shape, verbose, stacklevel=4)
        for name, (gan, images) in plan.items():
            plan[name] = gan, replace(images, images=in_shape(images.images, own))
    return plan


def evened(data: ImageDataset) -> ImageDataset:
    """Return as many images of each class as the largest has; those of others are repeated."""
    rows = [np.flatnonzero(data.labels == label) for label in range(data.num_classes)]
    most = max(map(len, rows))
    return data.select(np.concatenate([np.resize(part, most) for part in rows]))


def train(
    augmenter: Any,
    plan: Plan,
    sizes: Mapping[str, int],
    *,
    workdir: str | PathLike[str] | None,
    callbacks: Callable[[str], list[Any]] | None,
    verbose: Any,
) -> dict[str, Checkpoint]:
    """Train the generators of a plan, one after the other; return where each ended.

    Args:
        augmenter: Has `generator`, `epochs`, `batch_size` and `random_state`, and the class of
            generators that it makes.
        plan: Generators and images.
        sizes: Images that an epoch of each passes over.
        workdir: Folder of the checkpoints.
        callbacks: Called with a name, returns Keras callbacks.
        verbose: As in Keras `fit`.

    Raises:
        DivergenceError: If a training breaks down: no generator is returned whose weights or loss
            are not finite.
        ValueError: If `workdir` holds generators of other images or settings.
    """
    batch_size = batch_size_of(augmenter)
    settings = {"batch_size": batch_size, "random_state": augmenter.random_state}
    epochs = {name: epochs_of(augmenter, size) for name, size in sizes.items()}
    kept = {name: Checkpoint(workdir, name, *plan[name], settings) for name in plan}
    to_go = {name: each.epochs_to_go(epochs[name]) for name, each in kept.items()}
    steps = sum(count * -(-sizes[name] // batch_size) for name, count in to_go.items())
    estimate = _CostEstimate(steps, verbose)
    for name, checkpoint in kept.items():
        if to_go[name]:
            given = [] if callbacks is None else callbacks(name)
            with resumable(workdir, verbose=verbose):
                checkpoint.generator.fit(
                    plan[name][1],
                    batch_size=batch_size,
                    epochs=epochs[name],
                    initial_epoch=checkpoint.epochs,
                    callbacks=[estimate, *given, checkpoint],
                    verbose=verbose,
                )
        weights = [weight.numpy() for weight in checkpoint.generator.weights]
        last = checkpoint.history.get("loss", [0.0])[-1]
        if not all(np.isfinite(values).all() for values in (last, *weights)):
            raise DivergenceError(
                f"The generator of {name!r} has broken down: its loss or weights are not finite. "
                "Lower its learning rate, and train it anew, in another workdir if there is one."
            )
    return kept


class _CostEstimate(keras.callbacks.Callback):
    """Says once, by the time of the first steps, how long all generators will take."""

    def __init__(self, steps: int, verbose: Any) -> None:
        super().__init__()
        self._steps = steps
        self._verbose = verbose
        self._started = 0.0
        self._first = self._last = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._started:  # the first step compiles
            self._started, self._first = time.perf_counter(), batch
        self._last = batch
        if batch - self._first >= _TIMED:
            self._tell()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._tell()

    def _tell(self) -> None:
        timed = self._last - self._first
        if timed and self._steps:
            left, self._steps = self._steps - timed, 0
            seconds = (time.perf_counter() - self._started) / timed * left
            if seconds >= _WORTH_SAYING:
                text = f"Training generators: about {duration(seconds)} to go, {left:,} steps."
                say(text, verbose=self._verbose)


class Checkpoint(keras.callbacks.Callback):
    """Restores a generator and its metrics from a folder, and writes them after every epoch.

    The state is a `.keras` file whose name holds the number of epochs done, and a JSON file beside
    it that is written last and names it: a kill between the two leaves the older pair.

    Args:
        workdir: Folder; `None` keeps nothing.
        name: What the generator learns: a class.
        generator: The generator as its user made it, untrained.
        images: Its training images.
        settings: Further settings that a restored generator must share, by name.

    Attributes:
        generator: The generator: the restored one, if there is one.
        history: Its metrics so far.
        epochs: How many it has been trained for.

    Raises:
        ValueError: If the folder holds a generator with other settings.
    """

    def __init__(
        self,
        workdir: str | PathLike[str] | None,
        name: str,
        generator: Any,
        images: ImageDataset,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.generator = generator
        self.history: dict[str, list[float]] = {}
        self.epochs = 0
        self._name = name
        self._ended_at: int | None = None  # epochs that an ended training was to take
        self._folder = None if workdir is None else Path(workdir) / slug(name)
        if self._folder is None:
            return
        self._settings = {
            "images": digest([images.images, images.labels]),
            **{key: _short(value) for key, value in settings.items()},
            **_settings_of(generator),
        }
        if (self._folder / "state.json").exists():
            self._restore(self._folder)

    def epochs_to_go(self, epochs: int) -> int:
        """Return how many of so many epochs are left; a callback may have ended the training.

        Raises:
            ValueError: If the generator has been trained for more.
        """
        if self._ended_at == epochs:
            return 0
        if self.epochs > epochs:
            raise ValueError(
                f"The workdir holds a generator of {self._name!r} trained for {self.epochs} "
                f"epochs, more than the {epochs} asked for. Raise epochs, or use another workdir."
            )
        return epochs - self.epochs

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Note how many steps were taken before."""
        self._steps = steps_taken(self.generator)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the state after an epoch, unless a guard has taken its steps back."""
        self.epochs = epoch + 1
        steps = steps_taken(self.generator)
        if steps > self._steps:
            self._steps = steps
            for name, value in (logs or {}).items():
                self.history.setdefault(name, []).append(float(value))
            self._write("")

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Write the last state: callbacks such as SampleMonitor put the best weights back."""
        self._ended_at = self.params["epochs"]
        self._write("-end")

    def _write(self, mark: str) -> None:
        if self._folder is None:
            return
        path = self._folder / f"epoch{self.epochs:05d}{mark}.keras"
        state = {
            "settings": self._settings,
            "file": path.name,
            "sha256": saving.save_generator(self.generator, path),
            "epochs": self.epochs,
            "ended_at": self._ended_at,
            "history": saving.history_to_json(self.history),
        }
        write_json(self._folder / "state.json", state)
        for old in self._folder.glob("*.keras"):
            if old != path:
                old.unlink()

    def _restore(self, folder: Path) -> None:
        with open_json(folder / "state.json", "the state of a training") as state:
            old, new = state["settings"], self._settings
        changed = [
            f"{key} ({old.get(key)!r}, now {new.get(key)!r})"
            for key in dict.fromkeys([*new, *old])
            if old.get(key) != new.get(key)
        ]
        if changed:
            raise ValueError(
                f"{folder} holds a generator trained with another {', '.join(changed)}. Use "
                "another workdir, or remove this one to train anew."
            )
        self.generator = saving.load_generator(folder / Path(state["file"]).name, state["sha256"])
        self.history = saving.history_from_json(state["history"])
        self.epochs, self._ended_at = state["epochs"], state["ended_at"]


def _settings_of(generator: Any) -> dict[str, Any]:
    """Return what a user chose about a generator, but for its name and seed."""
    own = generator.compiled and generator.optimizer
    optimizer = own or generator.default_optimizer()
    found: dict[str, Any] = {"generator.dtype": generator.dtype_policy.name}
    for name, value in (("generator", generator), ("optimizer", optimizer)):
        found[name] = f"{type(value).__module__}.{type(value).__qualname__}"
        for key, setting in value.get_config().items():
            if key not in ("name", "seed", "dtype"):
                found[f"{name}.{key}"] = _short(setting)
    return found


def _short(value: Any) -> Any:
    """Return a setting as a JSON value, anything but plain numbers and texts by its digest."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):  # Keras holds 1e-4 in single precision: 9.999999747378752e-05
        return float(f"{value:.7g}")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return config_digest(value)
