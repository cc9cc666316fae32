from __future__ import annotations

import keras
import pytest

from synthray import _progress
from synthray._progress import duration, progress_bar, say


def test_a_log_gets_few_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(_progress._IN_A_LOG, "delay", 0.0)
    with progress_bar(1000, "Work", unit="steps") as bar:
        for _ in range(1000):
            bar.update(1)
    told = capsys.readouterr().out
    assert "1000 of 1000 steps" in told
    assert 5 < told.count("\n") < 15
    with progress_bar(1000, "Work", unit="steps", verbose=0) as bar:
        bar.update(1000)
    assert capsys.readouterr().out == ""


def test_lines_obey_the_switch_of_keras(capsys: pytest.CaptureFixture[str]) -> None:
    say("one")
    say("two", verbose=0)
    keras.utils.disable_interactive_logging()
    say("three")
    keras.utils.enable_interactive_logging()
    assert capsys.readouterr().out == "one\n"


def test_durations_suit_their_size() -> None:
    assert [duration(s) for s in (5, 300, 9000)] == ["5 s", "5 min", "2.5 h"]
