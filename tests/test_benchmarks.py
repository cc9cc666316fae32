"""The tables of the documentation are what the raw results give."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def in_here(workers: int, mp_context: Any) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers)


def test_precisions_are_compared_within_a_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    precision = importlib.import_module("precision")
    table = importlib.import_module("precision_tables").table
    small = sr.make_phantoms(280, image_shape=(32, 32, 1), seed=0)
    small = replace(small, class_names=("not fractured", "fractured"))
    monkeypatch.setattr(precision, "load", lambda name, path: small)
    monkeypatch.setattr(precision, "one_thread", lambda: None)  # for good, in this process
    monkeypatch.setattr(precision, "ProcessPoolExecutor", in_here)
    monkeypatch.setitem(precision.GENERATORS, "DCGAN", {"width": 0.0625})
    monkeypatch.setattr(sys, "argv", ["precision.py"])
    assert table(tmp_path).startswith("Not measured")
    words = ["--data", "", "--generator", "DCGAN", "--seeds", "2", "--images", "90"]
    words += ["--size", "24", "--drawn", "24", "--out", str(tmp_path)]
    precision.main(words)
    files = sorted(tmp_path.glob("*.json"))
    assert [file.name for file in files] == [
        f"dcgan_{dtype}_{seed}.json" for dtype in ("float32", "mixed_bfloat16") for seed in (0, 1)
    ]
    found = [json.loads(file.read_text())["values"] for file in files]
    kids = [run["scores"]["drawn"]["kid"] for run in found]
    assert len(set(kids)) == 4
    ratio = math.sqrt(kids[2] / kids[0] * kids[3] / kids[1])
    assert f"| `DCGAN`, width 0.0625 | {found[0]['images_seen']} | 2 |" in table(tmp_path)
    assert f"| {ratio:.2f} [" in table(tmp_path)
    capsys.readouterr()
    precision.main(words)
    assert "0 of 4 runs to do" in capsys.readouterr().out
    found[0]["scores"]["drawn"]["kid"] = -0.01
    files[0].write_text(json.dumps({"values": found[0]}))
    assert "| none: a KID is 0 or below |" in table(tmp_path)
    files[1].unlink()
    assert "| needs two seeds |" in table(tmp_path)
    files[0].unlink()
    assert "| `DCGAN` |  | 0 |  |  | no seed in both precisions |  |" in table(tmp_path)


def test_a_paired_ratio_has_the_interval_of_student(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    paired_ratio = importlib.import_module("precision_tables").paired_ratio
    middle, low, high = paired_ratio([2.0, 8.0, 8.0], [1.0, 1.0, 2.0])
    # Logarithms to base 2 are 1, 3 and 2: mean 2, standard error 1 / sqrt(3); t is 4.302653.
    assert middle == pytest.approx(4)
    assert (low, high) == pytest.approx((2 ** (2 - 2.484138), 2 ** (2 + 2.484138)), rel=1e-5)
