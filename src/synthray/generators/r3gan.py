"""`R3GAN`: a relativistic GAN with gradient penalties, small enough for two CPU cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from synthray._adam import adam
from synthray._seed_state import with_callback
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.generators._precision import in_full_precision
from synthray.generators._r3gan_networks import (
    checked_shape,
    r3gan_discriminator,
    r3gan_generator,
)
from synthray.generators._r3gan_step import Critic, R3GANStep, flat
from synthray.generators._rate_decay import CosineRate, fixed_rate
from synthray.generators.diff_augment import AUGMENTATIONS, DiffAugment
from synthray.generators.gan import Updates
from synthray.generators.guard import TrainingGuard


@keras.saving.register_keras_serializable(package="synthray")
class R3GAN(R3GANStep):
    """A GAN for small image sets (R3GAN: Huang et al. 2024, arXiv 2501.05441).

    Residual networks without normalisation are trained with a relativistic loss, in which real and
    fake images are judged in pairs, and with penalties on the discriminator's gradient at real (R1)
    and fake (R2) images. Images are drawn with a running average of the generator's weights. At
    64x64x1 the generator has 831,457 and the discriminator 549,345 parameters.

    Where the paper's networks have grouped convolutions these have plain ones, which are many times
    faster on a CPU; the learning rate is equalized over the layers (Karras et al. 2018, arXiv
    1710.10196); the penalties are finite differences, which train on every backend.

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
        label_images: Images over which the labels fade in, where conditional: labels that come
            before the networks know what the classes have in common make small sets collapse
            (Shahbazi et al. 2022, arXiv 2201.06578). `sample` draws with the weight reached.
        rate_decay: The learning rate falls along a half cosine to this share of its first value at
            the end of what `fit` is asked for; 1 leaves it alone, as does a schedule of your own.
        updates: `"alternating"`, as in the paper, or `"simultaneous"`, which draws the fakes of a
            step once and learns less from as many images (see "Generators compared").
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
        gamma: float = 0.1,
        penalty_sigma: float = 0.05,
        penalty_every: int = 4,
        augment: Sequence[str] = AUGMENTATIONS,
        augment_strength: float | Literal["adaptive"] = "adaptive",
        ema_images: int = 20_000,
        label_images: int = 60_000,
        rate_decay: float = 0.25,
        updates: Updates = "alternating",
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
            updates=updates,
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
                return flat(twin.stateless_call(weights, [], given)[0])

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

    def default_optimizer(self) -> keras.Optimizer:
        """Return Adam without momentum, as the paper has it, at 3e-3 for equalized layers."""
        return adam(3e-3, beta_1=0.0, beta_2=0.99)

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
        """Save the first learning rate too."""
        super().save_own_variables(store)
        store["first_rate"] = np.asarray(np.nan if self._first_rate is None else self._first_rate)

    def load_own_variables(self, store: Any) -> None:
        """Restore what `save_own_variables` saved."""
        super().load_own_variables(store)
        rate = float(np.asarray(store["first_rate"]))
        # Only beside the optimizer's own rate, which comes from the file too.
        if self._first_rate is not None and not np.isnan(rate):
            self._first_rate = rate

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
            "updates": self.updates,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }
