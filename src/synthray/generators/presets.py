"""Presets: folders of weights in half precision, to sample from and to fine-tune.

Those in `pretrained/` come with the library; `benchmarks/rows/presets.py` makes them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from synthray._files import MAX_BYTES, open_json, open_npz, write_json, write_whole
from synthray.exceptions import FileFormatError

_FORMAT = "synthray.ProjectedGAN preset/1"
_CONFIG, _WEIGHTS, _CARD = "config.json", "weights.npz", "README.md"
_OWN = ("name", "dtype", "seed")  # arguments that a preset leaves to its user
_PRETRAINED = Path(__file__).parent / "pretrained"
_HUB = "hf://"

Weights = dict[str, NDArray[np.float32]]


def write_preset(
    folder: str | PathLike[str],
    networks: Mapping[str, keras.Model],
    config: Mapping[str, Any],
    class_names: Sequence[str],
    card: str,
) -> None:
    """Write configuration, weights and card into a folder.

    Raises:
        ValueError: If a weight is too large for float16, or not finite.
    """
    folder = Path(folder)
    arrays = {name: variable.numpy() for name, variable in _named(networks).items()}
    with np.errstate(over="ignore"):
        half = {name: array.astype(np.float16) for name, array in arrays.items()}
    wrong = [name for name, array in half.items() if not np.isfinite(array).all()]
    if wrong:
        raise ValueError(
            f"Weights of {wrong[0]} are not finite in half precision, in which presets are kept. "
            "Train the generator anew, or keep this one with save()."
        )
    write_whole(folder / _WEIGHTS, lambda part: np.savez_compressed(part, **half))
    write_whole(folder / _CARD, lambda part: part.write_text(card, encoding="utf-8"))
    values = {
        "format": _FORMAT,
        "config": {key: value for key, value in config.items() if key not in _OWN},
        "class_names": list(class_names),
        "versions": {"synthray": version("synthray"), "keras": keras.__version__},
    }
    write_json(folder / _CONFIG, values)


def is_preset(generator: Any) -> bool:
    """Whether it names a preset, rather than makes a generator."""
    return isinstance(generator, str | PathLike)


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that come with the library."""
    return tuple(sorted(path.parent.name for path in _PRETRAINED.glob(f"*/{_CONFIG}")))


def preset_classes(preset: str | PathLike[str]) -> tuple[str, ...]:
    """Return the names of the classes of a preset; none if it makes one kind of image.

    Raises:
        As `read_preset`.
    """
    return _read_config(_folder(preset))[1]


def read_preset(preset: str | PathLike[str]) -> tuple[dict[str, Any], tuple[str, ...], Weights]:
    """Return the arguments of the constructor, names of the classes, and weights by name.

    Raises:
        FileFormatError: If a file is missing, damaged, or of another kind.
        ImportError: If it is on a hub, and the hub's package is not installed.
    """
    folder = _folder(preset)
    config, names = _read_config(folder)
    with open_npz(folder / _WEIGHTS, MAX_BYTES, "the weights of a preset") as arrays:
        weights = {name: np.asarray(arrays[name], np.float32) for name in arrays}
    return config, names, weights


def _read_config(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise FileFormatError(
                f"{folder / name} is missing. Expected one of {', '.join(preset_names())}, or a "
                "folder that save_to_preset wrote."
            )
    with open_json(folder / _CONFIG, "a preset") as values:
        if values["format"] != _FORMAT:
            raise ValueError(f"it says {values['format']!r}, expected {_FORMAT!r}")
        return dict(values["config"]), tuple(map(str, values["class_names"]))


def assign_weights(
    networks: Mapping[str, keras.Model], weights: Weights, classes: Sequence[int | None]
) -> None:
    """Give networks the weights of a preset.

    Args:
        networks: By the names that the preset gave them.
        weights: Of the preset.
        classes: For each class of the networks its place in the preset; `None` for a class that
            begins as the mean of the preset's.

    Raises:
        FileFormatError: If weights are missing or do not fit.
    """
    named = _named(networks)
    if named.keys() != weights.keys():
        lacking = sorted(named.keys() ^ weights.keys())
        raise FileFormatError(f"The preset is of another network: {', '.join(lacking[:3])}.")
    for name, variable in named.items():
        found = weights[name]
        if _is_of_classes(name):
            found = _for_classes(name, found, classes)
        if found.shape != variable.shape:
            raise FileFormatError(
                f"The preset is of another network: {name} has shape {found.shape}, expected "
                f"{tuple(variable.shape)}."
            )
        variable.assign(found)


def model_card(
    text: str, config: Mapping[str, Any], class_names: Sequence[str], images_seen: int
) -> str:
    """Return a card in Markdown with the header that model hubs read.

    Args:
        text: What only the maker knows: data, licence, cost, scores, limits.
        config: Arguments of the constructor.
        class_names: Names of the classes; empty for one kind of image.
        images_seen: In training.
    """
    shown = {key: value for key, value in config.items() if key not in _OWN}
    return f"""---
library_name: synthray
tags: [keras, synthray, medical-imaging, unconditional-image-generation]
---

# ProjectedGAN, {"x".join(map(str, config["image_shape"]))} pixels

{text.strip()}

- Classes: {", ".join(class_names) or "one kind of image"}
- Images seen in training: {images_seen:,}
- Arguments: `{json.dumps(shown)}`

```python
import synthray as sr

gan = sr.ProjectedGAN.from_preset("this folder")
images = gan.sample(16, seed=0)
```

For research, not for diagnosis. Synthetic images may resemble training images.
"""


def _named(networks: Mapping[str, keras.Model]) -> dict[str, Any]:
    return {
        f"{part}/{layer.name}/{variable.name}": variable
        for part, network in networks.items()
        for layer in network.layers
        for variable in layer.weights
    }


def _folder(preset: str | PathLike[str]) -> Path:
    if str(preset).startswith(_HUB):
        try:
            hub: Any = importlib.import_module("huggingface_hub")
        except ImportError:
            raise ImportError(
                f"{preset} is on a hub. To download it: pip install 'synthray[hub]'."
            ) from None
        return Path(hub.snapshot_download(str(preset).removeprefix(_HUB)))
    return _PRETRAINED / preset if preset in preset_names() else Path(preset)


def _is_of_classes(name: str) -> bool:
    """Whether a weight has a place for each class: the first of a dense layer, else the last."""
    return name.split("/")[1].endswith(("class_shift", "_classes"))


def _for_classes(name: str, found: Any, classes: Sequence[int | None]) -> Any:
    axis = 0 if "class_shift" in name else -1
    if tuple(classes) == tuple(range(found.shape[axis])):
        return found
    if name.endswith("/singular"):  # of columns that are equal
        return np.full(len(classes), len(classes) ** -0.5)
    mean = found.mean(axis=axis)
    places = [mean if each is None else found.take(each, axis) for each in classes]
    return np.stack(places, axis=axis)
