"""`plot_nearest`: synthetic images above the real ones that are most like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synthray.backbones.image_features import Backbone, ImageFeatures, image_features
from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.duplicates import image_array
from synthray.reports.figures import class_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 20  # columns


def plot_nearest(
    synthetic: ImageDataset | NDArray[np.uint8],
    real: ImageDataset | NDArray[np.uint8],
    *,
    k: int = 3,
    features: ImageFeatures | Backbone | None = None,
) -> Figure:
    """Draw synthetic images, and below each the real images that are nearest to it.

    A generator that copies shows its training images again; one that has learnt shows images whose
    neighbours differ from them. Nearest is by Euclidean distance of features.

    Args:
        synthetic: 1 to 20 images: an `ImageDataset`, or `uint8` of shape `(n, h, w, c)`.
        real: Real images, such as those that the generator was trained on.
        k: How many neighbours of each.
        features: As for [`evaluate_samples`][synthray.evaluate_samples].

    Raises:
        ValueError: If there are other numbers of images, or fewer real ones than `k`.

    Examples:
        >>> import synthray as sr
        >>> bones = sr.make_phantoms(12, image_shape=(32, 32, 1), seed=0)
        >>> figure = sr.plot_nearest(bones.images[:3], bones.images[3:], k=2)
        >>> len(figure.axes)  # three columns of an image and its two neighbours
        9
    """
    made, known = image_array(synthetic, "synthetic"), image_array(real, "real")
    if not 1 <= len(made) <= _MOST or not 1 <= k <= len(known):
        raise ValueError(
            f"Expected 1 to {_MOST} synthetic images and 1 to {len(known)} neighbours of each, got "
            f"{len(made)} and {k}. Pass those to be shown, such as images[:10]."
        )
    from sklearn.neighbors import NearestNeighbors

    judge = image_features(features, "judging")
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(judge(known))
    found = search.kneighbors(judge(made), return_distance=False)
    rows = {"synthetic": made, "nearest real": known[found[:, 0]]}
    rows |= {f"{place + 1}. nearest": known[found[:, place]] for place in range(1, k)}
    return class_rows(rows, len(made))
