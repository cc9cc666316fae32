"""The pictures of a comparison, for its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthray._report.png import encoded

if TYPE_CHECKING:
    from synthray.comparison.pictures import Pictures
    from synthray.comparison.result import ComparisonResult

_MOST = 96  # pictures, of all classes together


def classes(pictures: Pictures | None) -> list[dict[str, Any]]:
    """Return examples by class: its name, real and drawn pictures as lists of (URI, text)."""
    if pictures is None:
        return []
    names = list(dict.fromkeys([*pictures.real, *pictures.synthetic]))
    count = max(2, _MOST // (2 * max(len(names), 1)))
    rows = {
        (name, kind): list(shown.get(name, ()))[:count]
        for name in names
        for kind, shown in (("real", pictures.real), ("drawn", pictures.synthetic))
    }
    uris = iter(encoded([image for row in rows.values() for image in row]))
    found = {
        (name, kind): [(next(uris), f"{kind} image {i + 1} of {name}") for i in range(len(row))]
        for (name, kind), row in rows.items()
    }
    return [
        {"name": name, "real": found[name, "real"], "drawn": found[name, "drawn"]} for name in names
    ]


def pairs(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return leaked pairs: URI of a judging image, URI of its twin from training."""
    leaked = () if result.pictures is None else result.pictures.leaked
    uris = iter(encoded([image for pair in leaked for image in pair]))
    return list(zip(uris, uris, strict=True))
