"""`FractureClassifier`: the small convolutional network of the experiment."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from synthray._keras.batches import checked_batch_size
from synthray._keras.layers import BatchNormalization, Conv2D
from synthray._parts import slices
from synthray._seeds import spawn_seeds
from synthray.classifiers.image_classifier import (
    MOMENTUM,
    ImageClassifier,
    output_of,
    to_luma,
)
from synthray.datasets import pixels as _pixels

_SMALLEST = 27  # two convolutions and a pooling, each of which divides by three


@keras.saving.register_keras_serializable(package="synthray")
class FractureClassifier(ImageClassifier):
    """A convolutional network of 13,585 parameters that sorts small radiographs into classes.

    At the default shape and two classes, `network` is layer by layer the network of the experiment
    that this library reproduces. Two classes end in one sigmoid, the probability of class 1; more
    end in a softmax. Scaling is part of the model: it takes pixels as they come.

    The experiment does not state the activations (here ReLU), the dropout rates, the initial
    weights (Glorot), the momentum of batch normalisation (0.9) or the training. Both `compile()`
    and a `fit` without `compile` choose Adam at 1e-3 and the cross-entropy.

    Args:
        num_classes: How many classes, at least 2.
        image_shape: Height, width and channels of the images; height and width at least 27 (each
            of three layers divides them by three), channels 1 or 3.
        to_grayscale: Turn RGB images into one channel first (ITU-R BT.601 luma), so that
            `(64, 64, 3)` has the network of `(64, 64, 1)`. Without it, the first convolution sees
            three channels.
        value_range: Pixel values of black and white, whatever their type.
        dropout: Rates behind the convolutions and behind the hidden dense layer.
        seed: Determines initial weights, dropout, and the order of images in `fit`; `None` draws
            one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Attributes:
        network: The layers, a `keras.Sequential` from scaled pixels to probabilities.

    Raises:
        ValueError: If the images are too small or an argument is out of range.

    Examples:
        >>> import synthray as sr
        >>> classifier = sr.FractureClassifier(seed=0)
        >>> classifier.count_params()
        13585
        >>> data = sr.make_phantoms(64, seed=0)
        >>> history = classifier.fit(data, epochs=1, verbose=0)
        >>> classifier.predict(data.images, verbose=0).shape
        (64, 1)
    """

    def __init__(
        self,
        num_classes: int = 2,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        *,
        to_grayscale: bool = False,
        value_range: tuple[float, float] = (0.0, 255.0),
        dropout: tuple[float, float] = (0.25, 0.5),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = _pixels.checked_image_shape(image_shape)
        if to_grayscale and shape[2] != 3:
            raise ValueError(f"to_grayscale=True needs images of 3 channels, got {image_shape}.")
        if min(shape[:2]) < _SMALLEST:
            raise ValueError(
                f"Each of three layers divides height and width by three, so images must be at "
                f"least {_SMALLEST}x{_SMALLEST} pixels, got {shape[0]}x{shape[1]}. Enlarge them, "
                "for example with ImageDataset.resize(64, 64)."
            )
        rates = tuple(float(rate) for rate in dropout)
        if len(rates) != 2 or not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"dropout must be two rates of 0 to below 1, got {dropout}.")
        super().__init__(num_classes, shape, value_range=value_range, seed=seed, **kwargs)
        self.dropout = rates
        self.to_grayscale = bool(to_grayscale)
        channels = 1 if to_grayscale else shape[2]
        self.network = classifier_network(
            num_classes, (*shape[:2], channels), rates, self.dtype_policy, self.seed
        )
        self.build((None, *shape))

    def features(self, images: Any, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Return what the hidden dense layer computes, for example for `evaluate_samples`.

        Args:
            images: As for `call`.
            batch_size: Images at once.

        Returns:
            Shape `(n, 128)`, 0 or more.
        """
        hidden = keras.Model(self.network.inputs, self.network.get_layer("hidden").output)
        parts = [
            ops.convert_to_numpy(hidden(self._prepared(images[rows], False)))
            for rows in slices(len(images), checked_batch_size(batch_size))
        ]
        return np.concatenate([np.zeros((0, hidden.output.shape[-1])), *parts]).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("num_classes", "image_shape", "to_grayscale", "value_range", "dropout", "seed")
        given = {name: getattr(self, name) for name in names}
        return {**given, "name": self.name, "dtype": self.dtype_policy.name}

    def _prepared(self, images: Any, training: bool | None) -> Any:
        x = super()._prepared(images, training)
        return to_luma(x) if self.to_grayscale else x


def classifier_network(
    num_classes: int,
    input_shape: tuple[int, ...],
    dropout: tuple[float, ...],
    dtype: Any,
    seed: int,
) -> keras.Sequential:
    """Build the layers of the experiment, from scaled pixels to probabilities."""
    *weights, drop1, drop2 = spawn_seeds(seed, 6)
    glorot = [keras.initializers.GlorotUniform(s) for s in weights]
    outputs, activation = output_of(num_classes)
    options = {"activation": "relu", "dtype": dtype}
    return keras.Sequential(
        [
            keras.Input(input_shape, name="pixels"),
            Conv2D(32, 3, 3, kernel_initializer=glorot[0], name="conv1", **options),
            BatchNormalization(momentum=MOMENTUM, dtype=dtype, name="norm1"),
            Conv2D(16, 3, 3, kernel_initializer=glorot[1], name="conv2", **options),
            layers.MaxPooling2D(3, 3, dtype=dtype, name="pool"),
            BatchNormalization(momentum=MOMENTUM, dtype=dtype, name="norm2"),
            layers.Dropout(dropout[0], seed=drop1, dtype=dtype, name="dropout1"),
            layers.Flatten(dtype=dtype, name="flatten"),
            layers.Dense(128, kernel_initializer=glorot[2], name="hidden", **options),
            layers.Dropout(dropout[1], seed=drop2, dtype=dtype, name="dropout2"),
            layers.Dense(outputs, activation, True, glorot[3], dtype="float32", name="probability"),
        ],
        name="network",
    )
