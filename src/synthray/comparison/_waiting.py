"""Futures as they finish, in a wait that an interrupt ends wherever it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

_Result = TypeVar("_Result")
_LOOK = 1.0  # seconds


def finished(
    futures: Iterable[Future[_Result]], *, meanwhile: Callable[[], object] | None = None
) -> Iterator[Future[_Result]]:
    """Yield futures as they finish.

    Python raises `KeyboardInterrupt` in its first thread, once that runs. A wait without an end
    keeps it from running where the system gave the interrupt to another thread, and on Windows
    always; so this one looks up every second, which `concurrent.futures.as_completed` does not.

    Args:
        futures: What to wait for.
        meanwhile: Called every second.
    """
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
        yield from done
        if meanwhile is not None:
            meanwhile()
