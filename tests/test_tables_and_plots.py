"""Text tables, Markdown tables and figures of a comparison."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthray.audit.leakage_report import LeakageReport
from synthray.comparison import plots
from synthray.comparison.metrics import score
from synthray.comparison.result import ArmRun, ComparisonResult

ARMS = {"original": 1.0, "augmented": 0.9, "warm_start": 2.6}


def make_leak(
    *, twins: int = 0, conflicts: int = 0, names: tuple[str, ...] = ("intact", "fractured")
) -> LeakageReport:
    labels = np.arange(20) % len(names)
    known = np.arange(20) < twins
    return LeakageReport(
        n_train=20,
        n_test=20,
        class_names=names,
        twins=np.where(known, np.arange(20), -1),
        train_twins=known,
        identical=np.zeros(20, bool),
        test_labels=labels,
        train_labels=labels,
        test_families=np.arange(20),
        conflicts=np.zeros((conflicts, 2), np.int64),
    )


def predictions(
    labels: NDArray[np.int64], k: int, skill: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    z = rng.normal(size=(len(labels), k))
    z[np.arange(len(labels)), labels] += skill
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return p.astype(np.float32)


def make_result(
    *,
    arms: dict[str, float] = ARMS,
    names: tuple[str, ...] = ("intact", "fractured"),
    n: int = 120,
    folds: int = 2,
    seeds: int = 2,
    diverged: str | None = None,
    validation: bool = True,
    epochs: int = 4,
    **changes: Any,
) -> ComparisonResult:
    """Make a result of random predictions, the better the larger the skill of an arm."""
    rng = np.random.default_rng(0)
    k = len(names)
    labels = np.arange(n) % k
    fold = np.arange(n) // k % folds
    runs = []
    for seed in range(seeds):
        for f in range(folds):
            for arm, skill in arms.items():
                p = predictions(labels[fold == f], k, skill, rng)
                if arm == diverged and seed == 0:
                    p[:] = np.nan
                curve = tuple(np.linspace(0.5, 0.9, epochs).tolist())
                history = {"loss": curve[::-1], "accuracy": curve, "learning_rate": curve}
                if validation:
                    history |= {"val_loss": curve[::-1], "val_accuracy": curve}
                runs.append(
                    ArmRun(
                        arm=arm,
                        seed=seed,
                        fold=f,
                        scores=score(p, labels[fold == f]),
                        history=history,
                        probabilities=p,
                        phase_steps=(20, 20) if arm == "warm_start" else (40,),
                        steps_per_entry=10,
                        seconds=2.0,
                    )
                )
    fields: dict[str, Any] = {
        "runs": tuple(runs),
        "labels": labels,
        "folds": fold,
        "names": None,
        "groups": np.arange(n) // 2,
        "class_names": names,
        "positive_class": names[1] if k == 2 else None,
        "leak": make_leak(names=names),
        "settings": {"protocol": "grouped", "n_folds": folds, "epochs": epochs},
        "versions": {"synthray": "0"},
    }
    return ComparisonResult(**{**fields, **changes})


def test_text_table() -> None:
    result = make_result()
    statistics = result.statistics()
    text = str(result)
    head, rule, *rows = text.splitlines()
    assert re.split(r"\s{2,}", head) == [
        *("arm", "accuracy", "balanced accuracy", "AUC", "sensitivity", "specificity", "steps"),
    ]
    assert set(rule) == {"-", " "}
    assert max(map(len, [head, rule, *rows[:6]])) <= 110
    for place, arm in enumerate(result.arms):
        found = statistics.intervals[arm]
        shown = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity")
        means = [f"{found[name].value:.3f}" for name in shown]
        ends = [f"[{found[name].low:.3f}, {found[name].high:.3f}]" for name in shown]
        assert rows[2 * place].split() == [arm, *means, "40"]
        assert re.findall(r"\[.*?\]", rows[2 * place + 1]) == ends
    assert statistics.describe() in text
    assert "120 images in 60 groups, 2 folds, 2 seeds." in text
    assert "Sensitivity is the share of 'fractured' images found." in text
    assert "LEAK" not in text
    assert "AUDIT OFF" not in text


def test_text_table_is_fast() -> None:
    result = make_result(n=400, folds=5)
    str(result)
    start = time.perf_counter()
    str(result)
    assert time.perf_counter() - start < 0.1  # statistics are kept


def test_text_table_fits_its_columns_to_the_arms() -> None:
    one = str(make_result(arms={"original": 1.0}, folds=1, seeds=1))
    assert "one test set, 1 seed" in one
    long = str(make_result(arms={"original": 1.0, "a" * 45: 1.0}, folds=1, seeds=1))
    lines = long.splitlines()[:6]
    assert "specificity" not in lines[0]
    assert lines[0].endswith("steps")
    assert max(map(len, lines)) <= 110
    narrow = str(make_result(arms={"a": 1.0}, folds=1, seeds=1))
    assert "Brier score" not in narrow.splitlines()[0]  # six scores and the steps are too wide


def test_text_table_says_what_went_wrong() -> None:
    text = str(make_result(diverged="augmented"))
    assert re.search(r"^augmented( +-){5} +40$", text, re.MULTILINE)
    assert "AUDIT OFF: nobody looked" in str(make_result(leak=None))
    assert "LEAK: 5 of 20 test images (25%)" in str(make_result(leak=make_leak(twins=5)))
    assert "LEAKY PROTOCOL" in str(make_result(settings={"protocol": "leaky"}))
    many = str(make_result(names=("a", "b", "c")))
    assert "means over classes, one against rest" in many


def test_markdown() -> None:
    result = make_result()
    statistics = result.statistics(metric="auc", baseline="augmented")
    lines = result.to_markdown(metric="auc", baseline="augmented").splitlines()
    head, rule, *rows = lines[:5]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in lines[:5]]
    assert len({len(row) for row in cells}) == 1
    assert "difference in AUC from augmented | p (Holm) | verdict" in head
    assert set(rule) == set("| -:")
    for arm, row in zip(result.arms, cells[2:], strict=True):
        auc = statistics.intervals[arm]["auc"]
        assert row[0] == arm.replace("_", r"\_")
        assert row[3] == f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
        if arm == "augmented":
            assert row[-3:] == ["-", "-", "baseline"]
            continue
        found = statistics.differences[arm]
        assert row[-3] == f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        assert found.p_holm is not None
        assert row[-2] == (f"{found.p_holm:.3f}" if found.p_holm >= 0.001 else "< 0.001")
        assert row[-1] == found.verdict
    assert len(rows) == 3
    caption = lines[-1]
    assert caption.startswith("n = 120 images in 60 groups, 2 folds, 2 seeds.")
    assert "95% intervals" in caption
    assert "corrected for 2 comparisons (Holm 1979)" in caption
    assert "No leak found" in caption


def test_markdown_of_odd_results() -> None:
    alone = make_result(arms={"original": 1.0}, leak=None).to_markdown()
    assert "verdict" not in alone.splitlines()[0]
    assert "AUDIT OFF" in alone
    odd = make_result(arms={"original": 1.0, "a|b <i>_": 1.0}, diverged="a|b <i>_")
    row = odd.to_markdown().splitlines()[3]
    assert row.startswith(r"| a\|b &lt;i>\_ | - | - |")
    assert row.endswith("| - | - | no verdict |")


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
    points = result.plot_differences().axes[0]
    assert "points" in points.get_xlabel()
    assert points.xaxis.get_major_formatter()(-0.05, None) == "\N{MINUS SIGN}5"


def test_forest_without_verdicts(tmp_path: Path) -> None:
    failed = make_result(diverged="augmented").plot_differences()
    assert "no verdict" in [text.get_text() for text in failed.axes[0].texts]
    alone = make_result(arms={"original": 1.0}).plot_differences()
    assert [text.get_text() for text in alone.axes[0].texts] == ["original is the only arm"]
    alone.savefig(tmp_path / "alone.png")


def test_reliability_by_hand() -> None:
    run = make_result(arms={"original": 1.0}, n=4, folds=1, seeds=1).runs[0]
    ones = np.asarray([0.05, 0.72, 0.78, 1.0], np.float32)
    p = np.stack([1 - ones, ones], axis=1)
    changed = replace(run, probabilities=p)
    result = make_result(arms={"original": 1.0}, n=4, folds=1, seeds=1, runs=(changed,))
    stated, observed, counts = plots.reliability(result, "original")  # classes 0, 1, 0, 1
    assert counts.tolist() == [1, 0, 0, 0, 0, 0, 0, 2, 0, 1]
    assert stated[[0, 7, 9]] == pytest.approx([0.05, 0.75, 1.0])
    assert observed[[0, 7, 9]].tolist() == [0, 0.5, 1]


def test_calibration() -> None:
    result = make_result(diverged="augmented", seeds=1)
    figure: Any = result.plot_calibration()
    curves, bars = figure.axes[:3], figure.axes[3:]
    assert [axis.get_title() for axis in curves] == ["original", "augmented", "warm\nstart"]
    assert [text.get_text() for text in curves[1].texts] == ["diverged"]
    assert sum(bar.get_height() for bar in bars[0].patches) == len(result.labels)
    several = make_result(names=("a", "b", "c"))
    stated, _, counts = plots.reliability(several, "original")
    assert counts.sum() == len(several.labels)
    assert stated[counts > 0].min() >= 1 / 3  # of the class chosen


def test_histories(tmp_path: Path) -> None:
    result = make_result()
    figure: Any = result.plot_histories()
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["accuracy", "loss"]
    first, warm = figure.axes[0], figure.axes[2]
    assert len(first.get_lines()) == 8  # two folds, two seeds, training and validation
    dotted = [line for line in warm.get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [2.5]
    assert figure.legends
    many = make_result(seeds=4, epochs=2).plot_histories().axes[0].get_lines()[0]
    assert many.get_linewidth() < first.get_lines()[0].get_linewidth()
    single = plots.history_curves(result, arms=["warm_start"])
    assert single.axes[0].get_ylim() == first.get_ylim()
    assert single.axes[0].get_title() == "warm start"
    make_result(epochs=1, validation=False).plot_histories().savefig(tmp_path / "one.png")
    without = [replace(run, history={}) for run in result.runs]
    make_result(runs=tuple(without)).plot_histories().savefig(tmp_path / "none.png")


def test_accuracy_bars(tmp_path: Path) -> None:
    result = make_result(leak=make_leak(twins=5))
    axis: Any = result.plot_accuracy().axes[0]
    means = [result.scores(arm)["accuracy"].mean() for arm in result.arms]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx(means)
    assert [text.get_text() for text in axis.texts] == [f"{mean:.1%}" for mean in means]
    assert axis.get_title() == "120 test images, 4 runs an arm (dots)\nLEAK"
    odd = make_result(arms={"original": 1.0, "$x_$ $": 1.0}, diverged="original", leak=None)
    figure = odd.plot_accuracy()
    assert "diverged" in [text.get_text() for text in figure.axes[0].texts]
    assert figure.axes[0].get_title().endswith("\nAUDIT OFF")
    for number, drawn in enumerate((figure, odd.plot_differences(), odd.plot_calibration())):
        drawn.savefig(tmp_path / f"{number}.png")  # no name is read as a formula
