"""The page that `ComparisonResult.to_html` writes."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthray import SampleReport, evaluate_samples
from synthray._report import png
from synthray.comparison.pictures import Pictures
from synthray.comparison.report import words
from synthray.comparison.result import ComparisonResult
from test_tables_and_plots import make_leak, make_result

VOID = {"meta", "img", "link", "br", "input", "hr"}
SECTIONS = ["verdicts", "scores", "differences", "curves", "calibration", "leaks", "pictures"]
SECTIONS += ["settings"]
NASTY = "<script>alert('x')</script>"


class Page(HTMLParser):
    """What a page holds; refuses tags that are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: dict[str, list[str]] = {}
        self.section = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in ("section", "header", "footer"):
            self.section = dict(attrs).get("id", tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and data.strip():
            self.words.setdefault(self.section, []).append(" ".join(data.split()))

    def text(self, section: str) -> str:
        return " ".join(self.words[section])

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]


def make_pictures(*, drawn: bool = True, side: int = 12, channels: int = 1) -> Pictures:
    rng = np.random.default_rng(0)

    def some() -> Any:
        return rng.integers(0, 256, (8, side, side, channels), np.uint8)

    names = ("intact", "fractured")
    return Pictures(
        real={name: some() for name in names},
        synthetic={name: some() for name in names} if drawn else {},
        leaked=[(some()[0], some()[1]) for _ in range(3)],
    )


SETTINGS: dict[str, Any] = {
    "protocol": "grouped",
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


def write(result: ComparisonResult, **arguments: Any) -> str:
    from synthray.comparison.report import page

    usual: dict[str, Any] = {"metric": "balanced_accuracy", "baseline": None, "samples": {}}
    return page.render(result, **usual | arguments)


@cache
def full() -> tuple[ComparisonResult, str]:
    result = make_result(
        folds=1,
        pictures=make_pictures(),
        leak=make_leak(twins=5, conflicts=2),
        settings=SETTINGS,
    )
    return result, write(result)


def one_arm(**changes: Any) -> ComparisonResult:
    return make_result(**{"arms": {"original": 1.0}, "folds": 1, "seeds": 1, **changes})


def test_structure(tmp_path: Path) -> None:
    result, text = full()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert [value for tag, name, value in page.attributes if tag == "section" and name == "id"] == (
        SECTIONS
    )
    assert ("html", "lang", "en") in page.attributes
    assert ("meta", "name", "viewport") in page.attributes
    assert "<title>intact vs fractured: comparison by synthray</title>" in text
    assert (page.tags["h1"], page.tags["main"], page.tags["script"]) == (1, 1, 0)
    assert page.tags["svg"] == 1 + 2 * len(result.arms)
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 1_500_000
    result.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text  # and nothing varies


def test_self_contained() -> None:
    page = Page(full()[1])
    assert "http" not in full()[1]
    for value in page.values("src", "href", "xlink:href", "srcset", "data", "action"):
        assert value.startswith(("data:image/png;base64,", "#"))
    assert "@import" not in full()[1]
    assert all(link.startswith("#") for link in re.findall(r"url\((.*?)\)", full()[1]))


def test_identifiers() -> None:
    page = Page(full()[1])
    known = page.values("id")
    assert len(known) == len(set(known))
    used = [value[1:] for value in page.values("href")]
    used += re.findall(r"url\(#(.*?)\)", full()[1])
    used += page.values("aria-labelledby")
    assert set(used) <= set(known)


def test_every_picture_has_words() -> None:
    result, text = full()
    page = Page(text)
    alternatives = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alternatives) == page.tags["img"] == 2 * 8 * 2 + 2 * 3
    assert all(alternatives)
    assert "drawn image 8 of fractured" in alternatives
    assert "image-rendering: pixelated" in text
    labels = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == page.tags["svg"]
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    data = base64.b64decode(sources[2 * 3].split(",")[1])  # leaked pairs come first
    assert result.pictures is not None
    shown = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(shown, result.pictures.real["intact"][0, ..., 0])


def test_numbers_are_those_of_the_statistics() -> None:
    result, text = full()
    statistics = result.statistics()
    page = Page(text)
    for arm in result.arms:
        found = statistics.intervals[arm]
        for name in ("balanced_accuracy", "sensitivity"):
            shown = found[name]
            assert shown.value is not None
            assert shown.low is not None
            assert shown.high is not None
            assert f"{100 * shown.value:.1f} %" in page.words["scores"]
            assert f"{100 * shown.low:.1f} to {100 * shown.high:.1f}" in page.words["scores"]
        assert f"{found['auc'].value:.3f}" in page.words["scores"]
    warm = statistics.differences["warm_start"]
    assert warm.difference is not None
    assert warm.low is not None
    assert f"+{100 * warm.difference:.1f} pts" in page.words["differences"]
    assert f"{100 * abs(warm.difference):.1f} points higher" in page.text("verdicts")
    assert f"+{100 * warm.low:.1f}" in page.text("differences")
    assert "120" in page.words["verdicts"]
    assert "60" in page.words["verdicts"]


