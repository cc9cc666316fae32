"""EfficientNet-lite0 and -lite2 with ImageNet weights, as functional Keras models."""

from __future__ import annotations

from functools import partial
from importlib import resources
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

Role = Literal["learning", "judging"]

_NAMES = {"learning": "efficientnet_lite0", "judging": "efficientnet_lite2"}
_STEM, _HEAD = 32, 1280
# Of seven stages: kernels, strides of the first block, and what the library calls the outputs.
_KERNELS, _STRIDES = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
_OUTPUTS = ("", "stride_4", "stride_8", "", "stride_16", "", "stride_32")
_SIZES = {  # channels and blocks
    "efficientnet_lite0": ((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet_lite2": ((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}


def load_backbone(role: Role = "learning", *, dtype: Any = None) -> keras.Model:
    """Return a network trained on ImageNet, without its classifier; nothing is downloaded.

    `"learning"` is EfficientNet-lite0 (3.4 million weights): for classifiers, discriminators and
    whatever else is trained or chosen with it. `"judging"` is EfficientNet-lite2 (4.8 million):
    for scores of synthetic images. What judges should never be what something was trained against.

    The model takes float images `(n, h, w, 3)` of any size, scaled as `(pixels - 127) / 128`, about
    -1 to 1. It returns a dictionary of maps:

    | output | height and width | channels, learning | channels, judging |
    |---|---|---|---|
    | `"stride_4"` | 1/4 | 24 | 24 |
    | `"stride_8"` | 1/8 | 40 | 48 |
    | `"stride_16"` | 1/16 | 112 | 120 |
    | `"stride_32"` | 1/32 | 320 | 352 |
    | `"head"`, 0 to 6 | 1/32 | 1280 | 1280 |

    Sizes that do not divide are rounded up: padding is TensorFlow's `"same"`, as in training on
    ImageNet; where a stride of 2 meets an even size, it pads below and on the right only. Batch
    normalization is folded into the convolutions, so there is nothing that a `training` argument
    would change. All weights can be trained, and gradients reach the images.

    Tan and Le 2019 (arXiv 1905.11946); the lite variants have ReLU6 and no squeeze-and-excitation.
    The file `NOTICE` names the source of the weights.

    Args:
        role: `"learning"` or `"judging"`.
        dtype: A Keras dtype policy, by default the global one.

    Returns:
        A new functional model each time.

    Raises:
        ValueError: If the role is neither.

    Examples:
        >>> import synthray as sr
        >>> model = sr.load_backbone("learning")
        >>> images = sr.make_phantoms(2, image_shape=(64, 64, 3), seed=0).images
        >>> maps = model((images.astype("float32") - 127) / 128)
        >>> tuple(maps["stride_8"].shape)
        (2, 8, 8, 40)
    """
    if role not in _NAMES:
        raise ValueError(f'role must be "learning" or "judging", got {role!r}.')
    model = _network(_NAMES[role], dtype)
    file = resources.files("synthray.backbones") / f"{model.name}.npz"
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as weights:
        for layer in model.layers:
            for variable in layer.weights:
                variable.assign(weights[f"{layer.name}/{variable.name}"].astype(np.float32))
    return model


def _network(name: str, dtype: Any) -> keras.Model:
    """Return the network with weights of zero."""
    usual = {"padding": "same", "data_format": "channels_last", "dtype": dtype}
    conv = partial(layers.Conv2D, kernel_initializer="zeros", **usual)
    depthwise = partial(layers.DepthwiseConv2D, depthwise_initializer="zeros", **usual)
    found, block = {}, 0
    inputs = keras.Input((None, None, 3), dtype="float32", name="images")
    x = conv(_STEM, 3, 2, activation="relu6", name="stem")(inputs)
    for kernel, stride, output, channels, repeats in zip(
        _KERNELS, _STRIDES, _OUTPUTS, *_SIZES[name], strict=True
    ):
        for repeat in range(repeats):
            before, own, step = x, f"block_{block}", 1 if repeat else stride
            if block > 0:
                x = conv(6 * x.shape[-1], 1, activation="relu6", name=f"{own}_expand")(x)
            x = depthwise(kernel, step, activation="relu6", name=f"{own}_depthwise")(x)
            x = conv(channels, 1, name=f"{own}_project")(x)
            if repeat:
                x = layers.Add(dtype=dtype, name=f"{own}_add")([x, before])
            block += 1
        if output:
            found[output] = x
    found["head"] = conv(_HEAD, 1, activation="relu6", name="head")(x)
    return keras.Model(inputs, found, name=name)
