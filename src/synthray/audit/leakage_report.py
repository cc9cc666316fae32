"""`LeakageReport`: what `audit_leakage` found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray._report.images import pair_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class LeakageReport:
    """What training and test images have in common. `print` shows a table and a verdict.

    Attributes:
        n_train: Number of training images.
        n_test: Number of test images.
        class_names: Names of the classes, in label order.
        twins: For each test image a training image of the same radiograph, -1 where there is none;
            shape `(n_test,)`.
        train_twins: Whether a training image has a twin among the test images, `(n_train,)`.
        identical: Whether a test image has the very pixels of a training image, `(n_test,)`.
        test_labels: Classes of the test images, `(n_test,)`.
        train_labels: Classes of the training images, `(n_train,)`.
        test_families: Families of the test images, equal for one radiograph, `(n_test,)`.
        conflicts: Pairs of a test and a training image that show one radiograph and have two
            classes, shape `(m, 2)`: one pair a test image.
        same_group: Test images that share a given group (a patient) with training; `None` where
            the groups of both sets cannot be compared (a set has none, or they come from different
            places).
        examples: A few pairs of a test image and its twin. `to_dict` leaves them out.
    """

    n_train: int
    n_test: int
    class_names: tuple[str, ...]
    twins: NDArray[np.int64]
    train_twins: NDArray[np.bool_]
    identical: NDArray[np.bool_]
    test_labels: NDArray[np.int64]
    train_labels: NDArray[np.int64]
    test_families: NDArray[np.int64]
    conflicts: NDArray[np.int64]
    same_group: int | None = None
    examples: tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], ...] = field(default=())

    @property
    def found(self) -> bool:
        """Whether any test image is known from training."""
        return bool((self.twins >= 0).any() or self.same_group)

    @property
    def test_share(self) -> float:
        """Share of the test images that have a twin in training."""
        return float((self.twins >= 0).mean())

    @property
    def train_share(self) -> float:
        """Share of the training images that have a twin among the test images."""
        return float(self.train_twins.mean())

    @property
    def identical_share(self) -> float:
        """Share of the test images that have the very pixels of a training image."""
        return float(self.identical.mean())

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """Return both shares for each class; `None` for a class without images."""
        table = {}
        for label, name in enumerate(self.class_names):
            test, train = self.test_labels == label, self.train_labels == label
            table[name] = {
                "train": float(self.train_twins[train].mean()) if train.any() else None,
                "test": float((self.twins[test] >= 0).mean()) if test.any() else None,
            }
        return table

    def describe(self) -> str:
        """Return the verdict in a few sentences."""
        if not self.found:
            return (
                f"No leak found: none of {self.n_test} test images shows a radiograph that is "
                f"among {self.n_train} training images."
            )
        parts = []
        twins = int((self.twins >= 0).sum())
        if twins:
            parts.append(
                f"{twins} of {self.n_test} test images ({self.test_share:.0%}) show a radiograph "
                f"that is in training too, {int(self.identical.sum())} of them byte-identical"
            )
        if self.same_group:
            parts.append(
                f"{self.same_group} of {self.n_test} test images "
                f"({self.same_group / self.n_test:.0%}) share a group with training images"
            )
        text = f"LEAK: {' and '.join(parts)}."
        if len(self.conflicts):
            text += f" {len(self.conflicts)} of them have another class there."
        return (
            f"{text} The scores measure memory, not what the classifier would do on new patients. "
            "Split one data set by data.with_groups(find_duplicates(data)).split()."
        )

    def __str__(self) -> str:
        """Return a table by class, and the verdict."""
        rows = [("class", "training images with a twin", "test images with a twin")]
        for name, shares in self.by_class().items():
            rows.append((name, _percent(shares["train"]), _percent(shares["test"])))
        rows.append(("all", _percent(self.train_share), _percent(self.test_share)))
        width = max(len(row[0]) for row in rows)
        lines = [f"{a.ljust(width)}  {b.rjust(27)}  {c.rjust(23)}" for a, b, c in rows]
        return "\n".join([*lines, "", self.describe()])

    __repr__ = __str__

    def plot_pairs(self, n: int = 6) -> Figure:
        """Draw test images above their twins from training.

        Args:
            n: How many pairs, at most; a report keeps eight.
        """
        return pair_columns(self.examples[:n], "test", "training")

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the images as JSON-ready values."""
        return {
            "n_train": self.n_train,
            "n_test": self.n_test,
            "class_names": list(self.class_names),
            **{name: getattr(self, name).tolist() for name in _COLUMNS},
            "same_group": self.same_group,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the report of what `to_dict` gave.

        Raises:
            ValueError: If something is missing or does not fit.
        """
        try:
            columns: dict[str, Any] = {
                name: np.asarray(values[name], kind) for name, kind in _COLUMNS.items()
            }
            report = cls(
                n_train=int(values["n_train"]),
                n_test=int(values["n_test"]),
                class_names=tuple(values["class_names"]),
                same_group=None if values["same_group"] is None else int(values["same_group"]),
                **{**columns, "conflicts": columns["conflicts"].reshape(-1, 2)},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"This is not a LeakageReport: {error!r}.") from None
        for name in ("twins", "identical", "test_labels", "test_families"):
            if len(columns[name]) != report.n_test:
                raise ValueError(f"Expected {report.n_test} {name}, got {len(columns[name])}.")
        for name in ("train_twins", "train_labels"):
            if len(columns[name]) != report.n_train:
                raise ValueError(f"Expected {report.n_train} {name}, got {len(columns[name])}.")
        return report


_COLUMNS = {
    "twins": np.int64,
    "train_twins": np.bool_,
    "identical": np.bool_,
    "test_labels": np.int64,
    "train_labels": np.int64,
    "test_families": np.int64,
    "conflicts": np.int64,
}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
