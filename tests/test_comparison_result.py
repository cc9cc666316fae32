from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthray.comparison.leaks import LeakCheck, check_leaks
from synthray.comparison.metrics import accuracy_standard_error, score
from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.datasets.image_dataset import ImageDataset

LABELS = np.asarray([0, 0, 0, 1, 1, 1, 1, 1])


def probabilities(ones: Any) -> NDArray[np.float32]:
    p = np.asarray(ones, np.float32)
    return np.stack([1 - p, p], axis=1)


FOUND = probabilities([0.1, 0.6, 0.2, 0.9, 0.3, 0.8, 0.7, 0.45])


def make_result(*, arms: tuple[str, ...] = ("original", "warm_start"), **changes: Any) -> Any:
    runs = []
    for seed in (0, 1):
        for i, arm in enumerate(arms):
            p = probabilities(np.clip(FOUND[:, 1] + 0.06 * seed * i, 0, 1))
            history = {
                "accuracy": (0.5 + 0.1 * i, 0.7 + 0.1 * seed, 0.8),
                "loss": (0.7, 0.5, math.nan),
                "val_accuracy": (0.5, 0.6, 0.6),
                "val_loss": (0.7, 0.6, 0.6),
            }
            runs.append(ArmRun(arm, seed, score(p, LABELS), history, p, (2, 4)[: i + 1], 1.5))
    fields: dict[str, Any] = {
        "runs": tuple(runs),
        "labels": LABELS,
        "names": np.asarray([f"bild{i}ä" for i in range(8)]),
        "groups": np.arange(8),
        "class_names": ("intact", "fractured"),
        "positive_class": "fractured",
        "leak": LeakCheck(8, 0, None),
        "settings": {"steps_per_entry": 2},
        "versions": {"synthray": "0"},
    }
    return ComparisonResult(**{**fields, **changes})


def test_two_class_scores_by_hand() -> None:
    scores = score(FOUND, LABELS)
    assert scores.accuracy == 5 / 8
    assert scores.sensitivity == 3 / 5
    assert scores.specificity == 2 / 3
    # Pairs of an intact and a fractured image in the right order, of 15: 5 + 3 + 5.
    assert scores.auc == pytest.approx(13 / 15)
    true = np.where(LABELS == 1, FOUND[:, 1], FOUND[:, 0]).astype(float)
    assert scores.loss == pytest.approx(-np.log(true).mean(), rel=1e-6)
    swapped = score(FOUND, LABELS, positive_class=0)
    assert (swapped.sensitivity, swapped.specificity) == (2 / 3, 3 / 5)
    assert swapped.auc == scores.auc


def test_many_class_scores() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    labels = rng.integers(0, 4, 200)
    scores = score(p, labels)
    predicted = p.argmax(axis=1)
    assert scores.sensitivity == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    rates = [((predicted != c) & (labels != c)).sum() / (labels != c).sum() for c in range(4)]
    assert scores.specificity == pytest.approx(np.mean(rates))
    aucs = [metrics.roc_auc_score(labels == c, p[:, c]) for c in range(4)]
    assert scores.auc == pytest.approx(np.mean(aucs), abs=1e-6)


def test_certain_and_undefined_predictions() -> None:
    sure = score(probabilities([0.0, 1.0]), np.asarray([0, 1]))
    assert sure.loss == pytest.approx(1e-7, rel=0.2)
    wrong = score(probabilities([1.0, 0.0]), np.asarray([0, 1]))
    assert wrong.loss == pytest.approx(-math.log(1e-7), rel=1e-3)
    one_class = score(probabilities([0.2, 0.1]), np.asarray([0, 0]))
    assert (one_class.accuracy, one_class.auc, one_class.sensitivity) == (1.0, None, None)
    assert score(probabilities([math.nan, 0.5]), np.asarray([0, 1])).accuracy is None


def test_standard_error() -> None:
    assert accuracy_standard_error(0.92, 500) == pytest.approx(0.0121, abs=5e-5)


