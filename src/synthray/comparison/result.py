"""`ComparisonResult`: what a comparison found, frozen, as a table, a file and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray.comparison import _json, plots, table
from synthray.comparison.leaks import LeakCheck
from synthray.comparison.metrics import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class ArmRun:
    """One fit: an arm with a seed.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        scores: How well it did on the test images.
        history: Training metrics, name to one value for each `ceil(n_train / batch_size)` steps
            (the last may stand for fewer).
        probabilities: Of each class for each test image, float32, shape `(n_test, num_classes)`.
        phase_steps: Gradient steps of each phase.
        seconds: Duration of the fit.
    """

    arm: str
    seed: int
    scores: Scores
    history: Mapping[str, tuple[float, ...]]
    probabilities: NDArray[np.float32]
    phase_steps: tuple[int, ...]
    seconds: float

    @property
    def steps(self) -> int:
        """Gradient steps of the fit."""
        return sum(self.phase_steps)


@dataclass(frozen=True, eq=False, repr=False)
class ComparisonResult:
    """What `run_comparison` found. `print` shows a table.

    Attributes:
        runs: One `ArmRun` for each seed and arm.
        labels: True classes of the test images, shape `(n_test,)`.
        names: Names of the test images, shape `(n_test,)`, or `None`.
        groups: Groups of the test images, shape `(n_test,)`, or `None`.
        class_names: Names of the classes, in label order.
        positive_class: Name of the class whose recall is the sensitivity; `None` for more than
            two classes, where sensitivity and specificity are means over classes.
        leak: Test images that are known from training.
        settings: The arguments of the comparison and where the images came from.
        versions: Versions of what computed it.
    """

    runs: tuple[ArmRun, ...]
    labels: NDArray[np.int64]
    names: NDArray[np.str_] | None
    groups: NDArray[Any] | None
    class_names: tuple[str, ...]
    positive_class: str | None
    leak: LeakCheck
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in order."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    def __getitem__(self, arm: str) -> tuple[ArmRun, ...]:
        """Return the runs of an arm, one a seed."""
        found = tuple(run for run in self.runs if run.arm == arm)
        if not found:
            raise KeyError(f"{arm!r} is none of the arms {list(self.arms)}")
        return found

    def scores(self, arm: str) -> dict[str, NDArray[np.float64]]:
        """Return the scores of an arm by name, one value a seed; NaN where one is not defined."""
        runs = [asdict(run.scores) for run in self[arm]]
        return {name: np.asarray([run[name] for run in runs], np.float64) for name in runs[0]}

    def __str__(self) -> str:
        """Return a table of the arms, and what must be known to read it."""
        return table.render(self)

    def __repr__(self) -> str:
        """Return the same table."""
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values; what is not finite becomes `None`."""
        return _json.encode(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to a JSON file."""
        _json.write(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ValueError: If the file is not one of those, or is damaged.
        """
        return cls(**_json.read(path))

    def plot_accuracy(self) -> Figure:
        """Draw the accuracy of each arm as a bar; with several seeds, each seed as a dot."""
        return plots.accuracy_bars(self)

    def plot_histories(self) -> Figure:
        """Draw the curves of each arm: a column an arm, a row a metric, a line a seed."""
        return plots.history_curves(self)
