"""Small image sets with a known truth, and measures on them, for tests that must see learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import synthray as sr


def bars(n: int, *, size: int = 16, seed: int = 0, channels: int = 1) -> sr.ImageDataset:
    """Dark noise with a bright bar: upright (class "upright") or lying (class "lying")."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 40, (n, size, size, channels))
    labels = np.arange(n) % 2
    for image, label, place in zip(images, labels, rng.integers(2, size - 5, n), strict=True):
        rows = (slice(None), slice(place, place + 3))
        image[rows if label == 0 else rows[::-1]] += 180
    return sr.ImageDataset.from_arrays(
        images.astype(np.uint8), labels, class_names=("upright", "lying"), groups=np.arange(n)
    )


def looks(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Describe images by 4x4 blocks: their mean and how much neighbours differ in them.

    For tests: at once where a network takes seconds.
    """
    gray = np.asarray(images, float).reshape(*images.shape[:3], -1).mean(3)
    n, h, w = (gray.shape[0], gray.shape[1] // 4 * 4, gray.shape[2] // 4 * 4)
    gray = gray[:, :h, :w]
    rough = np.abs(np.diff(gray, axis=1, prepend=0)) + np.abs(np.diff(gray, axis=2, prepend=0))
    blocks = [each.reshape(n, h // 4, 4, w // 4, 4).mean((2, 4)) for each in (gray, 2 * rough)]
    return np.stack(blocks, axis=1).reshape(n, -1)


def kid(real: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> float:
    """Unbiased squared MMD with KID's cubic kernel (Binkowski et al. 2018) on 8x8 pixel means."""

    def features(images: NDArray[np.uint8]) -> NDArray[Any]:
        n, h, w, _ = images.shape
        blocks = images.reshape(n, 8, h // 8, 8, w // 8, -1).mean((2, 4, 5)).reshape(n, -1)
        return (blocks - 60.0) / 60.0

    def kernel(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        return (a @ b.T / a.shape[1] + 1) ** 3

    x, y = features(real), features(drawn)
    within = [
        (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))
    ]
    return float(sum(within) - 2 * kernel(x, y).mean())


def weights_of(model: Any) -> list[NDArray[Any]]:
    """All numbers a training changes: weights, optimizer state, seeds."""
    variables = [*model.variables, *model.optimizer.variables]
    return [np.asarray(v.numpy()) for v in variables if "metric" not in v.path]


def assert_equal_weights(a: Any, b: Any) -> None:
    """Bit for bit."""
    pairs = list(zip(weights_of(a), weights_of(b), strict=True))
    if not pairs:
        raise AssertionError("no weights to compare")
    for left, right in pairs:
        np.testing.assert_array_equal(left, right)


class Still:
    """In place of a generator: keeps what it is given to learn from, and makes black images."""

    weights = ()
    num_classes = None

    def __init__(self, image_shape: tuple[int, int, int], seed: int) -> None:
        self.image_shape = image_shape

    def fit(self, images: sr.ImageDataset, **_: Any) -> None:
        self.seen = images

    def sample_batches(self, n: int, **_: Any) -> Any:
        yield np.zeros((n, *self.image_shape), np.uint8)
