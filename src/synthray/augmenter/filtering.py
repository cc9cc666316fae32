"""Generating images until enough of them pass a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray._seeds import spawn_seeds
from synthray.datasets.image_dataset import ImageDataset
from synthray.evaluation.filtering import FilterReport

Filter = Callable[[ImageDataset, ImageDataset], FilterReport | ImageDataset]

_ROUNDS = 64
_FEWEST, _MOST = 32, 2048  # images generated in a round
_SPARE = 1.1
_LEAST_KEPT = 0.02  # of the images generated
_JUDGED_AFTER = 512  # images generated


def generate_filtered(
    generate: Callable[..., Iterator[NDArray[np.uint8]]],
    wanted: int,
    keep: Filter,
    real: ImageDataset,
    *,
    label: int,
    seed: int,
    tally: dict[str, Any],
) -> Iterator[NDArray[np.uint8]]:
    """Yield images of one class that a filter has kept, until there are as many as wanted.

    Args:
        generate: Called with a number and `seed=`, returns so many images, in batches.
        wanted: How many.
        keep: Called with a data set of synthetic images and the real ones, returns those to keep,
            as a data set or a report.
        real: The real training images.
        label: Label of the class.
        seed: Seed of the images.
        tally: Filled with the numbers of images: generated, kept, and by reason where the filter
            reports; and with the networks that chose them, where the filter says so.

    Raises:
        RuntimeError: If the filter keeps next to nothing.
        TypeError: If the filter returns something else.
    """
    tally |= {"generated": 0, "kept": 0}
    lacking = wanted
    for round_seed in spawn_seeds(seed, _ROUNDS):
        if not lacking:
            return
        # As many as should do at the share that was kept so far.
        share = max(tally["kept"], 1) / tally["generated"] if tally["generated"] else 1.0
        n = min(max(round(lacking / share * _SPARE), _FEWEST), _MOST)
        samples = ImageDataset.from_arrays(
            np.concatenate(list(generate(n, seed=round_seed))),
            np.full(n, label),
            class_names=real.class_names,
            synthetic=True,
        )
        result: Any = keep(samples, real)
        kept = result.samples if isinstance(result, FilterReport) else result
        if not isinstance(kept, ImageDataset):
            raise TypeError(
                "filter must return a FilterReport or the ImageDataset of what it keeps, got "
                f"{type(kept).__name__}."
            )
        counts = result.counts if isinstance(result, FilterReport) else {}
        for key, count in {"generated": n, "kept": len(kept), **counts}.items():
            tally[key] = tally.get(key, 0) + count
        if "networks" in kept.provenance:
            tally["networks"] = kept.provenance["networks"]
        yield kept.images[:lacking]
        lacking -= min(lacking, len(kept))
        if tally["generated"] >= max(_JUDGED_AFTER, tally["kept"] / _LEAST_KEPT):
            break
    if lacking:
        raise RuntimeError(
            f"The filter kept {tally['kept']} of {tally['generated']} images of class "
            f"{real.class_names[label]!r}, too few to reach {wanted} ({tally}). Train the "
            "generator for longer, or loosen the filter; filter_samples(augmenter.sample(...), "
            "train) shows what it says about images of an augmenter without a filter."
        )
