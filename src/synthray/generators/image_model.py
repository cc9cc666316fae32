"""`ImageModel`: what all generators share, from `compile` to the guard of a training."""

from __future__ import annotations

import inspect
import math
from typing import Any, ClassVar

import keras
from keras import ops

from synthray._keras.backend import assign, build_optimizer
from synthray._keras.batches import ArrayBatches
from synthray._keras.devices import batches_in_shares, scope_of
from synthray._keras.seeded_model import OrderByStep, SeededModel, with_callback
from synthray.callbacks.training_guard import TrainingGuard
from synthray.datasets.pixels import ValueRange, checked_image_shape
from synthray.generators.inputs import TrainingImages


class ImageModel(SeededModel):
    """Several networks that the stock `fit` trains as one, by the sum of their losses.

    Attributes:
        BATCH_SIZE: Images a step, unless asked.
        IMAGES_SEEN: Images that an augmenter shows it, unless asked.
    """

    BATCH_SIZE: ClassVar[int] = 32
    IMAGES_SEEN: ClassVar[int] = 35_000
    _fitting = False

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Set the optimizer for all networks.

        Args:
            optimizer: A Keras optimizer or its name; by default that of `default_optimizer`.
            **kwargs: `jit_compile`, `steps_per_execution`, `run_eagerly`, `auto_scale_loss` as in
                Keras. `jit_compile="auto"` leaves XLA off on TensorFlow without a GPU, where it
                is slower.

        Raises:
            ValueError: If a `loss` is given, for the model has its own, or an optimizer that does
                not suit its training.
        """
        if kwargs.pop("loss", None) is not None:
            raise ValueError(
                f"{type(self).__name__} has its own losses; compile() takes no loss. For another "
                "one, subclass the model and override the method that computes the losses."
            )
        with scope_of(self):
            optimizer = keras.optimizers.get(optimizer or self.default_optimizer())
            self.check_optimizer(optimizer)
            super().compile(optimizer=optimizer, **kwargs)
            # TensorFlow traces the step twice if the first step makes variables.
            build_optimizer(self)

    def check_optimizer(self, optimizer: keras.Optimizer) -> None:
        """Raise a `ValueError` if an optimizer does not suit the training."""

    def default_optimizer(self) -> keras.Optimizer:
        """Return the optimizer that `compile()` takes when it is given none."""
        return keras.optimizers.Adam(1e-4)

    def build(self, input_shape: Any = None) -> None:
        """Mark as built; the networks are built when they are made."""
        self.built = True

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> Any:
        """Return `total_loss`, which the stock training step differentiates.

        Args:
            x: Ignored.
            y: Ignored; a labelled data set may be passed.
            y_pred: What `call` returned.
            sample_weight: Optional weight an image, shape `(n,)`.
        """
        return self.total_loss(y_pred, sample_weight)

    def total_loss(self, terms: dict[str, Any], sample_weight: Any) -> Any:
        """Return the loss of a step, from what `call` returned and optional weights of images."""
        raise NotImplementedError

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        shuffle: bool = True,
        value_range: ValueRange | None = None,
        callbacks: Any = None,
        validation_data: Any = None,
        guard: bool = True,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train on images; the stock Keras `fit` underneath.

        Args:
            x: An `ImageDataset`, an array `(n, h, w)` or `(n, h, w, c)`, or a `tf.data.Dataset` /
                `PyDataset` / generator of batches of images or of `(images, labels)`. Labels are
                ignored, save by a class-conditional model: the model learns all images it is given.
                A `CycleGAN` takes an `ImageDataset` of two classes, an array with labels, or a pair
                of arrays, one of each class.
            y: Labels of an array of images, if the model needs them: integers `(n,)`. A `CycleGAN`
                takes any two labels.
            batch_size: Images a step, for arrays and `ImageDataset`; by default the class's
                `BATCH_SIZE`. On several devices, of all of them together. Of a `CycleGAN`, images
                of each class.
            epochs: Passes over the images.
            shuffle: Take a new order each epoch; not of streams such as `tf.data`, which have
                their own. For arrays the order depends on the model's seed and on the steps done
                so far, so that a resumed fit sees what it would have seen.
            value_range: Values of black and white; `uint8` is always 0 to 255. By default the
                extremes of the array, or of the first batches up to one that is not dark, decide:
                within -0.1 to 1.1 it is (0, 1), else within -1.1 to 1.1 (-1, 1), and from 0 to a
                maximum above 16 and up to 255 (0, 255). What lies beyond is clipped, with a
                warning.
            callbacks: Keras callbacks.
            validation_data: Held-out images in the same forms, judged after each epoch.
            guard: Whether a [`TrainingGuard`][synthray.TrainingGuard] looks on; pass one as
                callback to set it up.
            **kwargs: As in `keras.Model.fit`.

        Raises:
            DivergenceError: If the guard finds no way on.
            ValueError: If shapes or values do not fit the model; the message says how to convert.
        """
        if not self.compiled:
            self.compile()
        callbacks = self.fit_callbacks(callbacks, guard)
        whole = not (kwargs.get("steps_per_epoch") or kwargs.get("validation_steps"))
        options: dict[str, Any] = {"batch_size": batch_size, "lasting": whole}
        training = self.prepare(x, y, value_range=value_range, shuffle=shuffle, **options)
        if validation_data is not None:
            pair = isinstance(validation_data, tuple) and len(validation_data) == 2
            images, labels = validation_data if pair else (validation_data, None)
            options["value_range"] = training.value_range
            validation_data = self.prepare(images, labels, **options).batches
        if training.own_order is not None:
            callbacks = with_callback(callbacks, OrderByStep(training.own_order))
        self._fitting = True
        try:
            with batches_in_shares(isinstance(training.own_order, ArrayBatches)):
                return super().fit(
                    training.batches,
                    epochs=epochs,
                    # Streams have their own order; Keras would warn that it ignores ours.
                    shuffle=shuffle and isinstance(x, keras.utils.PyDataset),
                    callbacks=callbacks,
                    validation_data=validation_data,
                    **kwargs,
                )
        finally:
            self._fitting = False

    def prepare(self, x: Any, y: Any, **options: Any) -> TrainingImages:
        """Return batches of images for `fit`."""
        raise NotImplementedError

    def fit_callbacks(self, callbacks: Any, guard: bool) -> Any:
        """Return the callbacks of `fit`, with a `TrainingGuard` if there is none."""
        given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
        if not guard or any(isinstance(callback, TrainingGuard) for callback in given):
            return callbacks
        return with_callback(callbacks, TrainingGuard())


