"""What long work says: lines that obey Keras' switch for its own, and progress bars."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

import keras
from tqdm.auto import tqdm

_log = logging.getLogger("synthray")
_LINES = 10  # that a bar writes into a log
# Seconds before a bar appears and between two of its states, and how it looks.
_LIVE: dict[str, Any] = {"delay": 1.0, "mininterval": 0.5, "dynamic_ncols": True}
_IN_A_LOG: dict[str, Any] = {
    "delay": 10.0,
    "mininterval": 0.0,
    "maxinterval": float("inf"),
    "ascii": True,
    "bar_format": "{desc}: {n_fmt} of {total_fmt}{unit} in {elapsed}, {remaining} to go\n",
}


def say(text: str, *, verbose: Any = "auto") -> None:
    """Print a line where Keras prints its own (`verbose=0` is silence), and log it in any case."""
    _log.info(text)
    if verbose != 0 and keras.utils.is_interactive_logging_enabled():
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


@contextlib.contextmanager
def resumable(workdir: Any, *, verbose: Any = "auto") -> Iterator[None]:
    """Say, where Ctrl-C ends work that is kept in a folder, that the same call goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if workdir is not None:
            say("\nInterrupted. The same call with this workdir goes on there.", verbose=verbose)
        raise


def progress_bar(total: int, what: str, *, unit: str, verbose: Any = "auto") -> Any:
    """Return a `tqdm` bar: live in a terminal or notebook, ten lines in a log.

    Args:
        total: Units of work; more may turn out.
        what: Stands in front of the bar.
        unit: Name of a unit.
        verbose: 0 for silence.
    """
    live = sys.stdout.isatty() or tqdm.__name__ == "tqdm_notebook"
    options = _LIVE if live else {**_IN_A_LOG, "miniters": max(1, total // _LINES)}
    silent = verbose == 0 or not total
    return tqdm(total=total, desc=what, unit=f" {unit}", disable=silent, file=sys.stdout, **options)


def duration(seconds: float) -> str:
    """Return a time in words that suit its size."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
