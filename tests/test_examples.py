"""Every example runs, at a tiny size."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import synthray as sr

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
EXPERIMENTS = sorted(path.stem for path in EXAMPLES.glob("experiment_*.py"))
TINY = ["--images", "60", "--size", "32", "--epochs", "2"]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    if spec is None or spec.loader is None:
        raise AssertionError(f"no example {name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_quickstart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--gan-epochs", "1", "--seeds", "1", "--out", str(tmp_path)]
    result = load("quickstart").main([*TINY, *more])
    assert len(result.arms) == 4
    pictures = {"real_and_synthetic.png", "accuracy.png", "histories.png"}
    assert {p.name for p in tmp_path.iterdir()} == pictures | {"report.html", "result.json"}
    for picture in pictures:
        assert np.asarray(Image.open(tmp_path / picture)).std() > 0
    told = capsys.readouterr().out
    assert "warm_start" in told
    assert "1. Your own images" in told


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment(name: str) -> None:
    _, number, arm = name.split("_", 2)
    more = ["--gan-epochs", "1"] if int(number) >= 3 else []
    result = load(name).main([*TINY, *more])
    assert list(result.arms) == [arm]


def test_plug_into_keras() -> None:
    histories = load("plug_into_keras").main(TINY)
    assert set(histories) == {"arrays", "image folder", "PyDataset"}
    for history in histories.values():
        assert np.isfinite(history.history["loss"]).all()


def test_bone_fractures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, n in (("train", 12), ("test", 4)):
        for name in ("fractured", "not fractured"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 255, (40, 40), "uint8")).save(folder / f"{i}.png")
    flags = ["--size", "32", "--gan-epochs", "1", "--gan-width", "0.125", "--epochs", "1"]
    flags += ["--synthetic", "5", "--data", str(tmp_path / "data"), "--verbose", "0"]
    flags += ["--workdir", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    result = load("bone_fractures").main(flags)
    back = sr.ComparisonResult.load(tmp_path / "out" / "result.json")
    assert back.arms == result.arms
    assert (tmp_path / "out" / "bone_synthetic.png").exists()
    with pytest.raises(SystemExit, match="must hold the folders"):
        load("bone_fractures").main(["--data", str(tmp_path / "data" / "train")])


def test_examples_are_all_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    names = {path.stem for path in EXAMPLES.glob("*.py")} - set(EXPERIMENTS)
    assert len(EXPERIMENTS) == 4
    assert not [name for name in names if f'"{name}"' not in source]
