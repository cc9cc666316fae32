"""`evaluate_samples`: are drawn images like real ones, as varied, and no copies?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.audit.samples.classic import changed_copies
from synthray.audit.samples.distances import kernel_distance_interval, sliced_wasserstein
from synthray.audit.samples.features import Describe, Features, random_features, standardised
from synthray.audit.samples.memorization import memorization
from synthray.audit.samples.neighbourhoods import neighbourhoods, reach
from synthray.audit.samples.report import SampleReport, SampleScores
from synthray.datasets.image_dataset import ImageDataset

_FEWEST = 20
_K = 5
_SHOWN = 16  # pictures

Images = ImageDataset | NDArray[np.uint8]


def evaluate_samples(
    real_train: Images,
    drawn: Images,
    real_holdout: Images,
    *,
    features: Describe = random_features,
    copies: bool = True,
    seed: int = 0,
) -> SampleReport:
    """Measure how like real images drawn ones are, how varied, and whether they are copies.

    Drawn images are judged against real ones that no generator has seen, beside two yardsticks:
    training images, and classic augmentation of training images. Give one class at a time: a
    generator that mixes classes up is not seen otherwise. All sets are cut to the size of the
    smallest, for coverage and recall grow with the number of images; features are scaled to
    deviation 1 over the training images.

    Args:
        real_train: The images that the generator learnt from: an `ImageDataset`, or `uint8` of
            shape `(n, h, w)` or `(n, h, w, c)`. Groups of a data set keep copies of one radiograph
            from being each other's yardstick for `authenticity`.
        drawn: What it drew, in the same form and shape.
        real_holdout: Real images of other patients, at least 20.
        features: A function from `uint8` images `(n, h, w, c)` to numbers `(n, d)`. The default is
            a fixed random network that needs no download; compare values of one kind of features
            only.
        copies: Whether to look for copies of training images, which takes the longest.
        seed: Of the choice of images, directions, blocks and augmentation.

    Raises:
        TypeError: If a set is neither a data set nor an array.
        ValueError: If a set has fewer than 20 images or another shape, or features are not finite
            numbers, one row an image.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(90, image_shape=(32, 32, 1), seed=0).images
        >>> report = sr.evaluate_samples(data[:30], 255 - data[30:60], data[60:], copies=False)
        >>> report.scores["drawn"].kid > 10 * report.scores["real"].kid_high
        True
    """
    named = {"real_train": real_train, "drawn": drawn, "real_holdout": real_holdout}
    train, synthetic, held_out = (_checked(name, images) for name, images in named.items())
    for name, images in (("drawn", synthetic), ("real_holdout", held_out)):
        if images.shape[1:] != train.shape[1:]:
            raise ValueError(
                f"real_train has images of {train.shape[1:]}, {name} of {images.shape[1:]}. "
                "Load or resize them alike."
            )
    n = min(len(train), len(synthetic), len(held_out))
    sets = {"train": train, "drawn": synthetic, "held_out": held_out}
    sets["augmented"] = changed_copies(train, seed=seed)
    described = standardised(*(_described(features, images) for images in sets.values()))
    found = dict(zip(sets, described, strict=True))
    rng = np.random.default_rng(seed)
    chosen = {
        name: rng.permutation(len(found[name]))[:n] for name in ("train", "drawn", "held_out")
    }
    chosen["augmented"] = chosen["train"]  # the one is the other, changed
    cut = {name: found[name][rows] for name, rows in chosen.items()}
    own = reach(cut["held_out"], _K)
    scores = {
        shown: _scores(cut["held_out"], own, cut[name], seed)
        for shown, name in (("drawn", "drawn"), ("real", "train"), ("augmented", "augmented"))
    }
    screen = None
    pairs: tuple[Any, ...] = ()
    if copies:
        screen = memorization(
            *(found[name] for name in ("train", "drawn", "held_out")),
            train=train,
            drawn=synthetic,
            groups=real_train.group_codes if isinstance(real_train, ImageDataset) else None,
        )
        places = [[int(i), int(j)] for i, j in zip(screen.copies, screen.copied, strict=True)]
        places = (places or screen.closest.tolist())[: len(screen.closest)]
        pairs = tuple((synthetic[i], train[j]) for i, j in places)
    shown = {
        "real": held_out[chosen["held_out"][:_SHOWN]],
        "drawn": synthetic[chosen["drawn"][:_SHOWN]],
    }
    return SampleReport(scores=scores, n_judged=n, memorization=screen, pairs=pairs, pictures=shown)


def _scores(real: Features, own: NDArray[np.float64], images: Features, seed: int) -> SampleScores:
    kid, low, high = kernel_distance_interval(real, images, seed=seed)
    near = neighbourhoods(real, images, k=_K, real_reach=own)
    return SampleScores(
        kid=kid,
        kid_low=low,
        kid_high=high,
        swd=sliced_wasserstein(real, images, seed=seed),
        precision=near.precision,
        recall=near.recall,
        density=near.density,
        coverage=near.coverage,
    )


def _described(features: Describe, images: NDArray[np.uint8]) -> NDArray[np.floating]:
    found = np.asarray(features(images))
    if found.ndim != 2 or len(found) != len(images):
        raise ValueError(
            f"features must return numbers of shape ({len(images)}, d), got shape {found.shape}."
        )
    if not np.isfinite(found).all():
        raise ValueError("features returned values that are not finite.")
    return found


def _checked(name: str, images: Images) -> NDArray[np.uint8]:
    values = images.images if isinstance(images, ImageDataset) else images
    if not isinstance(values, np.ndarray):
        raise TypeError(
            f"{name} must be an ImageDataset or a uint8 array, got {type(images).__name__}."
        )
    if values.ndim == 3:
        values = values[..., None]
    if values.dtype != np.uint8 or values.ndim != 4 or values.shape[-1] not in (1, 3):
        raise ValueError(
            f"{name} must be uint8 of shape (n, h, w) or (n, h, w, c) with 1 or 3 channels, got "
            f"{values.dtype} of shape {values.shape}."
        )
    if len(values) < _FEWEST:
        raise ValueError(f"{name} needs at least {_FEWEST} images, got {len(values)}.")
    return values
