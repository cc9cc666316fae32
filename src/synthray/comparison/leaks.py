"""A cheap look for test images that were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from synthray.datasets.image_dataset import ImageDataset


@dataclass(frozen=True)
class LeakCheck:
    """Which test images are known from training.

    Finds equal pixels and equal groups only. Rotated, re-encoded or resized copies pass unseen.

    Attributes:
        n_test: Number of test images.
        identical: How many of them are byte for byte a training image.
        same_group: How many of them share a group with a training image; `None` where the groups
            of both sets cannot be compared (a set has none, or they come from different places).
    """

    n_test: int
    identical: int
    same_group: int | None = None

    @property
    def found(self) -> bool:
        """Whether there is any."""
        return bool(self.identical or self.same_group)

    @property
    def identical_share(self) -> float:
        """Share of the test images that are byte for byte a training image."""
        return self.identical / self.n_test

    def describe(self) -> str:
        """Return the finding in a sentence or two; empty where there is none."""
        parts = []
        if self.identical:
            parts.append(
                f"{self.identical} of {self.n_test} test images ({self.identical_share:.0%}) are "
                "byte-identical to training images"
            )
        if self.same_group:
            parts.append(
                f"{self.same_group} of {self.n_test} test images "
                f"({self.same_group / self.n_test:.0%}) share a group with training images"
            )
        if not parts:
            return ""
        return (
            f"LEAK: {' and '.join(parts)}. The scores measure memory, not what the classifier "
            "would do on new patients. Split one data set with split(), which keeps groups whole."
        )


def check_leaks(train: ImageDataset, test: ImageDataset) -> LeakCheck:
    """Compare the images, and where that means something the groups, of two data sets.

    Groups are compared where both sets have them and have the same provenance (but for the name of
    the split): a patient 7 here and a patient 7 there are then the same person.
    """
    known = set(_hashes(train))
    identical = sum(digest in known for digest in _hashes(test))
    same_group = None
    if (
        train.groups is not None
        and test.groups is not None
        and _origin(train.provenance) == _origin(test.provenance)
        and (train.groups.dtype.kind in "iu") == (test.groups.dtype.kind in "iu")
    ):
        same_group = int(np.isin(test.groups, train.groups).sum())
    return LeakCheck(len(test), identical, same_group)


def _hashes(data: ImageDataset) -> list[bytes]:
    return [blake2b(image.tobytes(), digest_size=16).digest() for image in data.images]


def _origin(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key != "split"}
