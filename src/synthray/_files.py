"""Files: written whole or not at all, read with limits, and folders that one process holds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from synthray.exceptions import FileFormatError

MAX_BYTES = 4 * 2**30  # that an `.npz` file may unpack to
_LONGEST = 100  # part of a file name
_HELD: set[Path] = set()
_DEVICE = re.compile(r"|con|prn|aux|nul|(com|lpt)\d", re.IGNORECASE)  # no file names on Windows


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file so that its name never stands for a part of it, whenever the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
    part.touch(exist_ok=False)  # what others have put there, such as a link, is not written to
    try:
        with naming(path):
            write(part)
            with part.open("r+b") as file:
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path, *spoilt: Path) -> Iterator[None]:
    """Let errors of the system name a path, as that of a full disk does not; remove folders."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        for folder in spoilt:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def write_json(path: Path, value: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write plain values as JSON with a hash of them, whole or not at all."""
    body = json.dumps(value, indent=indent, allow_nan=False).encode() + b"\n"
    write_whole(path, lambda part: part.write_bytes(_seal(body) + body[1:]))


def _seal(body: bytes) -> bytes:
    """Return the first line of a JSON object: the hash of the object without this line."""
    return b'{"content_sha256": "%s",\n' % hashlib.sha256(body).hexdigest().encode()


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str, hint: str = "") -> Iterator[BufferedReader]:
    """Open a file that may be anything; an error of any kind becomes one that names the file.

    Args:
        path: Of a regular file: a pipe or a device would keep its reader waiting.
        what: What it should be.
        hint: What to do if it is not.

    Raises:
        FileNotFoundError: If there is no such file.
        FileFormatError: If anything else goes wrong, in the block too.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError("no regular file")
        with open(path, "rb") as file:
            yield file
    except (FileNotFoundError, FileFormatError):
        raise
    except Exception as error:
        text = f"{path} is damaged, or is not {what} ({type(error).__name__}: {error}). {hint}"
        raise FileFormatError(text.rstrip()) from error


@contextlib.contextmanager
def open_json(path: str | os.PathLike[str], what: str, hint: str = "") -> Iterator[dict[str, Any]]:
    """Return what `write_json` wrote; errors are those of `reading`, in the block too."""
    with reading(path, what, hint) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES // 4:
            raise ValueError("more than 1 GiB")
        data = file.read()
        values = json.loads(data, parse_constant=int)  # int("NaN") raises: it is no JSON
        size = len(_seal(b""))
        if data[:size] != _seal(b"{" + data[size:]):
            raise ValueError("its content has another SHA-256 than it says")
        yield values


@contextlib.contextmanager
def open_npz(
    path: str | os.PathLike[str], max_bytes: int | None, what: str, hint: str = ""
) -> Iterator[Mapping[str, Any]]:
    """Return the arrays of an `.npz` file, each of which is read when it is looked up.

    Errors are those of `reading` and `check_archive`, in the block too.
    """
    with reading(path, what, hint) as file:
        check_archive(file, max_bytes)
        with np.load(file, allow_pickle=False) as arrays:
            yield arrays


def check_archive(file: BufferedReader, max_bytes: int | None = None) -> None:
    """Raise if a zip file unpacks to more than `max_bytes`, or than the memory that is free.

    `None` allows `MAX_BYTES`, but above 256 MiB no more than 40 times the size of the file: images
    and weights do not shrink so far, and bombs do.
    """
    with zipfile.ZipFile(file) as archive:
        sizes = [entry.file_size for entry in archive.infolist()]
    most = max_bytes or min(MAX_BYTES, max(2**28, 40 * os.fstat(file.fileno()).st_size))
    limit = min(most, free_memory())
    if sum(sizes) > limit or len(sizes) > 10_000:
        raise ValueError(
            f"it unpacks to {sum(sizes):,} bytes in {len(sizes):,} parts; at most {limit:,} "
            "(max_bytes=, or the memory that is free) in 10,000 are read"
        )
    file.seek(0)


def free_memory() -> int:
    """Return the bytes of memory that are free, where the system tells."""
    told = Path("/proc/meminfo")  # on Linux
    if not told.exists():
        return sys.maxsize
    return 1024 * int(told.read_text(encoding="ascii").partition("MemAvailable:")[2].split()[0])


def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    with reading(path, "a file with a hash") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def held(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep other processes out of a folder, until the block ends or this process does.

    The operating system holds the lock, on the file `.lock`. Within a process blocks may be nested.
    `None` is no folder. Windows and some network file systems have no such locks.

    Raises:
        RuntimeError: If another process holds it; the message says which.
    """
    root = None if folder is None else Path(folder).resolve()
    if root is None or root in _HELD:
        yield
        return
    root.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    lock = os.open(root / ".lock", flags, 0o666)
    with naming(root / ".lock"), os.fdopen(lock, "r+", errors="replace") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"{root} is in use by {file.read(200)}. Wait for it, or use another folder."
            ) from None
        except (ImportError, OSError):
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        _HELD.add(root)
        try:
            yield
        finally:
            _HELD.discard(root)


def slug(name: str) -> str:
    """Turn a name into a file name of any system; with a hash where it is long or changed."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)
    if plain == name and len(name) <= _LONGEST and not _DEVICE.fullmatch(name):
        return plain
    return f"{plain[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
