"""Drawing labelled images from trained generators: in memory, in batches, into folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray._seeds import resolve_seed, spawn_seeds
from synthray.augmenter import folders, parts, resampling
from synthray.augmenter.filtering import Filter, draw_filtered
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.gan import GAN


class Drawing:
    """What a fitted `SyntheticAugmenter` draws with its generators."""

    filter: Filter | None
    class_names_: tuple[str, ...]
    classes_: list[Any]
    image_shape_: tuple[int, int, int]
    n_train_: dict[str, int]
    generators_: dict[str, GAN]
    sources_: ImageDataset

    def sample(
        self, n: int | Mapping[Any, int], *, seed: int | None = None, batch_size: int = 64
    ) -> ImageDataset:
        """Draw labelled images.

        Args:
            n: Images in all, shared out as the classes were in training; or a number for each
                class, by class name or label.
            seed: Equal seeds give equal images; `None` for others at each call.
            batch_size: Images drawn at once.

        Returns:
            A data set in class order whose `synthetic` is all true. Where there is a filter, the
            provenance says how many were drawn and kept, and the reasons against the others.

        Raises:
            RuntimeError: If the filter keeps next to nothing.
        """
        counts = self._counts(n)
        images = np.empty((sum(counts.values()), *self._fitted().image_shape_), np.uint8)
        start = 0
        tally: dict[str, dict[str, int]] = {}
        for _, batch in self._draw(counts, seed, batch_size, tally):
            images[start : start + len(batch)] = batch
            start += len(batch)
        labels = np.repeat(np.arange(len(counts)), list(counts.values()))
        return ImageDataset.from_arrays(
            images,
            labels,
            class_names=self.class_names_,
            synthetic=True,
            provenance={
                "source": "synthray.SyntheticAugmenter",
                "generator": {k: type(gan).__name__ for k, gan in self.generators_.items()},
                "seed": seed,
                **({"filter": tally} if tally else {}),
            },
        )

    def sample_batches(
        self, n: int | Mapping[Any, int], *, seed: int | None = None, batch_size: int = 64
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield `(class name, images)` batches of what `sample` draws, in bounded memory."""
        yield from self._draw(self._counts(n), seed, batch_size)

    def sample_to_folder(
        self,
        path: str | PathLike[str],
        n: int | Mapping[Any, int],
        *,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Any = "auto",
    ) -> None:
        """Draw PNG files, a subfolder a class, with a manifest that marks them synthetic.

        Args:
            path: A new or empty folder: drawn images never mix with others.
            n: As for `sample`.
            seed: As for `sample`.
            batch_size: Images drawn at once; memory does not grow with `n`.
            verbose: 0 for no progress bar.

        Raises:
            ValueError: If the folder is not empty.
        """
        folders.write_folder(self, path, self._counts(n), seed, batch_size, verbose)

    @property
    def looks_at_sources(self) -> bool:
        """Whether what is drawn depends on the training images themselves."""
        return self.filter is not None

    def use_sources(self, data: ImageDataset) -> Self:
        """Set the training images that a filter looks at, after `load`: a saved folder holds none.

        Args:
            data: The training images, of the classes that the augmenter was fitted on.

        Raises:
            ValueError: If classes or shape differ.
        """
        found = (data.class_names, data.image_shape)
        expected = (self._fitted().class_names_, tuple(self.image_shape_))
        if found != expected:
            raise ValueError(f"Expected classes and shape {expected}, got {found}.")
        self.sources_ = data
        return self

    def _fitted(self) -> Self:
        if not hasattr(self, "generators_"):
            raise RuntimeError(
                "This SyntheticAugmenter has not been fitted. Call fit(train) first, or "
                "SyntheticAugmenter.load(folder)."
            )
        return self

    def _draw(
        self,
        counts: Mapping[str, int],
        seed: int | None,
        batch_size: int,
        tally: dict[str, dict[str, int]] | None = None,
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        seeds = spawn_seeds(resolve_seed(seed), len(counts))
        if self.filter is None:
            for (name, count), class_seed in zip(counts.items(), seeds, strict=True):
                gan, told = self._drawer(name)
                for batch in gan.sample_batches(
                    count, seed=class_seed, batch_size=batch_size, **told
                ):
                    yield name, batch
            return
        if not hasattr(self, "sources_"):
            raise RuntimeError(
                "The filter looks at the training images, which a saved folder does not hold. Give "
                "them: augmenter.use_sources(train)."
            )

        def draw(name: str, count: int, class_seed: int) -> NDArray[np.uint8]:
            gan, told = self._drawer(name)
            return gan.sample(count, seed=class_seed, batch_size=batch_size, **told)

        for name, kept in draw_filtered(draw, counts, self.filter, self.sources_, seeds, tally):
            for start in range(0, len(kept), batch_size):
                yield name, kept[start : start + batch_size]

    def _drawer(self, name: str) -> tuple[GAN, dict[str, int]]:
        gan = self.generators_[name]
        return gan, parts.label_argument(gan, self.class_names_.index(name))

    def _counts(self, n: int | Mapping[Any, int]) -> dict[str, int]:
        self._fitted()
        if isinstance(n, Mapping):
            return resampling.counts_by_name(n, self.class_names_, self.classes_)
        return resampling.share_out(int(n), self.n_train_)
