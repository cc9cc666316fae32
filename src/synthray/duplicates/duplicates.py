"""`find_duplicates` and `find_copies`: which images show the same radiograph."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.embedding import Detail
from synthray.duplicates.matching import LINK, SURE, Matcher, View, joined
from synthray.duplicates.working import Copies, Index, has_content, working_copies

FIRST = View(whole=True, neighbours=4, pairs=4, hypotheses=1, alike=0.0, detail=Detail(16, 64, 16))
PARTS = View(whole=False, neighbours=5, pairs=12, hypotheses=5, alike=0.8, detail=Detail(8, 32, 9))
_REPRESENTATIVES = 3
_WORTH_SAYING = 4000  # different images; fewer take seconds


def find_duplicates(
    data: ImageDataset | NDArray[np.uint8], *, verbose: Any = "auto"
) -> NDArray[np.int64]:
    """Find clusters of images that show the same radiograph, whatever was done to the file.

    It finds copies that are byte-equal, re-encoded, resized, blurred, brighter, darker, of other
    contrast, flipped, rotated by any angle, cropped, sheared by up to 20 degrees, zoomed by 0.7 to
    1.4 in each direction, or shifted by up to a fifth, with borders of any kind; of two such
    changes, most. Two exposures of one patient are two radiographs. Names, labels and groups are
    not used.

    Images are compared in gray, stretched to 64 x 64 pixels (without black bars, if all have them,
    and with the black that a shear leaves on a bright image filled by what is next to it), in two
    stages: nearest neighbours of descriptions that a rotation or flip does not change
    (Fourier magnitudes along the angle, Reddy & Chatterji 1996), of whole images and of windows
    that shear and stretch with their content (Lindeberg & Garding 1997); then registration of each
    likely pair (Lucas & Kanade 1981), judged on fine structure.
    Clusters join only if the pairs between them agree, so that one wrong pair does not chain them.
    Images without content (one gray level) count as copies only if they are byte-equal.

    Args:
        data: An `ImageDataset`, or `uint8` images, shape `(n, h, w)` or `(n, h, w, c)`.
        verbose: 0 for silence, 1 or `"auto"` for a progress bar if there are thousands of images.

    Returns:
        The duplicate cluster of each image, shape `(n,)`: `0 ... n_clusters - 1`, in order of
        first appearance. The clusters do not depend on the order of the images, and no random
        numbers are used.

    Raises:
        TypeError: If `data` is neither.
        ValueError: If the array is of another type or shape, or empty.

    Examples:
        >>> import numpy as np
        >>> import synthray as sr
        >>> data = sr.make_phantoms(4, seed=0)
        >>> turned = np.rot90(data.images, axes=(1, 2))[:2]
        >>> sr.find_duplicates(np.concatenate([data.images, turned])).tolist()
        [0, 1, 2, 3, 0, 1]
    """
    images = image_array(data, "data")
    if not len(images):
        raise ValueError("data holds no image; find_duplicates needs at least one.")
    # In the order of their contents, so that the order of the files changes nothing.
    digests = [blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images]
    _, first, codes = np.unique(digests, return_index=True, return_inverse=True)
    found = _clusters(working_copies(images)[first], verbose)[codes]
    _, places, codes = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(places))[codes], np.int64)


def find_copies(images: NDArray[np.uint8], originals: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the original whose radiograph each image shows.

    A pair is judged as in `find_duplicates`, but no image is compared with others of its own set:
    that takes less time, and many images that are alike cannot hide the original among themselves.
    Images without content count as copies only if they are byte-equal.

    Args:
        images: `uint8`, shape `(m, h, w, c)`, 1 or 3 channels.
        originals: `uint8`, shape `(n, h, w, c)`.

    Returns:
        Places in `originals`, or -1 for an image that shows none of them, shape `(m,)`.
    """
    n = len(originals)
    equal = {original.tobytes(): n - 1 - k for k, original in enumerate(originals[::-1])}
    found = np.asarray([equal.get(image.tobytes(), -1) for image in images], np.int64)
    both = np.concatenate([originals, images])
    copies = working_copies(both)
    content = has_content(copies)
    among = np.flatnonzero(content[:n])
    places = n + np.flatnonzero(content[n:] & (found < 0))
    if not len(among) or not len(places):
        return found
    evidence = Matcher(copies).compare(places, among=among, view=PARTS)
    best = np.full(len(images), LINK)
    for i, j, odds in zip(*evidence, strict=True):
        if odds >= best[j - n]:  # the originals come first, so that i is one of them
            best[j - n], found[j - n] = odds, i
    return found


def image_array(data: ImageDataset | NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return images of shape `(n, h, w, c)`.

    Raises:
        TypeError: If `data` is neither a data set nor an array.
        ValueError: If the array is of another type or shape.
    """
    images = data.images if isinstance(data, ImageDataset) else data
    if not isinstance(images, np.ndarray):
        raise TypeError(
            f"{name} must be an ImageDataset or a uint8 array of images, got {type(data).__name__}."
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"{name} must be uint8 of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3), got "
            f"{images.dtype} of shape {images.shape}. Scale floats to 0 ... 255 and convert them: "
            "np.rint(x).astype('uint8')."
        )
    return images


def check_alike(sets: Mapping[str, ImageDataset], *, may_be_empty: bool = False) -> None:
    """Check that data sets have images of one shape and the same classes.

    Raises:
        TypeError: If one is not an `ImageDataset`.
        ValueError: If one is empty, or shapes or classes differ.
    """
    for name, data in sets.items():
        if not isinstance(data, ImageDataset):
            raise TypeError(
                f"{name} must be an ImageDataset, got {type(data).__name__}. For arrays: "
                "ImageDataset.from_arrays(images, labels)."
            )
        if not (may_be_empty or len(data)):
            raise ValueError(f"{name} holds no image.")
    kinds = {name: (data.image_shape, data.class_names) for name, data in sets.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError(
            f"Expected images of one shape and the same classes, got {kinds}. Load the sets alike, "
            "or use resize, to_grayscale or to_rgb."
        )


def _clusters(copies: Copies, verbose: Any) -> Index:
    """Return clusters of images that are all different."""
    labels = np.arange(len(copies))
    places = np.flatnonzero(has_content(copies))
    if len(places) < 2:
        return labels
    matcher = Matcher(copies, verbose=verbose if len(copies) >= _WORTH_SAYING else 0)
    # A first look finds most copies; the second compares only a few of each cluster.
    near = matcher.compare(places, view=FIRST)
    labels = joined(labels, [near], link=SURE)
    kept = _representatives(labels, places)
    far = matcher.compare(kept, view=PARTS)
    return joined(labels, [near, far])


def _representatives(labels: Index, places: Index) -> Index:
    """Return a few places of each cluster, evenly spaced."""
    order = places[np.argsort(labels[places], kind="stable")]
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    kept = []
    for cluster in np.split(order, ends):
        at = np.linspace(0, len(cluster) - 1, min(_REPRESENTATIVES, len(cluster))).round()
        kept.append(cluster[at.astype(np.int64)])
    return np.sort(np.concatenate(kept))
