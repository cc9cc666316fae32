"""The page that `ComparisonResult.to_html` writes."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.pages import Page
from helpers.results import make_leak, make_pictures, make_result, make_samples
from synthray.comparison.result import ComparisonResult
from synthray.reports import pages, words
from synthray.reports.figures import PALETTE

SECTIONS = ["verdicts", "scores", "differences", "curves", "calibration", "leakage", "pictures"]
SECTIONS += ["settings"]
NASTY = "<script>alert('x')</script>"


SETTINGS: dict[str, Any] = {
    "cv": "5 grouped folds",
    "grouped": True,
    "arms": {
        "original": [{"source": "real", "augment": False, "share": 1.0}],
        "augmented": [{"source": "real", "augment": True, "share": 1.0}],
        "warm_start": [
            {"source": "synthetic", "augment": False, "share": 0.5},
            {"source": "real", "augment": False, "share": 0.5},
        ],
    },
    "seeds": [0, 1],
    "class_weight": None,
    "train": {"image_shape": [12, 12, 1], "provenance": {"source": "a & b", "files": []}},
}


def render(result: ComparisonResult, samples: Any = None, **options: Any) -> str:
    return pages.comparison_page(result, result.statistics(**options), samples or {})


@cache
def full() -> tuple[ComparisonResult, str]:
    result = make_result(
        folds=1,
        pictures=make_pictures(),
        leak=make_leak(twins=5, conflicts=2),
        settings=SETTINGS,
    )
    return result, render(result)


def one_arm(**changes: Any) -> ComparisonResult:
    return make_result(**{"arms": {"original": 1.0}, "folds": 1, "seeds": 1, **changes})


def test_structure(tmp_path: Path) -> None:
    result, text = full()
    found = Page(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert [value for tag, name, value in found.attributes if (tag, name) == ("section", "id")] == (
        SECTIONS
    )
    assert ("html", "lang", "en") in found.attributes
    assert ("meta", "name", "viewport") in found.attributes
    assert "<title>intact vs fractured: comparison by synthray</title>" in text
    assert (found.tags["h1"], found.tags["main"], found.tags["script"]) == (1, 1, 0)
    assert found.tags["svg"] == 3
    assert len(text) < 500_000
    result.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text  # and nothing varies


def test_self_contained() -> None:
    text = full()[1]
    for value in Page(text).values("src", "href", "xlink:href", "srcset", "data", "action"):
        assert value.startswith(("data:image/png;base64,", "#"))
    assert "@import" not in text
    assert all(link.startswith("#") for link in re.findall(r"url\((.*?)\)", text))


def test_identifiers() -> None:
    found = Page(full()[1])
    known = found.values("id")
    assert len(known) == len(set(known))
    used = [value[1:] for value in found.values("href", "xlink:href")]
    used += re.findall(r"url\(#(.*?)\)", full()[1])
    used += found.values("aria-labelledby")
    assert set(used) <= set(known)


def test_dark_mode_knows_every_colour_of_the_figures() -> None:
    text = full()[1]
    dark = text[text.index("prefers-color-scheme: dark") :]
    for name, colour in PALETTE.items():
        assert f'[style*="stroke: {colour}"] {{ stroke: var(--fig-{name}) !important; }}' in dark
        assert f"--fig-{name}: #" in dark
    styles = " ".join(value for _, name, value in Page(text).attributes if name == "style")
    drawn = set(re.findall(r"(?:fill|stroke): (#\w{6})", styles))
    assert drawn <= set(PALETTE.values())


def test_every_picture_has_words() -> None:
    result, text = full()
    found = Page(text)
    alternatives = [value for tag, name, value in found.attributes if (tag, name) == ("img", "alt")]
    assert len(alternatives) == found.tags["img"] == 2 * 8 * 2 + 2 * 3
    assert all(alternatives)
    assert "synthetic image 8 of fractured" in alternatives
    labels = [v for tag, name, v in found.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == found.tags["svg"]
    sources = found.values("src")
    assert result.pictures is not None
    # Leaked pairs come first.
    assert np.array_equal(decode(sources[2 * 3]), result.pictures.real["intact"][0, ..., 0])


def decode(uri: str) -> Any:
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        return np.asarray(image)


def test_numbers_are_those_of_the_statistics() -> None:
    result, text = full()
    statistics = result.statistics()
    found = Page(text)
    for arm in result.arms:
        intervals = statistics.intervals[arm]
        for name in ("balanced_accuracy", "sensitivity"):
            shown = intervals[name]
            assert shown.value is not None
            assert shown.low is not None
            assert shown.high is not None
            assert f"{100 * shown.value:.1f} %" in found.words["scores"]
            assert f"{100 * shown.low:.1f} to {100 * shown.high:.1f}" in found.words["scores"]
        assert f"{intervals['auc'].value:.3f}" in found.words["scores"]
    warm = statistics.differences["warm_start"]
    assert warm.difference is not None
    assert warm.low is not None
    assert f"+{100 * warm.difference:.1f} points" in found.words["differences"]
    assert f"{100 * warm.difference:.1f} points higher" in found.text("verdicts")
    assert f"+{100 * warm.low:.1f}" in found.text("differences")
    assert {"120", "60"} <= set(found.words["verdicts"])


def test_verdict_comes_first_and_in_words() -> None:
    found = Page(full()[1])
    header, verdicts = found.text("header"), found.text("verdicts")
    assert "Better than “original”: “warm_start”" in header
    assert "Cannot be told apart from “original”: “augmented”" in header
    assert "trained on real images" in header
    assert "Trained on synthetic images, then real images." in verdicts
    assert "Chance alone could explain" in verdicts
    assert "▲ better" in verdicts


def test_leakage() -> None:
    found = Page(full()[1])
    assert "LEAKAGE" in found.words["header"][:4]
    assert "5 of 20 test images (25%)" in found.text("header")
    assert "5 of 20" in found.text("leakage")
    assert found.text("leakage").count("test training") == 3
    clean = Page(render(one_arm(leak=make_leak())))
    assert "20" in clean.words["leakage"]
    assert "LEAKAGE" not in clean.text("header")
    off = Page(render(one_arm(leak=None)))
    assert "LEAKAGE NOT CHECKED" in off.text("header")
    assert "not checked" in off.text("leakage")
    cut = Page(render(make_result(settings={"grouped": False})))
    assert "UNGROUPED FOLDS" in cut.text("header")
    assert "UNGROUPED FOLDS" not in Page(render(one_arm(settings={}))).text("header")


def test_settings_and_versions() -> None:
    found = Page(full()[1])
    settings = found.text("settings")
    assert "5 grouped folds grouped yes arms original source real augment no share 1.0" in settings
    assert "seeds 0, 1 class_weight none" in settings
    assert "source a & b files none" in settings
    assert "synthray 0" in settings
    assert "not a medical device" in found.text("footer")
    assert "may be of patients" in found.text("footer")


def test_absent_parts_say_why() -> None:
    saved = Page(render(replace(full()[0], pictures=None)))
    assert "Saved results hold no images" in saved.text("pictures")
    assert "no example pairs" in saved.text("leakage")
    assert saved.tags["img"] == 0
    assert "may be of patients" not in saved.text("footer")
    without = Page(render(one_arm(pictures=make_pictures(synthetic=False))))
    assert "synthetic none" in without.text("pictures")
    pictures = make_pictures()
    pictures.real, pictures.synthetic = {}, {}
    alone = one_arm(pictures=pictures)
    alone = replace(alone, runs=tuple(replace(run, history={}) for run in alone.runs))
    found = Page(render(alone))
    assert "nothing to compare" in found.text("header")
    assert "no second arm" in found.text("differences")
    assert "No curves were recorded" in found.text("curves")
    assert "none to show" in found.text("pictures")
    assert "leave out chance in training" in found.text("scores")


def test_diverged_arm() -> None:
    arms = {"original": 1.0, "augmented": 1.0}
    found = Page(render(make_result(diverged="augmented", arms=arms)))
    assert "No verdict: “augmented”" in found.text("header")
    assert "Training of “augmented” diverged in 2 of 4 runs" in found.text("verdicts")
    assert "2 of 4 runs diverged" in found.text("scores")
    first = Page(render(make_result(diverged="original", arms=arms)))
    assert "Training of “original” diverged" in first.text("verdicts")


def test_one_training_of_each_arm() -> None:
    found = Page(render(make_result(folds=1, seeds=1)))
    assert "better" not in found.text("verdicts")
    assert found.text("verdicts").count("no verdict") == 2
    assert "use more seeds" in found.text("verdicts")


def test_names_are_escaped() -> None:
    pictures = make_pictures(synthetic=False)
    pictures.real = {NASTY: np.zeros((1, 4, 4, 1), np.uint8)}
    pictures.leaked = []
    result = make_result(
        arms={"original": 1.0, NASTY: 1.2},
        names=("intact", NASTY),
        leak=make_leak(twins=2, names=("intact", NASTY)),
        pictures=pictures,
        settings={NASTY: [NASTY, {NASTY: NASTY}], "cv": NASTY},
        versions={NASTY: '"><img src=x onerror=alert(1)>'},
    )
    found = Page(render(result))
    assert found.tags["script"] == 0
    assert found.tags["img"] == 1
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    for section in ("header", "verdicts", "scores", "leakage", "pictures", "settings"):
        assert NASTY in found.text(section)


def test_many_classes_and_another_metric() -> None:
    names = ("none", "one", "two", "three", "four")
    result = make_result(names=names, arms={"augmented": 1.0, "warm": 2.0})
    found = Page(render(result, metric="brier", baseline="augmented"))
    assert "none vs one vs two vs three and more" in found.text("header")
    assert "about Brier score, compared with the arm “augmented”" in found.text("header")
    assert "lower than “augmented” (lower is better)" in found.text("verdicts")
    assert "(left is better)" in found.text("differences")
    assert "most probable class" in found.text("calibration")


def test_headlines() -> None:
    found = make_result(arms={"original": 1.0, "a": 1.0, "b": 1.0}).statistics()
    assert words.headline(found) == "Cannot be told apart from “original”: “a”, “b”"
    first, second = found.differences.values()
    differences = {"a": replace(first, verdict="worse"), "b": replace(second, verdict="better")}
    mixed = replace(found, differences=differences)
    assert words.headline(mixed) == "Better than “original”: “b”. Worse than “original”: “a”"


def test_long_runs_and_large_pictures_stay_small() -> None:
    pictures = make_pictures(side=300, channels=3)
    result = make_result(arms={"original": 1.0}, folds=5, seeds=8, epochs=400, pictures=pictures)
    assert len(render(result)) < 1_500_000


def test_synthetic_images_have_a_page() -> None:
    report = make_samples(copies=2)
    text = pages.samples_page(report, NASTY)
    found = Page(text)
    assert NASTY not in text
    told = found.text("samples")
    assert report.memorization.describe() in told
    assert report.verdict in told
    assert report.judge in told
    assert "Copies" in told
    for scores in report.scores.values():
        assert f"{scores.kid:.3f} {scores.kid_low:.3f} to {scores.kid_high:.3f}" in told
    # Six real, six synthetic, the copies beside their sources.
    assert found.tags["img"] == 6 + 6 + 2 * 2
    assert np.array_equal(decode(found.values("src")[0]), report.pictures["real"][0, ..., 0])
    assert not [url for url in found.values("src", "href") if url.startswith("http")]


def test_synthetic_images_have_a_section_in_the_page_of_a_comparison() -> None:
    result, without = full()
    assert 'id="samples"' not in without
    reports = {"intact": make_samples(), "fractured": make_samples(copies=2)}
    found = Page(render(result, samples=reports))
    section = found.text("samples")
    assert [name for name in reports if name in section] == list(reports)
    assert "Closest pairs" in section
    assert "COPIES AMONG THE SYNTHETIC IMAGES: fractured" in found.text("header")
    assert "IMAGES: intact" not in found.text("header")
    ids = found.values("id")
    assert len(ids) == len(set(ids))


def test_what_was_not_looked_for_is_said() -> None:
    found = Page(pages.samples_page(make_samples(looked=False), "all"))
    assert "Nothing looked for copies" in found.text("samples")
    assert "pairs" not in found.text("samples")


CHECK = """<script>
addEventListener("load", () => parent.postMessage([
  document.documentElement.clientWidth, document.documentElement.scrollWidth,
  [...document.images].filter(image => !image.naturalWidth).length,
  [...document.querySelectorAll("svg")].filter(svg => !svg.getBBox().width).length,
  performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
].join(" "), "*"))</script></body>"""
FRAMES = """<!DOCTYPE html><meta charset="utf-8"><body><script>
addEventListener("message", event => {
  const line = document.createElement("pre"); line.textContent = event.data;
  document.body.append(line)})</script>
