"""`R3GAN`: a relativistic GAN with gradient penalties, small enough for two CPU cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import keras
from keras import ops

from synthray._keras.alternating import Half
from synthray._keras.backend import fixed_rate, in_full_precision
from synthray._keras.devices import mean_over_replicas, replica_count
from synthray._keras.seeded_model import with_callback
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.datasets.pixels import checked_image_shape
from synthray.generators.averaged_gan import AveragedGAN, diversity, with_condition
from synthray.generators.diff_augment import AUGMENTATIONS, DiffAugment
from synthray.generators.gan import Logits, Updates, finite_difference_penalty, flat
from synthray.generators.image_model import (
    CosineRate,
    arguments_of,
    check_arguments,
    judge_frozen,
    policy_from,
)
from synthray.generators.r3gan_networks import Form, r3gan_discriminator, r3gan_generator

Critic = Callable[[Any, Any], Any]
Size = Literal["small", "base"]

# By size: residual blocks at each size of the maps, factor of the filters, length of the latents.
_SIZES: dict[Size, tuple[int, float, int]] = {"small": (1, 1.0, 64), "base": (2, 2.0, 128)}
# Step of the finite difference, for pixels of -1 to 1: with a much smaller one the difference is
# rounding of the logits, with a much larger one it is not the gradient any more.
PENALTY_SIGMA = 0.05
# The penalties are taken on one image in so many. They cost two forward passes, and their noise is
# small beside that of the losses.
PENALTY_EVERY = 4
_CENTRING = 0.01
# Adaptive augmentation: if the discriminator puts more pairs than this in the right order (0 is
# chance, 1 is all), it knows the training images too well, and the strength rises.
_ORDERED_PAIRS = 0.8
_ADAPTATION_IMAGES = 100_000  # images that the strength needs from 0 to 1


@keras.saving.register_keras_serializable(package="synthray")
class R3GAN(AveragedGAN):
    """A GAN for small image sets (R3GAN: Huang et al. 2024, arXiv 2501.05441).

    Residual networks without normalisation are trained with a relativistic loss, in which real and
    fake images are judged in pairs, and with penalties on the discriminator's gradient at real (R1)
    and fake (R2) images. Images are generated with a running average of the generator's weights. At
    64x64x1 the generator has 831,457 and the discriminator 549,345 parameters.

    The paper's networks have grouped convolutions; these have plain ones, which are many times
    faster on a CPU. The learning rate is equalized over the layers (Karras et al. 2018, arXiv
    1710.10196), and the penalties are finite differences, which train on every backend.

    Args:
        image_shape: Height, width and channels. The shorter side must be 4, 5, 6 or 7 times a
            power of two, and the longer side a multiple of that power; channels 1 or 3.
        size: `"small"`, for two CPU cores: one residual block at each size of the maps, latents of
            64 numbers. `"base"`, for a GPU: two blocks, twice the filters, 128 numbers.
        width: Multiplies the filters of both networks.
        num_classes: Makes the model class-conditional: one model generates all classes, `fit` needs
            labels, and `sample(labels=...)` chooses. `None` for one kind of image.
        gamma: Weight of the gradient penalties: `gamma / 2` times R1 plus R2, for pixels of -1 to
            1. More is steadier, less is sharper.
        augment: Changes of `DiffAugment` that the discriminator's images go through.
        augment_strength: 0 (off) to 1, or `"adaptive"`: starts at 0 and rises while the
            discriminator tells real from fake too well.
        ema_images: Upper bound of the half-life of the averaged weights, in images; until 20 times
            as many are seen it is 5 % of the images seen.
        label_images: Images over which the labels fade in, if conditional: labels that come before
            the networks know what the classes have in common make small sets collapse (Shahbazi et
            al. 2022, arXiv 2201.06578). `sample` uses the weight reached.
        rate_decay: The learning rate falls along a half cosine to this share of its first value at
            the end of what `fit` is asked for; 1 leaves it alone, as does a schedule of your own.
        updates: `"alternating"`, as in the paper, or `"simultaneous"`, which generates the fakes of
            a step once and learns less from as many images (see "Generators compared").
        seed: Seed of weights, latents and the order of the images; `None` for a random one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be generated or an argument is out of its range.

    Examples:
        >>> import synthray as sr
        >>> bones = sr.make_phantoms(8, image_shape=(16, 16, 1), seed=0)
        >>> gan = sr.R3GAN((16, 16, 1), width=0.25, seed=0)
        >>> history = gan.fit(bones, epochs=1, verbose=0)
        >>> gan.sample(3, seed=1).shape
        (3, 16, 16, 1)
    """

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        *,
        size: Size = "small",
        width: float = 1.0,
        num_classes: int | None = None,
        gamma: float = 0.1,
        augment: Sequence[str] = AUGMENTATIONS,
        augment_strength: float | Literal["adaptive"] = "adaptive",
        ema_images: int = 20_000,
        label_images: int = 60_000,
        rate_decay: float = 0.25,
        updates: Updates = "alternating",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = checked_image_shape(image_shape)
        strength = 0.0 if augment_strength == "adaptive" else augment_strength
        check_arguments(
            ("size", size, size in get_args(Size), '"small" or "base"'),
            ("width", width, width > 0, "positive"),
            ("num_classes", num_classes, num_classes is None or num_classes > 1, "at least 2"),
            ("gamma", gamma, gamma >= 0, "at least 0"),
            ("augment_strength", strength, 0 <= strength <= 1, '0 to 1 or "adaptive"'),
            ("ema_images", ema_images, ema_images >= 0, "at least 0"),
            ("label_images", label_images, label_images >= 0, "at least 0"),
            ("rate_decay", rate_decay, 0 < rate_decay <= 1, "above 0 and at most 1"),
        )
        augmentation = DiffAugment(augment)
        policy = policy_from(kwargs)
        seed = resolve_seed(seed)
        g_seed, d_seed = spawn_seeds(seed, 2)
        blocks, factor, latent_dim = _SIZES[size]
        form = Form(shape, width * factor, blocks, num_classes)
        super().__init__(
            r3gan_generator(form, latent_dim, policy, g_seed),
            r3gan_discriminator(form, policy, d_seed),
            updates=updates,
            seed=seed,
            dtype=policy,
            **kwargs,
        )
        self.size: Size = size
        self.width = float(width)
        self.num_classes = num_classes
        self.gamma = float(gamma)
        self.augment = augmentation.kinds
        self.augment_strength = augment_strength
        self.ema_images = int(ema_images)
        self.label_images = int(label_images)
        self.rate_decay = float(rate_decay)
        self._augmentation = augmentation
        self._exact_critic: Critic | None = None
        if policy.compute_dtype != "float32":
            twin = r3gan_discriminator(form, "float32", d_seed)

            # In a closure: Keras does not count the twin's variables among the model's own.
            def exact_critic(x: Any, condition: Any) -> Any:
                weights = [v.value for v in self.discriminator.trainable_variables]
                return flat(twin.stateless_call(weights, [], with_condition(x, condition))[0])

            self._exact_critic = partial(in_full_precision, exact_critic)

    def build(self, input_shape: Any = None) -> None:
        """Make what the training keeps beside the two networks."""
        super().build(input_shape)
        self._strength = self.add_counter("strength", "float32")
        # Beside the optimizer's own, which falls, so that a resumed training knows its first.
        self._first_rate = self.add_counter("first_rate", "float32")
        self._step_trackers = [
            keras.metrics.Mean(name=name) for name in ("penalty", "augmentation")
        ]

    def default_optimizer(self) -> keras.Optimizer:
        """Return Adam without momentum, as the paper has it, at 3e-3 for equalized layers."""
        return keras.optimizers.Adam(3e-3, beta_1=0.0, beta_2=0.99)

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Set the optimizer for both networks, as `GAN.compile`."""
        super().compile(optimizer, **kwargs)
        self._first_rate.assign(fixed_rate(self.optimizer) or 0.0)

    def fit_callbacks(self, callbacks: Any, guard: bool) -> Any:
        """Return the callbacks of `fit`, with one that lowers the learning rate."""
        callbacks = super().fit_callbacks(callbacks, guard)
        rate = fixed_rate(self.optimizer)
        if rate is None or self.rate_decay == 1:
            return callbacks
        first = float(self._first_rate.numpy()) or rate  # 0 in a file of an uncompiled model
        return with_callback(callbacks, CosineRate(first, self.rate_decay))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return arguments_of(self, R3GAN)

    def call(self, images: Any, training: bool = False, half: Half | None = None) -> Logits:
        """Judge real images and as many new fakes, and penalise the discriminator's gradients.

        Args:
            images: Real images as in `GAN.call`; if conditional, `{"images", "labels"}`.
            training: Whether the averaged weights and the counters move on.
            half: As in `GAN.call`. They move on with the discriminator's.
        """
        condition, real = self.condition_and_images(images)
        n = ops.shape(real)[0]
        fake = self.generator(with_condition(self.sample_latents(n), condition), training=training)
        varied = diversity(fake, real, condition)
        real, fake = self._augmented(real, fake, n)
        detached = ops.stop_gradient(fake)

        def critic(x: Any, condition: Any) -> Any:
            return flat(self.discriminator(with_condition(x, condition), training=training))

        logits = {"real": critic(real, condition)}
        if half != "generator":
            logits["fake"] = critic(detached, condition)
            logits["penalty"] = sum(
                self._penalty(critic, judged, logits[name], condition)
                for name, judged in (("real", real), ("fake", detached))
            )
            logits["diversity"] = varied
            logits["augmentation"] = ops.cast(self._augmentation_strength(), "float32")
        if half != "discriminator":
            inputs = with_condition(fake, condition)
            logits["generated"] = flat(judge_frozen(self.discriminator, inputs, training=training))
        if training and half != "generator":
            in_full_precision(self._advance, logits["real"] - logits["fake"])
        return logits

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the relativistic losses, one value an image each.

        `softplus(-(D(x) - D(G(z))))` and `softplus(-(D(G(z)) - D(x)))`: a real image is to look
        more real than the fake one that it is paired with, or less. Equation 2 of Huang et al. 2024
        with the logistic function, after Jolicoeur-Martineau 2018 (arXiv 1807.00734). Both see
        differences alone, so the logits may drift away together: a small weight of
        `(D(x) + D(G(z)))^2` holds them around zero (arXiv 2511.22475).
        """
        real, fake = logits["real"], logits["fake"]
        d_losses = ops.softplus(fake - real) + _CENTRING * ops.square(real + fake)
        return d_losses, ops.softplus(ops.stop_gradient(real) - logits["generated"])

    def discriminator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the discriminator's loss and penalties, as `GAN.discriminator_loss`."""
        loss = super().discriminator_loss(logits, sample_weight)
        penalty = 0.5 * self.gamma * ops.mean(logits["penalty"])
        for tracker, value in zip(
            self._step_trackers, (penalty, logits["augmentation"]), strict=True
        ):
            tracker.update_state(value)
        return loss + penalty

    def _penalty(self, critic: Critic, images: Any, logits: Any, condition: Any) -> Any:
        images, logits = images[::PENALTY_EVERY], logits[::PENALTY_EVERY]
        given = None if condition is None else condition[::PENALTY_EVERY]
        if self._exact_critic is not None:
            critic = self._exact_critic
            logits = critic(images, given)
        return finite_difference_penalty(
            lambda moved: critic(moved, given),
            images,
            logits,
            sigma=PENALTY_SIGMA,
            seed=self.seed_generator,
        )

    def _augmentation_strength(self) -> Any:
        return self._strength if self.augment_strength == "adaptive" else self.augment_strength

    def _augmented(self, real: Any, fake: Any, n: Any) -> tuple[Any, Any]:
        if self.augment_strength == 0 or not self.augment:
            return real, fake
        real, fake = self.augmented([real, fake], n, self._augmentation_strength())
        return real, fake

    def _advance(self, margins: Any) -> None:
        n = ops.shape(margins)[0]
        self.count_and_average(n)
        if self.augment_strength == "adaptive":
            ordered = mean_over_replicas(ops.mean(ops.sign(margins)))
            step = ops.cast(n * replica_count(), "float32") / _ADAPTATION_IMAGES
            moved = self._strength + step * ops.sign(ordered - _ORDERED_PAIRS)
            self._strength.assign(ops.stop_gradient(ops.clip(moved, 0.0, 1.0)))
