"""`ProjectedGAN`: a light generator, judged on the features of a pretrained network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from os import PathLike
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from synthray._keras.alternating import Half
from synthray._keras.backend import assign, in_full_precision, values_of
from synthray._keras.seeded_model import with_callback
from synthray._seeds import resolve_seed, spawn_seeds
from synthray.datasets.pixels import checked_image_shape
from synthray.generators import presets
from synthray.generators.averaged_gan import AveragedGAN, diversity, with_condition
from synthray.generators.batch_statistics import BatchStatistics
from synthray.generators.diff_augment import AUGMENTATIONS, DiffAugment
from synthray.generators.gan import Logits, Updates
from synthray.generators.image_model import arguments_of, check_arguments, judge_frozen, policy_from
from synthray.generators.projected_features import Backbone, ProjectedFeatures
from synthray.generators.projected_gan_networks import (
    MOMENTUM,
    projected_generator,
    projected_heads,
)

# Images whose statistics batch normalization takes over for the averaged weights.
_STATISTICS_IMAGES, _STATISTICS_BATCH = 512, 64
_SIDES = (28, 256)
_MIXING_SEED = 0


@keras.saving.register_keras_serializable(package="synthray")
class ProjectedGAN(AveragedGAN):
    """A GAN whose discriminator sees features of a pretrained network (arXiv 2111.01007).

    The discriminator's images pass a frozen network that was trained on photographs, and fixed
    random convolutions that mix its maps. Small heads judge the maps at strides 4, 8, 16 and 32;
    only they are trained. Such a discriminator knows shape and texture from the first step. The
    generator has a light form: nearest doubling, gated convolutions, noise, and coarse maps that
    scale the channels of fine ones (skip-layer excitation: section 3.1 of Liu et al. 2021, arXiv
    2101.04775). At 64x64x1 it has 2,455,779 parameters, and the heads have 3,886,084.

    The generator doubles a start map whose longer side has 4 to 7 pixels, until the images cover
    `image_shape`, and cuts their centre out: 64x64 is 4x4 doubled four times, 45x64 is cut from
    48x64, and 180x180 from 192x192.

    Images are generated with averaged weights. The statistics of batch normalization are taken
    anew for these weights whenever the model is saved or generates after a training.

    Do not judge the images with the pretrained network that they were trained against; by default
    `evaluate_samples` uses another one.

    Args:
        image_shape: Height and width of 28 to 256 each; channels 1 or 3.
        width: Multiplies the filters of generator, heads and mixed maps.
        num_classes: Makes the model class-conditional: one model generates all classes, `fit` needs
            labels, and `sample(labels=...)` chooses. `None` for one kind of image.
        backbone: `"learning"`, the library's network for learning, as in `load_backbone`; or a
            functional `keras.Model` that takes images `(n, h, w, 1 or 3)` with pixels of 0 to 255
            and returns one or several maps `(n, h, w, c)`. It is frozen: its
            `trainable` becomes false. A file of the model holds the weights of a network of your
            own.
        size: Height and width in pixels, at least 32, that the backbone's images are resized to.
            Less is faster, and judges fewer details. A backbone of a fixed size keeps its own.
        augment: Changes of `DiffAugment` that the discriminator's images go through, at full
            strength.
        ema_images: Upper bound of the half-life of the averaged weights, in images; until 20 times
            as many are seen it is 5 % of the images seen.
        label_images: Images over which the labels fade in, if conditional, as of `R3GAN`.
        updates: `"alternating"`, or `"simultaneous"`, as of `GAN`.
        seed: Seed of weights, latents and the order of the images; `None` for a random one. The
            random convolutions are the same for all.
        **kwargs: `name`, `dtype` (a Keras dtype policy, such as `"mixed_bfloat16"`).

    Raises:
        ValueError: If the shape cannot be generated or an argument is out of its range.

    Examples:
        >>> import synthray as sr
        >>> bones = sr.make_phantoms(8, image_shape=(28, 28, 1), seed=0)
        >>> gan = sr.ProjectedGAN((28, 28, 1), width=0.125, size=32, seed=0)
        >>> gan.compile(run_eagerly=True)  # for one step only
        >>> history = gan.fit(bones, epochs=1, verbose=0)
        >>> gan.sample(3, seed=1).shape
        (3, 28, 28, 1)
    """

    OUTPUT_RANGE: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    BATCH_SIZE: ClassVar[int] = 8  # many small steps are worth more than few large ones
    IMAGES_SEEN: ClassVar[int] = 12_000
    IMAGES_SEEN_BY_PRESET: ClassVar[int] = 4_000

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 1),
        *,
        width: float = 1.0,
        num_classes: int | None = None,
        backbone: Backbone = "learning",
        size: int = 128,
        augment: Sequence[str] = AUGMENTATIONS,
        ema_images: int = 20_000,
        label_images: int = 10_000,
        updates: Updates = "alternating",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        shape = checked_image_shape(image_shape)
        known = backbone == "learning" if isinstance(backbone, str) else hasattr(backbone, "inputs")
        smallest, largest = _SIDES
        sides = f"from {smallest} to {largest} pixels a side; resize the images"
        check_arguments(
            ("image_shape", shape, smallest <= min(shape[:2]) and max(shape[:2]) <= largest, sides),
            ("width", width, width > 0, "positive"),
            ("num_classes", num_classes, num_classes is None or num_classes > 1, "at least 2"),
            ("backbone", backbone, known, '"learning" or a functional keras.Model'),
            ("size", size, size >= 32, "at least 32"),
            ("ema_images", ema_images, ema_images >= 0, "at least 0"),
            ("label_images", label_images, label_images >= 0, "at least 0"),
        )
        augmentation = DiffAugment(augment)
        policy = policy_from(kwargs)
        seed = resolve_seed(seed)
        g_seed, d_seed = spawn_seeds(seed, 2)
        form: dict[str, Any] = {"size": size, "width": width, "dtype": policy}
        # The same for all, so that heads of a preset know what they look at.
        features = ProjectedFeatures(backbone, shape, seed=_MIXING_SEED, **form)
        super().__init__(
            projected_generator(shape, width, num_classes, policy.name, g_seed),
            projected_heads(features.shapes, width, num_classes, policy, d_seed),
            updates=updates,
            seed=seed,
            dtype=policy,
            **kwargs,
        )
        self.width = float(width)
        self.num_classes = num_classes
        self.size = int(size)
        self.augment = augmentation.kinds
        self.ema_images = int(ema_images)
        self.label_images = int(label_images)
        self.networks = (features.name,)
        self._features = features
        self._augmentation = augmentation
        self._batch_statistics = BatchStatistics(self.generator, MOMENTUM)

    @property
    def backbone(self) -> Backbone:
        """The pretrained network, as it was given. Keras saves it, if it is a model."""
        return self._features.backbone

    def build(self, input_shape: Any = None) -> None:
        """Make what the training keeps beside the two networks."""
        super().build(input_shape)
        self._normalized_at = self.add_counter("normalized_at", "int32")

    def default_optimizer(self) -> keras.Optimizer:
        """Return Adam without momentum at 5e-4."""
        return keras.optimizers.Adam(5e-4, beta_1=0.0, beta_2=0.99)

    def fit_callbacks(self, callbacks: Any, guard: bool) -> Any:
        """Return the callbacks of `fit`, with one that ends it with the right statistics."""
        callbacks = super().fit_callbacks(callbacks, guard)
        end = keras.callbacks.LambdaCallback(on_train_end=lambda logs: self._normalize())
        return with_callback(callbacks, end)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = arguments_of(self, ProjectedGAN)
        if not isinstance(self.backbone, str):
            own = keras.saving.serialize_keras_object(self.backbone)
            config["backbone"] = json.loads(json.dumps(own))  # lists for tuples, as a file has them
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ProjectedGAN:
        """Make a model from what `get_config` returned."""
        backbone = config["backbone"]
        if not isinstance(backbone, str):
            # A copy, for reading a configuration takes it apart.
            backbone = keras.saving.deserialize_keras_object(deepcopy(backbone), custom_objects)
        return cls(**{**config, "backbone": backbone})

    def save_to_preset(
        self, folder: str | PathLike[str], *, class_names: Sequence[str] = (), card: str = ""
    ) -> None:
        """Write a small folder to sample from and to fine-tune: weights as float16, and a card.

        The generator has its averaged weights; the optimizer's state is left out. At 64x64x1 pixels
        a preset takes 12 MB.

        Args:
            folder: Written over, if it holds a preset.
            class_names: Names of the classes, in label order.
            card: What the card says of data, licence, cost, scores and limits, in Markdown.

        Raises:
            ValueError: If there are not as many names as classes, the backbone is a model of your
                own (a preset would lack its weights: use `save`), or weights are not finite.
        """
        names = tuple(class_names) or tuple(map(str, range(self.num_classes or 0)))
        if len(names) != (self.num_classes or 0):
            raise ValueError(f"Expected {self.num_classes or 0} names of classes, got {names}.")
        if not isinstance(self.backbone, str):
            raise ValueError(
                "A preset does not hold the weights of a backbone of your own. Use save()."
            )
        config = self.get_config()
        text = presets.model_card(card, config, names, int(self.images_seen.numpy()))
        networks = {"generator": self.sampling_generator, "discriminator": self.discriminator}
        presets.write_preset(folder, networks, config, names, text)

    @classmethod
    def from_preset(
        cls,
        preset: str | PathLike[str],
        *,
        class_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> ProjectedGAN:
        """Make a model with the weights of a preset, to sample from or to fine-tune by `fit`.

        Its classes count fully from the first image on. For an augmenter that fine-tunes it:
        `SyntheticAugmenter("limbs_64")`.

        Args:
            preset: `"limbs_64"` or `"chest_64"`, which come with the library; a folder that
                `save_to_preset` wrote; or such a folder on a hub, `"hf://user/name"`, which is
                downloaded (`pip install 'synthray[hub]'`).
            class_names: Names of the classes, of a preset that has some; by default its own. A
                class of another name begins as the mean of the preset's.
            **kwargs: `seed` (of latents and order), `name`, `dtype`, `augment`, `ema_images`,
                `updates`.

        Raises:
            FileFormatError: If a file is missing, damaged, or of another kind.
            ImportError: If `huggingface_hub` is needed and not installed.
            ValueError: If classes are named, and the preset knows none.

        Examples:
            >>> import synthray as sr
            >>> limbs = sr.ProjectedGAN.from_preset("limbs_64", seed=0)
            >>> limbs.sample(2, labels=1, seed=1).shape
            (2, 64, 64, 1)
        """
        config, own, weights = presets.read_preset(preset)
        if class_names is not None and not own:
            raise ValueError(
                "The preset makes one kind of image, got names of classes. Leave class_names out."
            )
        names = own if class_names is None else tuple(class_names)
        known = {"num_classes": len(names) or None, "label_images": 0}
        gan = cls(**{**config, "image_shape": tuple(config["image_shape"]), **known, **kwargs})
        networks = {"generator": gan.generator, "discriminator": gan.discriminator}
        places = [own.index(name) if name in own else None for name in names]
        presets.assign_weights(networks, weights, places)
        gan.ema_generator.set_weights(gan.generator.get_weights())
        return gan

    def save_own_variables(self, store: Any) -> None:
        """Save what `GAN` does, after the statistics, which Keras saves next, are right."""
        self._normalize()
        super().save_own_variables(store)

    def call(self, images: Any, training: bool = False, half: Half | None = None) -> Logits:
        """Judge features of real images and of as many new fakes.

        Args:
            images: Real images as in `GAN.call`; if conditional, `{"images", "labels"}`.
            training: Whether the averaged weights and the counters move on.
            half: As in `GAN.call`. They move on with the discriminator's.
        """
        condition, real = self.condition_and_images(images)
        n = ops.shape(real)[0]
        latents = with_condition(self.sample_latents(n), condition)
        fake = self.generator(latents, training=training)
        logits: Logits = {}
        if half != "generator":
            logits["diversity"] = diversity(fake, real, condition)
        real, fake = self.augmented([real, fake], n, 1.0)
        if half == "discriminator":
            both = self._features.without_gradients(ops.concatenate([real, fake]))
        else:
            maps = self._features(fake)
            inputs = maps if condition is None else [*maps, condition]
            generated = judge_frozen(self.discriminator, inputs, training=training)
            logits["generated"] = ops.cast(generated, "float32")
            logits["real"] = logits["generated"]  # no part of the generator's loss
        if half is None:
            pairs = zip(self._features.without_gradients(real), maps, strict=True)
            both = [ops.concatenate([x, ops.stop_gradient(y)]) for x, y in pairs]
        if half != "generator":
            inputs = both if condition is None else [*both, ops.concatenate([condition] * 2)]
            found = ops.cast(self.discriminator(inputs, training=training), "float32")
            logits["real"], logits["fake"] = found[:n], found[n:]
            if training:
                in_full_precision(lambda _: self.count_and_average(n), found)
        return logits

    def losses_from_logits(self, logits: Logits) -> tuple[Any, Any]:
        """Return the hinge losses, one value an image each: the mean over the heads.

        `max(0, 1 - D(x)) + max(0, 1 + D(G(z)))` and `-D(G(z))` (Lim and Ye 2017, arXiv 1705.02894),
        for each head as in equation 2 of Sauer et al. 2021, where they are logistic.
        """
        d_losses = ops.relu(1.0 - logits["real"]) + ops.relu(1.0 + logits["fake"])
        return ops.mean(d_losses, axis=-1), -ops.mean(logits["generated"], axis=-1)

    @property
    def sampling_generator(self) -> keras.Model:
        """The generator with the averaged weights, and statistics that were taken for them."""
        self._normalize()
        return self.ema_generator

    def _normalize(self) -> None:
        """Take the statistics of batch normalization for the averaged weights, if need be."""
        seen = int(self.images_seen.numpy())
        if seen == int(self._normalized_at.numpy()):
            return
        pairs = self.averaged_weights()
        averages = {id(own): mean for mean, own in pairs}
        trained = [averages[id(own)] for own in self.generator.trainable_variables]
        rest = [mean for mean, own in pairs if not own.trainable]
        assign(rest, self._batch_statistics(values_of(trained), self._statistics_inputs()))
        self._normalized_at.assign(seen)

    def _statistics_inputs(self) -> list[Any]:
        rng = np.random.default_rng(self.seed)
        shape = (_STATISTICS_BATCH, self.latent_dim)
        classes = None
        if self.num_classes is not None:
            classes = np.arange(_STATISTICS_BATCH) % self.num_classes
        inputs = [
            self._generator_inputs(rng.standard_normal(shape, np.float32), classes)
            for _ in range(_STATISTICS_IMAGES // _STATISTICS_BATCH)
        ]
        return [each if each[1:] else each[0] for each in inputs]
