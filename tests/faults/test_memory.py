"""Files that may be anything take little memory and time, or are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.bombs import CASES, load, written
from helpers.counts import count
from helpers.faults import measured

pytestmark = pytest.mark.slow
MOST_MB, MOST_SECONDS, MOST_BYTES = 1000.0, 30.0, 10**7


@pytest.mark.parametrize("kind", CASES)
def test_small_files_take_little_memory(kind: str, tmp_path: Path) -> None:
    beyond, outcomes = [], set()
    print(f"\n{'file':<28}{'format':<13}{'KB':>8}{'MB peak':>9}{'s':>6}  outcome")
    for place, (name, write) in enumerate(CASES[kind]()):
        path = written(kind, name, write, tmp_path / str(place))
        files = [path] if path.is_file() else list(path.iterdir())
        size = sum(file.stat().st_size for file in files)
        took = measured(MOST_MB, MOST_SECONDS, load, kind, path)
        row = f"{name:<28}{kind:<13}{size / 1000:>8.0f}{took.mb:>9.0f}{took.seconds:>6.1f}"
        print(row, took.outcome[:200].replace("\n", " "), sep="  ")
        named = took.outcome.startswith("FileFormatError") and name in took.outcome
        fine = named or took.outcome == "loaded" or took.outcome.startswith("ValueError")
        if size > MOST_BYTES or took.mb > MOST_MB or took.seconds > MOST_SECONDS or not fine:
            beyond.append(row + "  " + took.outcome[:300])
        outcomes.add(took.outcome.partition(":")[0])
        count("files tried for memory")
    assert not beyond
    assert "loaded" in outcomes
