"""`ImageDataset`: labelled images with the groups that no split may cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._files import open_npz
from synthray._keras.batches import ArrayBatches, LabelMode, checked_batch_size, encode_labels
from synthray.datasets import columns as _columns
from synthray.datasets import pixels as _pixels
from synthray.datasets import splits as _splits

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SkippedFile:
    """A file that a loader could not use.

    Attributes:
        name: The file's path, relative to the folder that was loaded.
        reason: What was wrong with it, in one sentence.
    """

    name: str
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset:
    """A frozen, labelled set of 8-bit images.

    Loaders return it; generators, classifiers and comparisons take it. Its arrays are read-only;
    every method returns a new data set. Make one with a loader or with
    [`from_arrays`][synthray.ImageDataset.from_arrays].

    Attributes:
        images: `uint8`, shape `(n, height, width, channels)`, values 0 to 255, channels 1 or 3.
        labels: `int64`, shape `(n,)`, values `0 ... len(class_names) - 1`.
        class_names: One name a class, in label order.
        groups: One integer or string an image, shape `(n,)`, or `None` if every image stands
            alone. Images with equal values (one patient, one radiograph and its copies) always
            stay on the same side of a split.
        names: One name an image, shape `(n,)`, or `None`; loaders put the relative path here.
        synthetic: `bool`, shape `(n,)`: whether a generator made the image.
        annotations: Further columns, name to array of shape `(n, ...)`.
        skipped: Files that the loader could not use, with the reason.
        provenance: Where the images came from: JSON-ready values.
        positive_class: Name of the class that metrics such as sensitivity are about; by default
            the class of label 1 if there are two classes, `None` if there are more.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> data = sr.ImageDataset.from_arrays(
        ...     np.zeros((4, 8, 8), "uint8"), [0, 0, 1, 1], class_names=("intact", "fractured"))
        >>> data
        ImageDataset(4 images of 8x8x1: 2 intact, 2 fractured; 4 groups)
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    groups: NDArray[Any] | None = None
    names: NDArray[np.str_] | None = None
    synthetic: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    annotations: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    skipped: tuple[SkippedFile, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    positive_class: str | None = None

    def __post_init__(self) -> None:
        """Check shapes and ranges, and make every array read-only."""
        checked = _columns.check({f.name: getattr(self, f.name) for f in fields(self)})
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_arrays(
        cls,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        class_names: Sequence[str] | None = None,
        groups: ArrayLike | None = None,
        names: ArrayLike | None = None,
        synthetic: bool | ArrayLike = False,
        annotations: Mapping[str, ArrayLike] | None = None,
        skipped: Sequence[SkippedFile] = (),
        provenance: Mapping[str, Any] | None = None,
        positive_class: str | None = None,
        value_range: _pixels.ValueRange | None = None,
    ) -> Self:
        """Make a data set of copies of arrays.

        Args:
            images: Shape `(n, h, w)` or `(n, h, w, c)` with 1 or 3 channels. Others than `uint8`
                are taken to 8 bits.
            labels: Integers from 0, shape `(n,)` or `(n, 1)`; booleans are taken as 0 and 1.
            class_names: Names in label order; by default `"0"`, `"1"`, ...
            groups: One integer or string an image; equal values are never split.
            names: One string an image.
            synthetic: Whether a generator made the images: one value, or one an image.
            annotations: Further columns, each of length `n`.
            skipped: Files that could not be used.
            provenance: JSON-ready values that say where the images came from.
            positive_class: Name of the class that metrics such as sensitivity are about; by
                default the class of label 1 if there are two classes.
            value_range: Values of black and white; `uint8` is always 0 to 255. By default the
                extremes of all images decide: within -0.1 to 1.1 it is (0, 1), else within -1.1 to
                1.1 (-1, 1), and from 0 to a maximum above 16 and up to 255 (0, 255).

        Warns:
            SynthrayWarning: If values lie beyond the range, which clips them, or all images of 0 to
                255 are nearly black.

        Raises:
            ValueError: If shapes, types or values do not fit; the message says how to convert.

        Examples:
            >>> import numpy as np
            >>> import synthray as sr
            >>> sr.ImageDataset.from_arrays(np.zeros((2, 8, 8), "uint8"), [0, 1])
            ImageDataset(2 images of 8x8x1: 1 0, 1 1; 2 groups)
        """
        pixels, codes = _pixels.to_pixels(images, value_range), _columns.as_codes(labels)
        if class_names is None:
            class_names = [str(i) for i in range(int(codes.max(initial=0)) + 1)]
        return cls(
            images=_columns.owned(pixels),
            labels=codes,
            class_names=tuple(class_names),
            groups=None if groups is None else _columns.as_groups(groups),
            names=None if names is None else np.asarray(names, np.str_),
            synthetic=np.broadcast_to(np.asarray(synthetic, bool), (len(pixels),)),
            annotations={k: np.asarray(v) for k, v in (annotations or {}).items()},
            skipped=tuple(skipped),
            provenance=dict(provenance or {}),
            positive_class=positive_class,
        )

    @classmethod
    def from_batches(
        cls, batches: Iterable[Any], *, class_names: Sequence[str] | None = None
    ) -> Self:
        """Collect `(images, labels)` batches: a `tf.data.Dataset`, a `PyDataset`, any iterable.

        Args:
            batches: Pairs of images as in `from_arrays` and labels: integers, whole floats
                `(n, 1)` or one-hot rows, as Keras has them. Must end.
            class_names: Names in label order; by default `"0"`, `"1"`, ...

        Raises:
            ValueError: If there is no batch, or if batches do not fit `from_arrays`.
        """
        if isinstance(batches, keras.utils.PyDataset):
            pairs = [batches[i] for i in range(batches.num_batches or 0)]
        else:
            pairs = list(batches)
        if not pairs:
            raise ValueError("Expected at least one batch of (images, labels), got none.")
        parts = ([np.atleast_1d(np.asarray(pair[i])) for pair in pairs] for i in (0, 1))
        images, labels = map(np.concatenate, parts)
        if labels.dtype.kind == "f" or labels.ndim == 2:
            values, places = _columns.class_values(labels)
            labels = np.asarray(values)[places]
        return cls.from_arrays(images, labels, class_names=class_names)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Say how many images of what size, classes and groups."""
        h, w, c = self.image_shape
        counts = ", ".join(f"{n} {name}" for name, n in self.class_counts.items())
        synthetic = int(self.synthetic.sum())
        notes = [f"{len(np.unique(self.group_codes))} groups"]
        notes += [f"{synthetic} synthetic"] if synthetic else []
        notes += [f"{len(self.skipped)} files skipped"] if self.skipped else []
        return f"ImageDataset({len(self)} images of {h}x{w}x{c}: {counts}; {', '.join(notes)})"

    def __digest__(self) -> list[Any]:
        """Return what decides a training: two sets that differ in nothing of it are the same."""
        annotations = [self.annotations] if self.annotations else []
        return ["images", list(self.class_names), self.images, self.labels, *annotations]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        _, h, w, c = self.images.shape
        return h, w, c

    @property
    def num_classes(self) -> int:
        """Number of classes, those without images included."""
        return len(self.class_names)

    @property
    def positive_label(self) -> int | None:
        """Label of `positive_class`, or `None` if there is none."""
        name = self.positive_class
        return None if name is None else self.class_names.index(name)

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of images of each class, by name."""
        counts = np.bincount(self.labels, minlength=self.num_classes)
        return {name: int(n) for name, n in zip(self.class_names, counts, strict=True)}

    @property
    def group_codes(self) -> NDArray[np.int64]:
        """One integer a group, shape `(n,)`; without `groups`, `0 ... n - 1`."""
        return _splits.group_codes(self.groups, len(self))

    def with_positive_class(self, name: str) -> Self:
        """Return the same images with another positive class.

        Raises:
            ValueError: If there is no class of this name.
        """
        return replace(self, positive_class=name)

    def with_groups(self, groups: ArrayLike | None) -> Self:
        """Return the same images with other groups.

        The provenance then holds a hash of these groups, so that group 7 of one data set is not
        taken for group 7 of another.
        """
        values = None if groups is None else _columns.as_groups(groups)
        provenance = {k: v for k, v in self.provenance.items() if k != "groups"}
        if values is not None:
            listed = json.dumps(values.tolist(), default=str).encode()
            provenance["groups"] = blake2b(listed, digest_size=8).hexdigest()
        return replace(self, groups=values, provenance=provenance)

    def select(self, index: ArrayLike) -> Self:
        """Return the images at these positions, or where a boolean mask is true."""
        rows = np.asarray(index)
        if rows.size == 0:
            rows = rows.astype(np.int64)
        if rows.ndim != 1 or rows.dtype.kind not in "iub":
            raise ValueError(
                f"Expected a one-dimensional array of integer positions or a boolean mask, got "
                f"{rows.dtype} of shape {rows.shape}."
            )
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            names=None if self.names is None else self.names[rows],
            synthetic=self.synthetic[rows],
            annotations={k: v[rows] for k, v in self.annotations.items()},
        )

    def by_class(self) -> dict[str, Self]:
        """Return one data set a class; labels and class names stay as they are."""
        return {name: self.select(self.labels == i) for i, name in enumerate(self.class_names)}

    def split(self, test_size: float = 0.2, *, seed: int | None = None) -> tuple[Self, Self]:
        """Split into train and test; groups stay whole, class shares are kept.

        Args:
            test_size: Share of the images for the test set, between 0 and 1. It is met as nearly
                as whole groups allow, in steps of at most a twentieth.
            seed: Seed of the choice; `None` for another at each call.

        Raises:
            ValueError: If a class has fewer groups than the split has parts.
        """
        train, test = _splits.split(self.labels, self.groups, test_size, seed)
        return self.select(train), self.select(test)

    def folds(self, k: int = 5, *, seed: int | None = None) -> Iterator[tuple[Self, Self]]:
        """Yield `k` pairs of train and test; each image is in one test set, groups stay whole.

        Raises:
            ValueError: If a class has fewer than `k` groups.
        """
        for train, test in _splits.folds(self.labels, self.groups, k, seed):
            yield self.select(train), self.select(test)

    def concatenate(self, *others: ImageDataset) -> ImageDataset:
        """Return this data set followed by others of the same shape and classes.

        Groups are kept. In a part without groups, each image gets a group of its own. Annotations
        that a part lacks are NaN there. The positive class is that of this data set.

        Raises:
            ValueError: If image shapes or class names differ, or annotations cannot be joined.
        """
        parts = (self, *others)
        sizes = [len(part) for part in parts]
        for part in others:
            if (part.image_shape, part.class_names) != (self.image_shape, self.class_names):
                raise ValueError(
                    f"Expected images of shape {self.image_shape} and classes {self.class_names}, "
                    f"got {part.image_shape} and {part.class_names}. Use resize, to_grayscale or "
                    "to_rgb first, and load with the same classes."
                )
        return ImageDataset(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            class_names=self.class_names,
            groups=_columns.join_groups([part.groups for part in parts], sizes),
            names=_columns.join_names([part.names for part in parts], sizes),
            synthetic=np.concatenate([part.synthetic for part in parts]),
            annotations=_columns.join_annotations([part.annotations for part in parts], sizes),
            skipped=tuple(file for part in parts for file in part.skipped),
            provenance={
                "source": "ImageDataset.concatenate",
                "parts": [dict(part.provenance) for part in parts],
            },
            positive_class=self.positive_class,
        )

    def resize(self, height: int, width: int) -> Self:
        """Return the images at another size, antialiased; the aspect may change."""
        return replace(self, images=_pixels.resize(self.images, height, width))

    def to_grayscale(self) -> Self:
        """Return the images with one channel (ITU-R BT.601 luma)."""
        return replace(self, images=_pixels.to_grayscale(self.images))

    def to_rgb(self) -> Self:
        """Return the images with three channels; gray is repeated."""
        return replace(self, images=_pixels.to_rgb(self.images))

    def to_arrays(self, *, label_mode: LabelMode = "int") -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Return writable copies of images and labels.

        Args:
            label_mode: `"int"`, `"float"` (two classes) or `"one_hot"`.
        """
        labels = encode_labels(self.labels, self.num_classes, label_mode)
        return self.images.copy(), labels.copy()

    def to_py_dataset(
        self,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        label_mode: LabelMode = "int",
        drop_remainder: bool = False,
    ) -> ArrayBatches:
        """Return batches as a `keras.utils.PyDataset`, which works on every backend.

        Args:
            batch_size: Images a batch.
            shuffle: Use a new order each epoch; then call `fit(shuffle=False)`.
            seed: Seed of the order; epoch `e` depends on `(seed, e)` alone.
            label_mode: `"int"`, `"float"`, `"one_hot"`, or `None` for images without labels.
            drop_remainder: Leave out a last, smaller batch.
        """
        return ArrayBatches(
            *self._columns_of(label_mode),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
        )

    def to_tf_dataset(
        self,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        label_mode: LabelMode = "int",
        drop_remainder: bool = False,
    ) -> Any:
        """Return batches as a `tf.data.Dataset` of `uint8` images and labels.

        Args:
            batch_size: Images a batch.
            shuffle: Use a new order each epoch, over the whole set.
            seed: Seed of the order.
            label_mode: `"int"`, `"float"`, `"one_hot"`, or `None` for images without labels.
            drop_remainder: Leave out a last, smaller batch.

        Raises:
            ImportError: If TensorFlow is not installed; `to_py_dataset` does without.
        """
        import tensorflow as tf

        arrays = self._columns_of(label_mode)
        dataset = tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])
        if shuffle:
            dataset = dataset.shuffle(max(len(self), 1), seed=seed)
        dataset = dataset.batch(checked_batch_size(batch_size), drop_remainder=drop_remainder)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _columns_of(self, label_mode: LabelMode) -> tuple[NDArray[Any], ...]:
        if label_mode is None:
            return (self.images,)
        return self.images, encode_labels(self.labels, self.num_classes, label_mode)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one compressed `.npz` file (no pickle).

        Raises:
            ValueError: If the name does not end in `.npz`, or if a column holds Python objects.
        """
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _STORED}
        header = {
            "class_names": list(self.class_names),
            "positive_class": self.positive_class,
            "skipped": [[file.name, file.reason] for file in self.skipped],
            "provenance": dict(self.provenance),
        }
        _columns.write(path, arrays, header)

    @classmethod
    def load(cls, path: str | PathLike[str], *, max_bytes: int | None = None) -> Self:
        """Read a file that [`save`][synthray.ImageDataset.save] wrote.

        Args:
            path: The file.
            max_bytes: What it may unpack to, never more than the memory that is free. By default
                4 GiB, but above 256 MiB at most 40 times its size: more is a bomb.

        Raises:
            FileNotFoundError: If there is no such file.
            FileFormatError: If the file is not one of those, is damaged, or is too large.
        """
        hint = "For MedMNIST files use load_medmnist; for other arrays ImageDataset.from_arrays."
        with open_npz(path, max_bytes, "a file that ImageDataset.save wrote", hint) as archive:
            arrays, header = _columns.read(archive)
            header["skipped"] = tuple(SkippedFile(*entry) for entry in header["skipped"])
            header["provenance"] = dict(header["provenance"])
            return cls(**arrays, **header)

    def plot_samples(self, n: int = 8, *, seed: int | None = 0) -> Figure:
        """Plot up to `n` images of each class, a row a class, and one more for synthetic images.

        Args:
            n: Images a row.
            seed: Seed of the choice.

        Returns:
            A matplotlib figure; `figure.savefig("samples.png")` writes it.
        """
        from synthray.reports.figures import class_rows

        rng = np.random.default_rng(seed)
        kinds = {"": ~self.synthetic, ", synthetic": self.synthetic}
        rows = {}
        for label, name in enumerate(self.class_names):
            for kind, mask in kinds.items():
                places = np.flatnonzero(mask & (self.labels == label))
                if len(places) or not kind:
                    chosen = np.sort(rng.permutation(places)[:n])
                    rows[f"{name}{kind} ({len(places)})"] = self.images[chosen]
        return class_rows(rows, columns=n)


_STORED = ("images", "labels", "groups", "names", "synthetic", "annotations")
