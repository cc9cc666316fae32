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

from synthray.datasets import _archive, _batches, _columns, _pixels, _splits

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

    The value that passes between loaders, generators, classifiers and comparisons. Its arrays are
    read-only; every method returns a new data set. Make one with a loader or with
    [`from_arrays`][synthray.ImageDataset.from_arrays].

    Attributes:
        images: `uint8`, shape `(n, height, width, channels)`, values 0 to 255, channels 1 or 3.
        labels: `int64`, shape `(n,)`, values `0 ... len(class_names) - 1`.
        class_names: One name a class, in label order.
        groups: One integer or string an image, shape `(n,)`, or `None` where every image stands
            alone. Images with equal values (one patient, one radiograph and its copies) always
            stay on the same side of a split.
        names: One name an image, shape `(n,)`, or `None`; loaders put the relative path here.
        synthetic: `bool`, shape `(n,)`: drawn by a generator, or not.
        annotations: Further columns, name to array of shape `(n, ...)`.
        skipped: Files that the loader could not use, with the reason.
        provenance: Where the images came from: JSON-ready values.

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
    ) -> Self:
        """Make a data set of arrays.

        Args:
            images: `uint8`, shape `(n, h, w)` or `(n, h, w, c)` with 1 or 3 channels.
            labels: Integers from 0, shape `(n,)` or `(n, 1)`; booleans are taken as 0 and 1.
            class_names: Names in label order; by default `"0"`, `"1"`, ...
            groups: One integer or string an image; equal values are never split.
            names: One string an image.
            synthetic: Whether the images were drawn by a generator: one value, or one an image.
            annotations: Further columns, each of length `n`.
            skipped: Files that could not be used.
            provenance: JSON-ready values that say where the images came from.

        Raises:
            ValueError: If shapes, types or values do not fit; the message says how to convert.

        Examples:
            >>> import numpy as np
            >>> import synthray as sr
            >>> sr.ImageDataset.from_arrays(np.zeros((2, 8, 8), "uint8"), [0, 1])
            ImageDataset(2 images of 8x8x1: 1 0, 1 1; 2 groups)
        """
        pixels, codes = _columns.as_pixels(images), _columns.as_codes(labels)
        if class_names is None:
            class_names = [str(i) for i in range(int(codes.max(initial=0)) + 1)]
        return cls(
            images=pixels,
            labels=codes,
            class_names=tuple(class_names),
            groups=None if groups is None else _columns.as_groups(groups),
            names=None if names is None else np.asarray(names, np.str_),
            synthetic=np.broadcast_to(np.asarray(synthetic, bool), (len(pixels),)),
            annotations={k: np.asarray(v) for k, v in (annotations or {}).items()},
            skipped=tuple(skipped),
            provenance=dict(provenance or {}),
        )

    @classmethod
    def from_batches(
        cls, batches: Iterable[Any], *, class_names: Sequence[str] | None = None
    ) -> Self:
        """Collect `(images, labels)` batches: a `tf.data.Dataset`, a `PyDataset`, any iterable.

        Args:
            batches: Pairs of `uint8` images and integer labels; must end.
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
        images, labels = (np.concatenate([np.asarray(b[i]) for b in pairs]) for i in (0, 1))
        return cls.from_arrays(images, labels, class_names=class_names)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Say how many images of what size, classes and groups."""
        h, w, c = self.image_shape
        counts = ", ".join(f"{n} {name}" for name, n in self.class_counts.items())
        drawn = int(self.synthetic.sum())
        notes = [f"{len(np.unique(self.group_codes))} groups"]
        notes += [f"{drawn} synthetic"] if drawn else []
        notes += [f"{len(self.skipped)} files skipped"] if self.skipped else []
        return f"ImageDataset({len(self)} images of {h}x{w}x{c}: {counts}; {', '.join(notes)})"

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
    def class_counts(self) -> dict[str, int]:
        """Number of images of each class, by name."""
        counts = np.bincount(self.labels, minlength=self.num_classes)
        return {name: int(n) for name, n in zip(self.class_names, counts, strict=True)}

    @property
    def group_codes(self) -> NDArray[np.int64]:
        """One integer a group, shape `(n,)`; without `groups`, `0 ... n - 1`."""
        return _splits.group_codes(self.groups, len(self))

    def with_groups(self, groups: ArrayLike | None) -> Self:
        """Return the same images with other groups.

        The provenance then tells these groups from others by a hash, so that group 7 of one data
        set is not taken for group 7 of another.
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

        Groups are kept where every part has them. A part without groups stands for images that
        are each alone; its images get groups of their own. Annotations that a part lacks are NaN
        there.

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

    def to_arrays(
        self, *, label_mode: _batches.LabelMode = "int"
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Return writable copies of images and labels.

        Args:
            label_mode: `"int"`, `"float"` (two classes) or `"one_hot"`.
        """
        labels = _batches.encode_labels(self.labels, self.num_classes, label_mode)
        return self.images.copy(), labels.copy()

    def to_py_dataset(
        self,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        label_mode: _batches.LabelMode = "int",
        drop_remainder: bool = False,
    ) -> _batches.ArrayBatches:
        """Return batches as a `keras.utils.PyDataset`, which works on every backend.

        Args:
            batch_size: Images a batch.
            shuffle: Draw a new order each epoch; give `fit(shuffle=False)` then.
            seed: Seed of the order; epoch `e` depends on `(seed, e)` alone.
            label_mode: `"int"`, `"float"`, `"one_hot"`, or `None` for images without labels.
            drop_remainder: Leave out a last, smaller batch.
        """
        arrays: tuple[NDArray[Any], ...] = (self.images,)
        if label_mode is not None:
            arrays += (_batches.encode_labels(self.labels, self.num_classes, label_mode),)
        return _batches.ArrayBatches(
            *arrays,
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
        label_mode: _batches.LabelMode = "int",
        drop_remainder: bool = False,
    ) -> Any:
        """Return batches as a `tf.data.Dataset` of `uint8` images and labels.

        Args:
            batch_size: Images a batch.
            shuffle: Draw a new order each epoch, over the whole set.
            seed: Seed of the order.
            label_mode: `"int"`, `"float"`, `"one_hot"`, or `None` for images without labels.
            drop_remainder: Leave out a last, smaller batch.

        Raises:
            ImportError: If TensorFlow is not installed; `to_py_dataset` does without.
        """
        import tensorflow as tf

        arrays: Any = self.images
        if label_mode is not None:
            arrays = (arrays, _batches.encode_labels(self.labels, self.num_classes, label_mode))
        dataset = tf.data.Dataset.from_tensor_slices(arrays)
        if shuffle:
            dataset = dataset.shuffle(max(len(self), 1), seed=seed)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to one compressed `.npz` file (no pickle).

        Raises:
            ValueError: If the name does not end in `.npz`.
        """
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _STORED}
        header = {
            "class_names": list(self.class_names),
            "skipped": [[file.name, file.reason] for file in self.skipped],
            "provenance": dict(self.provenance),
        }
        _archive.write(path, arrays, header)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a file that [`save`][synthray.ImageDataset.save] wrote.

        Raises:
            ValueError: If the file is not one of those, or is damaged.
        """
        arrays, header = _archive.read(path)
        return cls(
            **arrays,
            class_names=tuple(header["class_names"]),
            skipped=tuple(SkippedFile(*entry) for entry in header["skipped"]),
            provenance=header["provenance"],
        )

    def plot_samples(self, n: int = 8, *, seed: int | None = 0) -> Figure:
        """Draw up to `n` images of each class, a row a class.

        Args:
            n: Images a row.
            seed: Seed of the choice.

        Returns:
            A matplotlib figure; `figure.savefig("samples.png")` writes it.
        """
        from synthray._report.images import class_rows

        rng = np.random.default_rng(seed)
        rows = {}
        for name, part in self.by_class().items():
            chosen = np.sort(rng.permutation(len(part))[:n])
            rows[f"{name} ({len(part)})"] = part.images[chosen]
        return class_rows(rows, columns=n)


_STORED = ("images", "labels", "groups", "names", "synthetic", "annotations")
