"""`TransferClassifier`: a classifier on the features of a network that was trained before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self, get_args

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from synthray._digest import augmentation_digest, config_digest, digest
from synthray._keras.backend import as_array, predictor, values_of
from synthray._keras.batches import checked_batch_size
from synthray._parts import slices
from synthray.augmentation.batch_augmentation import BatchAugmentation
from synthray.backbones.efficientnet_lite import Role, load_backbone
from synthray.backbones.image_features import OUTPUTS, to_vectors
from synthray.classifiers.feature_cache import Compute, remembered
from synthray.classifiers.image_classifier import (
    MOMENTUM,
    ImageClassifier,
    output_of,
    to_luma,
)

FineTune = Literal["none", "last", "all"]

_ARGUMENTS = (
    *("num_classes", "image_shape", "fine_tune", "size", "augmented_copies", "value_range"),
    *("dropout", "seed"),
)


@keras.saving.register_keras_serializable(package="synthray")
class TransferClassifier(ImageClassifier):
    """A classifier on the features of a network that was trained on photographs.

    Images are resized to `size` pixels, with antialiasing where they get smaller, and pass through
    the backbone; means and maxima of its maps, normalized, go through dropout into one dense layer.
    Two classes end in one sigmoid, the probability of class 1; more end in a softmax.

    With `fine_tune="none"`, the backbone never changes, and so neither do the features of an image.
    `fit`, `predict` and `evaluate` compute those of image sets and arrays once, and remember them:
    the next fit in the same process on the same images takes seconds. Comparisons do so too; where
    an arm augments images, they learn from a fixed number of augmented copies of each, the same in
    all folds and seeds. Streams of batches (`tf.data`, `PyDataset`) pass through the backbone at
    every step, and so do all images where the backbone is trained.

    `compile()` without arguments chooses Adam, at 1e-3 if the backbone is frozen and else at 1e-4,
    and the cross-entropy. A file holds the weights of the backbone: 13 MB for that of the library.

    Args:
        num_classes: How many classes, at least 2.
        image_shape: Height, width and channels of the images; height and width at least 28,
            channels 1 or 3.
        backbone: `"learning"` (which `None` means) or `"judging"`, as in `load_backbone`; or a
            functional or sequential `keras.Model` that takes images `(n, h, w, 1 or 3)` with pixels
            of 0 to 255 and returns maps, vectors, or several of them. The classifier trains a copy.
            Images that a network of this kind has judged should not have been chosen by it.
        fine_tune: What is trained besides the last layer: nothing, the last third of those layers
            of the backbone that have weights, or all of it.
        size: Height and width in pixels that images are resized to. A model with a fixed size
            keeps its own.
        augmented_copies: How many augmented copies of an image a comparison learns from, where the
            backbone is frozen and the arm augments.
        value_range: Pixel values of black and white, whatever their type.
        dropout: Share of the features that each step of training leaves out.
        seed: Determines dropout and the order of images in `fit`; `None` draws one. All weights
            of the last layer start from zero.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Attributes:
        backbone: The pretrained network.
        extractor: A `keras.Model` from images of 0 to 255 to feature vectors.
        network: A `keras.Sequential` from feature vectors to probabilities.

    Raises:
        ValueError: If the backbone is neither a name nor such a model, or an argument is out of
            range.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(64, seed=0)
        >>> classifier = sr.TransferClassifier(size=64, seed=0)
        >>> history = classifier.fit(data, epochs=2, verbose=0)
        >>> classifier.predict(data.images, verbose=0).shape
        (64, 1)
        >>> classifier.features(data.images).shape
        (64, 864)
    """

    _extract: Callable[[NDArray[np.float32]], Any]

    def __init__(
        self,
        num_classes: int = 2,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        *,
        backbone: Role | keras.Model | None = None,
        fine_tune: FineTune = "none",
        size: int = 192,
        augmented_copies: int = 4,
        value_range: tuple[float, float] = (0.0, 255.0),
        dropout: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if fine_tune not in get_args(FineTune):
            raise ValueError(f"fine_tune must be one of {get_args(FineTune)}, got {fine_tune!r}.")
        if min(size, augmented_copies) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                "size and augmented_copies must be 1 or more and dropout 0 to below 1, got "
                f"{size}, {augmented_copies} and {dropout}."
            )
        super().__init__(num_classes, image_shape, value_range=value_range, seed=seed, **kwargs)
        self.fine_tune, self.size, self.augmented_copies = fine_tune, size, augmented_copies
        self.dropout = float(dropout)
        self._role: Role | None = None
        if isinstance(backbone, keras.Model):
            self.backbone = keras.models.clone_model(backbone)
            self.backbone.set_weights(backbone.get_weights())
        else:
            self._role = "learning" if backbone is None else backbone
            whole = load_backbone(self._role, dtype=self.dtype_policy)
            outputs = {name: whole.output[name] for name in OUTPUTS}
            self.backbone = keras.Model(whole.inputs, outputs, name=whole.name)
        self.extractor = self._extractor()
        weighted = [layer for layer in self.backbone.layers if layer.weights]
        last = len(weighted) - max(1, len(weighted) // 3)
        for layer in weighted[: {"none": None, "last": last, "all": 0}[fine_tune]]:
            layer.trainable = False
        self._rate = 1e-3 if self.frozen else 1e-4
        # Hidden from Keras, which would take it for a part of the model.
        object.__setattr__(self, "_extract", predictor(self.extractor))
        self.network = self._head()
        self.build((None, *self.image_shape))

    @property
    def frozen(self) -> bool:
        """Whether the backbone is never trained."""
        return self.fine_tune == "none"

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return probabilities.

        Args:
            images: As for `FractureClassifier`; where the backbone is frozen also their features,
                shape `(n, d)`.
            training: Whether dropout is active and batch statistics are used.

        Returns:
            float32: `(n, 1)`, the probability of class 1, for two classes; else
            `(n, num_classes)`.
        """
        if self.frozen and len(images.shape) == 2:
            return self.network(images, training=training)
        return super().call(images, training)

    def features(self, images: Any, *, batch_size: int = 8) -> NDArray[np.float32]:
        """Return the features that the backbone finds, for example for `evaluate_samples`.

        Those of the same weights are remembered: 512 MiB, the last ones.

        Args:
            images: An array as for `call`.
            batch_size: Images at once. Few are fastest on a CPU, many on a GPU.

        Returns:
            Shape `(n, d)`: 864 numbers of the library's backbone for learning, means and maxima of
            its maps at strides 16 and 32.
        """
        size = checked_batch_size(batch_size)
        return self._remembered(images, lambda new, _: self._features(new, size))

    def augmented_features(self, images: Any, augmentation: Any) -> NDArray[np.float32]:
        """Return the features of augmented copies, which follow from the pixels of an image.

        Args:
            images: An array as for `call`, of 0 to 255.
            augmentation: What to apply: as in `Training`, a Keras layer or a function.

        Returns:
            Shape `(n, augmented_copies, d)`.
        """
        copies = self.augmented_copies
        change = BatchAugmentation(augmentation, batch_size=copies)

        def compute(new: NDArray[Any], seeds: list[int]) -> NDArray[np.float32]:
            alike = (np.repeat(image[None], copies, 0).astype(np.float32) for image in new)
            changed = (change(each, 0, seed) for each, seed in zip(alike, seeds, strict=True))
            return np.stack([self._features(each, copies) for each in changed])

        return self._remembered(images, compute, copies, augmentation_digest(augmentation))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        given = {name: getattr(self, name) for name in _ARGUMENTS}
        backbone = self._role or keras.saving.serialize_keras_object(self.backbone)
        dtype = self.dtype_policy.name
        return {**given, "backbone": backbone, "name": self.name, "dtype": dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a classifier from what `get_config` returned; it holds no weights."""
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**{**config, "backbone": backbone})

    def _extractor(self) -> keras.Model:
        """Return a model from images of 0 to 255, in the user's shape, to vectors."""
        own = self._role is not None
        vectors = to_vectors(
            self.backbone, self.size, OUTPUTS if own else None, ("mean", "max"), scaled=own
        )
        _, height, width, channels = vectors.input_shape
        images = x = keras.Input(self.image_shape, dtype="float32")
        if channels > x.shape[-1]:
            x = ops.repeat(x, channels, axis=-1)
        elif channels < x.shape[-1]:
            x = to_luma(x)
        if (height, width) != tuple(x.shape[1:3]):
            x = ops.image.resize(
                x, (height, width), "bilinear", antialias=True, data_format="channels_last"
            )
        return keras.Model(images, ops.cast(vectors(x), "float32"), name="extractor")

    def _head(self) -> keras.Sequential:
        """Return the layers from vectors to probabilities."""
        outputs, activation = output_of(self.num_classes)
        # Zeros: any other start takes more than a few steps to forget.
        last: dict[str, Any] = {"activation": activation, "kernel_initializer": "zeros"}
        norm: dict[str, Any] = {"momentum": MOMENTUM, "center": False, "scale": False}
        return keras.Sequential(
            [
                keras.Input(self.extractor.output_shape[1:], name="features"),
                layers.BatchNormalization(**norm, dtype="float32", name="norm"),
                layers.Dropout(self.dropout, seed=self.seed, dtype="float32", name="dropout"),
                layers.Dense(outputs, **last, dtype="float32", name="probability"),
            ],
            name="network",
        )

    def _prepared(self, images: Any, training: bool | None) -> Any:
        scaled = 255 * super()._prepared(images, training)
        return self.extractor(scaled, training=training and not self.frozen)

    def _encoded(self, x: Any) -> Any:
        images = self.frozen and isinstance(x, np.ndarray) and x.ndim == 4
        return self.features(x) if images else x

    def _features(self, images: NDArray[Any], size: int) -> NDArray[np.float32]:
        found = np.zeros((len(images), self.extractor.output_shape[-1]), np.float32)
        low, high = self.value_range
        # Batches of one size, which is compiled once.
        rows = min(size, 1 << max(len(images) - 1, 0).bit_length())
        for at in slices(len(images), rows):
            part = images[at].astype(np.float32)
            batch = np.zeros((rows, *self.image_shape), np.float32)
            batch[: len(part)] = 255 * ((part - low) / (high - low))
            found[at] = as_array(self._extract(batch))[: len(part)]
        return found

    def _remembered(self, images: Any, compute: Compute, *settings: Any) -> NDArray[np.float32]:
        given = self._shaped(as_array(images))
        if not len(given):
            return compute(given, [])
        backbone = self._role or config_digest(self.backbone.get_config())
        how = [backbone, self.size, self.value_range, self.dtype_policy.name, *settings]
        return remembered(given, digest([how, values_of(self.backbone.variables)]), compute)
