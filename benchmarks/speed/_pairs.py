"""Paired rounds: what is compared takes turns, so that a busy machine slows all of it alike.

A round times each competitor once. A ratio is taken within a round, never across rounds; of all
rounds the median is told, with the lowest and the highest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Seconds = dict[str, list[float]]


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that does the work and returns its seconds."""

    def seconds() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return seconds


def take_turns(
    competitors: Mapping[str, Callable[[], float]],
    rounds: int,
    *,
    say: Callable[[str], Any] = print,
) -> Seconds:
    """Return the seconds of each competitor in each round.

    The order turns round from one round to the next: none always follows the same one.

    Args:
        competitors: Functions that do one round's work and return its seconds, by name.
        rounds: How often each of them has its turn.
        say: Called with a line a round.
    """
    seconds: Seconds = {name: [] for name in competitors}
    for number in range(rounds):
        names = list(competitors)
        for name in names if number % 2 == 0 else reversed(names):
            seconds[name].append(competitors[name]())
        told = ", ".join(f"{name} {values[-1]:.3f} s" for name, values in seconds.items())
        say(f"  round {number + 1} of {rounds}: {told}")
    return seconds


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    found = sorted(values)
    return {"median": statistics.median(found), "low": found[0], "high": found[-1]}


def paired(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """Return the spread of the ratios of two series, round by round."""
    return spread(a / b for a, b in zip(over, under, strict=True))


def times_as_fast(seconds: Seconds, ours: str = "ours") -> dict[str, dict[str, float]]:
    """Return, for each peer, how many times as fast as it we are: its seconds over ours."""
    return {name: paired(values, seconds[ours]) for name, values in seconds.items() if name != ours}


def as_text(ratio: Mapping[str, float], digits: int = 2) -> str:
    """Return a spread as `median [low, high]`."""
    return f"{ratio['median']:.{digits}f} [{ratio['low']:.{digits}f}, {ratio['high']:.{digits}f}]"