def check_arguments(*checks: tuple[str, Any, bool, str]) -> None:
    """Raise a ValueError for the first of `(name, value, whether it fits, what was expected)`."""
    for name, value, fits, expected in checks:
        if not fits:
            raise ValueError(f"{name} must be {expected}, got {value!r}.")


def arguments_of(model: keras.Model, cls: type) -> dict[str, Any]:
    """Return the arguments of the constructor of `cls`; each is an attribute of its name."""
    names = [p.name for p in inspect.signature(cls).parameters.values() if p.kind != p.VAR_KEYWORD]
    arguments = {name: getattr(model, name) for name in names}
    return arguments | {"name": model.name, "dtype": model.dtype_policy.name}


def policy_from(kwargs: dict[str, Any]) -> Any:
    """Take `dtype` out of the keywords of a constructor, and return it as a policy of Keras."""
    return keras.dtype_policies.get(kwargs.pop("dtype", None) or keras.config.dtype_policy())


def checked_size(image_shape: Any, *, factor: int) -> tuple[int, int, int]:
    """Return an `image_shape` of sides that are at least 8 and divisible by `factor`."""
    height, width, channels = checked_image_shape(image_shape)
    nearest = [max(8, round(side / factor) * factor) for side in (height, width)]
    if nearest != [height, width]:
        raise ValueError(
            f"The networks halve and double the size of images, so height and width must be at "
            f"least 8 and divisible by {factor}, got {height}x{width}. Resize the images, "
            f"for example to {nearest[0]}x{nearest[1]}."
        )
    return height, width, channels


def widened(count: int, width: float) -> int:
    """Return a number of filters times `width`, at least 4."""
    return max(4, round(count * width))


def judge_frozen(discriminator: keras.Model, inputs: Any, *, training: bool) -> Any:
    """Return a discriminator's logits, through which only the images get gradients."""
    frozen = [ops.stop_gradient(v.value) for v in discriminator.trainable_variables]
    state = [v.value for v in discriminator.non_trainable_variables]
    logits, state = discriminator.stateless_call(frozen, state, inputs, training=training)
    assign(discriminator.non_trainable_variables, state)  # the dropout seeds move on
    return logits


class CosineRate(keras.callbacks.Callback):
    """Lowers the learning rate along a half cosine over the images that `fit` is asked for.

    It is set at the beginning of each epoch, from the share of the epochs that are done: a fit
    that resumes with `initial_epoch`, or from a backup, takes the rates of an uninterrupted one.

    Args:
        first: Rate of the first epoch.
        final_share: Share of it that the end of the last epoch would have.
    """

    def __init__(self, first: float, final_share: float) -> None:
        super().__init__()
        self._first = first
        self._final_share = final_share

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the rate of this epoch."""
        done = epoch / self.params["epochs"]
        wave = (1 + math.cos(math.pi * done)) / 2
        share = self._final_share + (1 - self._final_share) * wave
        self.model.optimizer.learning_rate = self._first * share
