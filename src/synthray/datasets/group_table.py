"""One group an image, from a CSV column, a function of the name, or an array."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthray.datasets.columns import as_groups
from synthray.datasets.table import Table, read_table

Groups: TypeAlias = "tuple[str | os.PathLike[str], str] | Callable[[str], str | int] | ArrayLike"


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
        return _from_table(read_table(groups[0], root, groups[1]), names)
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


def _from_table(table: Table, names: list[str]) -> NDArray[Any]:
    rows = table.rows_of(names)
    values = [table.values.get(rows.get(name, ""), "") for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if not value]
    if missing:
        raise ValueError(
            f"Expected a {table.column!r} for each image in {str(table.path)!r}, got none for "
            f"{len(missing):,} of {len(names):,}, such as {', '.join(map(repr, missing[:3]))}. Add "
            f"these rows (column {table.key!r}: path relative to the folder, or file name); an "
            "image without a known group needs a value of its own."
        )
    return np.asarray(values)
