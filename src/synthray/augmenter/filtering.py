"""Drawing until enough images pass a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray._seeds import spawn_seeds
from synthray.audit.samples.filtering import FilterReport
from synthray.datasets.image_dataset import ImageDataset

Filter = Callable[[ImageDataset, ImageDataset], FilterReport | ImageDataset]
Draw = Callable[[str, int, int], NDArray[np.uint8]]

_ROUNDS = 64
_FEWEST, _MOST = 32, 2048  # images drawn in a round
_SPARE = 1.1
_LEAST_KEPT = 0.02  # of the images drawn
_JUDGED_AFTER = 512  # images drawn


def draw_filtered(
    draw: Draw,
    counts: Mapping[str, int],
    keep: Filter,
    real: ImageDataset,
    seeds: list[int],
    tally: dict[str, dict[str, int]] | None = None,
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield `(class name, images)` that a filter has kept, until each class has its number.

    Args:
        draw: Called with a class name, a number and a seed, returns so many images.
        counts: Wanted images a class, in the order of the classes.
        keep: Called with a data set of drawn images and the real ones, returns those to keep, as
            a data set or a report.
        real: The real training images.
        seeds: One a class.
        tally: Filled with the numbers of each class: drawn, kept, and by reason where the filter
            reports.

    Raises:
        RuntimeError: If the filter keeps next to nothing.
        TypeError: If the filter returns something else.
    """
    for label, ((name, wanted), seed) in enumerate(zip(counts.items(), seeds, strict=True)):
        found = {"drawn": 0, "kept": 0}
        if tally is not None:
            tally[name] = found
        lacking = wanted
        for round_seed in spawn_seeds(seed, _ROUNDS):
            if not lacking:
                break
            # As many as should do at the share that was kept so far.
            share = max(found["kept"], 1) / found["drawn"] if found["drawn"] else 1.0
            n = min(max(round(lacking / share * _SPARE), _FEWEST), _MOST)
            drawn = ImageDataset.from_arrays(
                draw(name, n, round_seed),
                np.full(n, label),
                class_names=real.class_names,
                synthetic=True,
            )
            result = keep(drawn, real)
            kept = _samples(result)
            found["drawn"] += n
            found["kept"] += len(kept)
            if isinstance(result, FilterReport):
                for reason, count in result.counts.items():
                    found[reason] = found.get(reason, 0) + count
            if len(kept):
                yield name, kept.images[:lacking]
            lacking -= min(lacking, len(kept))
            if found["drawn"] >= _JUDGED_AFTER and found["kept"] < _LEAST_KEPT * found["drawn"]:
                break
        if lacking:
            raise RuntimeError(
                f"The filter kept {found['kept']} of {found['drawn']} images drawn of class "
                f"{name!r}, so {wanted} cannot be had ({found}). Train the generator for longer, "
                "or loosen the filter; filter_samples(augmenter.sample(...), train) shows what it "
                "says about images that are drawn without it."
            )


def _samples(result: Any) -> ImageDataset:
    samples = result.samples if isinstance(result, FilterReport) else result
    if not isinstance(samples, ImageDataset):
        raise TypeError(
            "filter must return a FilterReport or the ImageDataset of what it keeps, got "
            f"{type(samples).__name__}."
        )
    return samples
