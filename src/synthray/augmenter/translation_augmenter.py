"""`TranslationAugmenter`: images of each class, made of real images of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray._keras.batches import checked_batch_size
from synthray._parts import slices
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.augmenter.synthetic_augmenter import SamplingStrategy, SyntheticAugmenter
from synthray.augmenter.training import BatchSize, Epochs, Plan
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.cyclegan import CycleGAN

_PART = "translation"  # the one model, for its folder and callbacks


class TranslationAugmenter(SyntheticAugmenter):
    """Trains one `CycleGAN` on two classes, and adds real images that it translates.

    A `SyntheticAugmenter` whose images of a class are training images of the other class, in
    translation: a fracture shown on a real unfractured bone. Each keeps the group and the name of
    its source. A source gives one image; if more are asked for than there are sources, they come
    again, so translate towards the smaller class.

    `fit` calls `callbacks` with `"translation"`. `load` needs the training images to translate:
    `TranslationAugmenter.load(folder, sources=train)`. There is no filter, for a translated image
    has to resemble its source: use `filter_samples(samples, train, copies=False)`.

    Args:
        generator: Makes an untrained model: called with `image_shape=` and `seed=`, returns a
            `CycleGAN`, compiled or not.
        sampling_strategy: What `fit_resample` adds, as for `SyntheticAugmenter`.
        epochs: Passes over the larger class.
        batch_size: Images of each class a training step; `"auto"` for 4.
        random_state: Seed of weights, order and choice of sources. `None` for others each time.

    Attributes:
        sources_: The training images. Not part of a saved folder.

    Examples:
        >>> import functools
        >>> import synthray as sr
        >>> data = sr.make_phantoms(24, image_shape=(16, 16, 1), seed=0)
        >>> small = functools.partial(sr.CycleGAN, width=0.25, residual_blocks=1)
        >>> augmenter = sr.TranslationAugmenter(small, epochs=1, random_state=0)
        >>> augmenter.fit(data, verbose=0).sample({"fractured": 6}, seed=1)
        ImageDataset(6 images of 16x16x1: 0 intact, 6 fractured; 6 groups, 6 synthetic)
    """

    _makes = CycleGAN
    conditional = False
    filter = None
    _needs_sources = True

    def __init__(
        self,
        generator: Callable[..., CycleGAN] = CycleGAN,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        epochs: Epochs = 100,
        batch_size: BatchSize = "auto",
        random_state: int | None = None,
    ) -> None:
        self.generator = generator
        self.sampling_strategy = sampling_strategy
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state

    def _plan(self, data: ImageDataset, verbose: Any) -> Plan:
        if data.num_classes != 2:
            raise ValueError(
                f"Translation is between two classes, got {list(data.class_names)}. Choose two, "
                "or use SyntheticAugmenter."
            )
        seed = spawn_seeds(resolve_seed(self.random_state), 1)[0]
        return {_PART: (self.generator(image_shape=data.image_shape, seed=seed), data)}

    def _sizes(self, counts: Mapping[str, int]) -> dict[str, int]:
        return {_PART: max(counts.values())}

    def _generate(
        self, counts: Mapping[str, int], seed: int | None, batch_size: int, tally: Any = None
    ) -> Iterator[tuple[str, NDArray[np.uint8], ImageDataset | None]]:
        sources = self._fitted_sources()
        if sources.groups is None:
            sources = sources.with_groups(sources.group_codes)
        seeds = spawn_seeds(resolve_seed(seed), len(counts))
        for target, ((name, count), class_seed) in enumerate(
            zip(counts.items(), seeds, strict=True)
        ):
            others = np.flatnonzero(sources.labels != target)
            # All sources in a random order, then all again: none twice before each came once.
            rows = np.resize(np.random.default_rng(class_seed).permutation(others), count)
            model: Any = self.generators_[name]
            for at in slices(count, checked_batch_size(batch_size)):
                batch = sources.select(rows[at])
                yield name, model.translate(batch, batch_size=batch_size).images, batch
