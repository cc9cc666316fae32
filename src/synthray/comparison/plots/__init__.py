"""Figures of a comparison (matplotlib, without global state)."""

from synthray.comparison.plots.accuracy import accuracy_bars
from synthray.comparison.plots.calibration import calibration, reliability
from synthray.comparison.plots.forest import forest
from synthray.comparison.plots.histories import history_curves

__all__ = ["accuracy_bars", "calibration", "forest", "history_curves", "reliability"]
