from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthray.audit.leakage_report import LeakageReport
from synthray.comparison.metrics import Scores, accuracy_standard_error, score
from synthray.comparison.result import ArmRun, ComparisonResult
from synthray.comparison.statistics import corrected_t

LABELS = np.asarray([0, 0, 0, 1, 1, 1, 1, 1])


def probabilities(ones: Any) -> NDArray[np.float32]:
    p = np.asarray(ones, np.float32)
    return np.stack([1 - p, p], axis=1)


FOUND = probabilities([0.1, 0.6, 0.2, 0.9, 0.3, 0.8, 0.7, 0.45])


def make_leak(twins: int = 0) -> LeakageReport:
    known = np.arange(8) < twins
    return LeakageReport(
        n_train=8,
        n_test=8,
        class_names=("intact", "fractured"),
        twins=np.where(known, np.arange(8), -1),
        train_twins=known,
        identical=known,
        test_labels=LABELS,
        train_labels=LABELS,
        test_families=np.arange(8),
        conflicts=np.asarray([[0, 3]][:twins], np.int64).reshape(-1, 2),
        same_group=None if twins else 0,
        examples=((np.zeros((4, 4, 1), np.uint8),) * 2,) * min(twins, 1),
    )


def make_result(*, folds: int = 1, **changes: Any) -> ComparisonResult:
    """Make a result of two arms and two seeds; images of odd and even places are two folds."""
    fold_of = np.arange(8) % folds
    runs = []
    for seed in (0, 1):
        for fold in range(folds):
            for i, arm in enumerate(("original", "warm_start")):
                mine = fold_of == fold
                p = probabilities(np.clip(FOUND[mine, 1] + 0.06 * seed * i, 0, 1))
                history = {
                    "accuracy": (0.5 + 0.1 * i, 0.7 + 0.1 * seed, 0.8),
                    "loss": (0.7, 0.5, math.nan),
                    "val_accuracy": (0.5, 0.6, 0.6),
                    "val_loss": (0.7, 0.6, 0.6),
                }
                run = ArmRun(
                    arm=arm,
                    seed=seed,
                    fold=fold,
                    scores=score(p, LABELS[mine]),
                    history=history,
                    probabilities=p,
                    phase_steps=(2, 4)[: i + 1],
                    steps_per_entry=2,
                    seconds=1.5,
                )
                runs.append(run)
    fields: dict[str, Any] = {
        "runs": tuple(runs),
        "labels": LABELS,
        "folds": fold_of,
        "names": np.asarray([f"bild{i}ä" for i in range(8)]),
        "groups": np.arange(8),
        "class_names": ("intact", "fractured"),
        "positive_class": "fractured",
        "leak": make_leak(),
        "settings": {"protocol": "grouped"},
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
    assert scores.balanced_accuracy == pytest.approx((3 / 5 + 2 / 3) / 2)
    assert swapped.balanced_accuracy == scores.balanced_accuracy
    squares = (FOUND[:, 1].astype(float) - LABELS) ** 2
    assert scores.brier == swapped.brier == pytest.approx(squares.mean())


def test_calibration_error_by_hand() -> None:
    sure, labels = probabilities([0.12, 0.18, 0.55, 0.91, 0.97]), np.asarray([0, 1, 1, 1, 0])
    # Bins of 0.12 and 0.18, of 0.55, of 0.91 and 0.97: gaps of 0.30 - 1, 0.55 - 1, 1.88 - 1.
    gap = (0.70 + 0.45 + 0.88) / 5
    assert score(sure, labels).calibration_error == pytest.approx(gap, abs=1e-6)
    many = np.asarray([[0.6, 0.3, 0.1], [0.65, 0.15, 0.2], [0.05, 0.05, 0.9]])
    found = score(many, np.asarray([1, 0, 2]))  # of 0.6 and 0.65 half are right
    assert found.calibration_error == pytest.approx((abs(1.25 - 1) + abs(0.9 - 1)) / 3)
    squares = [0.6**2 + 0.7**2 + 0.1**2, 0.35**2 + 0.15**2 + 0.2**2, 2 * 0.05**2 + 0.1**2]
    assert found.brier == pytest.approx(np.mean(squares))


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
    assert (one_class.balanced_accuracy, one_class.specificity) == (None, None)
    assert one_class.brier == pytest.approx((0.2**2 + 0.1**2) / 2)
    assert score(probabilities([math.nan, 0.5]), np.asarray([0, 1])) == Scores()


def test_standard_error() -> None:
    assert accuracy_standard_error(0.92, 500) == pytest.approx(0.0121, abs=5e-5)


def test_look_up() -> None:
    result = make_result()
    assert result.arms == ("original", "warm_start")
    assert [run.seed for run in result["warm_start"]] == [0, 1]
    assert result.runs[1].steps == 6
    np.testing.assert_allclose(result.scores("original")["accuracy"], [0.625, 0.625])
    with pytest.raises(KeyError, match="none of the arms"):
        result["other"]
    with pytest.raises(KeyError, match="none of the arms"):
        result.probabilities("other")
    assert [name for name in ("original", "warm_start") if name not in str(result)] == []
    with pytest.raises(TypeError, match="positional"):
        ArmRun("original", 0)  # type: ignore[call-arg]


def test_folds_are_pooled() -> None:
    whole, folded = make_result(), make_result(folds=2)
    assert (whole.n_folds, folded.n_folds, whole.seeds, folded.seeds) == (1, 2, (0, 1), (0, 1))
    assert [(run.fold, run.seed) for run in folded["original"]] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert folded.scores("original")["accuracy"].shape == (4,)
    for arm in folded.arms:  # the same predictions, image by image, wherever an image judges
        pooled = folded.probabilities(arm)
        assert pooled.shape == (2, 8, 2)
        assert pooled.dtype == np.float32
        np.testing.assert_array_equal(pooled, whole.probabilities(arm))
    assert not np.array_equal(*folded.probabilities("warm_start"))
    unfinished = make_result(folds=2, runs=folded.runs[2:])  # fold 0 of seed 0 is missing
    gaps = np.isnan(unfinished.probabilities("original")).any(axis=2)
    np.testing.assert_array_equal(gaps, [[True, False] * 4, [False] * 8])


@pytest.mark.parametrize("folds", [1, 2])
def test_json_round_trip(tmp_path: Path, folds: int) -> None:
    result = make_result(folds=folds, leak=make_leak(3))
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
    np.testing.assert_array_equal(again.folds, result.folds)
    assert again.leak is not None
    assert result.leak is not None
    assert again.leak.describe() == result.leak.describe()
    assert again.leak.found
    assert again.leak.examples == ()  # no patient's image leaves the machine by way of a file
    assert again.pictures is None
    assert str(again) == str(result)
    odd = make_result(names=np.array(["caf\udce9.png", *"bcdefgh"]))
    odd.save(tmp_path / "odd.json")  # a file's name that is no text, as old archives give it
    loaded_odd = ComparisonResult.load(tmp_path / "odd.json")
    assert loaded_odd.names is not None
    assert loaded_odd.names[0] == "caf\udce9.png"
    plain = make_result(names=None, groups=None, leak=None)
    plain.save(tmp_path / "plain.json")
    loaded_plain = ComparisonResult.load(tmp_path / "plain.json")
    assert (loaded_plain.names, loaded_plain.groups, loaded_plain.leak) == (None, None, None)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("runs"), "damaged"),
        (lambda d: d.update(runs=[]), "no run"),
        (lambda d: d["labels"].pop(), "expected 7 names"),
        (lambda d: d.update(labels=[0, 1, 2, 3, 4, 5, 6, 7]), "labels must lie"),
        (lambda d: d["runs"][0]["probabilities"].pop(), "expected probabilities of shape"),
        (lambda d: d["runs"][0]["scores"].update(luck=1), "damaged"),
        (lambda d: d["folds"].pop(), "expected 8 folds"),
        (lambda d: d["folds"].__setitem__(0, 1), "expected probabilities of shape"),
        (lambda d: d["leak"].pop("twins"), "not a LeakageReport"),
        (lambda d: d.update(format_version=1), "Expected a file of"),
        (lambda d: d.update(format_version=3), "Expected a file of"),
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


def test_validation_images_are_none_to_train_on() -> None:
    def p_value(**settings: Any) -> float | None:
        result = make_result(folds=2, settings={"n_folds": 2, **settings})
        return result.statistics().differences["warm_start"].p_corrected_t

    result = make_result(folds=2)
    scores = [result.scores(arm)["balanced_accuracy"] for arm in ("warm_start", "original")]
    expected = {share: corrected_t(scores[0] - scores[1], 1 / (1 - share)) for share in (0, 0.2)}
    assert p_value() == p_value(validation=None) == pytest.approx(expected[0])
    assert p_value(validation={"class_counts": {}}) == pytest.approx(expected[0])  # with a test set
    assert p_value(validation=0.2) == pytest.approx(expected[0.2])
    assert expected[0] != expected[0.2]
