"""`GAN`: the training step that every generator of the library shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import keras
import numpy as np
from keras import ops

from synthray._keras import alternating as _alternating
from synthray._keras.alternating import Half
from synthray._keras.devices import replica_count, rows_of_replica, share_of_loss
from synthray._seeds import resolve_seed
from synthray.generators.image_model import ImageModel, judge_frozen
from synthray.generators.inputs import TrainingImages, prepare_images
from synthray.generators.sampling import Sampler

Logits = dict[str, Any]
Updates = Literal["simultaneous", "alternating"]


class GAN(Sampler, ImageModel):
    """A generator and a discriminator, trained as one model by one optimizer.

    With simultaneous updates, one forward pass generates the fakes once. The discriminator sees
    them behind `stop_gradient`; the generator's loss sees the discriminator through
    `stateless_call` with its variables behind `stop_gradient`. The sum of both losses therefore
    has, in one backward pass, exactly the gradients of the two, and the stock `fit` trains it on
    every backend, with callbacks, mixed precision, `steps_per_execution` and distribution as Keras
    has them.

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
        seed: Seed of the latents and of the order of the images; `None` for a random one.
        **kwargs: Passed to `keras.Model`.

    Raises:
        ValueError: If `updates` is neither, or a layer has an `activity_regularizer`.
    """

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
            _refuse_activity_penalties(network)
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
        self.build((None, *self.image_shape))

    def check_optimizer(self, optimizer: keras.Optimizer) -> None:
        """Raise if an optimizer does not suit the training.

        Raises:
            ValueError: If it accumulates gradients and updates alternate: the update of one
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

    def save_own_variables(self, store: Any) -> None:
        """Save seeds, and the range of float images that the last `fit` found."""
        super().save_own_variables(store)
        store["order_seed"] = np.asarray(self.seed)
        store["float_range"] = np.asarray(self._float_range)

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        super().load_own_variables(store)
        self.seed = int(np.asarray(store["order_seed"]))
        if not self._fitting:  # a resumed fit has looked at its own images
            low, high = np.asarray(store["float_range"]).tolist()
            self._float_range = (low, high)

    def call(self, images: Any, training: bool = False, half: Half | None = None) -> Logits:
        """Judge real images and as many new fakes: the forward pass of a training step.

        Args:
            images: Real images, shape `(n, *image_shape)`: `uint8`, or others in the range that
                `fit` found.
            training: Whether dropout is active.
            half: The network to be updated, if it is but one: leaves out what its loss does not
                need.
        """
        real = self._to_output_range(images)
        fake = self.generator(self.sample_latents(ops.shape(images)[0]), training=training)
        logits = {"real": self.discriminator(real, training=training)}
        if half != "generator":
            logits["fake"] = self.discriminator(ops.stop_gradient(fake), training=training)
        if half != "discriminator":
            logits["generated"] = judge_frozen(self.discriminator, fake, training=training)
        return {k: flat(v) for k, v in logits.items()}

    def sample_latents(self, n: Any) -> Any:
        """Return standard normal latents `(n, latent_dim)` from the model's own seed generator."""
        return rows_of_replica(
            lambda rows: keras.random.normal((rows, self.latent_dim), seed=self.seed_generator), n
        )

    def total_loss(self, terms: Logits, sample_weight: Any) -> Any:
        """Return the sum of both losses."""
        d_loss = self.discriminator_loss(terms, sample_weight)
        both = d_loss + self.generator_loss(terms, sample_weight)
        return share_of_loss(both + _weight_penalties(self))

    def discriminator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the discriminator's loss of a batch, and add it to the metric."""
        losses = self.losses_from_logits({"generated": logits["fake"]} | logits)[0]
        return _tracked_mean(self._d_loss_tracker, losses, sample_weight)

    def generator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the generator's loss of a batch, and add it to the metric."""
        losses = self.losses_from_logits({"fake": logits["generated"]} | logits)[1]
        return _tracked_mean(self._g_loss_tracker, losses, sample_weight)

    def half_loss(self, images: Any, half: Half, sample_weight: Any = None) -> Any:
        """Return the loss of one network, after a forward pass for it alone."""
        loss = self.discriminator_loss if half == "discriminator" else self.generator_loss
        own = loss(self(images, training=True, half=half), sample_weight)
        return share_of_loss(own + _weight_penalties(getattr(self, half)))

    def train_step(self, *args: Any) -> Any:
        """Take a step as Keras does on the backend in use, or one in two halves."""
        if self.updates == "simultaneous":
            return super().train_step(*args)
        return _alternating.train_step(self, *args)

    def count_loss(self, loss: Any, n: Any) -> None:
        """Add the loss of a batch of so many images to the metric that `fit` shows."""
        self._loss_tracker.update_state(loss * replica_count(), sample_weight=n)

    def prepare(self, x: Any, y: Any, **options: Any) -> TrainingImages:
        """Return batches of images for `fit`, and remember their range."""
        found = prepare_images(self, x, y, **options)
        if found.value_range not in (None, self._float_range):
            self._float_range = found.value_range
            # Traced functions hold the old range as a constant.
            self.train_function = self.test_function = None
        return found

    def _to_output_range(self, images: Any) -> Any:
        is_uint8 = keras.backend.standardize_dtype(images.dtype) == "uint8"
        low, high = (0.0, 255.0) if is_uint8 else self._float_range
        unit = ops.clip((ops.cast(images, "float32") - low) / (high - low), 0.0, 1.0)
        if len(unit.shape) == 3:
            unit = unit[..., None]
        out_low, out_high = self.OUTPUT_RANGE
        return unit * (out_high - out_low) + out_low


