"""`ComparisonResult` to JSON and back, checked on the way in."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthray.audit.leakage_report import LeakageReport
from synthray.comparison.metrics import Scores

if TYPE_CHECKING:
    from synthray.comparison.result import ArmRun, ComparisonResult

_FORMAT = {"format": "synthray.ComparisonResult", "format_version": 2}


def encode(result: ComparisonResult) -> dict[str, Any]:
    """Return JSON-ready values."""
    return {
        **_FORMAT,
        "class_names": list(result.class_names),
        "positive_class": result.positive_class,
        "leak": None if result.leak is None else result.leak.to_dict(),
        "settings": dict(result.settings),
        "versions": dict(result.versions),
        "labels": result.labels.tolist(),
        "names": None if result.names is None else result.names.tolist(),
        "groups": None if result.groups is None else result.groups.tolist(),
        "folds": result.folds.tolist(),
        "runs": [encode_run(run) for run in result.runs],
    }


def encode_run(run: ArmRun) -> dict[str, Any]:
    """Return one fit as JSON-ready values."""
    return {
        "arm": run.arm,
        "seed": run.seed,
        "fold": run.fold,
        "scores": asdict(run.scores),
        "history": {k: [_finite(x) for x in v] for k, v in run.history.items()},
        "probabilities": [_shortest(row) for row in run.probabilities],
        "phase_steps": list(run.phase_steps),
        "steps_per_entry": run.steps_per_entry,
        "seconds": run.seconds,
    }


def write(values: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write a JSON file."""
    text = json.dumps(values, allow_nan=False)  # ASCII: names of files may be no valid text
    Path(path).write_text(text + "\n", encoding="utf-8")


def read(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a JSON file and return the fields of a `ComparisonResult`.

    Raises:
        ValueError: If it was not written by `write`, or is damaged.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        found = {key: values[key] for key in _FORMAT}
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a saved ComparisonResult: {error!r}.") from None
    if found != _FORMAT:
        raise ValueError(f"Expected a file of {_FORMAT}, got {found} in {path}.")
    try:
        return _decode(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"The ComparisonResult in {path} is damaged: {error!r}.") from error


def _decode(values: dict[str, Any]) -> dict[str, Any]:
    labels = np.asarray(values["labels"], np.int64)
    n, k = len(labels), len(values["class_names"])
    if n == 0 or not (labels.min() >= 0 and labels.max() < k):
        raise ValueError(f"labels must lie between 0 and {k - 1}")
    columns = {
        name: None if values[name] is None else np.asarray(values[name])
        for name in ("names", "groups")
    }
    for name, column in columns.items():
        if column is not None and column.shape != (n,):
            raise ValueError(f"expected {n} {name}, got {column.shape}")
    folds = np.asarray(values["folds"], np.int64)
    if folds.shape != (n,):
        raise ValueError(f"expected {n} folds, got {folds.shape}")
    runs = tuple(
        decode_run(run, (int(np.count_nonzero(folds == run["fold"])), k)) for run in values["runs"]
    )
    if not runs:
        raise ValueError("there is no run")
    leak = values["leak"]
    return {
        **columns,
        "labels": labels,
        "folds": folds,
        "class_names": tuple(values["class_names"]),
        "positive_class": values["positive_class"],
        "leak": None if leak is None else LeakageReport.from_dict(leak),
        "settings": dict(values["settings"]),
        "versions": dict(values["versions"]),
        "runs": runs,
    }


def decode_run(run: dict[str, Any], shape: tuple[int, int]) -> ArmRun:
    """Return the fit of what `encode_run` gave, checked for its number of images and classes."""
    from synthray.comparison.result import ArmRun

    probabilities = np.asarray(run["probabilities"], np.float32)  # None becomes NaN
    if probabilities.shape != shape:
        raise ValueError(f"expected probabilities of shape {shape}, got {probabilities.shape}")
    history = {
        str(name): tuple(math.nan if x is None else float(x) for x in line)
        for name, line in run["history"].items()
    }
    return ArmRun(
        arm=str(run["arm"]),
        seed=int(run["seed"]),
        fold=int(run["fold"]),
        scores=Scores(**run["scores"]),
        history=history,
        probabilities=probabilities,
        phase_steps=tuple(int(steps) for steps in run["phase_steps"]),
        steps_per_entry=int(run["steps_per_entry"]),
        seconds=float(run["seconds"]),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shortest(row: NDArray[np.float32]) -> list[float | None]:
    """Return float32 values with the fewest digits that give them back exactly."""
    return [float(str(value)) if np.isfinite(value) else None for value in row]