<iframe src="page.html" width="360" height="800" style="border:0"></iframe>
<iframe src="page.html" width="1280" height="800" style="border:0"></iframe></body>"""


@pytest.mark.slow
def test_in_chromium(tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    browser = next((path for path in map(shutil.which, names) if path), None)
    if browser is None:
        pytest.skip(f"no browser found: none of {', '.join(names)}")
    arms = {"original": 1.0, "a_long_name_without_any_blank_in_it": 1.0, "warm_start": 2.0}
    text = render(
        make_result(
            arms=arms,
            pictures=make_pictures(),
            leak=make_leak(twins=5),
            settings={**SETTINGS, "path": "x" * 200},
        ),
        samples={"intact": make_samples(copies=2)},
    )
    (tmp_path / "page.html").write_text(text.replace("</body>", CHECK), encoding="utf-8")
    (tmp_path / "frames.html").write_text(FRAMES, encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"]
    command += [
        "--hide-scrollbars",
        "--window-size=1700,900",
        "--dump-dom",
        (tmp_path / "frames.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.findall(r"<pre>(.*?)</pre>", done.stdout)
    assert len(found) == 2, done.stderr[-2000:]
    # Width of the view and of the page; pictures and figures that show nothing; requests.
    assert sorted(found) == ["1280 1280 0 0 0", "360 360 0 0 0"]
