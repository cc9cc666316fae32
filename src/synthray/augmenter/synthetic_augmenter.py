"""`SyntheticAugmenter`: trains generators on a data set, and adds their images to training data."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from synthray._digest import digest
from synthray._files import held
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.augmenter import labels, mixing, saving, training
from synthray.augmenter.filtering import Filter, generate_filtered
from synthray.augmenter.sizes import Shape, in_shape
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import ValueRange
from synthray.exceptions import SynthrayWarning
from synthray.generators.gan import GAN
from synthray.generators.projected_gan import ProjectedGAN

SamplingStrategy = Literal["auto", "minority"] | float | Mapping[Any, int]


class Augmenter(Protocol):
    """What `run_comparison` asks of anybody's augmenter.

    `sklearn.base.clone(augmenter, safe=False)` must give one that has learnt nothing, as it does of
    a scikit-learn estimator, and of any other object before `fit`. These are used if it has them:

    - `fit(train, *, workdir=, callbacks=, verbose=)`, each argument if `fit` takes it: a folder for
      checkpoints, a function from a name to Keras callbacks, and Keras' `verbose`.
    - `planned_steps(class_counts)`: training steps of `fit`, for the estimate of the cost.
    - `random_state`, a parameter: set to the seed of each run.
    - `__digest__()`: what determines its images, for `workdir=`; by default all its attributes.
    """

    def fit(self, train: ImageDataset, /) -> Any:
        """Learn from real training images."""

    def sample(self, counts: Mapping[str, int], /, *, seed: int | None) -> ImageDataset:
        """Return so many synthetic images of each class; equal seeds give equal images."""


class SyntheticAugmenter(BaseEstimator):
    """Trains generators on the classes of an image set, and adds their images to training data.

    Follows two conventions: scikit-learn and imbalanced-learn (`fit`, `fit_resample`, `get_params`,
    `clone`, fitted attributes end in `_`, a step of imbalanced-learn's `Pipeline`) and SDV (`fit`,
    `sample`, `save`, `load`). Fit it on training images only: an image that a generator has seen
    must not judge a classifier.

    Args:
        generator: Makes an untrained generator: called with `image_shape=` and `seed=`, returns a
            `GAN`, compiled or not. A class such as `ProjectedGAN` or `DCGAN`, or
            `functools.partial(sr.DCGAN, width=0.5)`. Or a preset to fine-tune, such as
            `"limbs_64"`: whatever `ProjectedGAN.from_preset` takes. It learns from images that are
            resized to its own shape, and what it generates is resized to that of the training
            images, with a message; where that enlarges them, with a `SynthrayWarning`.
        sampling_strategy: What `fit_resample` adds, in imbalanced-learn's terms: `"auto"` fills
            every class up to the largest, `"minority"` only the smallest, a float sets the ratio
            of smallest to largest (two classes), a dict gives the wanted number of images a class
            (real and synthetic together), by class name or label.
        epochs: Passes of each generator over its images; `"auto"` for as many as show it its
            `IMAGES_SEEN`: 12,000 for `ProjectedGAN`, at 64x64 pixels some 20 minutes of 2 cores
            (30 where TensorFlow leaves oneDNN off), 4,000 for a preset, and 35,000 for others.
        batch_size: Images a training step; `"auto"` for the generator's own `BATCH_SIZE`: 8 for
            `ProjectedGAN`, 32 for others and for functions.
        random_state: Seed of everything: weights, order, latents. `None` for others each time.
        conditional: Whether one class-conditional model learns all classes, each shown equally
            often, rather than one model each; the generator must take `num_classes=`, as
            `ProjectedGAN` and `R3GAN` do. `"auto"` does so if it can.
        filter: Called with synthetic images and the training images, two `ImageDataset`s, returns
            those to keep: [`filter_samples`][synthray.filter_samples], a `functools.partial` of it,
            or a function of yours that returns an `ImageDataset`. Others are generated in place of
            those it drops.

    Attributes:
        class_names_: Names of the classes, in label order.
        classes_: Label values in the user's own terms, in the same order.
        generators_: One trained `GAN` a class, by name; the same for all if conditional.
        histories_: Training metrics of each class: name to list of values an epoch. An epoch that
            broke down and was taken back has none.
        image_shape_: Height, width, channels.
        n_train_: Number of training images a class, by name.
        sources_: The training images, if there is a filter. Not part of a saved folder.

    Examples:
        >>> import functools
        >>> import synthray as sr
        >>> data = sr.make_phantoms(40, image_shape=(16, 16, 1), seed=0)
        >>> augmenter = sr.SyntheticAugmenter(
        ...     functools.partial(sr.DCGAN, width=0.125), epochs=1, random_state=0)
        >>> augmenter.fit(data, verbose=0).sample({"intact": 2, "fractured": 3}, seed=1)
        ImageDataset(5 images of 16x16x1: 2 intact, 3 fractured; 5 groups, 5 synthetic)
    """

    _makes: ClassVar[type] = GAN

    def __init__(
        self,
        generator: Callable[..., GAN] | str | PathLike[str] = ProjectedGAN,
        *,
        sampling_strategy: SamplingStrategy = "auto",
        epochs: training.Epochs = "auto",
        batch_size: training.BatchSize = "auto",
        random_state: int | None = None,
        conditional: training.Conditional = "auto",
        filter: Filter | None = None,
    ) -> None:
        self.generator: Any = generator
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
        value_range: ValueRange | None = None,
        workdir: str | PathLike[str] | None = None,
        callbacks: Callable[[str], list[Any]] | None = None,
        verbose: Any = "auto",
    ) -> Self:
        """Train the generators.

        Args:
            X: An `ImageDataset`, or images `(n, h, w)` or `(n, h, w, c)` of 0 to 1, -1 to 1 or 0 to
                255.
            y: Labels of arrays: integers or strings `(n,)`, or one-hot rows.
            value_range: Values of black and white in arrays; by default their extremes decide, as
                in `ImageDataset.from_arrays`.
            workdir: Folder for a checkpoint of each generator after every epoch. A fit that was
                killed, called again with the same folder and data, continues where it was and
                ends with the same weights; with more `epochs` it trains on. One process at a time
                uses the folder (not ensured on Windows).
            callbacks: Called with a class name, returns Keras callbacks for its generator; called
                with `"all classes"` if conditional.
            verbose: As in Keras `fit`.

        Raises:
            DivergenceError: If a training breaks down beyond repair.
            FileFormatError: If a file in `workdir` is damaged or changed; the message names it.
            RuntimeError: If another process uses `workdir`; the message says which.
            ValueError: If images or labels do not fit, a class has no image, or `workdir` holds
                generators of other images, batch size or `random_state`, or of another class,
                other arguments, dtype policy or optimizer; the message names what differs.
        """
        training.batch_size_of(self)
        data, classes = labels.as_dataset(X, y, value_range)
        with held(workdir):
            ended = training.train(
                self,
                self._plan(data, verbose),
                self._sizes(data.class_counts),
                workdir=workdir,
                callbacks=callbacks,
                verbose=verbose,
            )
        # Only now: a fit that fails leaves what was there, and is not taken for a fitted one.
        only = next(iter(ended.values()))
        of_class = {name: ended.get(name, only) for name in data.class_names}
        self.class_names_ = data.class_names
        self.classes_ = classes
        self.image_shape_ = data.image_shape
        self.n_train_ = data.class_counts
        self.generators_ = {name: each.generator for name, each in of_class.items()}
        self.histories_ = {name: each.history for name, each in of_class.items()}
        if self._needs_sources:
            self.sources_ = data
        return self

    def fit_resample(
        self, X: Any, y: ArrayLike | None = None, *, seed: int | None = None, **fit_arguments: Any
    ) -> Any:
        """Fit, and return the data with synthetic images added as `sampling_strategy` says.

        In the manner of imbalanced-learn's over-samplers: real images first and unchanged,
        synthetic ones behind them.

        Args:
            X: As in `fit`.
            y: As in `fit`.
            seed: Seed of the synthetic images; by default `random_state`.
            **fit_arguments: As in `fit`.

        Returns:
            An `ImageDataset` for an `ImageDataset`; `(X, y)` in the same scale, type and encoding
            for arrays.

        Raises:
            ValueError: If `sampling_strategy` does not fit the classes, or an annotation is not of
                floats, so that synthetic images cannot be without.
        """
        value_range = fit_arguments.pop("value_range", None)
        data, classes = labels.as_dataset(X, y, value_range)
        # Raises now, not after the training, what joining synthetic images would raise.
        data.concatenate(replace(data.select([]), annotations={}))
        lacking = labels.missing_images(self.sampling_strategy, data.class_counts, classes)
        self.fit(data, **fit_arguments)
        self.classes_ = classes
        given = X if y is None else (X, y)
        return mixing.mix(self, given, lacking, seed=seed, value_range=value_range, warn=False)

    def sample(
        self, n: int | Mapping[Any, int], *, seed: int | None = None, batch_size: int = 64
    ) -> ImageDataset:
        """Generate labelled images.

        Args:
            n: Images in all, shared out as the classes were in training; or a number for each
                class, by class name or label.
            seed: Equal seeds give equal images; `None` for others at each call.
            batch_size: Images generated at once.

        Returns:
            A data set in class order whose `synthetic` is all true. If there is a filter, the
            provenance says how many images were generated and kept, and the reasons against the
            others.

        Raises:
            RuntimeError: If the filter keeps next to nothing.
        """
        counts = self._counts(n)
        tally: dict[str, dict[str, Any]] = {}
        batches = list(self._generate(counts, seed, batch_size, tally))
        none = np.empty((0, *self.image_shape_), np.uint8)
        networks = {n for gan in self.generators_.values() for n in getattr(gan, "networks", ())}
        return ImageDataset.from_arrays(
            np.concatenate([none, *(images for _, images, _ in batches)]),
            np.repeat(np.arange(len(counts)), list(counts.values())),
            class_names=self.class_names_,
            groups=_joined([getattr(source, "groups", None) for *_, source in batches]),
            names=_joined([getattr(source, "names", None) for *_, source in batches]),
            synthetic=True,
            provenance={
                "source": f"synthray.{type(self).__name__}",
                "generator": {k: type(gan).__name__ for k, gan in self.generators_.items()},
                "seed": seed,
                **({"networks": sorted(networks)} if networks else {}),
                **({"filter": tally} if tally else {}),
            },
        )

    def sample_batches(
        self, n: int | Mapping[Any, int], *, seed: int | None = None, batch_size: int = 64
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield `(class name, images)` batches of what `sample` returns, in bounded memory."""
        for name, images, _ in self._generate(self._counts(n), seed, batch_size):
            yield name, images

    def sample_to_folder(
        self,
        path: str | PathLike[str],
        n: int | Mapping[Any, int],
        *,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Any = "auto",
    ) -> None:
        """Write PNG files, a subfolder a class, and a manifest.

        Manifest and files say that the images are synthetic; `load_image_folder` reads both.

        Args:
            path: A new or empty folder, outside of class folders of real images: synthetic images
                never mix with others.
            n: As for `sample`.
            seed: As for `sample`.
            batch_size: Images generated at once; memory does not grow with `n`.
            verbose: 0 for no progress bar.

        Raises:
            ValueError: If the folder is not empty, or lies among class folders of real images.
        """
        saving.write_images(self, path, self._counts(n), seed, batch_size, verbose)

    def augment(
        self,
        dataset: Any,
        *,
        ratio: float = 1.0,
        value_range: ValueRange | None = None,
        seed: int | None = None,
    ) -> Any:
        """Mix synthetic images into a training set and return the same kind of thing.

        The images are generated once, in the shares that the classes had in training, and held as
        they are handed out. They take the user's size, scale, type, channels and label encoding.
        Batches keep their size, so an epoch has `1 + ratio` times as many. Images that are resized
        are so with antialiasing, and with a message; enlarged ones, with a `SynthrayWarning`.

        Args:
            dataset: `(x, y)` arrays or tensors, an `ImageDataset`, a `tf.data.Dataset` (batched or
                not), a `PyDataset` or a torch `DataLoader` of `(images, labels)`. A `DataLoader`
                of tensors, channels first or last, is read once to count its images.
            ratio: Synthetic images for each real one.
            value_range: Values of black and white; by default, the extremes of the array, or of
                the first batches up to one that is not dark, decide as in
                `ImageDataset.from_arrays`.
            seed: Seed of the images and of the order; by default `random_state`.

        Raises:
            ValueError: If sizes, classes or batches do not fit; the message says what to do.
            TypeError: If it is another kind of thing.
        """
        return mixing.mix(self, dataset, ratio, seed=seed, value_range=value_range)

    def pretrain_dataset(
        self,
        like: Any = None,
        *,
        ratio: float = 1.0,
        value_range: ValueRange | None = None,
        seed: int | None = None,
    ) -> Any:
        """Return synthetic images alone, for a warm start: train on them, then on real ones.

        Args:
            like: The real training set, as for `augment`: the same kind of thing comes back. By
                default an `ImageDataset`.
            ratio: Synthetic images for each real one; without `like`, for each one in training.
            value_range: As for `augment`.
            seed: As for `augment`.
        """
        if like is None:
            check_is_fitted(self, "generators_")
            n = round(ratio * sum(self.n_train_.values()))
            return self.sample(n, seed=self.random_state if seed is None else seed)
        return mixing.mix(self, like, ratio, seed=seed, value_range=value_range, keep_real=False)

    def planned_steps(self, counts: Mapping[str, int]) -> int:
        """Return the training steps of all generators that `fit` takes.

        Args:
            counts: Training images a class, by name.

        Examples:
            >>> import synthray as sr
            >>> sr.SyntheticAugmenter(sr.DCGAN, epochs=3).planned_steps({"a": 64, "b": 40})
            12
        """
        sizes, a_step = self._sizes(counts).values(), training.batch_size_of(self)
        return sum(training.epochs_of(self, n) * -(-n // a_step) for n in sizes)

    def save(self, folder: str | PathLike[str]) -> None:
        """Write a folder: one `.keras` file a class, and a manifest with their hashes.

        An earlier save in the folder stays whole until this one is.

        Raises:
            ValueError: If the folder holds anything but an augmenter that was saved before.
        """
        check_is_fitted(self, "generators_")
        saving.save_augmenter(self, folder)

    @classmethod
    def load(
        cls,
        folder: str | PathLike[str],
        *,
        sources: ImageDataset | None = None,
        filter: Filter | None = None,
    ) -> Self:
        """Read a folder that `save` wrote; files whose hash differs are refused.

        A `clone` of it makes generators of the same class with the same arguments. An optimizer
        that a function of yours gave them is not kept.

        Args:
            folder: The folder.
            sources: The training images, which a folder does not hold: for a filter, and for
                `TranslationAugmenter`.
            filter: As above; a folder does not hold it either.

        Raises:
            FileFormatError: If the manifest or a file is missing, changed, or not of this library.
            ValueError: If `sources` have other classes or another shape.
        """
        manifest = saving.load_augmenter(cls, folder)
        if manifest["filtered"] and filter is None:
            warnings.warn(
                f"The augmenter in {folder} was saved with a filter, which a folder does not hold. "
                "This one does not filter; to filter: load(folder, sources=train, filter=...).",
                SynthrayWarning,
                stacklevel=2,
            )
        factory = manifest["preset"] or _factory(next(iter(manifest["generators"].values())))
        given: dict[str, Any] = {} if filter is None else {"filter": filter}
        augmenter = cls(factory, **manifest["settings"], **given)
        for name in (*saving.PLAIN, "generators", "histories"):
            setattr(augmenter, f"{name}_", manifest[name])
        if sources is not None:
            found = sources.class_names, sources.image_shape
            expected = augmenter.class_names_, augmenter.image_shape_
            if found != expected:
                raise ValueError(
                    f"Expected sources of classes and shape {expected}, got {found}. Pass the "
                    "images that the augmenter was fitted on."
                )
            labels.check_training_images(sources)
            augmenter.sources_ = sources
        return augmenter

    def fingerprint(self) -> str:
        """Return a SHA-256 of what determines the synthetic images.

        Before `fit`, of class and arguments; after it, of class, arguments, generators with their
        weights, and the training images if there is a filter: equal for equal ones, in any process.
        `sampling_strategy` does not count: it says how many images, not which. With
        `random_state=None`, unfitted ones of equal fingerprints generate other images each time.

        Raises:
            NotImplementedError: If a generator has no `get_config`, which Keras asks of models
                whose arguments it cannot record by itself.

        Examples:
            >>> import synthray as sr
            >>> one, same, other = (sr.SyntheticAugmenter(random_state=s) for s in (0, 0, 1))
            >>> one.fingerprint() == same.fingerprint(), one.fingerprint() == other.fingerprint()
            (True, False)
        """
        return digest(self)

    def __digest__(self) -> Any:
        """Return what counts of it in a digest."""
        params = self.get_params(deep=False)
        del params["sampling_strategy"]
        if not hasattr(self, "generators_"):
            return params
        del params["generator"]
        sources = getattr(self, "sources_", None) if self._needs_sources else None
        gans = {k: [gan, [v.numpy() for v in gan.weights]] for k, gan in self.generators_.items()}
        return [params, self.n_train_, gans, sources]

    @property
    def _needs_sources(self) -> bool:
        return self.filter is not None

    def _plan(self, data: ImageDataset, verbose: Any) -> training.Plan:
        shared, seed = self.conditional, resolve_seed(self.random_state)
        return training.plan_generators(
            self.generator, data, conditional=shared, seed=seed, verbose=verbose
        )

    def _sizes(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return how many images an epoch of each generator passes over."""
        make = training.maker_of(self.generator, counts)
        if training.is_conditional(self.conditional, make, counts):
            return {training.ALL_CLASSES: len(counts) * max(counts.values())}
        return dict(counts)

    def _generate(
        self,
        counts: Mapping[str, int],
        seed: int | None,
        batch_size: int,
        tally: dict[str, dict[str, Any]] | None = None,
    ) -> Iterator[tuple[str, NDArray[np.uint8], ImageDataset | None]]:
        """Yield `(class name, images, images that they were made of)`; fill in a filter's tally."""
        seeds = spawn_seeds(resolve_seed(seed), len(counts))
        for label, (name, count) in enumerate(counts.items()):
            gan = self.generators_[name]
            told: dict[str, Any] = {"batch_size": batch_size}
            if getattr(gan, "num_classes", None) is not None:
                told["labels"] = label
            generate = functools.partial(_batches, gan, self.image_shape_, told)
            batches = generate(count, seed=seeds[label])
            if self.filter is not None:
                batches = generate_filtered(
                    generate,
                    count,
                    self.filter,
                    self._fitted_sources(),
                    label=label,
                    seed=seeds[label],
                    tally={} if tally is None else tally.setdefault(name, {}),
                )
            for images in batches:
                yield name, images, None

    def _fitted_sources(self) -> ImageDataset:
        how = "load(folder, sources=train): it needs the training images, no saved folder has them"
        check_is_fitted(self, "sources_", msg=f"Load this %(name)s with {how}.")
        return self.sources_

    def _counts(self, n: int | Mapping[Any, int]) -> dict[str, int]:
        check_is_fitted(self, "generators_")
        if isinstance(n, Mapping):
            return labels.counts_by_name(n, self.class_names_, self.classes_)
        return labels.share_out(int(n), self.n_train_)


def _batches(
    gan: Any, shape: Shape, told: dict[str, Any], n: int, *, seed: int
) -> Iterator[NDArray[np.uint8]]:
    return (in_shape(images, shape) for images in gan.sample_batches(n, seed=seed, **told))


def _joined(columns: list[Any]) -> NDArray[Any] | None:
    lacking = not columns or any(column is None for column in columns)
    return None if lacking else np.concatenate(columns)


def _factory(generator: Any) -> Callable[..., Any]:
    """Return what makes untrained generators like one: its class, with its arguments."""
    given = ("name", "seed", "image_shape", "num_classes", "class_names")  # by the augmenter
    kind: Callable[..., Any] = type(generator)
    config = {k: v for k, v in generator.get_config().items() if k not in given}
    return functools.partial(kind, **config)
