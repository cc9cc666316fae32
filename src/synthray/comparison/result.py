"""`ComparisonResult`: what a comparison found, frozen, as a table, a file, a page and figures."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray._files import open_json, write_json
from synthray.duplicates.leakage import LeakageReport
from synthray.reports import pages, plots, table
from synthray.statistics.compare import compare_arms
from synthray.statistics.metrics import Scores
from synthray.statistics.resampling import Resampled, resample
from synthray.statistics.verdicts import Statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.evaluation.evaluate import SampleReport


_FORMAT = {"format": "synthray.ComparisonResult", "format_version": 1}
_COLUMNS = {"labels": "i", "names": "U", "groups": "iuU", "folds": "i"}  # kinds of their values


@dataclass(frozen=True, eq=False)
class Pictures:
    """A few images of a comparison, for its page.

    Attributes:
        real: Real training images by class name, shape `(up to 8, h, w, c)`.
        synthetic: Synthetic images by class name, the same; empty where there are none.
        leaked: Pairs of an image that judges and the training image of the same radiograph.
    """

    real: Mapping[str, NDArray[np.uint8]]
    synthetic: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    leaked: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class ArmRun:
    """One fit: an arm with a seed, on one fold.

    Attributes:
        arm: Name of the arm.
        seed: The seed.
        fold: The fold whose images judged it; 0 where there is one test set.
        scores: How well it did on the test images of its fold.
        history: Training metrics, name to one value for each `steps_per_entry` steps (the last may
            stand for fewer).
        probabilities: Of each class for each test image of the fold, float32, shape
            `(n_test, num_classes)`.
        phase_steps: Gradient steps of each phase.
        steps_per_entry: Steps of one pass over the training images.
        seconds: Duration of the fit.
    """

    arm: str
    seed: int
    fold: int = 0
    scores: Scores
    history: Mapping[str, tuple[float, ...]]
    probabilities: NDArray[np.float32]
    phase_steps: tuple[int, ...]
    steps_per_entry: int
    seconds: float

    @property
    def steps(self) -> int:
        """Gradient steps of the fit."""
        return sum(self.phase_steps)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; what is not finite becomes `None`."""
        return asdict(self) | {
            "history": {k: [_finite(x) for x in v] for k, v in self.history.items()},
            # The fewest digits that give float32 back exactly.
            "probabilities": [[_finite(float(str(x))) for x in row] for row in self.probabilities],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], shape: tuple[int, int]) -> Self:
        """Return the fit of what `to_dict` gave.

        Args:
            values: What it gave.
            shape: Number of images that judged, and of classes.

        Raises:
            ValueError: If its probabilities have another shape, or are none.
        """
        probabilities = np.asarray(values["probabilities"], np.float32)  # None becomes NaN
        known = probabilities[~np.isnan(probabilities).any(axis=1)]
        wrong = (np.abs(known - 0.5) > 0.51).any() or (np.abs(known.sum(axis=1) - 1) > 0.01).any()
        if wrong or probabilities.shape != shape:
            raise ValueError(f"expected {shape} probabilities of 0 to 1, whose rows sum to 1")
        history = {
            str(name): tuple(math.nan if x is None else float(x) for x in line)
            for name, line in values["history"].items()
        }
        scores = {k: None if v is None else float(v) for k, v in values["scores"].items()}
        return cls(
            arm=str(values["arm"]),
            seed=operator.index(values["seed"]),
            fold=operator.index(values["fold"]),
            scores=Scores(**scores),
            history=history,
            probabilities=probabilities,
            phase_steps=tuple(operator.index(steps) for steps in values["phase_steps"]),
            steps_per_entry=operator.index(values["steps_per_entry"]),
            seconds=float(values["seconds"]),
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ComparisonResult:
    """What `run_comparison` found. `print` shows a table and verdicts.

    Every image that judges is held once: those of the test set or, with folds, all images.

    Attributes:
        runs: One `ArmRun` for each fold, seed and arm.
        labels: True classes of the judging images, shape `(n,)`.
        folds: The fold in which each image judges, shape `(n,)`; zeros where there is one test set.
        names: Names of the judging images, shape `(n,)`, or `None`.
        groups: Their groups, shape `(n,)`: what was given joined with the duplicates that the audit
            found; or `None`.
        class_names: Names of the classes, in label order.
        positive_class: Name of the class whose recall is the sensitivity; `None` for more than
            two classes, where sensitivity and specificity are means over classes.
        leak: What the audit found between training and test images; `None` where it was off.
        settings: The arguments of the comparison and where the images came from.
        versions: Versions of what computed it.
        pictures: A few images for the report, real, synthetic and leaked. They are in memory only:
            `save` leaves patients' images out.
    """

    runs: tuple[ArmRun, ...]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    names: NDArray[np.str_] | None
    groups: NDArray[Any] | None
    class_names: tuple[str, ...]
    positive_class: str | None
    leak: LeakageReport | None
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    pictures: Pictures | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in order."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in order."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @property
    def n_folds(self) -> int:
        """Number of folds; 1 where there is one test set."""
        return len(np.unique(self.folds))

    def __getitem__(self, arm: str) -> tuple[ArmRun, ...]:
        """Return the runs of an arm, one a fold and seed."""
        found = tuple(run for run in self.runs if run.arm == arm)
        if not found:
            raise KeyError(f"{arm!r} is none of the arms {list(self.arms)}")
        return found

    def scores(self, arm: str) -> dict[str, NDArray[np.float64]]:
        """Return the scores of an arm by name, one value a run; NaN where one is not defined."""
        runs = [asdict(run.scores) for run in self[arm]]
        return {name: np.asarray([run[name] for run in runs], np.float64) for name in runs[0]}

    def probabilities(self, arm: str) -> NDArray[np.float32]:
        """Return what an arm predicted for every judging image: `(n_seeds, n, num_classes)`.

        Each image was judged by the classifier of its fold, which was not trained on it.
        """
        shape = (len(self.seeds), len(self.labels), len(self.class_names))
        pooled = np.full(shape, np.nan, np.float32)
        for run in self[arm]:
            pooled[self.seeds.index(run.seed), self.folds == run.fold] = run.probabilities
        return pooled

    def statistics(
        self,
        *,
        metric: str = "balanced_accuracy",
        baseline: str | None = None,
        arms: Iterable[str] | None = None,
    ) -> Statistics:
        """Compare every arm with the baseline: intervals, tests, verdicts.

        Args:
            metric: A score of [`Scores`][synthray.Scores] that the verdicts are about.
            baseline: The arm to compare with; by default `"original"`, else the first arm.
            arms: The arms to compare, and to correct for; by default all.

        Raises:
            ValueError: If there is no such metric or arm.
        """
        chosen = self.arms if arms is None else tuple(arms)
        unknown = sorted(set(chosen) - set(self.arms))
        if unknown:
            raise ValueError(f"arms must be some of {list(self.arms)}, got {unknown}.")
        key = (metric, baseline, chosen)
        if key not in self._compared:
            self._compared[key] = compare_arms(
                {arm: self.probabilities(arm) for arm in chosen},
                self.labels,
                groups=self.groups,
                folds=self.folds,
                baseline=baseline,
                metric=metric,
                positive_class=self._positive,
                test_to_train=self._test_to_train,
                resampled=self._resampled,
            )
        return self._compared[key]

    @property
    def _positive(self) -> int:
        return 1 if self.positive_class is None else self.class_names.index(self.positive_class)

    @property
    def _test_to_train(self) -> float | None:
        """Images that judge for each one trained on; validation images are neither."""
        n_folds, held = self.settings.get("n_folds", 1), self.settings.get("validation")
        if n_folds < 2 or not isinstance(held, float):
            return None
        return 1 / ((n_folds - 1) * (1 - held))

    @cached_property
    def _compared(self) -> dict[Any, Statistics]:
        return {}

    @cached_property
    def _resampled(self) -> Resampled:
        """The draws that all metrics share."""
        return resample(
            {arm: self.probabilities(arm) for arm in self.arms},
            self.labels,
            self.groups,
            self.folds,
            positive_class=self._positive,
        )

    def __str__(self) -> str:
        """Return a table of the arms, the verdicts, and what must be known to read them."""
        return table.render(self)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return all but pictures as JSON-ready values; what is not finite becomes `None`."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        return {
            **_FORMAT,
            "class_names": list(self.class_names),
            "positive_class": self.positive_class,
            "leak": None if self.leak is None else self.leak.to_dict(),
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            **{k: None if column is None else column.tolist() for k, column in columns.items()},
            "runs": [run.to_dict() for run in self.runs],
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything but pictures to a JSON file."""
        write_json(Path(path), self.to_dict(), indent=None)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a file that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            FileFormatError: If the file is not one of those, or is changed or damaged.
        """
        with open_json(path, "a ComparisonResult that save wrote") as values:
            if not _FORMAT.items() <= values.items():
                raise ValueError(f"expected {_FORMAT}")
            return cls(**_decode(values))

    def to_markdown(self, *, metric: str = "balanced_accuracy", baseline: str | None = None) -> str:
        """Return the table with intervals and verdicts in Markdown, for papers and notes."""
        return table.markdown(self, self.statistics(metric=metric, baseline=baseline))

    def to_html(
        self,
        path: str | PathLike[str],
        *,
        metric: str = "balanced_accuracy",
        baseline: str | None = None,
        samples: Mapping[str, SampleReport] | None = None,
    ) -> None:
        """Write one self-contained page: verdicts, intervals, curves, the leak audit, pictures.

        Args:
            path: The file. It needs no network and no other file.
            metric: As in `statistics`.
            baseline: As in `statistics`.
            samples: Reports of `evaluate_samples` by what was generated, such as a class: a section
                that says how near to real images they are and what they copied.
        """
        statistics = self.statistics(metric=metric, baseline=baseline)
        text = pages.comparison_page(self, statistics, samples or {})
        Path(path).write_text(text, encoding="utf-8")

    def plot_accuracy(self) -> Figure:
        """Draw the accuracy of each arm as a bar; with several runs, each run as a dot."""
        return plots.accuracy_bars(self)

    def plot_histories(self) -> Figure:
        """Draw the curves of each arm: a column an arm, a row a metric, a line a run."""
        return plots.history_curves(self)

    def plot_differences(
        self, *, metric: str = "balanced_accuracy", baseline: str | None = None
    ) -> Figure:
        """Draw each arm's difference from the baseline with its interval (a forest plot)."""
        return plots.forest(self.statistics(metric=metric, baseline=baseline))

    def plot_calibration(self) -> Figure:
        """Draw how often the positive class is true where it is given so much probability."""
        return plots.calibration(self)


def _decode(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a result, checked against each other."""
    classes, n = tuple(map(str, values["class_names"])), len(values["labels"])
    if len(set(classes)) != len(classes) or values["positive_class"] not in (None, *classes):
        raise ValueError(f"expected different classes, the positive one of them, got {classes}")
    columns: dict[str, Any] = {}
    for name, kinds in _COLUMNS.items():
        column = None if values[name] is None and kinds != "i" else np.asarray(values[name])
        if column is not None and (column.shape != (n,) or column.dtype.kind not in kinds):
            raise ValueError(f"expected {n} {name}, got {column.dtype} of shape {column.shape}")
        columns[name] = column
    labels, folds = columns["labels"], columns["folds"]
    if labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(f"labels must lie between 0 and {len(classes) - 1}")
    runs = tuple(
        ArmRun.from_dict(run, (int(np.count_nonzero(folds == run["fold"])), len(classes)))
        for run in values["runs"]
    )
    found = [(run.arm, run.seed, run.fold) for run in runs]
    arms, seeds, _ = map(set, zip(*found, strict=True))
    if sorted(found) != sorted(product(arms, seeds, np.unique(folds).tolist())):
        raise ValueError("expected one run for each arm, seed and fold")
    leak = values["leak"]
    return {
        **columns,
        "class_names": classes,
        "positive_class": values["positive_class"],
        "leak": None if leak is None else LeakageReport.from_dict(leak),
        "settings": dict(values["settings"]),
        "versions": dict(values["versions"]),
        "runs": runs,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
