"""Which of some images show the radiograph of one of others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthray.audit.duplicates import ALL_VIEWS, FLAT
from synthray.audit.embedding import spreads, working_copies
from synthray.audit.families import LINK
from synthray.audit.matching import compare
from synthray.audit.registration import Registration


def find_copies(images: NDArray[np.uint8], originals: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the original whose radiograph each image shows.

    A pair is judged as by `find_duplicates`, but no image is compared with others of its own set:
    that takes less time, and many images that are alike cannot hide the original among themselves.
    Images without content count as copies only where they are byte-equal.

    Args:
        images: `uint8`, shape `(m, h, w, c)`, 1 or 3 channels.
        originals: `uint8`, shape `(n, h, w, c)`.

    Returns:
        Places in `originals`, or -1 for an image that shows none of them, shape `(m,)`.
    """
    found = np.full(len(images), -1, np.int64)
    first: dict[bytes, int] = {}
    for place, original in enumerate(originals):
        first.setdefault(original.tobytes(), place)
    for place, image in enumerate(images):
        found[place] = first.get(image.tobytes(), -1)
    both = np.concatenate([originals, images])
    copies = working_copies(both)
    n = len(originals)
    content = spreads(both, copies) > FLAT
    among = np.flatnonzero(content[:n])
    places = n + np.flatnonzero(content[n:] & (found < 0))
    if not len(among) or not len(places):
        return found
    evidence = compare(
        copies,
        Registration(copies),
        places,
        among=among,
        views=ALL_VIEWS,
        hypotheses=2,
        advance=lambda share: None,
    )
    best = np.full(len(images), LINK)
    for i, j, odds in zip(evidence.i, evidence.j, evidence.log_odds, strict=True):
        if odds >= best[j - n]:  # the originals come first, so that i is one of them
            best[j - n], found[j - n] = odds, i
    return found
