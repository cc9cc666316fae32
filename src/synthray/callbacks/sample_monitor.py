"""`SampleMonitor`: compares a generator with held-out images, and keeps the best state."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._files import MAX_BYTES, open_npz, write_whole
from synthray._keras.backend import assign, values_of
from synthray.backbones.image_features import Backbone, ImageFeatures, image_features
from synthray.datasets.image_dataset import ImageDataset
from synthray.evaluation import distances

_NEIGHBOUR = 5
_MOST = 500  # images generated at a look, unless asked


class SampleMonitor(keras.callbacks.Callback):
    """Compares synthetic images with held-out ones during training, and goes back to the best.

    After every so many epochs the model generates images and two numbers are logged: `val_kid`, the
    kernel distance to the held-out images, and `val_coverage`, the share of these that has a
    synthetic one nearby, both as in [`evaluate_samples`][synthray.evaluate_samples]. The best
    generator has the least `val_kid + 1 - val_coverage`. When the training ends, the model gets its
    weights back; the optimizer stays where it is, as with Keras' `EarlyStopping`.

    The held-out images have a part in the choice, so they must not judge it: split them off the
    training images, never take test images.

    Args:
        held_out: Real images that the generator is not trained on, at least 6: an `ImageDataset`,
            or `uint8` of shape `(n, height, width, channels)`.
        every: Epochs between looks.
        n: Images generated at a look; by default as many as are held out, at most 500.
        patience: Looks without a better one after which the training ends; `None` for none.
        restore_best: Whether the model gets the weights of the best look when the training ends.
        path: `.npz` file for the best weights and the looks so far, which a `fit` with
            `initial_epoch` takes up.
        features: As for `evaluate_samples`, but the default is `ImageFeatures("learning")`, so that
            the network that judges in the end has chosen nothing.
        seed: Seed of the synthetic images.

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
        features: ImageFeatures | Backbone | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(held_out, ImageDataset):
            if held_out.synthetic.any():
                raise ValueError("held_out has synthetic images; real ones must judge a generator.")
            held_out = held_out.images
        n = min(len(held_out), _MOST) if n is None else n
        counts = (every, 1 if patience is None else patience)
        if min(len(held_out), n) <= _NEIGHBOUR or min(counts) < 1:
            raise ValueError(
                f"Expected at least {_NEIGHBOUR + 1} held-out images, n of as many, every and "
                f"patience of 1 or more, got {len(held_out)}, {n}, {every} and {patience}."
            )
        self._features = image_features(features, "learning")
        self._held_out = self._features(held_out)
        self._every, self._n, self._patience, self._seed = every, n, patience, seed
        self._restore_best = restore_best
        self._path = None if path is None else Path(path).with_suffix(".npz")
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget other trainings."""
        self._begun = False
        self.looks: list[dict[str, float]] = []
        self._best: list[NDArray[Any]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take up the looks of a training that goes on."""
        if not self._begun and epoch > 0 and self._path is not None and self._path.exists():
            self._read(self._path, epoch)
        self._begun = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look if this epoch is due."""
        if (epoch + 1) % self._every:
            return
        images = self.model.sample(self._n, seed=self._seed)
        real, found = distances.standardised(self._held_out, self._features(images))
        look = {
            "epoch": epoch + 1,
            "kid": distances.kernel_distance(real, found),
            "coverage": distances.neighbourhoods(real, found, k=_NEIGHBOUR).coverage,
        }
        self.looks.append(look)
        if logs is not None:
            logs["val_kid"], logs["val_coverage"] = look["kid"], look["coverage"]
        if self.best is look:
            self._best = values_of(self.model.weights)
        if self._path is not None:
            arrays: dict[str, Any] = {f"weight{i}": w for i, w in enumerate(self._best)}
            arrays["looks"] = [list(each.values()) for each in self.looks]
            write_whole(self._path, lambda part: np.savez(part, **arrays))
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
        return min(self.looks, key=lambda look: look["kid"] + 1 - look["coverage"])

    def _read(self, path: Path, epochs_done: int) -> None:
        with open_npz(path, MAX_BYTES, "a file of a SampleMonitor") as arrays:
            rows = arrays["looks"].tolist()
            weights = [arrays[name] for name in arrays if name != "looks"]
        self.looks = [{"epoch": int(e), "kid": kid, "coverage": share} for e, kid, share in rows]
        if self.best["epoch"] <= epochs_done:
            self._best = weights
        # A look after the state that the training goes on from is taken again.
        self.looks = [look for look in self.looks if look["epoch"] <= epochs_done]
