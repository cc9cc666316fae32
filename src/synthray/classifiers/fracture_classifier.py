"""`FractureClassifier`: the small convolutional network of the experiment."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from synthray._adam import adam
from synthray._backend import steps_at_once
from synthray._devices import devices_of, divides_batches
from synthray._seed_state import OrderByStep, SeededModel, with_callback
from synthray._seeds import resolve_seed
from synthray.classifiers._judging import JudgingModel
from synthray.classifiers._network import classifier_network
from synthray.datasets._batches import ArrayBatches
from synthray.datasets._streams import for_judging, streamed
from synthray.datasets.image_dataset import ImageDataset

_SMALLEST = 27  # two convolutions and a pooling, each of which divides by three
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as ImageDataset.to_grayscale


@keras.saving.register_keras_serializable(package="synthray")
class FractureClassifier(JudgingModel, SeededModel):
    """A convolutional network of 13,585 parameters that sorts small radiographs into classes.

    At the default shape and two classes, `network` is layer by layer the network of the experiment
    this library reproduces. Two classes end in one sigmoid, the probability of class 1; more end
    in a softmax. Scaling is part of the model: it takes pixels as they come.

    The experiment does not tell the activations (here ReLU), the dropout rates, the initial
    weights (Glorot), the momentum of batch normalisation (0.9) or the training: Adam at 1e-3 and
    the cross-entropy, which `compile()` and a `fit` without `compile` choose.

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
        shape = _checked_shape(image_shape, to_grayscale)
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {num_classes}.")
        low, high = (float(v) for v in value_range)
        if not low < high:
            raise ValueError(
                f"value_range must be (black, white) with black < white, got {value_range}."
            )
        rates = tuple(float(rate) for rate in dropout)
        if len(rates) != 2 or not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"dropout must be two rates of 0 to below 1, got {dropout}.")
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None) or keras.config.dtype_policy())
        # Pixels come as integers or in the user's scale: the network casts, this model does not.
        super().__init__(autocast=False, dtype=policy, **kwargs)
        self.num_classes = int(num_classes)
        self.image_shape = shape
        self.value_range = (low, high)
        self.dropout = rates
        self.seed = resolve_seed(seed)
        self.grayscale = Luma(dtype=policy, name="grayscale") if to_grayscale else None
        channels = 1 if to_grayscale else shape[2]
        self.network = classifier_network(
            num_classes, (*shape[:2], channels), rates, policy, self.seed
        )
        self.build((None, *shape))

    def build(self, input_shape: Any = None) -> None:
        """Mark as built; the network is built when it is made."""
        self.built = True

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return probabilities.

        Args:
            images: Shape `(n, *image_shape)`, of any type, in `value_range`; `(n, h, w)` too where
                there is one channel.
            training: Whether dropout is active and batch statistics are used.

        Returns:
            float32: `(n, 1)`, the probability of class 1, for two classes; else
            `(n, num_classes)`.
        """
        if len(images.shape) == 3 and self.image_shape[-1] == 1:
            images = images[..., None]
        if tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"Expected images of shape {('n', *self.image_shape)}, got {tuple(images.shape)}. "
                "Convert them (ImageDataset.resize, to_grayscale, to_rgb), or make the classifier "
                "with another image_shape."
            )
        return self.network(self._scaled(images), training=training)

    def features(self, images: Any, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Return what the hidden dense layer computes, such as for `evaluate_samples(features=)`.

        Args:
            images: As for `call`.
            batch_size: Images at once.

        Returns:
            Shape `(n, 128)`, 0 or more.
        """
        hidden = keras.Model(self.network.inputs, self.network.get_layer("hidden").output)
        parts = [
            ops.convert_to_numpy(hidden(self._scaled(images[start : start + batch_size])))
            for start in range(0, len(images), batch_size)
        ]
        return np.concatenate([np.zeros((0, hidden.output.shape[-1])), *parts]).astype(np.float32)

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = ("accuracy",),
        **kwargs: Any,
    ) -> None:
        """Set the training; everything has a default.

        Args:
            optimizer: By default Adam with a learning rate of 1e-3.
            loss: By default `"binary_crossentropy"` for two classes and
                `"sparse_categorical_crossentropy"` for more; both take integer labels `(n,)`. For
                one-hot rows, with more than two classes, pass `"categorical_crossentropy"`.
            metrics: By default the accuracy; `None` for none.
            **kwargs: As in `keras.Model.compile`. `jit_compile="auto"` leaves XLA off on
                TensorFlow without a GPU, where it is slower. `steps_per_execution` is 8 (1 on
                torch and on several devices): callbacks see the end of each eighth batch.
        """
        binary, many = "binary_crossentropy", "sparse_categorical_crossentropy"
        super().compile(
            optimizer=adam(1e-3) if optimizer is None else optimizer,
            loss=(binary if self.num_classes == 2 else many) if loss is None else loss,
            metrics=list(metrics) if isinstance(metrics, tuple) else metrics,
            **kwargs,
        )

    def _default_steps(self) -> int:
        return steps_at_once() if devices_of(self) == 1 else 1

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Train; the stock Keras `fit` underneath, which compiles with defaults where need be.

        Args:
            x: An `ImageDataset`, or whatever Keras takes. For an `ImageDataset` and for NumPy
                arrays the order of each epoch follows from the model's seed and the steps done so
                far: a fit that is saved, reloaded and continued sees what it would have seen. Not
                with `steps_per_epoch`, where the order is Keras'.
            y: Labels, where `x` does not hold them.
            **kwargs: As in `keras.Model.fit`; `validation_data` may be an `ImageDataset` too.

        Raises:
            ValueError: If the data set has more classes than the model.
        """
        if not self.compiled:
            self.compile()
        x, y = self._unpacked(x, y)
        arrays = isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
        own_order = arrays and len(x) == len(y)  # else Keras says what is wrong
        held_out = kwargs.get("validation_data")
        if isinstance(held_out, ImageDataset):
            kwargs["validation_data"] = self._arrays(held_out)
        elif isinstance(held_out, tuple) and held_out:
            kwargs["validation_data"] = (self._with_channel(held_out[0]), *held_out[1:])
        weight = kwargs.get("sample_weight")
        whole = own_order and isinstance(weight, np.ndarray | None)
        if whole and not kwargs.get("steps_per_epoch"):
            kwargs.pop("sample_weight", None)
            share = kwargs.pop("validation_split", None)
            if share and kwargs.get("validation_data") is None:
                (x, y, weight), kwargs["validation_data"] = _split(x, y, weight, share)
            size = kwargs.pop("batch_size", None)
            size = 32 if size is None else size
            if not kwargs.get("validation_steps"):
                at_once = kwargs.get("validation_batch_size") or size
                found = kwargs.get("validation_data")
                kwargs["validation_data"] = for_judging(self, found, at_once)
            batches = ArrayBatches(
                *((x, y) if weight is None else (x, y, weight)),
                batch_size=size,
                shuffle=bool(kwargs.pop("shuffle", True)),
                seed=self.seed,
            )
            callbacks = with_callback(kwargs.pop("callbacks", None), OrderByStep(batches))
            stream = streamed(batches, lasting=not divides_batches(self))
            return super().fit(stream, shuffle=False, callbacks=callbacks, **kwargs)
        return super().fit(x, y, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "num_classes": self.num_classes,
            "image_shape": list(self.image_shape),
            "to_grayscale": self.grayscale is not None,
            "value_range": list(self.value_range),
            "dropout": list(self.dropout),
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }

    def _scaled(self, images: Any) -> Any:
        low, high = self.value_range
        x = (ops.cast(images, "float32") - low) / (high - low)
        return x if self.grayscale is None else self.grayscale(x)

    def _arrays(self, data: ImageDataset) -> tuple[Any, Any]:
        if data.num_classes > self.num_classes:
            raise ValueError(
                f"The data set has {data.num_classes} classes, the classifier {self.num_classes}. "
                f"Make it with num_classes={data.num_classes}."
            )
        one_hot = self.num_classes > 2 and wants_one_hot(self.loss)
        return data.images, np.eye(self.num_classes)[data.labels] if one_hot else data.labels


@keras.saving.register_keras_serializable(package="synthray")
class Luma(layers.Layer):
    """Turns RGB images into one channel: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""

    def call(self, images: Any) -> Any:
        """Map `(n, h, w, 3)` to `(n, h, w, 1)`."""
        return ops.sum(images * ops.cast(_LUMA, images.dtype), axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return the same shape with one channel."""
        return (*input_shape[:-1], 1)


def _split(x: Any, y: Any, weight: Any, share: float) -> tuple[tuple[Any, Any, Any], Any]:
    """Return what to train on, and the last images for validation, as Keras cuts them."""
    first = math.floor(len(x) * (1.0 - share))
    if not 0 < first < len(x):
        raise ValueError(
            f"validation_split={share} of {len(x)} images leaves none to train on, or none to "
            "judge. Pass another share, or validation_data."
        )
    parts = [(x[rows], y[rows]) for rows in (slice(first), slice(first, None))]
    if weight is None:
        return (*parts[0], None), parts[1]
    return (*parts[0], weight[:first]), (*parts[1], weight[first:])


def wants_one_hot(loss: Any) -> bool:
    """Whether a Keras loss, by its name, takes one-hot rows rather than integer labels."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    return "categorical" in str(name).lower() and "sparse" not in str(name).lower()


def _checked_shape(image_shape: Any, to_grayscale: bool) -> tuple[int, int, int]:
    shape = tuple(int(d) for d in image_shape)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(
            "image_shape must be (height, width, channels) with 1 or 3 channels, got "
            f"{image_shape}."
        )
    if to_grayscale and shape[2] != 3:
        raise ValueError(f"to_grayscale=True needs images of 3 channels, got {image_shape}.")
    if min(shape[:2]) < _SMALLEST:
        raise ValueError(
            f"Each of three layers divides height and width by three, so images must be at least "
            f"{_SMALLEST}x{_SMALLEST} pixels, got {shape[0]}x{shape[1]}. Enlarge them, for example "
            "with ImageDataset.resize(64, 64)."
        )
    return shape[0], shape[1], shape[2]