def test_leak_check() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 4, 4), np.uint8)
    data = ImageDataset.from_arrays(
        images, [0, 1] * 3, groups=[1, 1, 2, 2, 3, 3], provenance={"source": "a"}
    )
    train, test = data.select([0, 1, 2]), data.select([0, 3, 4])
    assert check_leaks(train, test) == LeakCheck(3, identical=1, same_group=2)
    assert check_leaks(data.select([0, 1]), data.select([2, 3])) == LeakCheck(2, 0, 0)
    assert not LeakCheck(2, 0, 0).found
    assert LeakCheck(2, 0, 0).describe() == ""
    elsewhere = ImageDataset.from_arrays(images, [0, 1] * 3, groups=[1, 1, 2, 2, 3, 3])
    assert check_leaks(train, elsewhere).same_group is None  # other patients, the same numbers
    assert check_leaks(train, test.with_groups(None)).same_group is None


def test_table() -> None:
    text = str(make_result())
    head, rule, *rows = text.splitlines()
    assert head.split() == [
        *("arm", "accuracy", "loss", "AUC", "sensitivity", "specificity", "steps"),
    ]
    assert set(rule) == {"-", " "}
    assert rows[0].startswith("original    0.625 ± 0.000")
    assert rows[1].rstrip().endswith("6")
    assert "8 test images: an accuracy near 0.66 has a standard error of 0.168" in text
    assert "Mean and standard deviation of 2 seeds" in text
    assert "share of 'fractured' images found" in text
    assert "LEAK" not in text
    assert repr(make_result()) == text
    assert "LEAK: 4 of 8 test images (50%)" in str(make_result(leak=LeakCheck(8, 4)))
    single = make_result(runs=make_result().runs[:1])
    assert "One seed" in str(single)


def test_look_up() -> None:
    result = make_result()
    assert result.arms == ("original", "warm_start")
    assert [run.seed for run in result["warm_start"]] == [0, 1]
    assert result.runs[1].steps == 6
    np.testing.assert_allclose(result.scores("original")["accuracy"], [0.625, 0.625])
    with pytest.raises(KeyError, match="none of the arms"):
        result["other"]


def test_json_round_trip(tmp_path: Path) -> None:
    result = make_result()
    result.save(tmp_path / "result.json")
    again = ComparisonResult.load(tmp_path / "result.json")
    assert again.to_dict() == result.to_dict()
    for run, loaded in zip(result.runs, again.runs, strict=True):
        np.testing.assert_array_equal(run.probabilities, loaded.probabilities)
        assert loaded.probabilities.dtype == np.float32
        assert loaded.scores == run.scores
        assert math.isnan(loaded.history["loss"][2])
        assert loaded.history["accuracy"] == run.history["accuracy"]
    assert again.names is not None
    assert again.names[2] == "bild2ä"
    assert again.groups is not None
    assert again.leak == result.leak
    assert str(again) == str(result)
    nameless = make_result(names=None, groups=None)
    nameless.save(tmp_path / "nameless.json")
    assert ComparisonResult.load(tmp_path / "nameless.json").names is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("runs"), "damaged"),
        (lambda d: d.update(runs=[]), "no run"),
        (lambda d: d["labels"].pop(), "expected 7 names"),
        (lambda d: d.update(labels=[0, 1, 2, 3, 4, 5, 6, 7]), "labels must lie"),
        (lambda d: d["runs"][0]["probabilities"].pop(), "expected probabilities of shape"),
        (lambda d: d["runs"][0]["scores"].update(luck=1), "damaged"),
        (lambda d: d.update(format_version=2), "Expected a file of"),
        (lambda d: d.pop("format"), "not a saved ComparisonResult"),
    ],
)
def test_damaged_files(tmp_path: Path, damage: Any, message: str) -> None:
    values = make_result().to_dict()
    damage(values)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=message):
        ComparisonResult.load(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for content in (b"\xff\xfe", b"hello", b"[1, 2]"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a saved ComparisonResult"):
            ComparisonResult.load(path)


def test_figures(tmp_path: Path) -> None:
    result = make_result(leak=LeakCheck(8, 4))
    figure = result.plot_accuracy()
    axis = figure.axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([0.625, 0.6875])
    assert [text.get_text() for text in axis.texts] == ["62.5%", "68.8%"]
    assert "LEAK" in axis.get_title()
    figure.savefig(tmp_path / "accuracy.png")
    curves = result.plot_histories()
    assert [axis.get_ylabel() for axis in curves.axes[::2]] == ["accuracy", "loss"]
    curves.savefig(tmp_path / "histories.png")
    single = make_result(runs=make_result().runs[:1])
    single.plot_accuracy().savefig(tmp_path / "single.png")
    single.plot_histories().savefig(tmp_path / "single_histories.png")
