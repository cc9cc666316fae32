"""Figures of a comparison, of images, and of a report on synthetic images."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.results import make_leak, make_result, make_samples
from synthray.reports import figures as images
from synthray.reports import plots


def test_forest_shows_the_statistics() -> None:
    result = make_result()
    found = result.statistics(metric="auc").differences
    axis: Any = result.plot_differences(metric="auc").axes[0]
    lines = [np.asarray(line.get_xdata(), float) for line in axis.get_lines()]
    for arm, row in (("augmented", 1), ("warm_start", 0)):
        difference: Any = found[arm]
        assert any(np.array_equal(x, [difference.low, difference.high]) for x in lines)
        assert any(np.array_equal(x, [difference.difference]) for x in lines)
        assert axis.patches[row].get_width() == pytest.approx(2 * difference.detectable)
    markers = {line.get_marker() for line in axis.get_lines() if len(line.get_xdata()) == 1}
    assert markers == {"o", "^"}  # not by colour alone
    texts = [text.get_text() for text in axis.texts]
    assert "warm_start" in texts
    assert f"{found['warm_start'].difference:+.3f}" in " ".join(texts)
    assert "right is better" in axis.get_xlabel()
    assert "left is better" in result.plot_differences(metric="loss").axes[0].get_xlabel()
    points: Any = result.plot_differences().axes[0]
    warm = result.statistics().differences["warm_start"]
    assert warm.difference is not None
    dots = [line.get_xdata()[0] for line in points.get_lines() if len(line.get_xdata()) == 1]
    assert 100 * warm.difference in dots
    assert "points" in points.get_xlabel()


def test_forest_without_verdicts(tmp_path: Path) -> None:
    failed = make_result(diverged="augmented").plot_differences()
    assert "no verdict" in [text.get_text() for text in failed.axes[0].texts]
    alone = make_result(arms={"original": 1.0}).plot_differences()
    assert [text.get_text() for text in alone.axes[0].texts] == ["there is no other arm"]
    alone.savefig(tmp_path / "alone.png")


def test_calibration() -> None:
    result = make_result(diverged="augmented", seeds=1)
    figure: Any = result.plot_calibration()
    curves, bars = figure.axes[:3], figure.axes[3:]
    assert [axis.get_title() for axis in curves] == ["original", "augmented", "warm start"]
    assert [text.get_text() for text in curves[1].texts] == ["diverged"]
    assert sum(bar.get_height() for bar in bars[0].patches) == len(result.labels)


def test_histories(tmp_path: Path) -> None:
    result = make_result()
    figure: Any = result.plot_histories()
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["accuracy", "loss"]
    first, warm = figure.axes[0], figure.axes[2]
    assert len(first.get_lines()) == 8  # two folds, two seeds, training and validation
    dotted = [line for line in warm.get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [2.5]
    assert [text.get_text() for text in figure.legends[0].texts] == ["training", "validation"]
    long: Any = make_result(seeds=4, folds=5, epochs=2000).plot_histories()
    assert len(long.axes[0].get_lines()[0].get_xdata()) < 200
    make_result(epochs=1, validation=False).plot_histories().savefig(tmp_path / "one.png")
    without = [replace(run, history={}) for run in result.runs]
    make_result(runs=tuple(without)).plot_histories().savefig(tmp_path / "none.png")


def test_of_many_metrics_some_are_shown_and_a_title_says_so() -> None:
    result = make_result(arms={"original": 1.0}, epochs=1)
    many = {f"metric_{number:04}": (0.5,) for number in range(3000)}
    runs = tuple(replace(run, history={**run.history, **many}) for run in result.runs)
    figure: Any = make_result(runs=runs, arms={"original": 1.0}).plot_histories()
    names = [axis.get_ylabel() for axis in figure.axes]
    assert (len(names), names[0], names[-1]) == (20, "accuracy", "loss")
    assert figure.get_suptitle() == "20 of 3,002 metrics"
    assert not result.plot_histories().get_suptitle()


def test_accuracy_bars(tmp_path: Path) -> None:
    result = make_result(leak=make_leak(twins=5))
    axis: Any = result.plot_accuracy().axes[0]
    means = [result.scores(arm)["accuracy"].mean() for arm in result.arms]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx(means)
    assert [text.get_text() for text in axis.texts] == [f"{mean:.1%}" for mean in means]
    assert [len(line.get_xdata()) for line in axis.get_lines()] == [4, 4, 4]
    assert "120 test images" in axis.get_title()
    assert axis.get_title().endswith("\nLEAKAGE")
    odd = make_result(arms={"original": 1.0, "$x_$ $": 1.0}, diverged="original", leak=None)
    figure = odd.plot_accuracy()
    assert "diverged" in [text.get_text() for text in figure.axes[0].texts]
    assert figure.axes[0].get_title().endswith("\nLEAKAGE NOT CHECKED")
    for number, each in enumerate((figure, odd.plot_differences(), odd.plot_calibration())):
        each.savefig(tmp_path / f"{number}.png")  # no name is read as a formula


def test_samples() -> None:
    report = make_samples()
    distance, shares = plots.sample_scores(report).axes
    names = [label.get_text() for label in distance.get_yticklabels()]
    dots = [x[0] for x in map(_x, distance.get_lines()) if len(x) == 1]
    assert dots == [report.scores[name].kid for name in names]
    found = {line.get_label(): _x(line).tolist() for line in shares.get_lines()}
    for name, s in report.scores.items():
        assert found[name] == [s.precision, s.recall, s.density, s.coverage]


def _x(line: Any) -> Any:
    return np.atleast_1d(np.asarray(line.get_xdata()))


def test_figures_of_images() -> None:
    some = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    figure: Any = images.class_rows({"a": some, "b": some[..., :1]}, columns=3)
    shown = [axis.get_images()[0].get_array() for axis in figure.axes if axis.get_images()]
    assert [image.shape for image in shown] == [(4, 4, 3)] * 2 + [(4, 4)] * 2
    np.testing.assert_array_equal(shown[1], some[1])
    pairs: Any = images.pair_columns([(some[0], some[1])] * 3, "above", "below")
    assert len(pairs.axes) == 6
    assert [pairs.axes[k].get_ylabel() for k in (0, 3)] == ["above", "below"]
    np.testing.assert_array_equal(pairs.axes[3].get_images()[0].get_array(), some[1])
    empty = images.pair_columns([], "above", "below")
    assert "no pairs" in empty.texts[0].get_text()
    canvas = images.tile(some, 1, gap=2)
    assert canvas.shape == (10, 4, 3)
    np.testing.assert_array_equal(canvas[6:], some[1])
    assert (canvas[4:6] == 255).all()


def test_images_in_pages_stay_small() -> None:
    rng = np.random.default_rng(0)
    small, large, two = (
        rng.integers(0, 256, shape, np.uint8)
        for shape in ((3, 8, 6, 1), (64, 200, 100, 3), (1, 6, 9, 2))
    )
    rows = images.png_rows({"small": small, "two": two})
    assert [len(row) for row in rows.values()] == [3, 1]
    np.testing.assert_array_equal(_decode(rows["small"][2]), small[2, ..., 0])
    np.testing.assert_array_equal(_decode(rows["two"][0]), two[0, ..., 0])
    large_ones = images.png_rows({"large": large})["large"]
    assert sum(map(len, large_ones)) < 800_000
    height, width, _ = _decode(large_ones[0]).shape
    assert height == pytest.approx(2 * width, abs=1)
    assert images.png_rows({"none": []}) == {"none": []}


def _decode(uri: str) -> Any:
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)
