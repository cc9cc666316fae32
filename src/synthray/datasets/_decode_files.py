"""Many image files to pixels: in threads, with a progress bar."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthray.datasets._decode import ImageTooLargeError
from synthray.datasets._decode_chunk import decode_chunk
from synthray.datasets._layout import Fit

_BAR_FROM = 500  # files; fewer are read before a progress bar would say anything
# Files a task. One task a file spends as long on the queue as on a small image; but where there are
# few, and large, one thread should not be left with the last of them.
_MOST_A_TASK = 16
_TASKS_A_THREAD = 32


@dataclass(frozen=True)
class DecodeOptions:
    """How `decode_files` reads; the arguments of `load_image_folder` of the same names."""

    fit: Fit
    strict: bool
    max_pixels: int
    workers: int | None
    progress: bool


def decode_files(
    root: Path, names: Sequence[str], outs: Sequence[NDArray[np.uint8]], options: DecodeOptions
) -> dict[str, str]:
    """Decode each file of `names` into its array of `outs`, of shape `(height, width, channels)`.

    Returns:
        The reason for each name that cannot be read; its array stays as it was.

    Raises:
        ValueError: If a file has more than `max_pixels` pixels, or, where `strict`, cannot be
            read; it names the first such file in the order of `names`.
    """
    workers = options.workers or _cpus()
    step = min(_MOST_A_TASK, -(-len(names) // (workers * _TASKS_A_THREAD))) or 1

    def attempt(start: int) -> list[Exception | None]:
        part = slice(start, start + step)
        paths = [os.path.join(root, name) for name in names[part]]
        return decode_chunk(outs[part], paths, fit=options.fit, max_pixels=options.max_pixels)

    reasons: dict[str, str] = {}
    advance = _progress_bar(len(names), step, shown=options.progress)
    pool = ThreadPoolExecutor(workers)
    # Pillow warns of odd metadata and of big images: the first nobody can act on, the second has
    # a limit of its own here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            starts = range(0, len(names), step)
            for start, errors in zip(starts, pool.map(attempt, starts), strict=True):
                for name, error in zip(names[start : start + step], errors, strict=True):
                    if error is not None:
                        reasons[name] = _reason(name, error, options)
                advance(start + len(errors))
        finally:
            pool.shutdown(cancel_futures=True)
    return reasons


def _reason(name: str, error: Exception, options: DecodeOptions) -> str:
    """The error as text, or, where it is to stop the loading, raised."""
    if isinstance(error, ImageTooLargeError):
        raise ValueError(
            f"Expected images of at most max_pixels={options.max_pixels:,} pixels, got {name!r}: "
            f"{error}. Remove the file, or, if you trust it, raise max_pixels."
        ) from error
    if options.strict:
        raise ValueError(
            f"Cannot read {name!r}: {error}. Repair or remove the file, or pass strict=False to "
            "skip such files."
        ) from error
    return str(error)


def _progress_bar(total: int, step: int, *, shown: bool) -> Callable[[int], None]:
    """A function of the number of files done that draws the bar, or does nothing."""
    if not shown or total < _BAR_FROM:
        return lambda done: None
    import keras  # only here: the decoding itself needs no framework

    bar = keras.utils.Progbar(total, unit_name="file")

    def advance(done: int) -> None:
        if done == total or done // step % max(1, total // step // 50) == 0:
            bar.update(done, finalize=done == total)

    return advance


def _cpus() -> int:
    """Cores that this process may use: in a container, fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
