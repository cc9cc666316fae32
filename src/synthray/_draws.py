"""The random draws of a training step, which a recorded step is given instead of making them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

Draw = Callable[[], Any]

_taken: ContextVar[Callable[[Draw], Any] | None] = ContextVar("taken", default=None)


def drawn(draw: Draw) -> Any:
    """Return what `draw` draws, or what the step is given in its place."""
    take = _taken.get()
    return draw() if take is None else take(draw)


@contextlib.contextmanager
def noted() -> Iterator[list[Draw]]:
    """Collect the draws that are made, in their order."""
    found: list[Draw] = []

    def take(draw: Draw) -> Any:
        found.append(draw)
        return draw()

    with _taking(take):
        yield found


@contextlib.contextmanager
def given(values: Iterable[Any]) -> Iterator[None]:
    """Hand out values instead of draws, in the order of `noted`.

    Raises:
        ValueError: If there are more or fewer draws than values.
    """
    left = iter(values)

    def take(draw: Draw) -> Any:
        for value in left:
            return value
        raise ValueError("The step draws more often than it did before.")

    with _taking(take):
        yield
    if any(True for _ in left):
        raise ValueError("The step draws less often than it did before.")


@contextlib.contextmanager
def _taking(take: Callable[[Draw], Any]) -> Iterator[None]:
    before = _taken.set(take)
    try:
        yield
    finally:
        _taken.reset(before)
