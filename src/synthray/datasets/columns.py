"""The columns of an `ImageDataset`: checked, joined, written to a file and read from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._files import write_whole
from synthray._keras.backend import as_array

_FORMAT = "synthray.ImageDataset/1"
_ANNOTATION = "annotation/"
_MOST_CLASSES = 2**16


def plain(values: ArrayLike) -> NDArray[Any]:
    """Return an array; of text, if a list or a column of pandas holds nothing else."""
    array = as_array(values)
    # NumPy writes numbers among texts of a list as text.
    if array.dtype.kind == "O" or (array.dtype.kind in "SU" and not isinstance(values, np.ndarray)):
        array = np.asarray(values, object)
        for kind in (str, bytes):
            if all(isinstance(value, kind) for value in array.flat):
                return array.astype(kind)
    return array


def as_codes(labels: ArrayLike) -> NDArray[Any]:
    """Return labels as `int64 (n,)`."""
    codes = np.asarray(labels)
    if codes.ndim == 2 and codes.shape[1] == 1:
        codes = codes[:, 0]
    if codes.dtype.kind == "b" or codes.size == 0:
        codes = codes.astype(np.int64)
    if codes.dtype.kind not in "iu" or codes.max(initial=0) >= _MOST_CLASSES:
        raise ValueError(
            f"labels must be integers from 0, at most {_MOST_CLASSES - 1}, got {codes.dtype} such "
            f"as {codes.reshape(-1)[:5].tolist()}. For names and other numbers use "
            "np.unique(labels, return_inverse=True); for one-hot rows labels.argmax(axis=1)."
        )
    return codes.astype(np.int64, copy=False)


def class_values(labels: ArrayLike) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the values of labels of any kind, sorted, and the position of each label among them.

    Raises:
        ValueError: If they are neither whole numbers, nor text, nor one-hot rows.
    """
    array = plain(labels)
    one_hot = array.ndim == 2 and array.shape[1] > 1
    kind = array.dtype.kind
    if one_hot and kind in "iubf":
        fit = np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all()
    else:
        exact = kind == "f" and (np.abs(array) < np.float64(2**53)).all()  # and no NaN
        whole = kind in "iubSU" or (exact and not (array % 1).any())
        fit = array.ndim in (1, 2) and not one_hot and whole
    if not fit:
        raise ValueError(
            "Labels must be integers, strings or floats that are whole numbers, of shape (n,) or "
            "(n, 1), or one-hot rows (n, k) of one 1 and else 0; got "
            f"{array.dtype} of shape {array.shape}. Soft or multiple labels are not supported."
        )
    if one_hot:
        return list(range(array.shape[1])), array.argmax(axis=1).astype(np.int64)
    flat = array.reshape(-1)
    flat = np.char.decode(flat, "utf-8", "surrogateescape") if kind == "S" else flat
    values, codes = np.unique(flat.astype(np.int64) if kind == "f" else flat, return_inverse=True)
    return [value.item() for value in values], codes.astype(np.int64)


def as_groups(groups: ArrayLike) -> NDArray[Any]:
    """Return groups as integers or strings.

    Raises:
        ValueError: If they are neither, such as a NaN among strings.
    """
    values = plain(groups)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "surrogateescape")
    if values.dtype.kind not in "iuU":
        raise ValueError(
            f"groups must be integers or strings, got {values.dtype}, such as a NaN among strings. "
            "An image without a known group needs a value of its own."
        )
    return values


