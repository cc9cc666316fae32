"""`CycleGAN`: translation between two classes without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from synthray._keras.batches import checked_batch_size
from synthray._parts import slices
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.pixels import to_pixels
from synthray.generators import image_model
from synthray.generators.cyclegan_data import PairedBatches, two_classes
from synthray.generators.cyclegan_networks import patch_discriminator, residual_translator
from synthray.generators.image_model import ImageModel
from synthray.generators.inputs import TrainingImages, check_image_shape
from synthray.generators.sampling import generate_batch

_FILTERS = 16  # of a translator's first layer; its residual blocks have four times as many


@keras.saving.register_keras_serializable(package="synthray")
class CycleGAN(ImageModel):
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

    Each step of `fit` takes a batch of each class, unpaired, in an order of its own. An epoch
    passes once over the larger class; the smaller one comes round more often. Images of other
    types than `uint8` are taken to 8 bits.

    A translator cannot know what a class looks like beyond its training images, and may add or
    erase a finding: see the guide, and do not use translated images to judge anything.

    Args:
        image_shape: Height, width and channels; height and width at least 8 and divisible by 4,
            channels 1 or 3.
        width: Multiplies the filters of all networks.
        residual_blocks: Residual blocks of a translator.
        cycle_weight: Weight of the cycle loss, the paper's lambda. The paper takes 10, for networks
            that do not begin at the identity as these do; more keeps the images nearer to what
            they were.
        identity_weight: Weight of the identity loss; the paper takes half of lambda, or 0.
        class_names: Names of class 0 and class 1; by default those of the data that `fit` is given
            first: of labels other than 0 and 1, their values as text, sorted as they are.
        seed: Seed of the weights and of the order of the images; `None` for a random one.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be translated or a number is out of its range.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(16, image_shape=(16, 16, 1), seed=0)
        >>> model = sr.CycleGAN((16, 16, 1), width=0.25, residual_blocks=1, seed=0)
        >>> history = model.fit(data, epochs=1, verbose=0)
        >>> model.translate(data, to="fractured")
        ImageDataset(8 images of 16x16x1: 0 intact, 8 fractured; 4 groups, 8 synthetic)
        >>> model.translate(data.images[:3], to="intact").shape
        (3, 16, 16, 1)
    """

    BATCH_SIZE: ClassVar[int] = 4  # of each class

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        *,
        width: float = 1.0,
        residual_blocks: int = 4,
        cycle_weight: float = 5.0,
        identity_weight: float = 2.0,
        class_names: Sequence[str] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = image_model.checked_size(image_shape, factor=4)
        if width <= 0 or residual_blocks < 0 or min(cycle_weight, identity_weight) < 0:
            raise ValueError(
                "width must be positive, residual_blocks and both weights at least 0, got "
                f"{width}, {residual_blocks}, {cycle_weight} and {identity_weight}."
            )
        names = None if class_names is None else tuple(str(name) for name in class_names)
        if names is not None and (len(names) != 2 or names[0] == names[1]):
            raise ValueError(f"class_names must be two names that differ, got {list(names)}.")
        policy = image_model.policy_from(kwargs)
        # Pixels come as integers: the networks cast, this model does not.
        super().__init__(autocast=False, dtype=policy, **kwargs)
        self.image_shape = shape
        self.width = float(width)
        self.residual_blocks = int(residual_blocks)
        self.cycle_weight = float(cycle_weight)
        self.identity_weight = float(identity_weight)
        self.class_names: tuple[str, ...] | None = names
        self.seed = resolve_seed(seed)
        filters = image_model.widened(_FILTERS, self.width)
        seeds = iter(spawn_seeds(self.seed, 4))
        self.to_second, self.to_first = (
            residual_translator(shape, filters, self.residual_blocks, policy, next(seeds), name)
            for name in ("to_second", "to_first")
        )
        self.discriminator_first, self.discriminator_second = (
            patch_discriminator(shape, 2 * filters, policy, next(seeds), name)
            for name in ("discriminator_first", "discriminator_second")
        )
        self._trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("d_loss", "g_loss", "cycle_loss", "identity_loss")
        }
        self.build()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; class names are those of the data once fitted."""
        return image_model.arguments_of(self, CycleGAN)

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
        cycle_first = self.to_first(fake_second, training=training)
        cycle_second = self.to_second(fake_first, training=training)
        terms: dict[str, Any] = {}
        for name, judge, real, fake, again, same in (
            ("first", self.discriminator_first, first, fake_first, cycle_first, same_first),
            ("second", self.discriminator_second, second, fake_second, cycle_second, same_second),
        ):
            terms[f"d_{name}"], terms[f"g_{name}"] = _least_squares(judge, real, fake, training)
            terms[f"cycle_{name}"] = _mean_error(again, real)
            terms[f"identity_{name}"] = _mean_error(same, real)
        return terms

    def total_loss(self, terms: dict[str, Any], sample_weight: Any) -> Any:
        """Return the weighted sum of all losses; weights of images are ignored."""
        total = 0.0
        weights = {"cycle_loss": self.cycle_weight, "identity_loss": self.identity_weight}
        for name, tracker in self._trackers.items():
            term = name.removesuffix("_loss")
            value = ops.mean(terms[f"{term}_first"]) + ops.mean(terms[f"{term}_second"])
            tracker.update_state(value)
            total = total + weights.get(name, 1.0) * value
        return total

    def default_optimizer(self) -> keras.Optimizer:
        """Return the optimizer that `compile()` takes when it is given none.

        The paper's Adam with a higher rate than its 2e-4, for networks a tenth of its size.
        """
        return keras.optimizers.Adam(7e-4, beta_1=0.5)

    def prepare(self, x: Any, y: Any, **options: Any) -> TrainingImages:
        """Return batches of both classes for `fit`, and remember the names of the classes."""
        value_range = options["value_range"]
        images, names = two_classes(x, y, self.image_shape, value_range)
        if names is None and {"0", "1"} & set(self.class_names or ()):
            names = ("0", "1")  # labels, not places among the names
        _check_same_names(names, self.class_names)
        self.class_names = self.class_names or names
        size = checked_batch_size(options["batch_size"], self.BATCH_SIZE)
        shuffle = options.get("shuffle", False)
        batches = PairedBatches(images, batch_size=size, shuffle=shuffle, seed=self.seed)
        return TrainingImages(batches, value_range, batches)

    def translate(
        self,
        images: ImageDataset | ArrayLike,
        *,
        to: str | int | None = None,
        batch_size: int = 64,
        value_range: tuple[float, float] | None = None,
    ) -> Any:
        """Translate images into the other class.

        Args:
            images: An array `(n, h, w)` or `(n, h, w, c)` of images of one class, or an
                `ImageDataset`.
            to: The class that they become: its name or label, or else 0 or 1. Of an
                `ImageDataset`, only the images that are not of it are translated; with `None`, all
                are, each into its other class.
            batch_size: Images translated at once; it does not change them.
            value_range: Values of black and white, as for `fit`.

        Returns:
            For an array, `uint8 (n, *image_shape)`. For an `ImageDataset`, one in the same order
            with the new labels, marked as synthetic. A translated image keeps its name and group:
            it shows the same patient, and no split may part the two. Without groups, the place in
            `images` is the group. Annotations, which describe the source, are left out.

        Raises:
            ValueError: If shapes, values or classes do not fit the model.
        """
        if isinstance(images, ImageDataset):
            return self._translate_dataset(images, to, batch_size)
        given = np.asarray(images)
        check_image_shape(given.shape, self.image_shape)
        if to is None:
            raise ValueError("Say which class the images become: translate(images, to=1).")
        pixels = to_pixels(given, value_range).reshape(len(given), *self.image_shape)
        return self._translate_pixels(pixels, self.class_index(to), batch_size)

    def class_index(self, name: str | int) -> int:
        """Return 0 or 1 for a class name, a label or an index.

        Raises:
            ValueError: If the model has no such class.
        """
        names = self.class_names or ("0", "1")
        if str(name) in names:  # an integer may be a label that fit was given
            return names.index(str(name))
        if isinstance(name, int | np.integer) and name in (0, 1):
            return int(name)
        raise ValueError(f"No class is called {name!r}. The classes are {list(names)}, or 0 and 1.")

    def _translate_dataset(
        self, data: ImageDataset, to: str | int | None, batch_size: int
    ) -> ImageDataset:
        _check_same_names(data.class_names, self.class_names or data.class_names[:2])
        check_image_shape(data.images.shape, self.image_shape)
        if data.groups is None:
            data = data.with_groups(data.group_codes)
        if to is not None:
            data = data.select(data.labels != self.class_index(to))
        pixels = np.empty_like(data.images)
        for target in (0, 1):
            rows = np.flatnonzero(data.labels != target)
            pixels[rows] = self._translate_pixels(data.images[rows], target, batch_size)
        return ImageDataset.from_arrays(
            pixels,
            1 - data.labels,
            class_names=data.class_names,
            groups=data.groups,
            names=data.names,
            synthetic=True,
            provenance={
                "source": "synthray.CycleGAN.translate",
                "translated_from": dict(data.provenance),
            },
        )

    def _translate_pixels(
        self, pixels: NDArray[np.uint8], target: int, batch_size: int
    ) -> NDArray[np.uint8]:
        network = self.to_second if target == 1 else self.to_first
        translated = np.empty_like(pixels)
        for rows in slices(len(pixels), checked_batch_size(batch_size)):
            scaled = pixels[rows].astype(np.float32) / 127.5 - 1.0
            translated[rows] = generate_batch(network, [scaled], batch_size, (-1.0, 1.0))
        return translated


def _least_squares(
    discriminator: keras.Model, real: Any, fake: Any, training: bool
) -> tuple[Any, Any]:
    """Return the discriminator's and the translator's loss, one value an image each."""
    n = ops.shape(real)[0]
    judged = discriminator(ops.concatenate([real, ops.stop_gradient(fake)]), training=training)
    translated = image_model.judge_frozen(discriminator, fake, training=training)
    d_losses = _squared_error(judged[:n], 1.0) + _squared_error(judged[n:], 0.0)
    return d_losses / 2, _squared_error(translated, 1.0)


def _mean_error(images: Any, truth: Any) -> Any:
    return ops.mean(ops.abs(images - truth), axis=(1, 2, 3))


def _squared_error(values: Any, target: float) -> Any:
    return ops.mean(ops.square(ops.cast(values, "float32") - target), axis=(1, 2, 3))


def _check_same_names(found: tuple[str, ...] | None, expected: tuple[str, ...] | None) -> None:
    """Raise a `ValueError` if images are of other classes than a model knows."""
    if found is not None and expected is not None and found != expected:
        raise ValueError(
            f"Expected images of the classes {list(expected)}, in this order, got {list(found)}. "
            "Load them with the same class names, or make a new CycleGAN."
        )
