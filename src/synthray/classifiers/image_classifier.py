"""`ImageClassifier`: what classifiers of images share, but for their network."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from synthray._keras.backend import as_array, steps_at_once
from synthray._keras.batches import ArrayBatches, checked_batch_size
from synthray._keras.devices import devices_of, divides_batches
from synthray._keras.seeded_model import OrderByStep, SeededModel, with_callback
from synthray._keras.streams import for_judging, is_stream, parts_of, peek, streamed
from synthray._seeds import resolve_seed
from synthray.datasets import pixels as _pixels
from synthray.datasets.image_dataset import ImageDataset

# With Keras' 0.99, the moving statistics of batch normalisation take several hundred steps to
# settle: after 20 epochs of 1,000 images, which is 640 steps, they still spoil every prediction.
MOMENTUM = 0.9


class ImageClassifier(SeededModel):
    """A Keras model from images to the probabilities of their classes.

    Two classes end in one sigmoid, the probability of class 1; more end in a softmax. Scaling is
    part of the model: it takes pixels as they come.

    Args:
        num_classes: How many classes, at least 2.
        image_shape: Height, width and channels, 1 or 3.
        value_range: Pixel values of black and white, whatever their type.
        seed: Of initial weights, dropout, and the order of images in `fit`; `None` draws one.
        **kwargs: `name`, `dtype`.

    Attributes:
        network: The layers, ending in probabilities.
    """

    network: keras.Model
    _rate = 1e-3  # of Adam, by default

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int],
        *,
        value_range: tuple[float, float],
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {num_classes}.")
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None) or keras.config.dtype_policy())
        # Pixels come as integers or in the user's scale: the network casts, this model does not.
        super().__init__(autocast=False, dtype=policy, **kwargs)
        self.num_classes = int(num_classes)
        self.image_shape = _pixels.checked_image_shape(image_shape)
        self.value_range = _pixels.checked_value_range(value_range)
        self.seed = resolve_seed(seed)

    def build(self, input_shape: Any = None) -> None:
        """Mark as built; the network is built when it is made."""
        self.built = True

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return probabilities.

        Args:
            images: Shape `(n, *image_shape)`, of any type, in `value_range`; also `(n, h, w)` if
                there is one channel.
            training: Whether dropout is active and batch statistics are used.

        Returns:
            float32: `(n, 1)`, the probability of class 1, for two classes; else
            `(n, num_classes)`.
        """
        return self.network(self._prepared(self._shaped(images), training), training=training)

    def _shaped(self, images: Any) -> Any:
        if len(images.shape) == 3 and self.image_shape[-1] == 1:
            images = images[..., None]
        if tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"Expected images of shape {('n', *self.image_shape)}, got {tuple(images.shape)}. "
                "Convert them (ImageDataset.resize, to_grayscale, to_rgb), or make the classifier "
                "with another image_shape."
            )
        return images

    def _prepared(self, images: Any, training: bool | None) -> Any:
        """Return what `network` takes: images of 0 to 1."""
        low, high = self.value_range
        return (ops.cast(images, "float32") - low) / (high - low)

    def _encoded(self, x: Any) -> Any:
        """Return what training and prediction read in place of an array of images: itself."""
        return x

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = ("accuracy",),
        **kwargs: Any,
    ) -> None:
        """Set the training; everything has a default.

        Args:
            optimizer: By default Adam, with a learning rate for what is trained: see the class.
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
            optimizer=keras.optimizers.Adam(self._rate) if optimizer is None else optimizer,
            loss=(binary if self.num_classes == 2 else many) if loss is None else loss,
            metrics=list(metrics) if isinstance(metrics, tuple) else metrics,
            **kwargs,
        )

    def _default_steps(self) -> int:
        return steps_at_once() if devices_of(self) == 1 else 1

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Train; the stock Keras `fit` underneath, which compiles with defaults if need be.

        For an `ImageDataset` and for NumPy arrays, the order of each epoch follows from the model's
        seed and the steps done so far: a fit that is saved, reloaded and continued sees the batches
        that an uninterrupted one would see. With `steps_per_epoch`, Keras decides the order.

        Args:
            x: An `ImageDataset`, or whatever Keras takes.
            y: Labels, if `x` does not hold them.
            **kwargs: As in `keras.Model.fit`; `validation_data` may be an `ImageDataset` too.

        Raises:
            ValueError: If the data set has more classes than the model; or if arrays, or the first
                batch of a stream, hold labels that are no classes, NaN, or pixels that lie beyond
                `value_range` by more than a tenth of it.
        """
        if not self.compiled:
            self.compile()
        x, y = self._checked(x, y)
        held_out = kwargs.get("validation_data")
        if held_out is not None:
            parts = parts_of(held_out)
            checked = (*self._checked(*(*parts, None, None)[:2]), *parts[2:])
            kwargs["validation_data"] = checked[0] if is_stream(held_out) else checked
        weight = kwargs.get("sample_weight")
        arrays = [x, y] if weight is None else [x, y, weight]
        whole = all(isinstance(each, np.ndarray) for each in arrays)
        if not whole or len(x) != len(y) or kwargs.get("steps_per_epoch"):
            return super().fit(x, y, **kwargs)  # Keras says if something is wrong
        kwargs.pop("sample_weight", None)
        share = kwargs.pop("validation_split", None)
        if share and kwargs.get("validation_data") is None:
            arrays, kwargs["validation_data"] = _split(arrays, share)
        size = checked_batch_size(kwargs.pop("batch_size", None))
        if not kwargs.get("validation_steps"):
            at_once = kwargs.get("validation_batch_size") or size
            kwargs["validation_data"] = for_judging(self, kwargs.get("validation_data"), at_once)
        shuffle = bool(kwargs.pop("shuffle", True))
        batches = ArrayBatches(*arrays, batch_size=size, shuffle=shuffle, seed=self.seed)
        callbacks = with_callback(kwargs.pop("callbacks", None), OrderByStep(batches))
        stream = streamed(batches, lasting=not divides_batches(self))
        return super().fit(stream, shuffle=False, callbacks=callbacks, **kwargs)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", **kwargs: Any
    ) -> Any:
        """Return what `call` returns, as a NumPy array; the stock Keras `predict` underneath.

        Args:
            x: An `ImageDataset`, or whatever Keras takes.
            batch_size: Images at once; 32 by default.
            verbose: As in `keras.Model.predict`.
            **kwargs: As in `keras.Model.predict`.

        Raises:
            ValueError: As `fit`.
        """
        x, _ = self._checked(x, None, labelled=False)
        if kwargs.get("steps") is None:
            x = for_judging(self, x, batch_size)
        return super().predict(x, batch_size, verbose, **kwargs)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return loss and metrics; the stock Keras `evaluate` underneath.

        Args:
            x: An `ImageDataset`, or whatever Keras takes.
            y: Labels, if `x` does not hold them.
            batch_size: Images at once; 32 by default.
            verbose: As in `keras.Model.evaluate`.
            sample_weight: As in `keras.Model.evaluate`.
            **kwargs: As in `keras.Model.evaluate`.

        Raises:
            ValueError: As `fit`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # which fit has checked
            x, y = self._checked(x, y)
        if kwargs.get("steps") is None and y is not None:
            stream = for_judging(self, (x, y, sample_weight), batch_size)
            if not isinstance(stream, tuple):
                x, y, sample_weight = stream, None, None
        return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

    def _unpacked(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return the arrays of an image set, labels as the loss takes them; others as they are.

        Gray images `(n, h, w)` get their channel, so that TensorFlow traces once for both forms.
        """
        if not isinstance(x, ImageDataset):
            gray = isinstance(x, np.ndarray) and x.ndim == 3 and self.image_shape[-1] == 1
            return x[..., None] if gray else x, y
        if y is not None:
            raise ValueError("An ImageDataset holds its labels; leave y out.")
        if x.num_classes > self.num_classes:
            raise ValueError(
                f"The data set has {x.num_classes} classes, the classifier {self.num_classes}. "
                f"Make it with num_classes={x.num_classes}."
            )
        one_hot = self.num_classes > 2 and wants_one_hot(self.loss)
        return x.images, np.eye(self.num_classes)[x.labels] if one_hot else x.labels

    def _checked(self, x: Any, y: Any, *, labelled: bool = True) -> tuple[Any, Any]:
        """Return what training reads of `_unpacked`, after a check that no backend makes."""
        x, y = self._unpacked(x, y)
        if is_stream(x):
            x, shown = peek(x, lambda batch: True)
            images, labels = (*parts_of(shown[0]), None)[:2]
            self._check(images, labels, labelled)
        elif hasattr(x, "shape"):
            self._check(x, y, labelled)
        return self._encoded(_for_any_backend(x)), _for_any_backend(y)

    def _check(self, images: Any, labels: Any, labelled: bool) -> None:
        low, high = _pixels.extremes(self._shaped(as_array(images)))
        black, white = self.value_range
        if not max(black - low, high - white) <= (white - black) / 10:  # NaN too
            raise ValueError(
                f"Expected pixels of {black:g} to {white:g}, got {low:.6g} to {high:.6g}. Rescale "
                "or repair them, or make the classifier with another value_range=."
            )
        # Only of dark images: nothing is cut here.
        _pixels.warn_of_range(black, min(high, white), self.value_range)
        if not labelled:
            return
        given, loss = as_array(labels), _name_of(self.loss)
        top = self.num_classes - 1 if "sparse" in loss else 1
        fit = given.dtype.kind in "biuf" and given.size and np.isfinite(given).all()
        if fit and "crossentropy" in loss:  # others may take other labels
            inside = given.min() >= 0 and given.max() <= top + 1e-6  # means may round up
            fit = inside and not ("sparse" in loss and (given % 1).any())
        if not fit:
            raise ValueError(
                f"Expected labels from 0 to {top}, got {given.dtype} such as {given.ravel()[:9]}. "
                "Number the classes: names, labels = np.unique(labels, return_inverse=True)."
            )


def _for_any_backend(array: Any) -> Any:
    """Return NumPy arrays of numbers as a type that every backend takes."""
    dtype = array.dtype if isinstance(array, np.ndarray) else np.dtype("O")
    odd = dtype.itemsize > 8 or dtype == np.uint64 or not dtype.isnative
    return array.astype(np.float32) if dtype.kind in "iuf" and odd else array


def _split(arrays: list[Any], share: float) -> tuple[list[Any], tuple[Any, ...]]:
    """Return what to train on, and the last images for validation, as Keras cuts them."""
    first = math.floor(len(arrays[0]) * (1.0 - share))
    if not 0 < first < len(arrays[0]):
        raise ValueError(
            f"validation_split={share} of {len(arrays[0])} images leaves none to train on, or none "
            "to validate with. Pass another share, or validation_data."
        )
    return [each[:first] for each in arrays], tuple(each[first:] for each in arrays)


def wants_one_hot(loss: Any) -> bool:
    """Whether a Keras loss, by its name, takes one-hot rows rather than integer labels."""
    return "categorical" in _name_of(loss) and "sparse" not in _name_of(loss)


def _name_of(loss: Any) -> str:
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    return str(name).lower()


def output_of(num_classes: int) -> tuple[int, str]:
    """Return the size and the activation of the last layer."""
    return (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")


def to_luma(images: Any) -> Any:
    """Return RGB images as one channel, as `ImageDataset.to_grayscale` does."""
    return ops.sum(images * ops.cast(_pixels.LUMA, "float32"), axis=-1, keepdims=True)
