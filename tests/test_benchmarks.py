"""The tables of the documentation are what the raw results give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tables(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "tables.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_tables_are_what_the_raw_results_give() -> None:
    done = tables("--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_raw_results_say_what_made_them() -> None:
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
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