def check(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Check all fields against each other and return them converted, arrays read-only."""
    images, labels = np.asarray(columns["images"]).view(), as_codes(columns["labels"])
    images.flags.writeable = False
    images = images[..., np.newaxis] if images.ndim == 3 else images
    class_names = tuple(str(name) for name in columns["class_names"])
    positive, groups, names = (columns[k] for k in ("positive_class", "groups", "names"))
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "images must be uint8 and must have the shape (n, height, width) or (n, height, width, "
            f"channels) with 1 or 3 channels, got {images.dtype} of shape {images.shape}. "
            "ImageDataset.from_arrays converts other types. Slice volumes first."
        )
    known = {name.encode("utf-8", "replace").decode() for name in class_names}
    if len(known) != len(class_names) or known != set(class_names):
        raise ValueError(
            f"class_names must be UTF-8 text and differ from each other, got {class_names}."
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < len(class_names)):
        raise ValueError(
            f"labels must lie between 0 and {len(class_names) - 1}, the last of the "
            f"{len(class_names)} class names, got {labels.min()} to {labels.max()}."
        )
    if positive is None and len(class_names) == 2:
        positive = class_names[1]
    if positive is not None and positive not in class_names:
        raise ValueError(
            f"positive_class must be one of the class names {class_names}, got {positive!r}. To "
            "rename classes: dataclasses.replace(data, class_names=..., positive_class=...)."
        )
    synthetic = np.asarray(columns["synthetic"], bool)
    flat = {
        "labels": labels,
        "synthetic": synthetic if synthetic.size else np.zeros(len(images), bool),
        "groups": None if groups is None else as_groups(groups),
        "names": None if names is None else np.asarray(names, np.str_),
    }
    annotations = {name: np.asarray(column) for name, column in columns["annotations"].items()}
    for name, column in [*flat.items(), *annotations.items()]:
        if column is None:
            continue
        if column.ndim == 0 or len(column) != len(images) or (name in flat and column.ndim > 1):
            raise ValueError(
                f"{name} must hold one value for each of the {len(images)} images, got shape "
                f"{column.shape}."
            )
    return {
        "images": images,
        "class_names": class_names,
        "positive_class": positive,
        **{name: None if c is None else owned(c) for name, c in flat.items()},
        "annotations": {name: owned(column) for name, column in annotations.items()},
    }


def owned(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nobody can write to: a copy, unless it and what it views are such."""
    base: Any = array
    while isinstance(base, np.ndarray) and not base.flags.writeable:
        base = base.base
    if base is not None:
        array = array.copy()
    array.flags.writeable = False
    return array


def join_groups(groups: Sequence[NDArray[Any] | None], sizes: Sequence[int]) -> Any:
    """Join group columns; in a part without groups each image gets a group of its own."""
    given = [part for part in groups if part is not None]
    if not given:
        return None
    if len(given) == len(groups) and len({part.dtype.kind for part in given}) == 1:
        return np.concatenate(given)
    words = [part.astype(np.str_) for part in given]
    mark = ""  # parts that were joined before may hold such names
    while any(np.char.startswith(column, f"{mark}part").any() for column in words):
        mark += "+"
    return np.concatenate(
        [
            [f"{mark}part{i}:{row}" for row in range(n)] if part is None else part.astype(np.str_)
            for i, (part, n) in enumerate(zip(groups, sizes, strict=True))
        ]
    )


def join_names(names: Sequence[NDArray[np.str_] | None], sizes: Sequence[int]) -> Any:
    """Join name columns; a part without names gets empty ones."""
    return None if all(part is None for part in names) else _join(names, sizes, "")


def join_annotations(
    parts: Sequence[Mapping[str, NDArray[Any]]], sizes: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Join annotations; where a part lacks a column of floats, its values are NaN: not known.

    Raises:
        ValueError: If a part lacks a column of another type, which has no such value.
    """
    joined = {}
    for name in sorted(set().union(*parts)):
        columns = [part.get(name) for part in parts]
        kinds = {"f" if column is None else column.dtype.kind for column in columns}
        if len(kinds) > 1 and any(column is None for column in columns):
            raise ValueError(
                f"The annotation {name!r} is missing from some parts. Drop it first: "
                "dataclasses.replace(data, annotations={})."
            )
        joined[name] = _join(columns, sizes, np.nan)
    return joined


def _join(columns: Sequence[NDArray[Any] | None], sizes: Sequence[int], fill: Any) -> NDArray[Any]:
    example = next(column for column in columns if column is not None)
    return np.concatenate(
        [
            np.full((n, *example.shape[1:]), fill, example.dtype) if column is None else column
            for column, n in zip(columns, sizes, strict=True)
        ]
    )


def write(path: str | PathLike[str], arrays: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Write arrays (a mapping among them becomes `annotation/...`) and a JSON header."""
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"Expected a file name that ends in .npz, got {path.name!r}.")
    stored: dict[str, Any] = {}
    for name, value in arrays.items():
        if isinstance(value, Mapping):
            stored |= {_ANNOTATION + key: column for key, column in value.items()}
        elif value is not None:
            stored[name] = value
    stored["header"] = np.array(json.dumps({"format": _FORMAT, **header}, allow_nan=False))
    objects = [name for name, column in stored.items() if column.dtype.hasobject]
    if objects:  # NumPy would pickle them
        raise ValueError(f"Expected columns of numbers or text, got Python objects in {objects}.")
    write_whole(path, lambda part: np.savez_compressed(part, **stored))


def read(archive: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the header of a file that `write` made."""
    stored = {name: archive[name] for name in archive}
    header = json.loads(str(stored.pop("header")), parse_constant=int)  # int("NaN") raises
    if header.pop("format") != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}")
    annotations = {k.removeprefix(_ANNOTATION): v for k, v in stored.items() if "/" in k}
    return {k: v for k, v in stored.items() if "/" not in k} | {"annotations": annotations}, header
