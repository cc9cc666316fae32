"""Images in, feature vectors out: by one of the library's backbones or by a user's own network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, cast

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from synthray._keras.backend import as_array, predictor
from synthray._keras.batches import checked_batch_size
from synthray._parts import slices
from synthray.backbones.efficientnet_lite import Role, load_backbone
from synthray.datasets import pixels

Backbone: TypeAlias = Role | keras.Model | Callable[[NDArray[np.uint8]], Any]
Pooling = Literal["mean", "max"]

OUTPUTS = ("stride_16", "stride_32")  # of the library's backbones
_POOLING = {"mean": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


class ImageFeatures:
    """A function from images to feature vectors, by a pretrained network.

    Images of any size from 28 pixels and of 1 or 3 channels are resized to `size`, with
    antialiasing where they get smaller, and passed through the network in batches; its maps are
    pooled.

    Args:
        backbone: `"learning"` or `"judging"`, as in `load_backbone`; or a `keras.Model` that takes
            one batch of images `(n, h, w, 1 or 3)` with pixels of 0 to 255 and returns maps
            `(n, h, w, c)`, vectors `(n, c)`, or several of them; or a function from `uint8` images
            `(n, h, w, c)` to numbers `(n, d)`, which gets the images as they are. Many networks of
            `keras.applications` scale pixels themselves; wrap others in a function.
        size: Height and width in pixels that images are resized to. A model with a fixed size
            keeps its own.
        outputs: Names of the outputs to use, for a model that returns a dictionary. By default
            `"stride_16"` and `"stride_32"` of the library's backbones, which see texture better
            than `"head"` does, and all outputs of others.
        pooling: Over the height and width of maps: `"mean"`, `"max"` or both.
        batch_size: Images at once. Few are fastest on a CPU, many on a GPU.

    Attributes:
        name: The name of the network or function, so that a report can say what judged.

    Raises:
        TypeError: If the backbone is none of these.
        ValueError: If a model takes or returns something else, or an argument is out of range.

    Examples:
        >>> import synthray as sr
        >>> features = sr.ImageFeatures("judging", size=64)
        >>> features(sr.make_phantoms(3, image_shape=(32, 32, 1), seed=0).images).shape
        (3, 472)
        >>> features.describe()
        'efficientnet_lite2 at 64x64 pixels, mean of stride_16, stride_32'
    """

    def __init__(
        self,
        backbone: Backbone = "judging",
        *,
        size: int = 128,
        outputs: Sequence[str] | None = None,
        pooling: Sequence[Pooling] = ("mean",),
        batch_size: int = 8,
    ) -> None:
        if isinstance(pooling, str) or not pooling or not set(pooling) <= set(_POOLING):
            raise ValueError(f'pooling must be ("mean",), ("max",) or both, got {pooling!r}.')
        own, network = isinstance(backbone, str), backbone
        if isinstance(backbone, str):
            network = load_backbone(cast(Role, backbone), dtype="float32")
            outputs = OUTPUTS if outputs is None else outputs
        self._batch_size = checked_batch_size(batch_size)
        self._model: keras.Model | None = None
        if isinstance(network, keras.Model):
            self._model = to_vectors(network, size, outputs, pooling, scaled=own)
        elif not callable(network):
            raise TypeError(
                'Expected a backbone: "learning", "judging", a keras.Model, or a function from '
                f"images to features; got {type(network).__name__}."
            )
        self._run: Any = network if self._model is None else predictor(self._model)
        self._maps = f"{' and '.join(pooling)} of {', '.join(outputs or ['all outputs'])}"
        named = getattr(network, "name", None) or getattr(network, "__name__", None)
        self.name = str(named or type(network).__name__)

    def __call__(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return the features of images.

        Args:
            images: Shape `(n, h, w)` or `(n, h, w, 1 or 3)`, `uint8`; floats of 0 to 1, -1 to 1 or
                0 to 255 are converted.

        Returns:
            Shape `(n, d)`.

        Raises:
            ValueError: If images have another shape, or a function of the user's own returns no
                finite numbers `(n, d)`.
        """
        given = np.asarray(images)
        given = given[..., None] if given.ndim == 3 else given
        if given.ndim != 4 or given.shape[3] not in (1, 3):
            raise ValueError(
                "Expected images of shape (n, h, w) or (n, h, w, 1 or 3), got "
                f"{np.shape(images)}. Add an axis to a single image: image[None]."
            )
        whole, model = pixels.to_pixels(given), self._model
        found = as_array(self._run(whole)) if model is None else self._in_batches(whole, model)
        if found.ndim != 2 or len(found) != len(given) or not np.isfinite(found).all():
            raise ValueError(
                f"{self.name} must return finite numbers of shape ({len(given)}, d), got shape "
                f"{found.shape}{'' if np.isfinite(found).all() else ' with NaN or infinity'}."
            )
        return found.astype(np.float32)

    def describe(self) -> str:
        """Return name, working size and pooling in words."""
        if self._model is None:
            return self.name
        _, height, width, _ = self._model.input_shape
        return f"{self.name} at {height}x{width} pixels, {self._maps}"

    def _in_batches(self, images: NDArray[np.uint8], model: keras.Model) -> NDArray[np.float32]:
        shape, width = model.input_shape[1:], model.output_shape[-1]
        found = np.zeros((len(images), width), np.float32)
        for at in slices(len(images), self._batch_size):
            part = images[at]
            # A few sizes of batches, each of which is compiled once.
            rows = min(self._batch_size, 1 << (len(part) - 1).bit_length())
            batch = np.zeros((rows, *shape), np.float32)
            batch[: len(part)] = _resized(part, *shape)
            found[at] = as_array(self._run(batch))[: len(part)]
        return found


