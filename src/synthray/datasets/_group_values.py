"""One group an image, from a CSV column, a function of the name, or an array."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray.datasets._columns import as_groups

Groups: TypeAlias = "tuple[str | os.PathLike[str], str] | Callable[[str], str | int] | ArrayLike"

_NAME_COLUMNS = ("name", "file", "filename", "file_name", "path", "image")


def group_values(
    groups: Groups | None, root: Path, found: Sequence[str], kept: NDArray[np.intp]
) -> NDArray[Any] | None:
    """The groups of the images that were kept.

    Args:
        groups: As `load_image_folder` takes it.
        root: The folder that was loaded.
        found: Relative path of every file found, sorted.
        kept: Positions in `found` of the images that were decoded, ascending.

    Returns:
        Integers or strings, shape `(len(kept),)`, or `None` where `groups` is.
    """
    if groups is None:
        return None
    names = [found[i] for i in kept]
    if callable(groups):
        return _from_function(groups, names)
    if isinstance(groups, (str, os.PathLike)):
        raise TypeError(
            f"Expected groups as a pair (CSV file, column), a function or an array, got "
            f"{groups!r}. Name the column too: groups=({os.fspath(groups)!r}, 'patient')."
        )
    if isinstance(groups, tuple) and len(groups) == 2 and isinstance(groups[1], str):
        return _from_csv(_locate(groups[0], root), groups[1], names)
    values = as_groups(groups)
    if values.ndim != 1 or len(values) not in (len(found), len(kept)):
        raise ValueError(
            f"Expected groups of shape ({len(found)},), one a file found in the order of the "
            f"sorted relative paths, or ({len(kept)},), one an image decoded, got shape "
            f"{values.shape}."
        )
    return values[kept] if len(values) == len(found) else values


def _from_function(function: Callable[[str], str | int], names: list[str]) -> NDArray[Any]:
    values = [function(name) for name in names]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, (str, int, np.integer)):
            raise TypeError(
                f"Expected the groups function to return a string or an integer, got {value!r} "
                f"for {name!r}."
            )
    kinds = {isinstance(value, str) for value in values}
    if len(kinds) > 1:
        raise TypeError(
            "Expected the groups function to return strings or integers, got both. "
            "Wrap its result in str()."
        )
    return np.asarray(values)


def _locate(csv_file: Any, root: Path) -> Path:
    """The CSV file as given, or, where there is none, inside the folder that was loaded."""
    path = Path(csv_file)
    for candidate in (path, root / path):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"Expected the groups CSV file {str(path)!r} in the working directory or in "
        f"{str(root)!r}, got no such file."
    )


def _from_csv(path: Path, column: str, names: list[str]) -> NDArray[Any]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        if column not in columns:
            raise ValueError(f"Expected a column {column!r} in {str(path)!r}, got {columns}.")
        key = _name_column(columns, column, path)
        table: dict[str, str] = {}
        for row in reader:
            name = (row[key] or "").strip().replace("\\", "/").removeprefix("./")
            value = (row[column] or "").strip()
            if table.setdefault(name, value) != value:
                raise ValueError(
                    f"Expected one {column!r} a file in {str(path)!r}, got {table[name]!r} and "
                    f"{value!r} for {name!r}."
                )
    bases = Counter(name.rpartition("/")[2] for name in names)
    values, missing, shared = [], [], []
    for name in names:
        base = name.rpartition("/")[2]
        if name not in table and base in table and bases[base] > 1:
            shared.append(name)
        value = table.get(name) or table.get(base)
        if not value:
            missing.append(name)
        values.append(value or "")
    if missing:
        raise ValueError(
            f"Expected a {column!r} for each image in {str(path)!r}, got none for "
            f"{len(missing):,} of {len(names):,}, such as {', '.join(map(repr, missing[:3]))}. "
            f"Add these rows (column {key!r}: path relative to the folder, or file name)."
        )
    if shared:
        raise ValueError(
            f"Expected relative paths in column {key!r} of {str(path)!r}, got bare file names "
            f"that {len(shared):,} images share with another, such as {shared[0]!r}."
        )
    return np.asarray(values)


def _name_column(columns: list[str], column: str, path: Path) -> str:
    """The first column called like a file name, else the first column of all."""
    others = [name for name in columns if name != column]
    if not others:
        raise ValueError(
            f"Expected a column of file names beside {column!r} in {str(path)!r}, got none."
        )
    return next((name for name in others if name.strip().lower() in _NAME_COLUMNS), others[0])