def flat(logits: Any) -> Any:
    """Return logits as float32 `(n,)`."""
    return ops.cast(ops.reshape(logits, (-1,)), "float32")


def _tracked_mean(tracker: keras.metrics.Mean, losses: Any, weight: Any) -> Any:
    mean = ops.mean(losses if weight is None else losses * flat(weight))
    tracker.update_state(mean)
    return mean


def _weight_penalties(network: keras.Layer) -> Any:
    """Return what the layers of a network add to its loss for their weights.

    Keras' own list of losses holds those of activities too, and on JAX some of them get lost.
    """
    found = [v.regularizer(v.value) for v in network.trainable_variables if v.regularizer]
    return sum((ops.sum(ops.cast(each, "float32")) for each in found), 0.0)


def _refuse_activity_penalties(network: keras.Layer) -> None:
    """Raise a `ValueError` if a layer has one, within a wrapper or a block too."""
    for layer in network._flatten_layers():
        if getattr(layer, "activity_regularizer", None) is not None:
            raise ValueError(
                f"The layer {layer.name!r} has an activity_regularizer, which has no meaning here: "
                "a step calls the networks several times. Leave it out; regularizers of weights "
                "count."
            )


def finite_difference_penalty(
    critic: Callable[[Any], Any],
    images: Any,
    logits: Any,
    *,
    sigma: float,
    seed: keras.random.SeedGenerator,
) -> Any:
    """Squared norm of the gradient of a critic, by a finite difference along a random direction.

    `(D(x + s e) - D(x))^2 / s^2` with `e` standard normal. Its expectation over `e` tends to
    `|grad D(x)|^2` as `s` gets small, and equals it at any `s` if `D` is linear. On real images
    this is R1, on fake ones R2 (Mescheder et al. 2018, arXiv 1801.04406; Huang et al. 2024, arXiv
    2501.05441). Only first derivatives are taken, so it trains on every backend and through every
    layer, at the price of one more forward pass.

    Args:
        critic: Maps images to logits `(n,)`, in float32: a difference of half-precision logits
            would be mostly rounding.
        images: Shape `(n, height, width, channels)`, float32.
        logits: `critic(images)`.
        sigma: `s`, in units of the pixels.
        seed: Where the directions come from.

    Returns:
        One value an image, shape `(n,)`.
    """
    shape = ops.shape(images)
    noise = rows_of_replica(lambda n: keras.random.normal((n, *shape[1:]), seed=seed), shape[0])
    return ops.square((critic(images + sigma * noise) - logits) / sigma)
