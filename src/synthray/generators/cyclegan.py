"""`CycleGAN`: translation between two classes without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from synthray._adam import adam
from synthray._seed_state import with_callback
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.generators._one_pass import OnePassModel
from synthray.generators._translation import Translation, check_same_names
from synthray.generators._translation_data import PairedBatches, StepOrder, two_classes
from synthray.generators._translation_networks import patch_discriminator, residual_translator

_BATCH_SIZE = 4


@keras.saving.register_keras_serializable(package="synthray")
class CycleGAN(Translation, OnePassModel):
    """Translates images of one class into the other and back (Zhu et al. 2017, arXiv 1703.10593).

    Two translators, G from class 0 to class 1 and F back, and two discriminators, one a class,
    learn from images that are not paired. They minimise, in the paper's terms,

    - the adversarial loss (its section 3.1) in the least-squares form of Mao et al. 2017 (arXiv
      1611.04076): `(D(G(x)) - 1)^2` for a translator, `((D(y) - 1)^2 + D(G(x))^2) / 2` for a
      discriminator;
    - the cycle loss (equation 2): `|F(G(x)) - x| + |G(F(y)) - y|`, times `cycle_weight`;
    - the identity loss (section 5.2): `|G(y) - y| + |F(x) - x|`, times `identity_weight`.

    All are one sum, in one backward pass of the stock Keras `fit`: the discriminators see the
    translated images behind `stop_gradient`, the translators see the discriminators with their
    variables behind `stop_gradient`. At 64x64 with one channel the four networks have 0.9 million
    parameters together.

    A translator cannot know what a class looks like beyond its training images, and may draw or
    erase a finding: see the guide, and do not use translated images to judge anything.

    Args:
        image_shape: Height, width and channels; height and width at least 8 and divisible by 4,
            channels 1 or 3.
        width: Filters of a translator's first layer; its residual blocks have four times as many.
        residual_blocks: Residual blocks of a translator.
        cycle_weight: Weight of the cycle loss, the paper's lambda. The paper takes 10, for networks
            that do not begin at the identity as these do; more keeps the images nearer to what
            they were.
        identity_weight: Weight of the identity loss; the paper takes half of lambda, or 0.
        class_names: Names of class 0 and class 1; by default those of the data that `fit` is given
            first.
        seed: Seed of the weights and of the order of the images; `None` draws one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be translated or a number is out of its range.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(16, image_shape=(16, 16, 1), seed=0)
        >>> model = sr.CycleGAN((16, 16, 1), width=4, residual_blocks=1, seed=0)
        >>> history = model.fit(data, epochs=1, verbose=0)
        >>> model.translate(data, to="fractured")
        ImageDataset(8 images of 16x16x1: 0 intact, 8 fractured; 4 groups, 8 synthetic)
        >>> model.translate(data.images[:3], to="intact").shape
        (3, 16, 16, 1)
    """

    LOSS_ADVICE = "Their weights are the arguments cycle_weight and identity_weight."

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        *,
        width: int = 16,
        residual_blocks: int = 4,
        cycle_weight: float = 5.0,
        identity_weight: float = 2.0,
        class_names: Sequence[str] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = _checked_shape(image_shape)
        if width < 1 or residual_blocks < 0 or min(cycle_weight, identity_weight) < 0:
            raise ValueError(
                "width must be at least 1, residual_blocks and both weights at least 0, got "
                f"{width}, {residual_blocks}, {cycle_weight} and {identity_weight}."
            )
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None) or keras.config.dtype_policy())
        # Pixels come as integers: the networks cast, this model does not.
        super().__init__(autocast=False, dtype=policy, **kwargs)
        self.image_shape = shape
        self.width = int(width)
        self.residual_blocks = int(residual_blocks)
        self.cycle_weight = float(cycle_weight)
        self.identity_weight = float(identity_weight)
        self.class_names = None if class_names is None else _checked_names(class_names)
        self.seed = resolve_seed(seed)
        seeds = spawn_seeds(self.seed, 4)
        self.to_second, self.to_first = (
            residual_translator(self.image_shape, self.width, self.residual_blocks, policy, s, name)
            for s, name in zip(seeds[:2], ("to_second", "to_first"), strict=True)
        )
        self.discriminator_first, self.discriminator_second = (
            patch_discriminator(self.image_shape, 2 * self.width, policy, s, name)
            for s, name in zip(
                seeds[2:], ("discriminator_first", "discriminator_second"), strict=True
            )
        )
        self._trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("d_loss", "g_loss", "cycle_loss", "identity_loss")
        }
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Mark as built; the networks are built when they are made."""
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; class names are those of the data once fitted."""
        return {
            "image_shape": list(self.image_shape),
            "width": self.width,
            "residual_blocks": self.residual_blocks,
            "cycle_weight": self.cycle_weight,
            "identity_weight": self.identity_weight,
            "class_names": None if self.class_names is None else list(self.class_names),
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }

    def call(self, images: Any, training: bool = False) -> dict[str, Any]:
        """Translate a batch of each class there and back: one forward pass of a training step.

        Args:
            images: Images of class 0 and of class 1, values 0 to 255, shape `(n, *image_shape)`
                each.
            training: Passed to the networks.

        Returns:
            The terms of the losses, one value an image: `d_first`, `d_second`, `g_first`,
            `g_second` (discriminators' and translators' least squares, for the images that are or
            pretend to be of that class), and the absolute errors `cycle_first`, `cycle_second`,
            `identity_first`, `identity_second` of images that are of it.
        """
        first, second = (ops.cast(part, "float32") / 127.5 - 1.0 for part in images)
        n_first, n_second = ops.shape(first)[0], ops.shape(second)[0]
        # Each translator has two tasks here; as one batch they take one pass.
        there = self.to_second(ops.concatenate([first, second]), training=training)
        back = self.to_first(ops.concatenate([second, first]), training=training)
        fake_second, same_second = there[:n_first], there[n_first:]
        fake_first, same_first = back[:n_second], back[n_second:]
        d_first, g_first = _least_squares(self.discriminator_first, first, fake_first, training)
        d_second, g_second = _least_squares(
            self.discriminator_second, second, fake_second, training
        )
        return {
            "d_first": d_first,
            "d_second": d_second,
            "g_first": g_first,
            "g_second": g_second,
            "cycle_first": _mean_error(self.to_first(fake_second, training=training), first),
            "cycle_second": _mean_error(self.to_second(fake_first, training=training), second),
            "identity_first": _mean_error(same_first, first),
            "identity_second": _mean_error(same_second, second),
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the weighted sum of all losses, which the stock training step differentiates.

        Args:
            x: Ignored; `call` has seen the images.
            y: Ignored.
            y_pred: What `call` returned.
            sample_weight: Ignored.
            training: Ignored.
        """
        total = 0.0
        weights = {"cycle_loss": self.cycle_weight, "identity_loss": self.identity_weight}
        for name, tracker in self._trackers.items():
            term = name.removesuffix("_loss")
            value = ops.mean(y_pred[f"{term}_first"]) + ops.mean(y_pred[f"{term}_second"])
            tracker.update_state(value)
            total = total + weights.get(name, 1.0) * value
        return total

    def default_optimizer(self) -> keras.Optimizer:
        """Return the optimizer that `compile()` takes when it is given none.

        The paper's Adam with a higher rate than its 2e-4, for networks a tenth of its size.
        """
        return adam(7e-4, beta_1=0.5)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int = _BATCH_SIZE,
        epochs: int = 1,
        shuffle: bool = True,
        value_range: tuple[float, float] | None = None,
        callbacks: Any = None,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train on images of two classes; the stock Keras `fit` underneath.

        Each step takes a batch of each class, unpaired, in an order of its own. An epoch passes
        once over the larger class; the smaller one comes round more often. The order depends on
        the model's seed and on the steps done so far, so that a resumed fit sees what it would
        have seen.

        Args:
            x: An `ImageDataset` of two classes; an array `(n, h, w)` or `(n, h, w, c)`, with
                labels as `y`; or a pair of arrays, class 0 and class 1. Images are `uint8`, or
                floats, which are taken to 8 bits.
            y: Labels 0 and 1 of an array.
            batch_size: Images of each class a step.
            epochs: Passes over the larger class.
            shuffle: Draw a new order each time a class comes round.
            value_range: Range of float images. By default (0, 1), (-1, 1) or (0, 255), whichever
                fits.
            callbacks: Keras callbacks.
            validation_data: Held-out images, an `ImageDataset`, `(images, labels)`, or a pair of
                arrays of images; judged after each epoch.
            **kwargs: As in `keras.Model.fit`.

        Raises:
            TypeError: If `x` is nothing that holds images of two classes.
            ValueError: If shapes, values or classes do not fit the model; the message says how to
                convert.
        """
        if not self.compiled:
            self.compile()
        data = two_classes(x, y, self.image_shape, value_range)
        if validation_data is not None:
            held_x, held_y = validation_data, None
            pair = isinstance(validation_data, tuple | list) and len(validation_data) == 2
            if pair and np.ndim(validation_data[1]) < 3:
                held_x, held_y = validation_data
            held_out = two_classes(held_x, held_y, self.image_shape, value_range)
            check_same_names(held_out.class_names, data.class_names)
            validation_data = PairedBatches(
                held_out.images, batch_size=batch_size, shuffle=False, seed=self.seed
            )
        check_same_names(data.class_names, self.class_names)
        self.class_names = self.class_names or data.class_names
        batches = PairedBatches(data.images, batch_size=batch_size, shuffle=shuffle, seed=self.seed)
        return super().fit(
            batches,
            epochs=epochs,
            shuffle=False,
            callbacks=with_callback(callbacks, StepOrder(batches)),
            validation_data=validation_data,
            **kwargs,
        )


def _least_squares(
    discriminator: keras.Model, real: Any, fake: Any, training: bool
) -> tuple[Any, Any]:
    """Return the discriminator's and the translator's loss, one value an image each."""
    n = ops.shape(real)[0]
    judged = discriminator(ops.concatenate([real, ops.stop_gradient(fake)]), training=training)
    frozen = [ops.stop_gradient(v.value) for v in discriminator.trainable_variables]
    state = [v.value for v in discriminator.non_trainable_variables]
    generated, _ = discriminator.stateless_call(frozen, state, fake, training=training)
    d_real, d_fake = _mean_error_squared(judged[:n], 1.0), _mean_error_squared(judged[n:], 0.0)
    return (d_real + d_fake) / 2, _mean_error_squared(generated, 1.0)


def _mean_error(images: Any, truth: Any) -> Any:
    return ops.mean(ops.abs(images - truth), axis=(1, 2, 3))


def _mean_error_squared(values: Any, target: float) -> Any:
    return ops.mean(ops.square(ops.cast(values, "float32") - target), axis=(1, 2, 3))


def _checked_shape(image_shape: Any) -> tuple[int, int, int]:
    shape = tuple(int(d) for d in image_shape)
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise ValueError(
            "image_shape must be (height, width, channels) with 1 or 3 channels, got "
            f"{image_shape}."
        )
    height, width = (max(8, round(d / 4) * 4) for d in shape[:2])
    if (height, width) != shape[:2]:
        raise ValueError(
            "CycleGAN halves the size twice, so height and width must be at least 8 and divisible "
            f"by 4, got {shape[0]}x{shape[1]}. Resize the images, for example to "
            f"{height}x{width}."
        )
    return height, width, shape[2]


def _checked_names(class_names: Sequence[str]) -> tuple[str, str]:
    names = tuple(str(name) for name in class_names)
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"class_names must be two names that differ, got {list(class_names)}.")
    return names[0], names[1]
