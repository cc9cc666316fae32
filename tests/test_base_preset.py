"""The larger preset: trained on one machine, judged on another, and told."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthray as sr

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_trained_once_then_judged_by_test_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["base_preset.py"])
    script: Any = importlib.import_module("base_preset")
    tables: Any = importlib.import_module("base_tables")
    phantoms = sr.make_phantoms(300, image_shape=(32, 32, 1), seed=0)
    data = sr.ImageDataset.from_arrays(
        phantoms.images,
        phantoms.labels,
        class_names=phantoms.class_names,
        groups=phantoms.groups,
        annotations={"row": np.arange(len(phantoms))},
    )
    for module in (script, importlib.import_module("study.cells")):
        monkeypatch.setattr(module, "whole", lambda name, path: data)
    monkeypatch.setitem(sr.R3GAN.PRESETS, "base", {"width": 0.125, "latent_dim": 8})
    work, out = tmp_path / "work", tmp_path / "results"
    words = ["--data", "no.npz", "--class", "fractured", "--batch-size", "16", "--looks", "2"]
    words += ["--seen", "400", "--judged", "20", "--pool", "50"]
    words += ["--workdir", str(work), "--out", str(out)]
    script.main([*words, "--no-report"])
    assert not out.exists()
    trained = json.loads((work / "trained.json").read_text())["values"]
    cut = script.split(data, 0, None)
    own = cut.train.by_class()["fractured"]
    assert trained["training_images"] == len(own)
    assert 400 <= trained["images_seen"] < 400 + 2 * 16 * 2
    assert len(trained["curve"]) == len(trained["seconds_of_epochs"]) == 2
    with np.load(work / "drawn.npz") as file:
        drawn = file["images"]
    assert drawn.shape == (50, 32, 32, 1)

    def again(*args: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(script, "train", again)
    script.main(words)
    raw = json.loads((out / "base_preset_fractured.json").read_text())
    assert set(raw) == {"command", "versions", "machine", "values"}
    assert raw["command"].startswith("python benchmarks/base_preset.py")
    held_out = cut.test.by_class()["fractured"]
    expected = sr.evaluate_samples(own, drawn[:40], held_out).to_dict()
    assert raw["values"]["report"]["scores"] == expected["scores"]

    text = tables.table(out)
    minutes = f"{sum(trained['seconds_of_epochs']) / 60:.0f}"
    told = f"| FracAtlas, fold 0 of the study, fractured | `base` | {minutes} minutes of a GPU |"
    assert told in text
    monkeypatch.setattr(tables, "results", lambda: [raw])
    tables.plot_curve(tmp_path / "curve.png")
    (work / "fractured").mkdir()
    (work / "drawn.npz").rename(work / "fractured" / "drawn.npz")
    tables.plot_images(Path("no.npz"), work, tmp_path / "images.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert (tmp_path / "images.png").stat().st_size > 1000
