"""`ComparisonResult`: what a comparison found, frozen, as a table, a file, a page and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthray.audit.leakage_report import LeakageReport
from synthray.comparison import _json, plots, table
from synthray.comparison.metrics import Scores
from synthray.comparison.pictures import Pictures
from synthray.comparison.resampling import Resampled, resample
from synthray.comparison.statistics import compare_arms
from synthray.comparison.verdicts import Statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from synthray.audit.samples.report import SampleReport


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
        pictures: A few images for the report, real, drawn and leaked. They are in memory only:
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
        n = len(self.labels)
        groups = np.arange(n) if self.groups is None else self.groups
        return resample(
            {arm: self.probabilities(arm) for arm in self.arms},
            self.labels,
            np.unique(groups, return_inverse=True)[1],
            self.folds,
            positive_class=self._positive,
            n_resamples=2000,
            seed=0,
        )

    def __str__(self) -> str:
        """Return a table of the arms, the verdicts, and what must be known to read them."""
        return table.render(self)

    def __repr__(self) -> str:
        """Return the same table."""
        return str(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all but pictures as JSON-ready values; what is not finite becomes `None`."""
        return _json.encode(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything but pictures to a JSON file."""
        _json.write(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ValueError: If the file is not one of those, or is damaged.
        """
        return cls(**_json.read(path))

    def to_markdown(self, *, metric: str = "balanced_accuracy", baseline: str | None = None) -> str:
        """Return the table with intervals and verdicts in Markdown, for papers and notes."""
        return table.markdown(self, metric=metric, baseline=baseline)

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
            samples: Reports of `evaluate_samples` by what was drawn, such as a class: a section
                that says how near to real images they are and what they copied.
        """
        from synthray.comparison.report import page

        text = page.render(self, metric=metric, baseline=baseline, samples=samples or {})
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
        return plots.forest(self, metric=metric, baseline=baseline)

    def plot_calibration(self) -> Figure:
        """Draw how often the positive class is true where it is given so much probability."""
        return plots.calibration(self)
