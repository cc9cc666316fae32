from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthray as sr
from helpers.results import make_result
from synthray._files import write_json


def test_look_up() -> None:
    result = make_result()
    assert (result.arms, result.seeds) == (("original", "augmented", "warm_start"), (0, 1))
    assert [(run.seed, run.fold) for run in result["original"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert result["warm_start"][0].steps == 40
    assert result.scores("augmented")["auc"].shape == (4,)
    with pytest.raises(KeyError, match="none"):
        result["none"]
    with pytest.raises(FrozenInstanceError):
        result.leak = None  # type: ignore[misc]


def test_predictions_of_folds_are_pooled() -> None:
    result = make_result()
    pooled = result.probabilities("original")
    assert pooled.shape == (2, 120, 2)
    run = result["original"][1]
    np.testing.assert_array_equal(pooled[0, result.folds == 1], run.probabilities)


@pytest.mark.parametrize("folds", [1, 2])
def test_round_trip(tmp_path: Path, folds: int) -> None:
    result = make_result(
        folds=folds, diverged="augmented", names=("a", "b", "c"), groups=np.arange(120) % 7
    )
    result.save(tmp_path / "result.json")
    again = sr.ComparisonResult.load(tmp_path / "result.json")
    assert json.dumps(again.to_dict()) == json.dumps(result.to_dict())
    assert again["original"][0].scores == result["original"][0].scores
    assert math.isnan(again["augmented"][0].probabilities[0, 0])
    np.testing.assert_array_equal(again.probabilities("original"), result.probabilities("original"))
    assert str(again) == str(result)
    assert again.pictures is None


@pytest.mark.parametrize(
    "damage",
    [
        {"labels": [0, 9]},
        {"runs": []},
        {"folds": [0]},
        {"names": ["one"]},
        {"format_version": 99},
        {"leak": {"n_train": 1}},
        {"settings": 3},
        {"groups": [None] * 120},
        {"names": [None] * 120},
        {"labels": [0.5] * 120},
        {"class_names": ["intact", "intact"]},
        {"positive_class": "other"},
        {"run": {"seed": 0.5}},
        {"run": {"seed": 7}},
        {"run": {"arm": "other"}},
        {"run": {"probabilities": [[5.0, -4.0]] * 60}},
        {"run": {"probabilities": [[0.5, 0.1]] * 60}},
        {"run": {"scores": {"auc": "high"}}},
    ],
)
def test_damaged_files_are_named(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = tmp_path / "result.json"
    values = make_result().to_dict()
    values["runs"][0] |= damage.get("run", {})
    write_json(path, values | damage)
    with pytest.raises(sr.FileFormatError, match=r"result\.json"):
        sr.ComparisonResult.load(path)


def test_changed_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    make_result().save(path)
    text = path.read_text()
    for old, new in (('"seed": 0', '"seed": 1e999'), ("0.5", "0.6")):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(sr.FileFormatError, match="SHA-256"):
            sr.ComparisonResult.load(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        sr.ComparisonResult.load(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b'{"format": 3}'])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(sr.FileFormatError, match=r"other\.json"):
        sr.ComparisonResult.load(path)


def test_validation_images_are_none_to_train_on() -> None:
    result = make_result(folds=2)
    held = replace(result, settings={**result.settings, "n_folds": 2, "validation": 0.5})
    one, other = (r.statistics(metric="auc").differences["warm_start"] for r in (result, held))
    assert one.p_corrected_t is not None
    assert other.p_corrected_t is not None
    assert other.p_corrected_t > one.p_corrected_t


def test_pages_tables_and_figures_are_those_of_reports(tmp_path: Path) -> None:
    result = make_result()
    result.to_html(tmp_path / "page.html")
    assert "warm_start" in (tmp_path / "page.html").read_text()
    assert result.to_markdown().startswith("|")
    assert repr(result) == str(result)
    for figure in (result.plot_accuracy(), result.plot_histories()):
        assert figure.axes
    assert result.plot_differences(metric="auc").axes
    assert result.plot_calibration().axes
