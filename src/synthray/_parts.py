"""Work on long arrays in parts, one after the other or in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from joblib import cpu_count

_Part = TypeVar("_Part")


def slices(n: int, size: int) -> Iterator[slice]:
    """Yield the rows of each part of so many; the last one may have fewer."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def in_threads(
    function: Callable[[slice], _Part],
    parts: Iterable[slice],
    done: Callable[[int], Any] | None = None,
) -> list[_Part]:
    """Return what a function returns for each part, in their order.

    The operations of arrays run outside the interpreter's lock, so that threads suffice.

    Args:
        function: Gets the rows of a part.
        parts: The rows.
        done: Called with the number of rows of each part that is done.
    """
    parts, found = list(parts), []
    with ThreadPoolExecutor(cpu_count()) as threads:
        for part, each in zip(parts, threads.map(function, parts), strict=True):
            found.append(each)
            if done:
                done(part.stop - part.start)
    return found
