"""`GAN`: the training step that every generator of the library shares."""

from __future__ import annotations

import contextlib
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from synthray._devices import (
    batches_in_shares,
    devices_of,
    divides_batches,
    replica_count,
    rows_of_replica,
    share_of_loss,
)
from synthray._seed_state import OrderByStep, with_callback
from synthray._seeds import resolve_seed
from synthray._variables import assign
from synthray.generators import _alternating
from synthray.generators._alternating import Half
from synthray.generators._inputs import TrainingImages, prepare_images
from synthray.generators._one_pass import OnePassModel
from synthray.generators._regularizers import refuse_activity_penalties, weight_penalties
from synthray.generators._sampling import Sampler

Logits = dict[str, Any]
Updates = Literal["simultaneous", "alternating"]


class GAN(Sampler, OnePassModel):
    """A generator and a discriminator, trained as one model by one optimizer.

    With simultaneous updates, one forward pass draws the fakes once. The discriminator sees them
    behind `stop_gradient`; the generator's loss sees the discriminator through `stateless_call`
    with its variables behind `stop_gradient`. The sum of both losses therefore has, in one backward
    pass, exactly the gradients of the two, and the stock `fit` trains it on every backend, with
    callbacks, mixed precision, `steps_per_execution` and distribution as Keras has them.

    With alternating updates a step has two halves: the discriminator is updated, then the generator
    by new fakes that the updated discriminator judges, as in the algorithm of Goodfellow et al.
    2014 (arXiv 1406.2661). `fit` and all that comes with it stay the same.

    A new GAN is one subclass: build two networks and pass them to `__init__`, and write
    `losses_from_logits`. The generator maps `(n, latent_dim)` to images scaled to `OUTPUT_RANGE`,
    float32; the discriminator maps such images to logits `(n, 1)`. Penalties of
    their weights (`kernel_regularizer`) are added to the losses; those of activities are refused,
    and what layers ask for by `add_loss` does not count.

    Args:
        generator: Network from latents to images.
        discriminator: Network from images to logits.
        updates: `"simultaneous"` or `"alternating"`.
        seed: Seed of the latents and of the order of the images; `None` draws one.
        **kwargs: Passed to `keras.Model`.

    Raises:
        ValueError: If `updates` is neither, or a layer has an `activity_regularizer`.
    """

    LOSS_ADVICE = "For another loss, subclass it and override losses_from_logits."

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        updates: Updates = "simultaneous",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if updates not in get_args(Updates):
            raise ValueError(f'updates must be "simultaneous" or "alternating", got {updates!r}.')
        for network in (generator, discriminator):
            refuse_activity_penalties(network)
        # Pixels come as integers or in the user's scale: the networks cast, this model does not.
        super().__init__(autocast=False, **kwargs)
        self.generator = generator
        self.discriminator = discriminator
        self.latent_dim = int(generator.inputs[0].shape[-1])
        self.image_shape = tuple(int(d) for d in generator.output_shape[1:])
        self.updates = updates
        self.seed = resolve_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self._d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self._g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self._float_range = (0.0, 255.0)
        self._fitting = False
        self.build((None, *self.image_shape))

    def check_optimizer(self, optimizer: keras.Optimizer) -> None:
        """Raise where an optimizer does not suit the training.

        Raises:
            ValueError: If it accumulates gradients where updates alternate: the update of one
                network would forget those of the other.
        """
        own = getattr(optimizer, "inner_optimizer", optimizer)
        if self.updates == "alternating" and own.gradient_accumulation_steps:
            raise ValueError(
                "Alternating updates cannot accumulate gradients, got an optimizer with "
                f"gradient_accumulation_steps={own.gradient_accumulation_steps}. Train with larger "
                'batches, or make the model with updates="simultaneous".'
            )

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the discriminator's and the generator's loss, one value an image each.

        Args:
            logits: `"real"`, `"fake"` (train the discriminator) and `"generated"` (train the
                generator), each of shape `(n,)`, float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define losses_from_logits.")

    def build(self, input_shape: Any = None) -> None:
        """Mark as built; both networks are built when they are made."""
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        """Save seeds, and the range of float images that the last `fit` found."""
        super().save_own_variables(store)
        store["order_seed"] = np.asarray(self.seed)
        store["float_range"] = np.asarray(self._float_range)

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved.

        Raises:
            ValueError: If the file lacks it, as files of earlier versions do.
        """
        if "float_range" not in store:
            raise ValueError(
                "The file was written by an earlier version of synthray: it holds no "
                "'float_range', the range of float images that this version saves. Train the "
                f"{type(self).__name__} anew and save it."
            )
        super().load_own_variables(store)
        if "order_seed" in store:  # a subclass without a `get_config` of its own has drawn another
            self.seed = int(np.asarray(store["order_seed"]))
        if not self._fitting:  # a resumed fit has looked at its own images
            low, high = np.asarray(store["float_range"]).tolist()
            self._float_range = (low, high)

    def call(self, images: Any, training: bool = False, half: Half | None = None) -> Logits:
        """Judge real images and as many new fakes: the forward pass of a training step.

        Args:
            images: Real images, shape `(n, *image_shape)`: integers of 0 to 255, or floats in the
                range that `fit` found.
            training: Whether dropout is active.
            half: The network to be updated, where it is but one: leaves out what its loss does
                not need.
        """
        real = self._to_output_range(images)
        fake = self.generator(self.draw_latents(ops.shape(images)[0]), training=training)
        logits = {"real": self.discriminator(real, training=training)}
        if half != "generator":
            logits["fake"] = self.discriminator(ops.stop_gradient(fake), training=training)
        if half != "discriminator":
            logits["generated"] = self.judge_frozen(fake, training=training)
        return {k: ops.cast(ops.reshape(v, (-1,)), "float32") for k, v in logits.items()}

    def draw_latents(self, n: Any) -> Any:
        """Return standard normal latents `(n, latent_dim)` from the model's own generator."""
        return rows_of_replica(
            lambda rows: keras.random.normal((rows, self.latent_dim), seed=self.seed_generator), n
        )

    def judge_frozen(self, inputs: Any, *, training: bool) -> Any:
        """Return the discriminator's logits, through which only the images get gradients."""
        frozen = [ops.stop_gradient(v.value) for v in self.discriminator.trainable_variables]
        state = [v.value for v in self.discriminator.non_trainable_variables]
        logits, state = self.discriminator.stateless_call(frozen, state, inputs, training=training)
        assign(self.discriminator.non_trainable_variables, state)  # the dropout seeds move on
        return logits

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of both losses, which the stock training step differentiates.

        Args:
            x: The real images.
            y: Ignored; a labelled data set may be passed.
            y_pred: What `call` returned.
            sample_weight: Optional weight an image, shape `(n,)`.
            training: Ignored.
        """
        d_loss = self.discriminator_loss(y_pred, sample_weight)
        both = d_loss + self.generator_loss(y_pred, sample_weight)
        return share_of_loss(both + weight_penalties(self))

    def discriminator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the discriminator's loss of a batch, and add it to the metric."""
        losses = self.losses_from_logits({"generated": logits["fake"]} | logits)[0]
        loss = _weighted_mean(losses, sample_weight)
        self._d_loss_tracker.update_state(loss)
        return loss

    def generator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the generator's loss of a batch, and add it to the metric."""
        losses = self.losses_from_logits({"fake": logits["generated"]} | logits)[1]
        loss = _weighted_mean(losses, sample_weight)
        self._g_loss_tracker.update_state(loss)
        return loss

    def half_loss(self, images: Any, half: Half, sample_weight: Any = None) -> Any:
        """Return the loss of one network, after a forward pass for it alone."""
        loss = self.discriminator_loss if half == "discriminator" else self.generator_loss
        own = loss(self(images, training=True, half=half), sample_weight)
        return share_of_loss(own + weight_penalties(getattr(self, half)))

    def train_step(self, *args: Any) -> Any:
        """Take a step as Keras does on the backend in use, or one in two halves."""
        if self.updates == "simultaneous":
            return super().train_step(*args)
        return _alternating.train_step(self, *args)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        shuffle: bool = True,
        value_range: tuple[float, float] | None = None,
        callbacks: Any = None,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train on images; the stock Keras `fit` underneath.

        Args:
            x: An `ImageDataset`, an array `(n, h, w)` or `(n, h, w, c)`, or a `tf.data.Dataset` /
                `PyDataset` / generator of batches of images or of `(images, labels)`. Labels are
                ignored, save by a class-conditional model: the model learns all images it is given.
            y: Labels of an array of images, for a class-conditional model: integers `(n,)`.
            batch_size: Images a step, for arrays and `ImageDataset`; 32 by default. On several
                devices, of all of them together.
            epochs: Passes over the images.
            shuffle: Draw a new order each epoch; not of streams such as `tf.data`, which have
                their own. For arrays the order depends on the model's seed and on the steps done
                so far, so that a resumed fit sees what it would have seen.
            value_range: Range of float images. By default (0, 1), (-1, 1) or (0, 255), whichever
                fits the array or the first batch; integers are always 0 to 255.
            callbacks: Keras callbacks.
            validation_data: Held-out images in the same forms, judged after each epoch.
            **kwargs: As in `keras.Model.fit`.

        Raises:
            ValueError: If shapes or values do not fit the model; the message says how to convert.
        """
        if not self.compiled:
            self.compile()
        whole = not (kwargs.get("steps_per_epoch") or kwargs.get("validation_steps"))
        lasting = whole and not divides_batches(self)
        training = prepare_images(
            x,
            self.image_shape,
            y=y,
            num_classes=self.num_classes,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            value_range=value_range,
            devices=devices_of(self),
            lasting=lasting,
        )
        self._set_float_range(training)
        if validation_data is not None:
            pair = isinstance(validation_data, tuple) and len(validation_data) == 2
            images, labels = validation_data if pair else (validation_data, None)
            validation = prepare_images(
                images,
                self.image_shape,
                y=labels,
                num_classes=self.num_classes,
                batch_size=batch_size,
                value_range=training.value_range,
                devices=devices_of(self),
                lasting=lasting,
            )
            validation_data = validation.batches
        shares: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if training.own_order is not None:
            shares = batches_in_shares()
            callbacks = with_callback(callbacks, OrderByStep(training.own_order))
            shuffle = False
        elif not isinstance(x, keras.utils.PyDataset):
            shuffle = False  # streams have their own order; Keras would warn that it ignores ours
        self._fitting = True
        try:
            with shares:
                return super().fit(
                    training.batches,
                    epochs=epochs,
                    shuffle=shuffle,
                    callbacks=callbacks,
                    validation_data=validation_data,
                    **kwargs,
                )
        finally:
            self._fitting = False

    def _generator_to_draw_with(self) -> keras.Model:
        return self.generator

    def _to_output_range(self, images: Any) -> Any:
        is_float = "float" in keras.backend.standardize_dtype(images.dtype)
        low, high = self._float_range if is_float else (0.0, 255.0)
        unit = (ops.cast(images, "float32") - low) / (high - low)
        if len(unit.shape) == 3:
            unit = unit[..., None]
        out_low, out_high = self.OUTPUT_RANGE
        return unit * (out_high - out_low) + out_low

    def count_loss(self, loss: Any, n: Any) -> None:
        """Add the loss of a batch of so many images to the metric that `fit` shows."""
        self._loss_tracker.update_state(loss * replica_count(), sample_weight=n)

    def _set_float_range(self, training: TrainingImages) -> None:
        if training.value_range != self._float_range:
            self._float_range = training.value_range
            # Traced functions hold the old range as a constant.
            self.train_function = self.test_function = None


def _weighted_mean(losses: Any, weight: Any) -> Any:
    if weight is not None:
        losses = losses * ops.cast(ops.reshape(weight, (-1,)), "float32")
    return ops.mean(losses)
