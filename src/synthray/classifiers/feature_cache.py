"""Features of single images, remembered within a process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Compute = Callable[[NDArray[Any], list[int]], NDArray[np.float32]]
"""From images, and a seed for each that follows from its pixels, to their features."""

Rows: TypeAlias = dict[bytes, NDArray[np.float32]]
"""Features by names that follow from images and network."""

Packed: TypeAlias = Sequence[tuple[list[bytes], NDArray[np.float32]]]
"""The same as few arrays."""

_MOST_BYTES = 2**29
_rows: Rows = {}
_lock = threading.Lock()


def remembered(images: NDArray[Any], key: str, compute: Compute) -> NDArray[np.float32]:
    """Return the features of images; those that were computed before are not computed again.

    The last 512 MiB are kept.

    Args:
        images: One or more.
        key: All that determines the features of an image, but for its pixels.
        compute: Computes those of images that are new.
    """
    salt = hashlib.sha256(f"{key} {images.dtype} {images.shape[1:]}".encode()).digest()
    names = [image_name(each, salt) for each in images]
    with _lock:
        found = {name: _rows[name] for name in names if name in _rows}
    new = {name: place for place, name in enumerate(names) if name not in found}
    if new:
        chosen = images[list(new.values())]
        seeds = [int.from_bytes(image_name(each)[:4], "big") >> 1 for each in chosen]
        found |= zip(new, map(np.copy, compute(chosen, seeds)), strict=True)
        _keep({name: found[name] for name in new})
    return np.stack([found[name] for name in names])


def computed(compute: Callable[[], Any]) -> Rows:
    """Return the features that a call adds to those that this process remembers."""
    before = set(_rows)
    compute()
    return {name: row for name, row in _rows.items() if name not in before}


def packed(rows: Rows) -> Packed:
    """Return features as few arrays, which processes can share."""
    alike: dict[tuple[int, ...], list[bytes]] = {}
    for name, row in rows.items():
        alike.setdefault(row.shape, []).append(name)
    return [(names, np.stack([rows[name] for name in names])) for names in alike.values()]


def remember(known: Packed) -> None:
    """Remember what another process has computed."""
    _keep({name: row for names, rows in known for name, row in zip(names, rows, strict=True)})


def _keep(rows: Rows) -> None:
    with _lock:
        _rows.update(rows)
        held = sum(row.nbytes for row in _rows.values())
        while held > _MOST_BYTES:
            held -= _rows.pop(next(iter(_rows))).nbytes


def image_name(image: NDArray[Any], salt: bytes = b"") -> bytes:
    """Return a digest of an image's pixels."""
    return hashlib.blake2b(image.tobytes(), key=salt, digest_size=16).digest()
