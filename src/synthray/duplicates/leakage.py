"""`audit_leakage`: which test images show radiographs of training images, as a `LeakageReport`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.duplicates import check_alike, find_duplicates
from synthray.reports.figures import pair_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EXAMPLES = 8
_PLACES = ("twins", "test_labels", "train_labels", "test_clusters", "conflicts")
_COLUMNS = dict.fromkeys(_PLACES, np.int64) | dict.fromkeys(("train_twins", "identical"), np.bool_)


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
        identical: Whether a test image has exactly the pixels of a training image, `(n_test,)`.
        test_labels: Classes of the test images, `(n_test,)`.
        train_labels: Classes of the training images, `(n_train,)`.
        test_clusters: Duplicate clusters of the test images, `(n_test,)`.
        conflicts: Pairs of a test and a training image that show one radiograph and have two
            classes, shape `(m, 2)`: at most one pair for each test image.
        same_group: How many test images share a group (a patient) with training; `None` if the
            groups of both sets cannot be compared: a set has none, or they come from different
            places.
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
    test_clusters: NDArray[np.int64]
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
        """Share of the test images that have exactly the pixels of a training image."""
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
                f"No leakage found: none of {self.n_test} test images shows a radiograph of the "
                f"{self.n_train} training images."
            )
        parts = []
        if twins := int((self.twins >= 0).sum()):
            parts.append(
                f"{twins} of {self.n_test} test images ({self.test_share:.0%}) show the radiograph "
                f"of a training image, {int(self.identical.sum())} of them byte-identical"
            )
        if self.same_group:
            parts.append(
                f"{self.same_group} of {self.n_test} test images "
                f"({self.same_group / self.n_test:.0%}) share a group with training images"
            )
        text = f"LEAKAGE: {' and '.join(parts)}."
        if len(self.conflicts):
            text += f" {len(self.conflicts)} of them have another class in training."
        return (
            f"{text} The scores measure memory and say little about new patients. To avoid it, "
            "split one data set by data.with_groups(find_duplicates(data)).split()."
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
        """Return the report that `to_dict` was called on, without its images.

        Raises:
            ValueError: If something is missing or does not fit.
        """
        try:
            columns: dict[str, Any] = {k: np.asarray(values[k], t) for k, t in _COLUMNS.items()}
            columns["conflicts"] = columns["conflicts"].reshape(-1, 2)
            report = cls(
                n_train=int(values["n_train"]),
                n_test=int(values["n_test"]),
                class_names=tuple(values["class_names"]),
                same_group=None if (n := values["same_group"]) is None else int(n),
                **columns,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"This is not a LeakageReport: {error!r}.") from None
        for name in _COLUMNS.keys() - {"conflicts"}:
            size = report.n_train if name.startswith("train") else report.n_test
            if len(columns[name]) != size:
                raise ValueError(f"Expected {size} {name}, got {len(columns[name])}.")
        return report


def audit_leakage(
    train: ImageDataset, test: ImageDataset, *, verbose: Any = "auto"
) -> LeakageReport:
    """Look for radiographs that are both in training and in the test set.

    Images are compared as in [`find_duplicates`][synthray.find_duplicates], whatever their names
    or formats. Groups are compared too if both sets have them and the same provenance (except for
    the name of the split): a patient 7 in both is then the same person.

    Args:
        train: Images to train on.
        test: Images to test on, of the same shape and classes.
        verbose: As in `find_duplicates`.

    Returns:
        What the sets have in common. The function only reports it: it neither warns nor stops.

    Raises:
        TypeError: If one is not an `ImageDataset`.
        ValueError: If shapes or classes differ, or one is empty.

    Examples:
        >>> import synthray as sr
        >>> data = sr.make_phantoms(8, seed=0)
        >>> report = sr.audit_leakage(data.select(range(6)), data.select([5, 6, 7]))
        >>> report.found, report.twins.tolist()
        (True, [5, -1, -1])
    """
    check_alike({"train": train, "test": test})
    clusters = find_duplicates(np.concatenate([train.images, test.images]), verbose=verbose)
    ours, theirs = np.split(clusters, [len(train)])
    return leakage_report(
        (train, ours, np.zeros_like(ours)),
        (test, theirs, np.ones_like(theirs)),
        same_group=shared_groups(train, test),
    )


def fold_leakage(
    data: ImageDataset, folds: NDArray[np.int64], clusters: NDArray[np.int64]
) -> LeakageReport:
    """Report what folds have in common: training on all other folds tests on each image.

    Args:
        data: The images, each in one fold.
        folds: Fold of each image, shape `(n,)`.
        clusters: Duplicate clusters as `find_duplicates` returns them, shape `(n,)`.
    """
    side = (data, clusters, folds)
    return leakage_report(side, side, same_group=None)


Side = tuple[ImageDataset, NDArray[np.int64], NDArray[np.int64]]
"""Images, their duplicate clusters, and their folds: training and test share none."""


def leakage_report(train_side: Side, test_side: Side, *, same_group: int | None) -> LeakageReport:
    """Compare each test image with the training images of its cluster in other folds."""
    train, train_clusters, train_folds = train_side
    test, test_clusters, test_folds = test_side
    twins = np.full(len(test), -1, np.int64)
    identical = np.zeros(len(test), bool)
    train_twins = np.zeros(len(train), bool)
    conflicts = []
    for k, (cluster, fold) in enumerate(zip(test_clusters, test_folds, strict=True)):
        found = np.flatnonzero((train_clusters == cluster) & (train_folds != fold))
        if not len(found):
            continue
        twins[k] = found[0]
        train_twins[found] = True
        identical[k] = any(np.array_equal(train.images[i], test.images[k]) for i in found)
        others = found[train.labels[found] != test.labels[k]]
        conflicts += [(k, int(i)) for i in others[:1]]
    # Changed copies tell more than equal pixels: they come first among the examples.
    known = np.flatnonzero(twins >= 0)
    known = known[np.argsort(identical[known], kind="stable")]
    shown = known[np.linspace(0, len(known) - 1, min(_EXAMPLES, len(known))).astype(np.int64)]
    return LeakageReport(
        n_train=len(train),
        n_test=len(test),
        class_names=test.class_names,
        twins=twins,
        train_twins=train_twins,
        identical=identical,
        test_labels=test.labels,
        train_labels=train.labels,
        test_clusters=test_clusters,
        conflicts=np.asarray(conflicts, np.int64).reshape(-1, 2),
        same_group=same_group,
        examples=tuple((test.images[k], train.images[twins[k]]) for k in shown.tolist()),
    )


def shared_groups(
    train: ImageDataset, test: ImageDataset, *, same_table: bool = False
) -> int | None:
    """Return how many test images share a group with training; `None` if that cannot be told.

    Args:
        train: Images to train on.
        test: Images to test on.
        same_table: Whether the groups of both are known to have the same meaning.
    """
    if train.groups is None or test.groups is None:
        return None
    origins = [{**data.provenance, "split": None} for data in (train, test)]
    if origins[0] != origins[1] and not same_table:
        return None
    if (train.groups.dtype.kind in "iu") != (test.groups.dtype.kind in "iu"):
        return None
    return int(np.isin(test.groups, train.groups).sum())


def joined_groups(groups: NDArray[Any] | None, clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups that keep both given groups and duplicate clusters whole, each `(n,)`."""
    if groups is None:
        return clusters
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    given = np.unique(groups, return_inverse=True)[1]
    n = int(given.max(initial=0)) + 1
    edges = (np.ones(len(given), bool), (given, n + clusters))
    size = n + int(clusters.max(initial=0)) + 1
    _, component = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    joined: NDArray[np.int64] = np.unique(component[given], return_inverse=True)[1]
    return joined.astype(np.int64)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
