"""What a training step of `R3GAN` computes, and what it keeps from step to step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._devices import mean_over_replicas, replica_count
from synthray.generators import losses
from synthray.generators._alternating import Half
from synthray.generators._precision import in_full_precision
from synthray.generators.averaging import average_weights
from synthray.generators.diff_augment import DiffAugment
from synthray.generators.gan import GAN, Logits
from synthray.generators.penalties import finite_difference_penalty

Critic = Callable[[Any, Any], Any]

_CENTRING = 0.01
# Adaptive augmentation: where the discriminator puts more pairs than this in the right order (0
# is chance, 1 is all), it knows the training images too well, and the strength rises.
_ORDERED_PAIRS = 0.8
_ADAPTATION_IMAGES = 100_000  # images that the strength needs from 0 to 1


class R3GANStep(GAN):
    """The training step; `R3GAN` builds the networks and sets what is declared here."""

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    gamma: float
    penalty_sigma: float
    penalty_every: int
    augment_strength: float | Literal["adaptive"]
    ema_images: int
    label_images: int
    _augmentation: DiffAugment
    _exact_critic: Critic | None  # the discriminator in float32, where it computes in less

    def build(self, input_shape: Any = None) -> None:
        """Make what the training keeps beside the two networks."""
        self.ema_generator = keras.models.clone_model(self.generator)
        self.ema_generator.set_weights(self.generator.get_weights())
        self.ema_generator.trainable = False
        self.images_seen = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="images_seen"
        )
        self._strength = self.add_weight(
            shape=(), dtype="float32", initializer="zeros", trainable=False, name="strength"
        )
        self._penalty_tracker = keras.metrics.Mean(name="penalty")
        self._diversity_tracker = keras.metrics.Mean(name="diversity")
        self._augmentation_tracker = keras.metrics.Mean(name="augmentation")
        super().build(input_shape)

    def call(self, images: Any, training: bool = False, half: Half | None = None) -> Logits:
        """Judge real images and as many new fakes, and penalise the discriminator's gradients.

        Args:
            images: Real images as in `GAN.call`; where conditional, `{"images", "labels"}`.
            training: Whether the averaged weights and the counters move on.
            half: As in `GAN.call`. They move on with the discriminator's.
        """
        labels = None
        if self.num_classes is not None:
            images, labels = images["images"], images["labels"]
        real = self._to_output_range(images)
        n = ops.shape(real)[0]
        condition = None if labels is None else self._condition(labels)
        fake = self.generator(inputs_of(self.draw_latents(n), condition), training=training)
        diversity = (_spread(fake) + 1e-3) / (_spread(real) + 1e-3)
        real, fake = self._augmented(real, fake, n)
        detached = ops.stop_gradient(fake)

        def critic(x: Any, condition: Any) -> Any:
            return flat(self.discriminator(inputs_of(x, condition), training=training))

        logits = {"real": critic(real, condition)}
        if half != "generator":
            logits["fake"] = critic(detached, condition)
            logits["penalty"] = self._penalty(
                critic, real, logits["real"], condition
            ) + self._penalty(critic, detached, logits["fake"], condition)
            logits["diversity"] = diversity
            logits["augmentation"] = ops.cast(self._augmentation_strength(), "float32")
        if half != "discriminator":
            judged = self.judge_frozen(inputs_of(fake, condition), training=training)
            logits["generated"] = flat(judged)
        if training and half != "generator":
            in_full_precision(self._advance, logits["real"] - logits["fake"])
        return logits

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the relativistic losses, one value an image each."""
        real, fake = logits["real"], logits["fake"]
        d_losses = losses.relativistic_discriminator_loss(real, fake)
        return (
            d_losses + _CENTRING * losses.centring_loss(real, fake),
            losses.relativistic_generator_loss(ops.stop_gradient(real), logits["generated"]),
        )

    def discriminator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the discriminator's loss and penalties, as `GAN.discriminator_loss`."""
        loss = super().discriminator_loss(logits, sample_weight)
        penalty = 0.5 * self.gamma * ops.mean(logits["penalty"])
        self._penalty_tracker.update_state(penalty)
        self._diversity_tracker.update_state(logits["diversity"])
        self._augmentation_tracker.update_state(logits["augmentation"])
        return loss + penalty

    def _penalty(self, critic: Critic, images: Any, logits: Any, condition: Any) -> Any:
        rows = slice(None, None, self.penalty_every)
        given = None if condition is None else condition[rows]
        images, logits = images[rows], logits[rows]
        if self._exact_critic is not None:
            critic = self._exact_critic
            logits = critic(images, given)
        return finite_difference_penalty(
            lambda moved: critic(moved, given),
            images,
            logits,
            sigma=self.penalty_sigma,
            seed=self.seed_generator,
        )

    def _augmentation_strength(self) -> Any:
        return self._strength if self.augment_strength == "adaptive" else self.augment_strength

    def _augmented(self, real: Any, fake: Any, n: Any) -> tuple[Any, Any]:
        if self.augment_strength == 0 or not self._augmentation.kinds:
            return real, fake
        strength = self._augmentation_strength()
        draws = self._augmentation.draw(n, seed=self.seed_generator)
        return (
            self._augmentation(real, draws, strength=strength),
            self._augmentation(fake, draws, strength=strength),
        )

    def _advance(self, margins: Any) -> None:
        n = ops.shape(margins)[0] * replica_count()
        self.images_seen.assign(self.images_seen + ops.cast(n, "int32"))
        average_weights(
            self.ema_generator.weights,
            self.generator.weights,
            n=n,
            images_seen=self.images_seen,
            longest=self.ema_images,
        )
        if self.augment_strength == "adaptive":
            ordered = mean_over_replicas(ops.mean(ops.sign(margins)))
            step = ops.cast(n, "float32") / _ADAPTATION_IMAGES
            moved = self._strength + step * ops.sign(ordered - _ORDERED_PAIRS)
            self._strength.assign(ops.stop_gradient(ops.clip(moved, 0.0, 1.0)))

    def _condition(self, labels: Any) -> Any:
        # Class weights rather than class numbers: at weight 0 the networks know no classes.
        if len(labels.shape) == 2 and labels.shape[1] == self.num_classes:
            chosen = ops.cast(labels, "float32")
        else:
            # Not `one_hot`, which looks at the numbers on torch: such a step cannot be recorded.
            numbers = ops.cast(ops.reshape(labels, (-1, 1)), "int32")
            chosen = ops.cast(ops.equal(numbers, ops.arange(self.num_classes)), "float32")
        return chosen * self._label_weight()

    def _label_weight(self) -> Any:
        seen = ops.cast(self.images_seen, "float32")
        return ops.minimum(seen / max(self.label_images, 1), 1.0) if self.label_images else 1.0

    def _generator_to_draw_with(self) -> keras.Model:
        return self.ema_generator

    def _generator_inputs(
        self, latents: NDArray[np.float32], classes: NDArray[np.int64] | None
    ) -> Any:
        if classes is None or self.num_classes is None:
            return latents
        weight = np.float32(ops.convert_to_numpy(self._label_weight()))  # from a GPU too
        return [latents, np.eye(self.num_classes, dtype=np.float32)[classes] * weight]


def inputs_of(x: Any, condition: Any) -> Any:
    """Return what a network is called with, conditional or not."""
    return x if condition is None else [x, condition]


def flat(logits: Any) -> Any:
    """Return logits as float32 `(n,)`."""
    return ops.cast(ops.reshape(logits, (-1,)), "float32")


def _spread(images: Any) -> Any:
    return ops.stop_gradient(ops.mean(ops.std(images, axis=0)))
