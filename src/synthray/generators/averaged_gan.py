"""`AveragedGAN`: averaged weights, classes and augmentation, for the generators that have them."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from synthray._keras.devices import replica_count
from synthray.generators.diff_augment import DiffAugment
from synthray.generators.gan import GAN, Logits

_HALF_LIFE_SHARE = 0.05


class AveragedGAN(GAN):
    """A `GAN` that samples with a running average of the generator's weights.

    A subclass sets `num_classes`, `ema_images`, `label_images` and `_augmentation`. In `call` it
    takes batches apart by `condition_and_images`, and calls `count_and_average` once a training
    step. If it adds `"diversity"` to the logits, `fit` reports it and `TrainingGuard` looks at it.

    Attributes:
        images_seen: Real images that the training has seen, a variable.
        ema_generator: The generator with the averaged weights.
    """

    ema_images: int
    label_images: int = 0
    _augmentation: DiffAugment

    def build(self, input_shape: Any = None) -> None:
        """Make what the training keeps beside the two networks."""
        self.ema_generator = keras.models.clone_model(self.generator)
        self.ema_generator.set_weights(self.generator.get_weights())
        self.ema_generator.trainable = False
        self.images_seen = self.add_counter("images_seen", "int32")
        self._diversity_tracker = keras.metrics.Mean(name="diversity")
        super().build(input_shape)

    def add_counter(self, name: str, dtype: str) -> Any:
        """Return a new scalar variable that starts at 0 and is saved with the model."""
        return self.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype=dtype, name=name
        )

    def discriminator_loss(self, logits: Logits, sample_weight: Any = None) -> Any:
        """Return the discriminator's loss, as `GAN.discriminator_loss`."""
        if "diversity" in logits:
            self._diversity_tracker.update_state(logits["diversity"])
        return super().discriminator_loss(logits, sample_weight)

    def condition_and_images(self, batch: Any) -> tuple[Any, Any]:
        """Return the weights of the classes `(n, num_classes)`, if any, and images to judge."""
        condition = None
        if self.num_classes is not None:
            condition, batch = self._condition(batch["labels"]), batch["images"]
        return condition, self._to_output_range(batch)

    def count_and_average(self, n: Any) -> None:
        """Count the images of one step, and move the averaged weights towards the current ones.

        To be called `in_full_precision`.

        The average forgets half of what it holds in 5 % of the images seen so far, and in
        `ema_images` at most: short at first, when weights change fast (Karras et al. 2020, arXiv
        2006.06676, appendix: `ema_rampup`).
        """
        n = n * replica_count()
        self.images_seen.assign(self.images_seen + ops.cast(n, "int32"))
        seen = ops.cast(self.images_seen, "float32")
        half_life = ops.minimum(_HALF_LIFE_SHARE * seen, float(self.ema_images))
        kept = ops.power(0.5, ops.cast(n, "float32") / ops.maximum(half_life, 1e-3))
        for mean, variable in self.averaged_weights():
            if variable.trainable:
                value = ops.stop_gradient(ops.convert_to_tensor(variable))
                mean.assign(value + kept * (ops.convert_to_tensor(mean) - value))

    def averaged_weights(self) -> list[tuple[Any, Any]]:
        """Return each weight of the averaged generator with that of the generator."""
        return list(zip(self.ema_generator.weights, self.generator.weights, strict=True))

    def augmented(self, images: list[Any], n: Any, strength: Any) -> list[Any]:
        """Return batches of `n` images, all changed by the same draws of `DiffAugment`."""
        draws = self._augmentation.draw(n, seed=self.seed_generator)
        return list(map(partial(self._augmentation, draws=draws, strength=strength), images))

    def label_weight(self) -> Any:
        """Return how much the classes count: from 0 to 1 over the first `label_images`."""
        seen = ops.cast(self.images_seen, "float32")
        return ops.minimum(seen / max(self.label_images, 1), 1.0) if self.label_images else 1.0

    def _condition(self, labels: Any) -> Any:
        # Class weights rather than class numbers: at weight 0 the networks know no classes.
        if len(labels.shape) != 2 or labels.shape[1] != self.num_classes:
            labels = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), self.num_classes)
        return ops.cast(labels, "float32") * self.label_weight()

    @property
    def sampling_generator(self) -> keras.Model:
        """The generator with the averaged weights."""
        return self.ema_generator

    def _generator_inputs(
        self, latents: NDArray[np.float32], classes: NDArray[np.int64] | None
    ) -> list[NDArray[np.float32]]:
        if classes is None or self.num_classes is None:
            return [latents]
        weight = np.float32(ops.convert_to_numpy(self.label_weight()))  # from a GPU too
        return [latents, np.eye(self.num_classes, dtype=np.float32)[classes] * weight]


def with_condition(x: Any, condition: Any) -> Any:
    """Return what a network is called with, conditional or not."""
    return x if condition is None else [x, condition]


def diversity(fake: Any, real: Any, condition: Any = None) -> Any:
    """Return how much generated images vary, as a share of how much real ones do.

    With a condition, of the same images, only within classes: one image a class is a collapse.
    """
    return (_spread(fake, condition) + 1e-3) / (_spread(real, condition) + 1e-3)


def _spread(images: Any, condition: Any) -> Any:
    x = ops.cast(ops.reshape(images, (ops.shape(images)[0], -1)), "float32")
    if condition is not None:
        kinds = ops.one_hot(ops.argmax(condition, axis=1), condition.shape[1])
        counts = ops.maximum(ops.sum(kinds, axis=0), 1.0)[:, None]
        x = x - ops.matmul(kinds, ops.matmul(ops.transpose(kinds), x) / counts)
    return ops.stop_gradient(ops.mean(ops.std(x, axis=0)))
