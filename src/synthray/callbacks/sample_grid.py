"""Keras callbacks for generators."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from synthray.reports.figures import tile


class SampleGrid(keras.callbacks.Callback):
    """Writes a grid of images of fixed latents as PNG, to watch a generator learn.

    Args:
        folder: Where `epoch_00001.png`, ... go; made if absent.
        n: Images in the grid.
        columns: Images a row.
        every: Epochs between grids; the last epoch always gets one.
        seed: Seed of the latents.

    Examples:
        >>> import numpy as np, tempfile, pathlib
        >>> import synthray as sr
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> gan = sr.DCGAN((16, 16, 1), width=0.125)
        >>> _ = gan.fit(np.zeros((4, 16, 16, 1), "uint8"), epochs=3, verbose=0,
        ...             callbacks=[sr.SampleGrid(folder, every=2)])
        >>> sorted(file.name for file in folder.iterdir())
        ['epoch_00002.png', 'epoch_00003.png']
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        n: int = 32,
        columns: int = 8,
        every: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(n, columns, every) < 1:
            raise ValueError(
                f"n, columns and every must be 1 or more, got {n}, {columns}, {every}."
            )
        self._folder = Path(folder)
        self._n, self._columns, self._every, self._seed = n, columns, every, seed
        self._epochs_done = self._written = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the grid if this epoch is due."""
        self._epochs_done = epoch + 1
        if self._epochs_done % self._every == 0:
            self._write()

    def on_train_end(self, logs: Any = None) -> None:
        """Write the last grid."""
        if self._written != self._epochs_done:
            self._write()

    def _write(self) -> None:
        from PIL import Image

        gan: Any = self.model
        latents = np.random.default_rng(self._seed).standard_normal((self._n, gan.latent_dim))
        grid = tile(gan.generate(latents), self._columns)
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"epoch_{self._epochs_done:05d}.png"
        Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(file)
        self._written = self._epochs_done
