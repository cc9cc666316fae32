"""The tables of the documentation are what the raw results give."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import synthray as sr

ROOT = Path(__file__).resolve().parents[1]


def tables(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "tables.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_tables_are_what_the_raw_results_give() -> None:
    done = tables("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_raw_results_say_what_made_them() -> None:
    files = sorted((ROOT / "benchmarks" / "results").rglob("*.json"))
    assert files
    for file in files:
        raw = json.loads(file.read_text())
        assert set(raw) == {"command", "versions", "machine", "values"}, file.name
        assert raw["command"].startswith("python benchmarks/")


def test_the_leak_of_the_official_split(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "bone-fracture-160"
    script = str(ROOT / "benchmarks" / "leak.py")
    command = [sys.executable, script, "--data", str(folder), "--out", str(tmp_path)]
    subprocess.run(command, capture_output=True, check=True)
    found = json.loads((tmp_path / "leak.json").read_text())["values"]
    recorded = json.loads((ROOT / "benchmarks" / "results" / "leak.json").read_text())["values"]
    assert found == recorded
    assert found["unreadable_files"] == 18
    assert found["nearest_neighbour_accuracy"] == pytest.approx(0.986, abs=0.003)


def test_generators_are_trained_judged_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    generators = importlib.import_module("generators")
    generator_tables = importlib.import_module("generator_tables")
    small = sr.make_phantoms(280, image_shape=(32, 32, 1), seed=0)
    monkeypatch.setattr(generators, "load", lambda name, path: small)
    monkeypatch.setattr(generators, "one_thread", lambda: None)  # for good, in this process
    monkeypatch.setattr(generators, "MEASURED", 2)
    monkeypatch.setattr(sys, "argv", ["generators.py"])
    words = ["--set", "phantoms", "--class", "intact", "--minutes", "0.01", "--drawn", "24"]
    words += ["--arguments", '{"width": 0.125}', "--rate", "0.001", "--batch-size", "8"]
    words += ["--out", str(tmp_path), "--workdir", str(tmp_path / "runs")]
    generators.main([*words, "--images", "40"])
    raw = json.loads((tmp_path / "phantoms_intact_r3gan.json").read_text())["values"]
    assert raw["images_seen"] == 8 * raw["steps"] > 0
    assert raw["learning_rate"] == 0.001
    assert raw["training_images"] == 40
    assert (tmp_path / "runs" / "phantoms_intact_r3gan_pairs.png").is_file()
    assert "held-out real ones" in capsys.readouterr().out
    table = generator_tables.generators(tmp_path)
    kid = raw["report"]["scores"]["drawn"]["kid"]
    minutes = f"{raw['minutes']:.0f}"
    seen = f"{raw['images_seen']:,}"
    row = f"| {minutes} | {seen} | {kid:.3f} ["
    assert f"| phantoms, intact | `R3GAN` {row}" in table
    kept = (tmp_path / "phantoms_intact_r3gan.json").read_text()
    (tmp_path / "phantoms_intact_r3gan_earlier.json").write_text(kept)
    both = generator_tables.generators(tmp_path)
    assert f"| phantoms, intact | `R3GAN`, an earlier run {row}" in both
    assert len(both.splitlines()) == len(table.splitlines()) + 1


def test_images_are_padded_for_the_dcgan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    generators = importlib.import_module("generators")
    small = sr.make_phantoms(2, image_shape=(30, 28, 1), seed=0)
    padded = generators.padded(small, 8)
    assert padded.image_shape == (32, 32, 1)
    assert (padded.images[:, :30, :28] == small.images).all()
    assert (padded.images[:, 30:, :28] == small.images[:, 29:]).all()
    assert generators.padded(small, 1).image_shape == small.image_shape
