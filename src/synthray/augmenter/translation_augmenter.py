"""`TranslationAugmenter`: images of each class, made of real images of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._seeds import resolve_seed, spawn_seeds
from synthray.augmenter import parts, resampling
from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.augmenter.training import train
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.cyclegan import CycleGAN

_PART = "translation"  # the one model, for its folder and callbacks


class TranslationAugmenter(SyntheticAugmenter):
    """Trains one `CycleGAN` on two classes, and adds real images that it translates.

    A `SyntheticAugmenter` whose images of a class are training images of the other class, in
    translation: a fracture drawn on a real unfractured bone. Each keeps the group and the name of
    its source. A source gives one image; where more are asked for than there are sources, they
    come again, so translate towards the smaller class.

    Args:
        generator: Makes an untrained model: called with `image_shape=` and `seed=`, returns a
            `CycleGAN`, compiled or not.
        batch_size: Images of each class a training step.
        epochs: Passes over the larger class.
        **arguments: `sampling_strategy` and `random_state`, as for `SyntheticAugmenter`.

    Attributes:
        sources_: The training images, with their groups. Not part of a saved folder.

    Examples:
        >>> import functools
        >>> import synthray as sr
        >>> data = sr.make_phantoms(24, image_shape=(16, 16, 1), seed=0)
        >>> small = functools.partial(sr.CycleGAN, width=4, residual_blocks=1)
        >>> augmenter = sr.TranslationAugmenter(small, epochs=1, random_state=0)
        >>> augmenter.fit(data, verbose=0).sample({"fractured": 6}, seed=1)
        ImageDataset(6 images of 16x16x1: 0 intact, 6 fractured; 6 groups, 6 synthetic)
    """

    def __init__(
        self,
        generator: Callable[..., CycleGAN] = CycleGAN,
        *,
        batch_size: int = 4,
        epochs: parts.Epochs = 100,
        **arguments: Any,
    ) -> None:
        if arguments.get("filter") is not None:
            raise ValueError(
                "A translated image has to resemble its source, so TranslationAugmenter takes no "
                "filter. Filter what it draws: filter_samples(drawn, train, copies=False)."
            )
        if arguments.pop("conditional", False):
            raise ValueError("TranslationAugmenter trains one model on both classes in any case.")
        super().__init__(
            generator, batch_size=batch_size, epochs=epochs, conditional=False, **arguments
        )

    def fit(
        self,
        X: ImageDataset | ArrayLike,
        y: ArrayLike | None = None,
        *,
        workdir: str | PathLike[str] | None = None,
        callbacks: Callable[[str], list[Any]] | None = None,
        verbose: Any = "auto",
    ) -> Self:
        """Train one model on both classes.

        Args:
            X: As for `SyntheticAugmenter.fit`, of two classes.
            y: As for `SyntheticAugmenter.fit`.
            workdir: Folder for a checkpoint after every epoch, as for `SyntheticAugmenter.fit`.
            callbacks: Called with `"translation"`, returns Keras callbacks.
            verbose: As in Keras `fit`.

        Raises:
            ValueError: If images or labels do not fit, there are not two classes with images, or
                `workdir` holds a model of other images or settings.
        """
        data, classes = resampling.as_dataset(X, y)
        if data.num_classes != 2 or 0 in data.class_counts.values():
            raise ValueError(
                f"Translation is between two classes with images, got {data.class_counts}. Choose "
                "two, or use SyntheticAugmenter."
            )
        resampling.refuse_synthetic(data)
        if data.groups is None:
            data = data.with_groups(data.group_codes)
        seed = spawn_seeds(resolve_seed(self.random_state), 1)[0]
        models = {_PART: self.generator(image_shape=data.image_shape, seed=seed)}
        # The images of each class behind each other: so their hash tells other labels too.
        by_class = data.select(np.argsort(data.labels, kind="stable"))
        trained, histories = train(
            self,
            models,
            {_PART: by_class},
            sizes=self._sizes(data.class_counts),
            what=f"Training a translator, {{steps}} of {self.batch_size} images a class",
            workdir=workdir,
            callbacks=callbacks,
            verbose=verbose,
        )
        self.class_names_ = data.class_names
        self.classes_ = classes
        self.image_shape_ = data.image_shape
        self.n_train_ = data.class_counts
        self.generators_ = dict.fromkeys(data.class_names, trained[_PART])
        self.histories_ = dict.fromkeys(data.class_names, histories[_PART])
        self.sources_ = data
        return self

    def _sizes(self, counts: Mapping[str, int]) -> dict[str, int]:
        return {_PART: max(counts.values())}

    @property
    def looks_at_sources(self) -> bool:
        """Whether what is drawn depends on the training images: it is made of them."""
        return True

    def use_sources(self, data: ImageDataset) -> Self:
        """Set the real images to translate, after `load`: a saved folder holds none.

        Args:
            data: The training images, of the classes that the augmenter was fitted on.

        Raises:
            ValueError: If classes or shape differ.
        """
        super().use_sources(data)
        self.sources_ = data if data.groups is not None else data.with_groups(data.group_codes)
        return self

    def sample(
        self, n: int | Mapping[Any, int], *, seed: int | None = None, batch_size: int = 64
    ) -> ImageDataset:
        """Translate training images; which ones, the seed decides.

        Args:
            n: Images in all, shared out as the classes were in training; or a number for each
                class, by class name or label.
            seed: Equal seeds give equal images; `None` for others at each call.
            batch_size: Images translated at once.

        Returns:
            A data set in class order whose `synthetic` is all true, with the groups and names of
            the sources.
        """
        drawn = [
            self._model().translate(self.sources_.select(rows), batch_size=batch_size)
            for _, rows in self._choose(n, seed)
        ]
        return ImageDataset.from_arrays(
            np.concatenate([part.images for part in drawn]),
            np.concatenate([part.labels for part in drawn]),
            class_names=self.class_names_,
            groups=np.concatenate([part.groups for part in drawn]),
            names=None if drawn[0].names is None else np.concatenate([p.names for p in drawn]),
            synthetic=True,
            provenance={
                "source": "synthray.TranslationAugmenter",
                "generator": {k: type(gan).__name__ for k, gan in self.generators_.items()},
                "seed": seed,
            },
        )

    def sample_batches(
        self, n: int | Mapping[Any, int], *, seed: int | None = None, batch_size: int = 64
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield `(class name, images)` batches of what `sample` gives, in bounded memory."""
        for name, rows in self._choose(n, seed):
            for start in range(0, len(rows), batch_size):
                images = self.sources_.images[rows[start : start + batch_size]]
                yield name, self._model().translate(images, to=name, batch_size=batch_size)

    def _choose(
        self, n: int | Mapping[Any, int], seed: int | None
    ) -> list[tuple[str, NDArray[np.int64]]]:
        counts = self._counts(n)
        if not hasattr(self, "sources_"):
            raise RuntimeError(
                "A loaded TranslationAugmenter holds no images to translate. Give it the training "
                "images: TranslationAugmenter.load(folder).use_sources(train)."
            )
        chosen = []
        seeds = spawn_seeds(resolve_seed(seed), len(counts))
        for target, ((name, count), class_seed) in enumerate(
            zip(counts.items(), seeds, strict=True)
        ):
            others = np.flatnonzero(self.sources_.labels != target)
            # All sources in a drawn order, then all again: none twice before each has come once.
            order = np.random.default_rng(class_seed).permutation(others)
            chosen.append((name, np.resize(order, count)))
        return chosen

    def _model(self) -> Any:
        return self.generators_[self.class_names_[0]]
