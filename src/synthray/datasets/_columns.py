"""The columns of an `ImageDataset`: checks, and joining those of several sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_pixels(images: ArrayLike) -> NDArray[np.uint8]:
    """Return images as `(n, h, w, c)`; the type must be `uint8` already."""
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 with values 0 to 255, got {pixels.dtype}. Convert them first: "
            "for floats of 0 to 1, np.rint(images * 255).astype('uint8')."
        )
    return pixels[..., np.newaxis] if pixels.ndim == 3 else pixels


def as_codes(labels: ArrayLike) -> NDArray[Any]:
    """Return labels as integers `(n,)`."""
    codes = np.asarray(labels)
    if codes.ndim == 2 and codes.shape[1] == 1:
        codes = codes[:, 0]
    if codes.dtype.kind == "b" or codes.size == 0:
        codes = codes.astype(np.int64)
    if codes.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers from 0, got {codes.dtype}. For names use "
            "np.unique(labels, return_inverse=True); for one-hot rows labels.argmax(axis=1)."
        )
    return codes


def as_groups(groups: ArrayLike) -> NDArray[Any]:
    """Return groups as integers or strings; `check` refuses what is neither.

    Raises:
        ValueError: If a list holds strings beside numbers that are not whole, such as NaN, which
            NumPy would write as text.
    """
    values = np.asarray(groups)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "surrogateescape")
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
        return values.astype(np.str_)  # a column of pandas
    if values.dtype.kind == "U" and not isinstance(groups, np.ndarray):
        for place, value in enumerate(np.asarray(groups, object).flat):
            if isinstance(value, float | np.floating):
                raise ValueError(
                    f"groups must be integers or strings, got {value!r} at position {place}. An "
                    "image without a known group needs a value of its own."
                )
    return values


def check(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Check all fields against each other and return them converted, arrays read-only."""
    images, labels = np.asarray(columns["images"]), np.asarray(columns["labels"])
    class_names = tuple(str(name) for name in columns["class_names"])
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "images must be uint8 of shape (n, height, width, channels) with 1 or 3 channels, got "
            f"{images.dtype} of shape {images.shape}. ImageDataset.from_arrays takes "
            "(n, height, width) too and says how to scale other types."
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers of shape ({len(images)},), one an image, got {labels.dtype} "
            f"of shape {labels.shape}."
        )
    if len(set(class_names)) != len(class_names):
        raise ValueError(f"class_names must differ from each other, got {class_names}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < len(class_names)):
        raise ValueError(
            f"labels must lie between 0 and {len(class_names) - 1}, the last of the "
            f"{len(class_names)} class names, got {labels.min()} to {labels.max()}."
        )
    groups, names = columns["groups"], columns["names"]
    synthetic = np.asarray(columns["synthetic"], bool)
    flat = {
        "labels": labels.astype(np.int64),
        "synthetic": synthetic if synthetic.size else np.zeros(len(images), bool),
        "groups": None if groups is None else as_groups(groups),
        "names": None if names is None else np.asarray(names, np.str_),
    }
    if groups is not None and flat["groups"].dtype.kind not in "iuSU":  # type: ignore[union-attr]
        raise ValueError(
            f"groups must be integers or strings, got {np.asarray(groups).dtype}. An image without "
            "a known group needs a value of its own."
        )
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
        "images": _read_only(images),
        "class_names": class_names,
        **{name: None if c is None else _read_only(c) for name, c in flat.items()},
        "annotations": {name: _read_only(column) for name, column in annotations.items()},
    }


def join_groups(groups: Sequence[NDArray[Any] | None], sizes: Sequence[int]) -> Any:
    """Join group columns; a part without groups gets a group an image, met by no other."""
    if all(part is None for part in groups):
        return None
    given = [part for part in groups if part is not None]
    if len(given) == len(groups) and len({part.dtype.kind for part in given}) == 1:
        return np.concatenate(given)
    words = [part.astype(np.str_) for part in given]
    columns = []
    for i, (part, size) in enumerate(zip(groups, sizes, strict=True)):
        if part is None:
            prefix = _unused(f"part{i}:", words)
            columns.append(np.array([f"{prefix}{row}" for row in range(size)], np.str_))
        else:
            columns.append(part.astype(np.str_))
    return np.concatenate(columns)


def _unused(prefix: str, columns: Sequence[NDArray[np.str_]]) -> str:
    """Return a prefix that no value has: parts that were joined before may have this one."""
    while any(np.char.startswith(column, prefix).any() for column in columns):
        prefix = f"+{prefix}"
    return prefix


def join_names(names: Sequence[NDArray[np.str_] | None], sizes: Sequence[int]) -> Any:
    """Join name columns; a part without names gets empty ones."""
    if all(part is None for part in names):
        return None
    pairs = zip(names, sizes, strict=True)
    return np.concatenate([np.full(n, "") if part is None else part for part, n in pairs])


def join_annotations(
    parts: Sequence[Mapping[str, NDArray[Any]]], sizes: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Join annotations; where a part lacks a column of floats, its values are NaN: not known.

    Raises:
        ValueError: If a part lacks a column of another type, which has no such value.
    """
    joined = {}
    for name in sorted(set().union(*parts)):
        example = next(part[name] for part in parts if name in part)
        if example.dtype.kind != "f" and not all(name in part for part in parts):
            raise ValueError(
                f"The annotation {name!r} ({example.dtype}) is missing from some parts. Drop it "
                "first: dataclasses.replace(data, annotations={})."
            )
        joined[name] = np.concatenate(
            [
                part[name]
                if name in part
                else np.full((size, *example.shape[1:]), np.nan, example.dtype)
                for part, size in zip(parts, sizes, strict=True)
            ]
        )
    return joined


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
