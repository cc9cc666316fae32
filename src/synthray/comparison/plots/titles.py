"""Names of arms as they stand in plots."""

from __future__ import annotations

from synthray._report.style import short


def title(arm: str, columns: int) -> str:
    """Return the title of one of so many columns."""
    return short(arm.replace("_", " "), 26) if columns == 1 else label(arm)


def label(arm: str) -> str:
    """Return an arm's name in two short lines."""
    return "\n".join(short(line, 22) for line in arm.replace("_", " ").split(" ", 1))