def image_features(backbone: Backbone | None, default: Role) -> ImageFeatures:
    """Return the features that an argument `backbone=` asks for; `None` is the default."""
    if backbone is None:
        return _default(default)
    return backbone if isinstance(backbone, ImageFeatures) else ImageFeatures(backbone)


@functools.cache  # to build and compile a network takes seconds
def _default(role: Role) -> ImageFeatures:
    return ImageFeatures(role)


def images_taken_by(model: Any, hint: str = "") -> tuple[int | None, int | None, int]:
    """Return height, width and channels of the images that a network takes.

    Raises:
        ValueError: If it takes anything else; the hint ends the message.
    """
    taken = [tuple(each.shape) for each in getattr(model, "inputs", None) or []]
    if len(taken) != 1 or len(taken[0]) != 4 or taken[0][3] not in (1, 3):
        raise ValueError(
            f"Expected a functional or Sequential model of images (n, h, w, 1 or 3), but "
            f"{model.name} takes {taken or 'an unknown input'}.{hint}"
        )
    _, height, width, channels = taken[0]
    return height, width, channels


def to_vectors(model: Any, size: int, outputs: Any, pooling: Any, *, scaled: bool) -> keras.Model:
    """Return a model from pixels to one vector: the pooled outputs of a model."""
    hint = " Pass a function from uint8 images to features instead."
    height, width, channels = images_taken_by(model, hint)
    own: dict[str, Any] = {"dtype": "float32"}  # features do not depend on the global policy
    images = keras.Input((height or size, width or size, channels), **own)
    found = model(layers.Rescaling(1 / 128, -127 / 128, **own)(images) if scaled else images)
    if outputs is not None:
        known = sorted(found) if isinstance(found, dict) else []
        if not set(outputs) <= set(known):
            raise ValueError(f"{model.name} has no outputs {tuple(outputs)}; it has {known}.")
        found = [found[name] for name in outputs]
    vectors = []
    for each in keras.tree.flatten(found):
        if len(each.shape) == 4:
            pools = [_POOLING[name](data_format="channels_last", **own) for name in pooling]
            vectors += [pool(each) for pool in pools]
        elif len(each.shape) == 2:
            vectors.append(each)
        else:
            raise ValueError(
                f"Expected maps (n, h, w, c) or vectors (n, c) from {model.name}, got an output of "
                f"shape {tuple(each.shape)}. Pass a function that returns features instead."
            )
    return keras.Model(images, layers.Concatenate(**own)(vectors) if vectors[1:] else vectors[0])


def _resized(images: NDArray[np.uint8], height: int, width: int, channels: int) -> Any:
    """Resize by Pillow, several times as fast as the network; its filter widens to shrink."""
    images = pixels.with_channels(images, channels)
    if images.shape[1:3] == (height, width):
        return images
    plain = [Image.fromarray(each[..., 0] if channels == 1 else each) for each in images]
    resized = [each.resize((width, height), Image.Resampling.BILINEAR) for each in plain]
    return np.stack([np.asarray(each) for each in resized]).reshape(-1, height, width, channels)
