"""`evaluate_samples` as a whole, and what judges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import synthray as sr
from helpers.planted import textured
from helpers.toys import looks
from synthray.evaluation.distances import standardised


@pytest.fixture(scope="module")
def thirds() -> list[NDArray[np.uint8]]:
    """Training images, new ones and held-out ones, 50 each."""
    return np.split(sr.make_phantoms(150, image_shape=(32, 32, 1), seed=0).images, 3)


def blurred(images: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(gaussian_filter(images, (0, sigma, sigma, 0)))


def test_falls_with_growing_damage(thirds: list[NDArray[np.uint8]]) -> None:
    train, synthetic, held_out = thirds
    reports = [
        sr.evaluate_samples(
            train, blurred(synthetic, sigma), held_out[..., 0], features=looks, copies=False
        )
        for sigma in (0, 2, 4)
    ]
    found = [report.scores["synthetic"] for report in reports]
    assert found[0].kid < found[1].kid < found[2].kid
    assert found[0].frechet < found[1].frechet < found[2].frechet
    assert found[0].coverage > 0.85 > found[2].coverage
    real, one_pixel = (reports[0].scores[name] for name in ("real", "blurred"))
    assert real.kid_low < 0 < real.kid_high < one_pixel.kid < found[1].kid
    assert reports[0].scores["augmented"].kid < found[2].kid


@pytest.mark.parametrize(
    ("kid", "coverage", "verdict"),
    [
        (0.1, 0.9, "as near as real images"),
        (0.1, 0.8, "as near as real images; lower coverage"),
        (0.5, 0.9, "nearer than real images blurred by one pixel, but not as near as real images"),
        (1.0, 0.1, "far from real: worse than real images blurred by one pixel; lower coverage"),
    ],
)
def test_says_what_may_be_concluded(kid: float, coverage: float, verdict: str) -> None:
    def scores(kid: float, coverage: float = 0.95) -> sr.SampleScores:
        around = {"kid_low": kid - 0.1, "kid_high": kid + 0.1}
        shares = {"precision": 0.9, "recall": 0.9, "density": 1.0, "coverage": coverage}
        return sr.SampleScores(kid=kid, frechet=1.0, **around, **shares)

    found = {"real": scores(0), "blurred": scores(1), "synthetic": scores(kid, coverage)}
    report = sr.SampleReport(scores=found, judge="looks", n_judged=30, memorization=None)
    assert report.verdict == verdict
    assert f"Synthetic images: {verdict}.\nEach set of 30 images, compared with as" in str(report)
    assert "held-out real ones by looks." in str(report)


def test_a_network_judges_unless_told_otherwise(thirds: list[NDArray[np.uint8]]) -> None:
    train, synthetic, held_out = (images[:30] for images in thirds)
    report = sr.evaluate_samples(train, blurred(synthetic, 1.5), held_out, copies=False)
    assert report.judge == sr.ImageFeatures("judging").describe()
    assert report.verdict.startswith("far from real")


def test_warns_if_what_made_or_chose_the_images_judges_them() -> None:
    images, labels = textured(60, side=32), np.arange(60) % 1
    parts = {
        "networks": [{"networks": ["looks"]}],
        "filter": {"a": {"kept": 20, "networks": ["looks"]}},
    }
    for key, value in parts.items():
        provenance = {"parts": value} if key == "networks" else {key: value}
        made = sr.ImageDataset.from_arrays(
            images[20:40], labels[20:40], class_names=["a"], synthetic=True, provenance=provenance
        )
        sets = images[:20], made, images[40:]
        with pytest.warns(sr.SynthrayWarning, match="looks judges images that it made or chose"):
            sr.evaluate_samples(*sets, features=looks, copies=False)
        sr.evaluate_samples(*sets, features=lambda x: looks(x), copies=False)


def test_same_seed_same_values_and_json(tmp_path: Path) -> None:
    data = sr.make_phantoms(60, image_shape=(32, 32, 1), seed=0)
    parts = [data.select(np.arange(60) % 3 == k) for k in range(3)]
    report = sr.evaluate_samples(*parts, features=looks)
    one = report.to_dict()
    again, other = (
        sr.evaluate_samples(*parts, seed=s, features=looks, copies=False) for s in (0, 1)
    )
    assert json.loads(json.dumps(one)) == one
    assert one["scores"] == again.to_dict()["scores"]
    low, other_low = (each.scores["synthetic"].kid_low for each in (report, other))
    assert low != other_low
    assert (one["judge"], one["verdict"]) == ("looks", report.verdict)
    assert one["n_judged"] == 20
    assert {name: len(rows) for name, rows in report.pictures.items()} == {
        "real": 16,
        "synthetic": 16,
    }
    assert again.to_dict()["memorization"] is None
    assert "Nothing looked for copies" in repr(again)
    assert len(again.plot_pairs().axes) == 0
    assert len(report.plot().axes) == 2
    report.to_html(tmp_path / "page.html", title="Hands")
    assert "Hands" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_mistakes_are_explained() -> None:
    images = textured(25, side=32)
    for bad, message in (
        ((images, images[:19], images), "at least 20 images a set, .*'synthetic': 19"),
        ((images, images[:, :16], images), r"'synthetic': \(16, 32, 1\)"),
        ((images, images / 255, images), "synthetic must be uint8 .* got float64"),
    ):
        with pytest.raises(ValueError, match=message):
            sr.evaluate_samples(*bad)
    with pytest.raises(TypeError, match="real_train must be an ImageDataset or"):
        sr.evaluate_samples([1], images, images)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(25, d\), got shape \(25,\)"):
        sr.evaluate_samples(images, images, images, features=lambda x: x.mean((1, 2, 3)))
    with pytest.raises(ValueError, match="finite"):
        sr.evaluate_samples(images, images, images, features=lambda x: np.full((len(x), 2), np.nan))


def test_standardised_by_the_first_set() -> None:
    a, b = (np.random.default_rng(0).normal(size=(n, 3)) for n in (50, 20))
    a = a * [1, 5, 0] + [3, 0, 2]
    first, second = standardised(a, b)
    np.testing.assert_allclose(first.mean(0), 0, atol=1e-12)
    assert first.var(0).mean() == pytest.approx(1)
    np.testing.assert_allclose(second, (b - a.mean(0)) / np.sqrt(a.var(0).sum() / 3))
    np.testing.assert_allclose(standardised(a * 0, b)[1], b)
