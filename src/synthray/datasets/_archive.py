"""Reading and writing an `ImageDataset` as one `.npz` file, without pickle."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FORMAT = "synthray.ImageDataset/1"
_ANNOTATION = "annotation/"
_DAMAGED: tuple[type[Exception], ...] = (zipfile.BadZipFile, zlib.error)
_DAMAGED += (KeyError, ValueError, AttributeError, OSError, EOFError, RuntimeError)


def write(path: str | PathLike[str], arrays: Mapping[str, Any], header: Mapping[str, Any]) -> Path:
    """Write arrays (a mapping among them becomes `annotation/...`) and a JSON header."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"Expected a file name that ends in .npz, got {path.name!r}.")
    stored: dict[str, NDArray[Any]] = {}
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            stored |= {_ANNOTATION + key: np.asarray(column) for key, column in value.items()}
        elif value is not None:
            stored[name] = value
    for name, value in stored.items():
        if value.dtype == object:
            raise ValueError(
                f"{name!r} holds Python objects, which are not stored (no pickle). "
                "Convert it to numbers or strings first."
            )
    stored["header"] = np.array(json.dumps({"format": _FORMAT, **header}))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **stored)
    part.replace(path)  # a reader never sees half a file
    return path


def read(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the header of a file that `write` made."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            stored = {name: archive[name] for name in archive.files}
        header = json.loads(str(stored.pop("header")))
        if header.pop("format") != _FORMAT:
            raise KeyError("format")
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise ValueError(
            f"{path} is not a file that ImageDataset.save wrote ({error}). For MedMNIST files use "
            "load_medmnist; for other arrays ImageDataset.from_arrays."
        ) from error
    annotations = {k.removeprefix(_ANNOTATION): v for k, v in stored.items() if "/" in k}
    return {k: v for k, v in stored.items() if "/" not in k} | {"annotations": annotations}, header