def test_verdict_comes_first_and_in_words() -> None:
    page = Page(full()[1])
    order = [page.text("header"), page.text("verdicts")]
    assert "“warm_start” does better than “original”" in order[0]
    assert "“augmented” cannot be told apart from it." in order[0]
    assert "trained on real images" in order[0]
    assert "Trained on drawn images, then real images." in order[1]
    assert "chance can do that" in order[1]
    assert "▲ better" in order[1]


def test_leak_section() -> None:
    page = Page(full()[1])
    assert "Leak: judging images are known from training" in page.words["header"][1:4]
    assert "5 of 20 test images (25%)" in page.text("header")
    assert "LEAK: 5 of 20" in page.text("leaks")
    assert page.text("leaks").count("judging training") == 3
    clean = Page(write(one_arm(leak=make_leak())))
    assert "No leak found" in clean.text("leaks")
    assert "eak" not in clean.text("header")
    off = Page(write(one_arm(leak=None)))
    assert "The leak audit was switched off" in off.text("header")
    assert "switched off" in off.text("leaks")
    asked = Page(write(one_arm(settings={"protocol": "leaky"})))
    assert "Leaky protocol" in asked.text("header")


def test_settings_and_versions() -> None:
    page = Page(full()[1])
    assert "protocol grouped arms original source real augment no share 1.0" in page.text(
        "settings"
    )
    assert "seeds 0, 1 class_weight none" in page.text("settings")
    assert "source a & b files none" in page.text("settings")
    assert "versions synthray 0" in page.text("settings").lower()
    assert "not a medical device" in page.text("footer")
    assert "may be of patients" in page.text("footer")


def test_absent_parts_say_why(tmp_path: Path) -> None:
    result = full()[0]
    result.save(tmp_path / "result.json")
    loaded = Page(write(ComparisonResult.load(tmp_path / "result.json")))
    assert "not kept in the file" in loaded.text("pictures")
    assert "Saved results hold no pictures" in loaded.text("leaks")
    assert loaded.tags["img"] == 0
    assert "may be of patients" not in loaded.text("footer")
    undrawn = Page(write(one_arm(pictures=make_pictures(drawn=False))))
    assert "No images were drawn" in undrawn.text("pictures")
    alone = one_arm(pictures=Pictures(real={}))
    alone = replace(alone, runs=tuple(replace(run, history={}) for run in alone.runs))
    page = Page(write(alone))
    assert "nothing to compare it with" in page.text("header")
    assert "no second arm" in page.text("differences")
    assert "No curves were recorded" in page.text("curves")
    assert "none to show" in page.text("pictures")
    assert "one seed and one test set" in page.text("scores")


def test_diverged_arm() -> None:
    page = Page(write(make_result(diverged="augmented", arms={"original": 1.0, "augmented": 1.0})))
    assert "There is no verdict on “augmented”." in page.text("header")
    assert "training broke down in 2 of 4 runs" in page.text("verdicts")
    assert "2 of 4 runs diverged" in page.text("scores")
    first = Page(write(make_result(diverged="original", arms={"original": 1.0, "b": 1.0})))
    assert "training of “original” broke down" in first.text("verdicts")


def test_names_are_escaped() -> None:
    result = make_result(
        arms={"original": 1.0, NASTY: 1.2},
        names=("intact", NASTY),
        leak=make_leak(twins=2, names=("intact", NASTY)),
        pictures=Pictures(real={NASTY: np.zeros((1, 4, 4, 1), np.uint8)}),
        settings={NASTY: [NASTY, {NASTY: NASTY}], "protocol": NASTY},
        versions={NASTY: '"><img src=x onerror=alert(1)>'},
    )
    page = Page(write(result))
    assert page.tags["script"] == 0
    assert page.tags["img"] == 1
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    for section in ("header", "verdicts", "scores", "leaks", "pictures", "settings"):
        assert NASTY in page.text(section)


def test_many_classes_and_another_metric() -> None:
    names = ("none", "one", "two", "three", "four")
    page = Page(
        write(
            make_result(names=names, arms={"augmented": 1.0, "warm": 2.0}),
            metric="brier",
            baseline="augmented",
        )
    )
    assert "none, one, two and 2 more" in page.text("header")
    assert "The verdict is about Brier score, against the arm “augmented”" in page.text("header")
    assert "lower than that of “augmented” (lower is better)" in page.text("verdicts")
    assert "(left is better)" in page.text("differences")
    assert "for the class that was chosen" in page.text("calibration")


