"""One value a file, from a column of a CSV file: read, and matched to the files of a folder."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from synthray._files import reading
from synthray.exceptions import FileFormatError

Labels: TypeAlias = tuple[str | os.PathLike[str], str, str]

_NAME_COLUMNS = ("name", "file", "filename", "file_name", "path", "image")
_MISSING = ("na", "n/a", "#n/a", "nan", "null", "none")  # as spreadsheets and pandas write it


@dataclass(frozen=True)
class Table:
    """Two columns of a CSV file.

    Attributes:
        path: The file.
        key: Name of the column with file names.
        column: Name of the column with values.
        values: From file name, as the table has it but with `/`, to value; `""` if it is missing.
    """

    path: Path
    key: str
    column: str
    values: dict[str, str]

    def rows_of(self, names: Iterable[str]) -> dict[str, str]:
        """Return the file name in the table for each of the files that have a row.

        A row fits a file if one of their paths ends with the other, whole folders at a time. The
        row may lack the extension. An equal path goes before all others.

        Args:
            names: Paths relative to the folder, with `/`.

        Raises:
            ValueError: If a row fits several files, or a file several rows of different values.
        """
        by_base = defaultdict(list)
        for key in self.values:
            by_base[key.rpartition("/")[2]].append(key)
        found = {}
        for name in names:
            if name in self.values:
                found[name] = name
                continue
            bare = os.path.splitext(name)[0]
            keys = [k for n in (name, bare) for k in by_base[n.rpartition("/")[2]] if _ends(n, k)]
            if len({self.values[key] for key in keys}) > 1:
                raise ValueError(
                    f"Expected one row a file in {str(self.path)!r}, got several that fit "
                    f"{name!r} and have another {self.column!r}, such as {keys[0]!r} and "
                    f"{keys[-1]!r}. Write paths relative to the folder into column {self.key!r}."
                )
            if keys:
                found[name] = keys[0]
        files_of = defaultdict(list)
        for name, key in found.items():
            files_of[key].append(name)
        several = [(key, files) for key, files in files_of.items() if len(files) > 1]
        shared = [name for key, files in several for name in files if name != key]
        if shared:
            raise ValueError(
                f"Expected relative paths in column {self.key!r} of {str(self.path)!r}, got bare "
                f"file names that {len(shared):,} images share with another, such as {shared[0]!r}."
            )
        return found


def _ends(name: str, key: str) -> bool:
    return f"/{name}".endswith(f"/{key}") or f"/{key}".endswith(f"/{name}")


def read_table(
    file: str | os.PathLike[str], root: Path, column: str, key: str | None = None
) -> Table:
    """Read a column of a CSV file.

    Args:
        file: Looked for in the working directory, then in `root`.
        root: The folder with the images.
        column: Name of the column with values.
        key: Name of the column with file names; by default the first with a usual name for it, or
            else the first.

    Raises:
        FileNotFoundError: If there is no such file.
        FileFormatError: If it is not CSV in UTF-8, or lacks a column.
        ValueError: If a file has several values.
    """
    here = Path(file)
    path = here if here.is_file() else root / here
    with reading(path, "CSV in UTF-8") as stream:
        reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        columns = next(reader, [])
        others = [name for name in columns if name != column]
        keys = [name for name in others if name.strip().lower() in _NAME_COLUMNS] or others
        keys = keys[:1] if key is None else [key]
        if not keys or any(columns.count(name) != 1 for name in (*keys, column)):
            wanted = "of file names" if key is None else repr(key)
            raise FileFormatError(
                f"Expected a column {wanted} and a column {column!r} in {str(path)!r}, each "
                f"once, got {columns[:20]}."
            )
        places = columns.index(keys[0]), columns.index(column)
        rows = [[row[i].strip() if i < len(row) else "" for i in places] for row in reader if row]
    values: dict[str, str] = {}
    for name, value in rows:
        name = name.replace("\\", "/").removeprefix("./")
        if not name:
            continue
        value = "" if value.lower() in _MISSING else value
        if values.setdefault(name, value) != value:
            raise ValueError(
                f"Expected one {column!r} a file in {str(path)!r}, got {values[name]!r} and "
                f"{value!r} for {name!r}."
            )
    return Table(path, keys[0], column, values)


def table_labels(
    labels: Labels, root: Path, names: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the label of each file that has one, and why the other files and rows have none.

    Args:
        labels: CSV file, column of file names, column of labels.
        root: The folder with the images.
        names: Their paths relative to it.

    Raises:
        TypeError: If `labels` are not these three.
    """
    if not (isinstance(labels, tuple | list) and len(labels) == 3):
        raise TypeError(
            "Expected labels as (CSV file, column of file names, column of labels), got "
            f"{labels!r}."
        )
    table = read_table(labels[0], root, labels[2], labels[1])
    rows = table.rows_of(names)
    if not rows:
        raise ValueError(
            f"Expected names of files below {str(root)!r} in column {table.key!r} of "
            f"{str(table.path)!r}, got {list(table.values)[:3]}; the files are {names[:3]}."
        )
    found = {name: table.values[key] for name, key in rows.items() if table.values[key]}
    where = f"{table.path.name!r}"
    lost = {
        name: f"{where} has no {table.column!r} for it" if name in rows else f"not in {where}"
        for name in names
        if name not in found
    }
    without = table.values.keys() - set(rows.values())
    return found, lost | {
        key: f"no such file, although {where} has a row for it" for key in without
    }
