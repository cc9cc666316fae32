"""`R3GAN`: a relativistic GAN with gradient penalties, small enough for two CPU cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._seed_state import with_callback
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.generators import losses
from synthray.generators._precision import in_full_precision
from synthray.generators._r3gan_networks import (
    checked_shape,
    r3gan_discriminator,
    r3gan_generator,
)
from synthray.generators._rate_decay import CosineRate, fixed_rate
from synthray.generators.averaging import average_weights
from synthray.generators.diff_augment import AUGMENTATIONS, DiffAugment
from synthray.generators.gan import GAN, Logits
from synthray.generators.guard import TrainingGuard
from synthray.generators.penalties import finite_difference_penalty

Critic = Callable[[Any, Any], Any]

_CENTRING = 0.01
# Adaptive augmentation: where the discriminator puts more pairs than this in the right order (0
# is chance, 1 is all), it knows the training images too well, and the strength rises.
_ORDERED_PAIRS = 0.8
_ADAPTATION_IMAGES = 100_000  # images that the strength needs from 0 to 1


@keras.saving.register_keras_serializable(package="synthray")
class R3GAN(GAN):
    """A GAN for small image sets (R3GAN: Huang et al. 2024, arXiv 2501.05441).

    Residual networks without normalisation are trained with a relativistic loss, in which real and
    fake images are judged in pairs, and with penalties on the discriminator's gradient at real (R1)
    and fake (R2) images. Images are drawn with a running average of the generator's weights. At
    64x64x1 the generator has 855,825 and the discriminator 695,873 parameters.

    Where the paper's networks have grouped convolutions these have plain ones, which are many times
    faster on a CPU; the penalties are finite differences, which train on every backend.

    Args:
        image_shape: Height, width and channels. The shorter side must be 4, 5, 6 or 7 times a
            power of two, and the longer side a multiple of that power; channels 1 or 3.
        latent_dim: Length of the latent vector.
        width: Multiplies the filters of both networks.
        blocks: Residual blocks at each size.
        num_classes: Makes the model class-conditional: one model draws all classes, `fit` needs
            labels, and `sample(labels=...)` chooses. `None` for one kind of image.
        gamma: Weight of the gradient penalties: `gamma / 2` times R1 plus R2, for pixels of -1 to
            1. More is steadier, less is sharper.
        penalty_sigma: Step of the finite difference.
        penalty_every: The penalties are taken on one image in so many.
        augment: Changes of `DiffAugment` that the discriminator's images go through.
        augment_strength: 0 (off) to 1, or `"adaptive"`: starts at 0 and rises while the
            discriminator tells real from fake too well.
        ema_images: Upper bound of the half-life of the averaged weights, in images; until 20 times
            as many are seen it is 5 % of the images seen.
        label_images: Images over which the labels fade in, where conditional: labels from the
            start make small sets collapse (Shahbazi et al. 2022, arXiv 2201.06578).
        rate_decay: The learning rate falls along a half cosine to this share of its first value at
            the end of what `fit` is asked for; 1 leaves it alone, as does a schedule of your own.
        seed: Seed of weights, latents and the order of the images; `None` draws one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be drawn or a number is out of its range.

    Examples:
        >>> import synthray as sr
        >>> bones = sr.make_phantoms(8, image_shape=(16, 16, 1), seed=0)
        >>> gan = sr.R3GAN((16, 16, 1), width=0.25, seed=0)
        >>> history = gan.fit(bones, epochs=1, verbose=0)
        >>> gan.sample(3, seed=1).shape
        (3, 16, 16, 1)
    """

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "small": {"width": 1.0, "blocks": 1, "latent_dim": 64},  # two CPU cores
        "base": {"width": 2.0, "blocks": 2, "latent_dim": 128},  # a GPU
    }

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        latent_dim: int = 64,
        *,
        width: float = 1.0,
        blocks: int = 1,
        num_classes: int | None = None,
        gamma: float = 1.0,
        penalty_sigma: float = 0.05,
        penalty_every: int = 4,
        augment: Sequence[str] = AUGMENTATIONS,
        augment_strength: float | Literal["adaptive"] = "adaptive",
        ema_images: int = 20_000,
        label_images: int = 10_000,
        rate_decay: float = 0.25,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = checked_shape(image_shape)
        for name, number, low in (
            ("latent_dim", latent_dim, 1),
            ("blocks", blocks, 1),
            ("penalty_every", penalty_every, 1),
            ("num_classes", 2 if num_classes is None else num_classes, 2),
            ("gamma", gamma, 0),
            ("ema_images", ema_images, 0),
            ("label_images", label_images, 0),
        ):
            if number < low:
                raise ValueError(f"{name} must be at least {low}, got {number}.")
        if width <= 0 or penalty_sigma <= 0 or not 0 < rate_decay <= 1:
            raise ValueError(
                "width and penalty_sigma must be positive and rate_decay above 0 and at most 1, "
                f"got {width}, {penalty_sigma} and {rate_decay}."
            )
        if augment_strength != "adaptive" and not 0 <= float(augment_strength) <= 1:
            raise ValueError(
                f'augment_strength must be 0 to 1 or "adaptive", got {augment_strength!r}.'
            )
        augmentation = DiffAugment(augment)
        dtype = kwargs.pop("dtype", None)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        seed = resolve_seed(seed)
        g_seed, d_seed = spawn_seeds(seed, 2)
        size: dict[str, Any] = {"width": width, "blocks": blocks, "num_classes": num_classes}

        def judge(dtype: Any) -> keras.Model:
            return r3gan_discriminator(shape, **size, dtype=dtype, seed=d_seed)

        super().__init__(
            r3gan_generator(shape, latent_dim, **size, dtype=policy, seed=g_seed),
            judge(policy),
            seed=seed,
            dtype=policy,
            **kwargs,
        )
        self.width = float(width)
        self.blocks = int(blocks)
        self.num_classes = num_classes
        self.gamma = float(gamma)
        self.penalty_sigma = float(penalty_sigma)
        self.penalty_every = int(penalty_every)
        self.augment_strength = augment_strength
        self.ema_images = int(ema_images)
        self.label_images = int(label_images)
        self.rate_decay = float(rate_decay)
        self._augmentation = augmentation
        self._first_rate: float | None = None
        self._exact_critic: Critic | None = None
        if policy.compute_dtype != "float32":
            twin = judge("float32")

            # In a closure, where Keras does not count the twin's variables among the model's own.
            def exact_logits(*inputs: Any) -> Any:
                weights = [v.value for v in self.discriminator.trainable_variables]
                given = inputs[0] if len(inputs) == 1 else list(inputs)
                return _flat(twin.stateless_call(weights, [], given)[0])

            def exact_critic(x: Any, condition: Any) -> Any:
                inputs = (x,) if condition is None else (x, condition)
                return in_full_precision(exact_logits, *inputs)

            self._exact_critic = exact_critic

    @classmethod
    def from_preset(
        cls, preset: str, image_shape: tuple[int, int, int] = (64, 64, 1), **arguments: Any
    ) -> R3GAN:
        """Make a model of a preset size.

        Args:
            preset: `"small"` (the defaults, for two CPU cores) or `"base"` (for a GPU).
            image_shape: As above.
            **arguments: As above; they go before the preset's.

        Raises:
            ValueError: If there is no such preset.
        """
        if preset not in cls.PRESETS:
            raise ValueError(f"No preset {preset!r}; choose from {', '.join(cls.PRESETS)}.")
        return cls(image_shape, **(cls.PRESETS[preset] | arguments))

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
        super().build(input_shape)

    def call(self, images: Any, training: bool = False) -> Logits:
        """Judge real images and as many new fakes, and penalise the discriminator's gradients.

        Args:
            images: Real images as in `GAN.call`; where conditional, `{"images", "labels"}`.
            training: Whether the averaged weights and the counters move on.
        """
        labels = None
        if self.num_classes is not None:
            images, labels = images["images"], images["labels"]
        real = self._to_output_range(images)
        n = ops.shape(real)[0]
        condition = None if labels is None else self._condition(labels)
        fake = self.generator(_inputs(self.draw_latents(n), condition), training=training)
        diversity = (_spread(fake) + 1e-3) / (_spread(real) + 1e-3)
        real, fake = self._augmented(real, fake, n)
        detached = ops.stop_gradient(fake)

        def critic(x: Any, condition: Any) -> Any:
            return _flat(self.discriminator(_inputs(x, condition), training=training))

        d_real, d_fake = critic(real, condition), critic(detached, condition)
        penalty = self._penalty(critic, real, d_real, condition) + self._penalty(
            critic, detached, d_fake, condition
        )
        generated = _flat(self.judge_frozen(_inputs(fake, condition), training=training))
        if training:
            in_full_precision(self._advance, d_real - d_fake)
        return {
            "real": d_real,
            "fake": d_fake,
            "generated": generated,
            "penalty": penalty,
            "diversity": diversity,
        }

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the relativistic losses, one value an image each."""
        real, fake = logits["real"], logits["fake"]
        d_losses = losses.relativistic_discriminator_loss(real, fake)
        return (
            d_losses + _CENTRING * losses.centring_loss(real, fake),
            losses.relativistic_generator_loss(ops.stop_gradient(real), logits["generated"]),
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of both losses and of the penalties, as `GAN.compute_loss`."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        penalty = 0.5 * self.gamma * ops.mean(y_pred["penalty"])
        self._penalty_tracker.update_state(penalty)
        self._diversity_tracker.update_state(y_pred["diversity"])
        return loss + penalty

    def default_optimizer(self) -> keras.Optimizer:
        """Return Adam at 2e-4 without momentum, as the paper has it."""
        return keras.optimizers.Adam(2e-4, beta_1=0.0, beta_2=0.99)

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Set the optimizer for both networks, as `GAN.compile`."""
        super().compile(optimizer, **kwargs)
        self._first_rate = fixed_rate(self.optimizer)

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Train on images, as `GAN.fit`, with a falling learning rate and under guard.

        Args:
            x: Images, as in `GAN.fit`.
            y: Labels of an array of images, where the model is conditional.
            **kwargs: As in `GAN.fit`, and `guard`: whether a
                [`TrainingGuard`][synthray.generators.guard.TrainingGuard] looks on (default
                `True`); pass one as callback to set it up.
        """
        guard = kwargs.pop("guard", True)
        if not self.compiled:
            self.compile()
        callbacks = kwargs.pop("callbacks", None)
        given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
        if guard and not any(isinstance(c, TrainingGuard) for c in given):
            callbacks = with_callback(callbacks, TrainingGuard())
        if self._first_rate is not None and self.rate_decay < 1:
            callbacks = with_callback(callbacks, CosineRate(self._first_rate, self.rate_decay))
        return super().fit(x, y, callbacks=callbacks, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Save the counters and the first learning rate too."""
        super().save_own_variables(store)
        store["images_seen"] = self.images_seen.numpy()
        store["strength"] = self._strength.numpy()
        store["first_rate"] = np.asarray(np.nan if self._first_rate is None else self._first_rate)

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        super().load_own_variables(store)
        self.images_seen.assign(store["images_seen"])
        self._strength.assign(store["strength"])
        rate = float(np.asarray(store["first_rate"]))
        self._first_rate = None if np.isnan(rate) else rate

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "image_shape": list(self.image_shape),
            "latent_dim": self.latent_dim,
            "width": self.width,
            "blocks": self.blocks,
            "num_classes": self.num_classes,
            "gamma": self.gamma,
            "penalty_sigma": self.penalty_sigma,
            "penalty_every": self.penalty_every,
            "augment": list(self._augmentation.kinds),
            "augment_strength": self.augment_strength,
            "ema_images": self.ema_images,
            "label_images": self.label_images,
            "rate_decay": self.rate_decay,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }

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

    def _augmented(self, real: Any, fake: Any, n: Any) -> tuple[Any, Any]:
        if self.augment_strength == 0 or not self._augmentation.kinds:
            return real, fake
        adaptive = self.augment_strength == "adaptive"
        strength = self._strength if adaptive else self.augment_strength
        draws = self._augmentation.draw(n, seed=self.seed_generator)
        return (
            self._augmentation(real, draws, strength=strength),
            self._augmentation(fake, draws, strength=strength),
        )

    def _advance(self, margins: Any) -> None:
        n = ops.shape(margins)[0]
        self.images_seen.assign(self.images_seen + ops.cast(n, "int32"))
        average_weights(
            self.ema_generator.weights,
            self.generator.weights,
            n=n,
            images_seen=self.images_seen,
            longest=self.ema_images,
        )
        if self.augment_strength == "adaptive":
            ordered = ops.mean(ops.sign(margins))
            step = ops.cast(n, "float32") / _ADAPTATION_IMAGES
            moved = self._strength + step * ops.sign(ordered - _ORDERED_PAIRS)
            self._strength.assign(ops.stop_gradient(ops.clip(moved, 0.0, 1.0)))

    def _condition(self, labels: Any) -> Any:
        # Class weights rather than class numbers: at weight 0 the networks know no classes.
        if len(labels.shape) == 2 and labels.shape[1] == self.num_classes:
            chosen = ops.cast(labels, "float32")
        else:
            chosen = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), self.num_classes)
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
        weight = np.float32(self._label_weight())
        return [latents, np.eye(self.num_classes, dtype=np.float32)[classes] * weight]


def _inputs(x: Any, condition: Any) -> Any:
    return x if condition is None else [x, condition]


def _flat(logits: Any) -> Any:
    return ops.cast(ops.reshape(logits, (-1,)), "float32")


def _spread(images: Any) -> Any:
    return ops.stop_gradient(ops.mean(ops.std(images, axis=0)))
