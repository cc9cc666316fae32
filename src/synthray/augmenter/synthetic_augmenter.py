"""`SyntheticAugmenter`: one generator a class, and the ways to use what they draw."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self

from numpy.typing import ArrayLike

from synthray._seeds import resolve_seed
from synthray.augmenter import folders, mixing, parts, resampling
from synthray.augmenter.checkpoints import fingerprint_of, fitted_attributes
from synthray.augmenter.filtering import Filter
from synthray.augmenter.training import train
from synthray.augmenter.using import Using
from synthray.datasets.image_dataset import ImageDataset
from synthray.generators.gan import GAN
from synthray.generators.r3gan import R3GAN

if TYPE_CHECKING:
    from synthray.comparison.tuning import TuningReport

SamplingStrategy = Literal["auto", "minority"] | float | Mapping[Any, int]


class SyntheticAugmenter(Using):
    """Trains generators on the classes of an image set, and adds their images to training data.

    Follows two conventions: imbalanced-learn (`fit`, `fit_resample`, `sampling_strategy`, fitted
    attributes end in `_`) and SDV (`fit`, `sample`, `save`, `load`). Fit it on training images
    only: an image that a generator has seen must not judge a classifier.

    Args:
        generator: Makes an untrained generator: called with `image_shape=` and `seed=`, returns a
            `GAN`, compiled or not. A class such as `R3GAN` or `DCGAN`, or
            `functools.partial(sr.R3GAN, width=0.5)`.
        sampling_strategy: What `fit_resample` adds, in imbalanced-learn's terms: `"auto"` fills
            every class up to the largest, `"minority"` only the smallest, a float sets the ratio
            of smallest to largest (two classes), a dict gives the wanted number of images a class
            (real and synthetic together), by class name or label.
        epochs: Passes of each generator over its images; `"auto"` for as many as show it 35,000:
            at 64x64 pixels some 6 minutes of one CPU core for an `R3GAN`.
        batch_size: Images a training step.
        random_state: Seed of everything: weights, order, latents. `None` for others each time.
        conditional: Whether one class-conditional model learns all classes, each shown equally
            often, rather than one model each; the generator must take `num_classes=`, as `R3GAN`
            does. `"auto"` does so where it can and the smallest class has fewer than 1,000 images.
        filter: Called with drawn images and the training images, two `ImageDataset`s, returns those
            to keep: [`filter_samples`][synthray.filter_samples], a `functools.partial` of it, or a
            function of yours that returns an `ImageDataset`. Others are drawn in place of those
            it drops.

    Attributes:
        class_names_: Names of the classes, in label order.
        classes_: Label values in the user's own terms, in the same order.
        generators_: One trained `GAN` a class, by name; the same for all where conditional.
        histories_: Training metrics of each class: name to list of values an epoch.
        image_shape_: Height, width, channels.
        n_train_: Number of training images a class, by name.
        sources_: The training images, where there is a filter that looks at them. Not part of a
            saved folder.

    Examples:
        >>> import functools
        >>> import synthray as sr
        >>> data = sr.make_phantoms(40, image_shape=(16, 16, 1), seed=0)
        >>> augmenter = sr.SyntheticAugmenter(
        ...     functools.partial(sr.DCGAN, width=0.125), epochs=1, random_state=0)
        >>> augmenter.fit(data, verbose=0).sample({"intact": 2, "fractured": 3}, seed=1)
        ImageDataset(5 images of 16x16x1: 2 intact, 3 fractured; 5 groups, 5 synthetic)
    """

    def __init__(
        self,
        generator: Callable[..., GAN] = R3GAN,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        epochs: parts.Epochs = "auto",
        batch_size: int = 32,
        random_state: int | None = None,
        conditional: parts.Conditional = False,
        filter: Filter | None = None,
    ) -> None:
        self.generator = generator
        self.sampling_strategy = sampling_strategy
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.conditional = conditional
        self.filter = filter

    def fit(
        self,
        X: ImageDataset | ArrayLike,
        y: ArrayLike | None = None,
        *,
        workdir: str | PathLike[str] | None = None,
        callbacks: Callable[[str], list[Any]] | None = None,
        verbose: Any = "auto",
    ) -> Self:
        """Train one generator a class, or one for all.

        Args:
            X: An `ImageDataset`, or images `(n, h, w)` or `(n, h, w, c)`: integers of 0 to 255, or
                floats of 0 to 1, -1 to 1 or 0 to 255.
            y: Labels of arrays: integers or strings `(n,)`, or one-hot rows.
            workdir: Folder for a checkpoint of each generator after every epoch. A fit that was
                killed, called again with the same folder and data, continues where it was and
                ends with the same weights; with more `epochs` it trains on.
            callbacks: Called with a class name, returns Keras callbacks for its generator; called
                with `"all classes"` where conditional.
            verbose: As in Keras `fit`.

        Raises:
            ValueError: If images or labels do not fit, a class has no image, or `workdir` holds
                generators of other images, batch size or `random_state`, or of another class,
                other arguments, dtype policy or optimizer; the message names what differs.
        """
        data, classes = resampling.as_dataset(X, y)
        empty = [name for name, count in data.class_counts.items() if count == 0]
        if empty:
            raise ValueError(
                f"Every class needs images to learn from, but {empty} have none. Leave those "
                "classes out, or add images."
            )
        resampling.refuse_synthetic(data)
        shared = parts.is_conditional(self.conditional, self.generator, data.class_counts)
        of_part = parts.parts_of(data, shared)
        generators = parts.make_generators(
            self.generator, data, shared, resolve_seed(self.random_state)
        )
        trained, histories = train(
            self,
            generators,
            of_part,
            sizes=self._sizes(data.class_counts),
            what=f"Training {len(of_part)} generators, {{steps}} of {self.batch_size} images",
            workdir=workdir,
            callbacks=callbacks,
            verbose=verbose,
        )
        # Only now: a fit that fails leaves what was there, and is not taken for a fitted one.
        self.class_names_ = data.class_names
        self.classes_ = classes
        self.image_shape_ = data.image_shape
        self.n_train_ = data.class_counts
        names = {name: parts.ALL_CLASSES if shared else name for name in data.class_names}
        self.generators_ = {name: trained[part] for name, part in names.items()}
        self.histories_ = {name: histories[part] for name, part in names.items()}
        if self.filter is not None:
            self.sources_ = data
        return self

    def fit_resample(
        self, X: Any, y: ArrayLike | None = None, *, seed: int | None = None, **fit_arguments: Any
    ) -> Any:
        """Fit, and return the data with drawn images added as `sampling_strategy` says.

        In the manner of imbalanced-learn's over-samplers: real images first and unchanged, drawn
        ones behind them.

        Args:
            X: As in `fit`.
            y: As in `fit`.
            seed: Seed of the drawing; by default `random_state`.
            **fit_arguments: As in `fit`.

        Returns:
            An `ImageDataset` for an `ImageDataset`; `(X, y)` in the same scale, type and encoding
            for arrays.

        Raises:
            ValueError: If `sampling_strategy` does not fit the classes, or an annotation is not of
                floats, so that drawn images cannot be without.
        """
        data, classes = resampling.as_dataset(X, y)
        resampling.check_annotations(data)
        lacking = resampling.missing_images(self.sampling_strategy, data.class_counts, classes)
        self.fit(X, y, **fit_arguments)
        drawn = self.sample(lacking, seed=self.random_state if seed is None else seed)
        return mixing.use(
            X if y is None else (X, y),
            lambda n_real, class_names: drawn,
            classes,
            value_range=None,
            seed=0,
            keep_real=True,
            sources=getattr(self, "sources_", None),
        )

    def save(self, folder: str | PathLike[str]) -> None:
        """Write a folder: one `.keras` file a class, and a manifest with their hashes.

        Raises:
            ValueError: If the folder holds anything but an augmenter that was saved before.
        """
        folders.save_augmenter(self._fitted(), folder)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, filter: Filter | None = None) -> Self:
        """Read a folder that `save` wrote; files whose hash differs are refused.

        Args:
            folder: The folder.
            filter: As above. A folder holds neither the filter nor the training images that it
                looks at: give both, the images by `use_sources`.

        Raises:
            ValueError: If the manifest or a file is missing, changed, or not of this library.
        """
        manifest, generators = folders.load_augmenter(folder)
        if manifest.get("filtered") and filter is None:
            warnings.warn(
                f"The augmenter in {folder} was saved with a filter, which a folder does not hold. "
                "It now draws unfiltered; to filter: load(folder, filter=...).use_sources(train).",
                UserWarning,
                stacklevel=2,
            )
        types = {type(gan) for gan in generators.values()}
        augmenter = cls(types.pop() if len(types) == 1 else R3GAN, **manifest["settings"])
        augmenter.filter = filter
        augmenter.class_names_ = tuple(manifest["class_names"])
        augmenter.classes_ = list(manifest["classes"])
        augmenter.image_shape_ = tuple(manifest["image_shape"])
        augmenter.n_train_ = dict(manifest["n_train"])
        augmenter.generators_ = generators
        augmenter.histories_ = manifest["histories"]
        return augmenter

    def unfitted_copy(self, *, random_state: int | None) -> Self:
        """Return an unfitted augmenter with the same arguments and another `random_state`.

        As scikit-learn's `clone`, to fit again on other images or with another seed. The copy of an
        augmenter that was loaded from a folder makes generators with default arguments: files hold
        the trained generators, not the callable that made them.

        Args:
            random_state: Seed of the copy; `None` for others each time.

        Examples:
            >>> import synthray as sr
            >>> augmenter = sr.SyntheticAugmenter(epochs=3, random_state=0)
            >>> again = augmenter.unfitted_copy(random_state=1)
            >>> again.epochs, again.random_state, augmenter.random_state
            (3, 1, 0)
        """
        other = copy.copy(self)
        for name in fitted_attributes(self):
            delattr(other, name)
        other.random_state = random_state
        return other

    def planned_steps(self, counts: Mapping[str, int]) -> int:
        """Return the training steps of all generators that `fit` takes.

        Args:
            counts: Training images a class, by name.

        Examples:
            >>> import synthray as sr
            >>> sr.SyntheticAugmenter(sr.DCGAN, epochs=3).planned_steps({"a": 64, "b": 40})
            12
        """
        return sum(
            parts.epochs_of(self.epochs, size) * -(-size // self.batch_size)
            for size in self._sizes(counts).values()
        )

    def _sizes(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return how many images an epoch of each generator passes over."""
        shared = parts.is_conditional(self.conditional, self.generator, counts)
        return parts.sizes_of(counts, shared)

    def tune(
        self, X: ImageDataset | ArrayLike, y: ArrayLike | None = None, **settings: Any
    ) -> TuningReport:
        """Find out whether drawn images help a classifier here, and in which way.

        Judged inside the training images, by grouped folds; test images have no part in it. The
        augmenter itself is left as it is. See [`tune`][synthray.tune] for what is compared and
        when drawn images count as proven to help; otherwise the advice is to use none.

        Args:
            X: As in `fit`.
            y: As in `fit`.
            **settings: Of [`tune`][synthray.tune], such as `folds`, `epochs`, `classifier`,
                `workdir`.
        """
        from synthray.comparison.tuning import tune  # it builds on this, not this on it

        data, _ = resampling.as_dataset(X, y)
        return tune(self.unfitted_copy(random_state=self.random_state), data, **settings)

    def fingerprint(self, image_shape: tuple[int, int, int] | None = None) -> str:
        """Return the SHA-256 of what determines the images it will draw.

        Of arguments, generator configuration (class, arguments, dtype policy, optimizer), and
        weights where fitted: equal for equal ones, in any process, and another where one of these
        differs. `sampling_strategy` does not count: it says how many images, not which. With
        `random_state=None`, unfitted ones of equal fingerprints draw other images each time.

        Args:
            image_shape: Height, width and channels that the generators will draw; needed before
                `fit`, ignored after.

        Raises:
            ValueError: If it has not been fitted and no `image_shape` is given.
            NotImplementedError: If the generator has no `get_config`, which Keras asks of models
                whose arguments it cannot record by itself.

        Examples:
            >>> import synthray as sr
            >>> one, same, other = (sr.SyntheticAugmenter(random_state=s) for s in (0, 0, 1))
            >>> one.fingerprint((16, 16, 1)) == same.fingerprint((16, 16, 1))
            True
            >>> one.fingerprint((16, 16, 1)) == other.fingerprint((16, 16, 1))
            False
        """
        return fingerprint_of(self, image_shape)
