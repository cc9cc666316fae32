"""One group an image, from a CSV column, a function of the name, or an array."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray._files import reading
from synthray.datasets.columns import as_groups
from synthray.exceptions import FileFormatError

Groups: TypeAlias = "tuple[str | os.PathLike[str], str] | Callable[[str], str | int] | ArrayLike"

_NAME_COLUMNS = ("name", "file", "filename", "file_name", "path", "image")
_MISSING = ("na", "n/a", "#n/a", "nan", "null", "none")  # as spreadsheets and pandas write it


def group_values(
    groups: Groups | None, root: Path, found: Sequence[str], kept: NDArray[np.intp]
) -> NDArray[Any] | None:
    """Return the groups of the images that were kept.

    Args:
        groups: As `load_image_folder` takes it.
        root: The folder that was loaded.
        found: Relative path of every file found, sorted.
        kept: Positions in `found` of the images that were decoded, ascending.

    Returns:
        Integers or strings, shape `(len(kept),)`, or `None` if `groups` is `None`.
    """
    if groups is None:
        return None
    names = [found[i] for i in kept]
    if callable(groups):
        return _from_function(groups, names)
    if isinstance(groups, str | os.PathLike):
        raise TypeError(
            f"Expected groups as a pair (CSV file, column), a function or an array, got "
            f"{groups!r}. Name the column too: groups=({os.fspath(groups)!r}, 'patient')."
        )
    if isinstance(groups, tuple) and len(groups) == 2 and isinstance(groups[1], str):
        here = Path(groups[0])
        return _from_csv(here if here.is_file() else root / here, groups[1], names)
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
    kinds = {"string" if isinstance(value, str) else type(value).__name__ for value in values}
    if len(kinds) > 1 or not all(isinstance(value, str | int | np.integer) for value in values):
        raise TypeError(
            "Expected the groups function to return a string for each image, or an integer for "
            f"each, got {' and '.join(sorted(kinds))}. Wrap its result in str()."
        )
    return np.asarray(values)


def _from_csv(path: Path, column: str, names: list[str]) -> NDArray[Any]:
    key, table = _read_csv(path, column)
    bases = [name.rpartition("/")[2] for name in names]
    counts = Counter(bases)
    pairs = list(zip(names, bases, strict=True))
    missing = [name for name, base in pairs if not (table.get(name) or table.get(base))]
    if missing:
        raise ValueError(
            f"Expected a {column!r} for each image in {str(path)!r}, got none for "
            f"{len(missing):,} of {len(names):,}, such as {', '.join(map(repr, missing[:3]))}. "
            f"Add these rows (column {key!r}: path relative to the folder, or file name); an image "
            "without a known group needs a value of its own."
        )
    shared = [name for name, base in pairs if name not in table and counts[base] > 1]
    if shared:
        raise ValueError(
            f"Expected relative paths in column {key!r} of {str(path)!r}, got bare file names "
            f"that {len(shared):,} images share with another, such as {shared[0]!r}."
        )
    return np.asarray([table.get(name) or table[base] for name, base in pairs])


def _read_csv(path: Path, column: str) -> tuple[str, dict[str, str]]:
    """Return the name of the column with file names, and the group of each file name."""
    with reading(path, "CSV in UTF-8") as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
        columns = next(reader, [])
        others = [name for name in columns if name != column]
        keys = [name for name in others if name.strip().lower() in _NAME_COLUMNS] or others
        if not keys or columns.count(keys[0]) > 1 or columns.count(column) != 1:
            raise FileFormatError(
                f"Expected a column of file names and a column {column!r} in {str(path)!r}, each "
                f"once, got {columns[:20]}."
            )
        places = columns.index(keys[0]), columns.index(column)
        rows = [[row[i].strip() if i < len(row) else "" for i in places] for row in reader if row]
    table: dict[str, str] = {}
    for name, value in rows:
        name = name.replace("\\", "/").removeprefix("./")
        value = "" if value.lower() in _MISSING else value
        if table.setdefault(name, value) != value:
            raise ValueError(
                f"Expected one {column!r} a file in {str(path)!r}, got {table[name]!r} and "
                f"{value!r} for {name!r}."
            )
    return keys[0], table
