"""Text tables and Markdown tables of a comparison."""

from __future__ import annotations

import re

import pytest

from helpers.results import make_leak, make_result
from synthray.reports import words


def test_text_table() -> None:
    result = make_result()
    statistics = result.statistics()
    text = str(result)
    head, rule, *rows = text.splitlines()
    assert re.split(r"\s{2,}", head) == [
        *("arm", "accuracy", "balanced accuracy", "AUC", "sensitivity", "specificity", "steps"),
    ]
    assert set(rule) == {"-", " "}
    assert max(map(len, [head, rule, *rows[:6]])) <= 110
    for place, arm in enumerate(result.arms):
        found = statistics.intervals[arm]
        shown = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity")
        means = [f"{found[name].value:.3f}" for name in shown]
        ends = [f"[{found[name].low:.3f}, {found[name].high:.3f}]" for name in shown]
        assert rows[2 * place].split() == [arm, *means, "40"]
        assert re.findall(r"\[.*?\]", rows[2 * place + 1]) == ends
    assert statistics.describe() in text
    assert "120 images in 60 groups, 2 folds, 2 seeds." in text
    assert "'fractured' images" in text
    assert not re.search("LEAKAGE|UNGROUPED", text)


def test_text_table_of_one_arm_and_of_many_classes() -> None:
    alone = str(make_result(arms={"original": 1.0}, folds=1, seeds=1))
    assert "nothing to compare" in alone
    assert "one test set, 1 seed." in alone
    assert "one against rest" in str(make_result(names=("a", "b", "c")))
    diverged = str(make_result(diverged="augmented"))
    assert re.search(r"augmented +- +- +- ", diverged)
    assert "no verdict" in diverged


@pytest.mark.parametrize("folds", [1, 2])
def test_cautions(folds: int) -> None:
    settings = {"grouped": False}
    off = make_result(leak=None, settings=settings, folds=folds)
    titles = [title for title, _ in words.cautions(off)]
    assert titles == ["UNGROUPED FOLDS", "LEAKAGE NOT CHECKED"][2 - folds :]
    assert all(f"{title}: {text}" in str(off) for title, text in words.cautions(off))
    assert all(title in off.to_markdown() for title in titles)
    found = make_result(leak=make_leak(twins=5))
    assert [title for title, _ in words.cautions(found)] == ["LEAKAGE"]
    assert "LEAKAGE: 5 of 20" in str(found)
    assert "LEAKAGE: 5 of 20" in found.to_markdown()


def test_markdown() -> None:
    result = make_result()
    statistics = result.statistics(metric="auc", baseline="augmented")
    lines = result.to_markdown(metric="auc", baseline="augmented").splitlines()
    head, rule, *rows = lines[:5]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in lines[:5]]
    assert len({len(row) for row in cells}) == 1
    assert "difference in AUC from augmented | p (Holm) | verdict" in head
    assert set(rule) == set("| -:")
    for arm, row in zip(result.arms, cells[2:], strict=True):
        auc = statistics.intervals[arm]["auc"]
        assert row[0] == arm.replace("_", r"\_")
        assert row[3] == f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
        if arm == "augmented":
            assert row[-3:] == ["-", "-", "baseline"]
            continue
        found = statistics.differences[arm]
        assert row[-3] == f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        assert row[-2:] == [words.p_value(found.p_holm), found.verdict]
    assert len(rows) == 3
    caption = lines[-1]
    assert caption.startswith("n = 120 images in 60 groups, 2 folds, 2 seeds.")
    assert "95% intervals" in caption
    assert "2 comparisons (Holm 1979)" in caption
    assert "leak" in caption.lower()


def test_markdown_of_odd_results() -> None:
    alone = make_result(arms={"original": 1.0}, leak=None).to_markdown()
    assert "verdict" not in alone.splitlines()[0]
    odd = make_result(arms={"original": 1.0, "a|b <i>_": 1.0}, diverged="a|b <i>_")
    row = odd.to_markdown().splitlines()[3]
    assert row.startswith(r"| a\|b &lt;i>\_ | - | - |")
    assert row.endswith("| - | - | no verdict |")


def test_numbers_in_words() -> None:
    assert words.amount("accuracy", 0.5) == "50.0 %"
    assert words.amount("auc", 0.5) == "0.500"
    assert words.amount("auc", None) == words.difference("auc", None) == words.p_value(None) == "-"
    assert words.difference("accuracy", -0.02) == "\N{MINUS SIGN}2.0 points"
    assert words.difference("loss", 0.02) == "+0.020"
    assert words.interval("accuracy", -0.02, 0.1, sign="+") == "\N{MINUS SIGN}2.0 to +10.0"
    assert [words.p_value(p) for p in (0.2, 0.0001)] == ["0.200", "< 0.001"]


def test_phases_in_words() -> None:
    phases = [
        {"source": "both", "augment": True, "labels": "ensemble"},
        {"source": "duplicated", "augment": False, "labels": "own"},
        {"source": "my_choice"},
    ]
    result = make_result(settings={"arms": {"original": phases}})
    assert words.training(result, "original") == (
        "real and synthetic images labelled by an ensemble, augmented, "
        "then real images and copies of them, then images that my_choice chooses"
    )
    assert words.training(result, "augmented") == ""
