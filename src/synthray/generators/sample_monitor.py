"""`SampleMonitor`: judges a generator by images that it has not seen, and keeps the best."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._variables import assign, values_of
from synthray.audit.samples.distances import kernel_distance
from synthray.audit.samples.features import Describe, random_features, standardised
from synthray.audit.samples.neighbourhoods import neighbourhoods
from synthray.datasets.image_dataset import ImageDataset

_NEIGHBOUR = 5


class SampleMonitor(keras.callbacks.Callback):
    """Compares drawn images with held-out ones during training, and goes back to the best.

    After every so many epochs images are drawn and two numbers are logged: `val_kid`, the kernel
    distance to the held-out images, and `val_coverage`, the share of these that has a drawn one
    nearby, both as in [`evaluate_samples`][synthray.evaluate_samples]. The best generator has the
    least `val_kid + 1 - val_coverage`. When the training ends, the model gets its weights back;
    the optimizer stays where it is, as with Keras' `EarlyStopping`.

    The held-out images have a part in the choice, so they must not judge it: split them off the
    training images, never take test images.

    Args:
        held_out: Real images that the generator is not trained on, at least 6: an `ImageDataset`,
            or `uint8` of shape `(n, height, width, channels)`.
        every: Epochs between looks.
        n: Images drawn at a look; by default as many as are held out.
        patience: Looks without a better one after which the training ends; `None` for none.
        restore_best: Whether the model gets the weights of the best look when the training ends.
        path: `.npz` file for the best weights and the looks so far, which a `fit` with
            `initial_epoch` takes up.
        features: As for `evaluate_samples`.
        seed: Seed of the drawn images.

    Attributes:
        looks: One dict a look: `epoch` (from 1), `kid`, `coverage`.

    Raises:
        ValueError: If a number is out of its range, or there are too few images.

    Examples:
        >>> import synthray as sr
        >>> bones = sr.make_phantoms(40, image_shape=(32, 32, 1), seed=0).by_class()["intact"]
        >>> train, held_out = bones.split(0.4, seed=0)
        >>> monitor = sr.SampleMonitor(held_out)
        >>> gan = sr.DCGAN((32, 32, 1), width=0.125, seed=0)
        >>> history = gan.fit(train, epochs=2, verbose=0, callbacks=[monitor])
        >>> sorted(history.history)[-2:], [look["epoch"] for look in monitor.looks]
        (['val_coverage', 'val_kid'], [1, 2])
    """

    def __init__(
        self,
        held_out: ImageDataset | NDArray[np.uint8],
        *,
        every: int = 1,
        n: int | None = None,
        patience: int | None = None,
        restore_best: bool = True,
        path: str | PathLike[str] | None = None,
        features: Describe = random_features,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(held_out, ImageDataset):
            if held_out.synthetic.any():
                raise ValueError("held_out has drawn images; a generator is judged by real ones.")
            held_out = held_out.images
        if len(held_out) <= _NEIGHBOUR:
            raise ValueError(
                f"Expected at least {_NEIGHBOUR + 1} held-out images, got {len(held_out)}."
            )
        if every < 1 or (patience is not None and patience < 1) or (n is not None and n < 6):
            raise ValueError(
                "Expected every and patience of 1 or more and n of 6 or more, got "
                f"{every}, {patience} and {n}."
            )
        self.looks: list[dict[str, float]] = []
        self._held_out = features(np.asarray(held_out))
        self._every = every
        self._n = len(held_out) if n is None else n
        self._patience = patience
        self._restore_best = restore_best
        self._path = None if path is None else Path(path)
        self._features = features
        self._seed = seed
        self._best: list[NDArray[Any]] = []
        self._begun = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget other trainings."""
        self._begun = False
        self.looks, self._best = [], []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take up the looks of a training that goes on."""
        if not self._begun and epoch > 0 and self._path is not None and self._path.exists():
            self._read(self._path, epoch)
        self._begun = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look where this epoch is due."""
        if (epoch + 1) % self._every:
            return
        drawn = self.model.sample(self._n, seed=self._seed)
        real, found = standardised(self._held_out, self._features(drawn))
        look = {
            "epoch": epoch + 1,
            "kid": kernel_distance(real, found),
            "coverage": neighbourhoods(real, found, k=_NEIGHBOUR).coverage,
        }
        self.looks.append(look)
        if logs is not None:
            logs["val_kid"], logs["val_coverage"] = look["kid"], look["coverage"]
        if self.best is look:
            self._best = values_of(self.model.weights)
        if self._path is not None:
            self._write(self._path)
        since = sum(1 for later in self.looks if later["epoch"] > self.best["epoch"])
        if self._patience is not None and since >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Give the model the weights of the best look."""
        if self._restore_best and self._best:
            assign(self.model.weights, self._best)

    @property
    def best(self) -> dict[str, float]:
        """The look with the least `kid + 1 - coverage`; of equal ones the first."""
        return min(self.looks, key=_score)

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {key: [look[key] for look in self.looks] for key in self.looks[0]}
        arrays |= {f"weight{i}": weight for i, weight in enumerate(self._best)}
        part = path.with_name(f"part-{path.name}")
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)  # a kill leaves the older file

    def _read(self, path: Path, epochs_done: int) -> None:
        with np.load(path, allow_pickle=False) as file:
            columns = [file[key] for key in ("epoch", "kid", "coverage")]
            weights = [file[name] for name in file.files if name.startswith("weight")]
        self.looks = [
            {"epoch": int(epoch), "kid": float(kid), "coverage": float(coverage)}
            for epoch, kid, coverage in zip(*columns, strict=True)
        ]
        if self.best["epoch"] <= epochs_done:
            self._best = weights
        # A look after the state that the training goes on from is taken again.
        self.looks = [look for look in self.looks if look["epoch"] <= epochs_done]


def _score(look: dict[str, float]) -> float:
    return look["kid"] + 1 - look["coverage"]