def test_headlines() -> None:
    statistics = make_result(arms={"original": 1.0, **{f"arm {i}": 1.0 for i in range(5)}})
    found = statistics.statistics()
    assert words.headline(found) == "None of the 5 other arms can be told apart from “original”."
    first, *rest = found.differences.values()
    differences = {d.arm: replace(d, verdict="worse") for d in rest}
    mixed = replace(found, differences={first.arm: replace(first, verdict="better"), **differences})
    assert words.headline(mixed) == (
        "The arm “arm 0” does better than “original”. 4 of 5 arms do worse than it."
    )


def test_sentences() -> None:
    result = make_result()
    found = result.statistics()
    d = replace(found.differences["augmented"], difference=-0.02, low=-0.04, high=-0.01, p_holm=0.2)
    text = " ".join(words.explain(result, found, replace(d, verdict="worse")))
    assert text.endswith("it would likely be between 1.0 and 4.0 points lower.")
    text = words.explain(result, found, replace(d, verdict="cannot be told apart"))[0]
    assert "leaves out zero, but the test" in text
    assert "(p = 0.200)" in text
    text = words.explain(result, found, replace(d, low=None, verdict="cannot be told apart"))[0]
    assert text == "Balanced accuracy was 2.0 points lower than that of “original”."
    level = replace(d, difference=0.0, low=-0.01, high=0.01, verdict="cannot be told apart")
    assert words.explain(result, found, level)[0].startswith("Balanced accuracy was the same, but")
    assert [words.duration(s) for s in (5, 150, 9000)] == ["5 s", "2.5 min", "2.5 h"]


def test_large_pictures_and_long_runs_stay_small() -> None:
    result = make_result(
        arms={"original": 1.0},
        folds=5,
        seeds=8,
        epochs=400,
        pictures=make_pictures(side=300, channels=3),
    )
    assert len(write(result)) < 1_500_000
    assert png.png(np.zeros((9, 6, 2), np.uint8), 3).startswith("data:image/png;base64,")


@cache
def make_samples(*, copies: int = 0, looked: bool = True) -> SampleReport:
    rng = np.random.default_rng(0)
    train, held_out, drawn = rng.integers(0, 256, (3, 24, 32, 32, 1), np.uint8)
    drawn[:copies] = train[:copies]
    return evaluate_samples(train, drawn, held_out, copies=looked)


def test_drawn_images_have_a_page(tmp_path: Path) -> None:
    report = make_samples(copies=2)
    report.to_html(tmp_path / "page.html", title=NASTY)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert NASTY not in text
    words = page.text("drawn")
    screen = report.memorization
    assert screen is not None
    assert screen.describe() in words
    assert "Copies" in words
    for scores in report.scores.values():
        assert f"{scores.kid:.3f} {scores.kid_low:.3f} to {scores.kid_high:.3f}" in words
    # Pictures: 16 real, 16 drawn, the copies beside their sources.
    assert page.tags["img"] == 16 + 16 + 2 * 2
    first = page.values("src")[0]
    with Image.open(io.BytesIO(base64.b64decode(first.split(",")[1]))) as image:
        assert np.array_equal(np.asarray(image), report.pictures["real"][0, ..., 0])
    assert not [url for url in page.values("src", "href") if url.startswith("http")]


def test_drawn_images_have_a_section_in_the_page_of_a_comparison() -> None:
    result, without = full()
    assert 'id="drawn"' not in without
    reports = {"intact": make_samples(), "fractured": make_samples(copies=2)}
    page = Page(write(result, samples=reports))
    section = page.text("drawn")
    assert [name for name in reports if name in section] == list(reports)
    assert "Closest pairs" in section
    assert "Copies among the drawn images: fractured" in page.text("header")
    assert "drawn images: intact" not in page.text("header")
    ids = page.values("id")
    assert len(ids) == len(set(ids))


def test_what_was_not_looked_for_is_said(tmp_path: Path) -> None:
    make_samples(looked=False).to_html(tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Copies of training images were not looked for." in page.text("drawn")
    assert "pairs" not in page.text("drawn")


def test_the_plot_of_drawn_images_shows_what_was_measured() -> None:
    report = make_samples()
    distance, shares = report.plot().axes
    names = [label.get_text() for label in distance.get_yticklabels()]
    dots = [x[0] for x in map(_x, distance.get_lines()) if len(x) == 1]
    assert dots == [report.scores[name].kid for name in names]
    found = {line.get_label(): _x(line).tolist() for line in shares.get_lines()}
    for name, scores in report.scores.items():
        assert found[name] == [scores.precision, scores.recall, scores.density, scores.coverage]


def _x(line: Any) -> Any:
    return np.atleast_1d(np.asarray(line.get_xdata()))


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


def test_in_chromium(tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    browser = next((path for path in map(shutil.which, names) if path), None)
    if browser is None:
        pytest.skip(f"no browser found: none of {', '.join(names)}")
    arms = {"original": 1.0, "a_long_name_without_any_blank_in_it": 1.0, "warm_start": 2.0}
    text = write(
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
