"""The page that `AuditReport.to_html` writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.image_trees import LEAKY, TEXTURES, write_tree
from helpers.pages import Page
from synthray import AuditReport, ImageDataset, audit_images
from synthray.datasets.image_dataset import SkippedFile

NASTY = "<script>alert('x')</script>"


def page(report: AuditReport, folder: Path) -> tuple[str, Page]:
    report.to_html(folder / "page.html")
    text = (folder / "page.html").read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> AuditReport:
    return audit_images(write_tree(tmp_path_factory.mktemp("leaky"), LEAKY), verbose=0)


def test_structure(leaky: AuditReport, tmp_path: Path) -> None:
    text, found = page(leaky, tmp_path)
    sections = [v for tag, name, v in found.attributes if (tag, name) == ("section", "id")]
    assert sections == ["summary", "conflict_between_splits", "leak", "conflict", "files"]
    known = found.values("id")
    assert len(known) == len(set(known))
    assert set(found.values("aria-labelledby")) <= set(known)
    assert found.tags["script"] == 0
    assert "LEAK: 2 of 4 test images (50.0 %)" in found.text("header")
    assert "CONTRADICTING LABELS" in found.text("header")
    assert "2 of 4" in found.words["summary"]
    assert "may be of patients" in found.text("footer")
    assert len(text) < 100_000


def test_pairs_have_names_and_pictures(leaky: AuditReport, tmp_path: Path) -> None:
    found = page(leaky, tmp_path)[1]
    assert found.words["leak"][2:6] == [
        "train · healthy",
        "train/healthy/0.png",
        "test · healthy",
        "test/healthy/0 turned.png",
    ]
    sources = found.values("src")
    assert len(sources) == 2 * len(leaky.pairs)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    names = leaky.names[[place for pair in leaky.pairs for place in pair.places]].tolist()
    assert found.values("alt") == names


def test_without_splits_and_classes(tmp_path: Path) -> None:
    data = ImageDataset.from_arrays(TEXTURES[[0, 0, 1]], [0, 0, 0], class_names=["unlabelled"])
    found = page(audit_images(data, verbose=0), tmp_path)[1]
    assert "contradicting" not in found.text("summary")
    assert found.tags["table"] == 0
    assert "unlabelled" not in found.text("duplicate")


def test_names_are_escaped(tmp_path: Path) -> None:
    data = ImageDataset.from_arrays(
        TEXTURES[[0, 0]], [0, 1], class_names=[NASTY, "&amp;"], names=[NASTY, "\udc80.png"]
    )
    report = audit_images({NASTY: data}, verbose=0)
    text, found = page(replace(report, skipped=(SkippedFile(NASTY, NASTY),)), tmp_path)
    assert found.tags["script"] == 0
    assert NASTY in found.words["conflict"]
    assert f"{NASTY} · &amp;" in found.words["conflict"]
    assert "\\udc80.png" in text


def test_long_lists_end(tmp_path: Path) -> None:
    skipped = tuple(SkippedFile(f"{k}.png", "no image") for k in range(250))
    sizes = {f"{k}x{k}": 2 for k in range(20)}
    data = ImageDataset.from_arrays(np.repeat(TEXTURES[:1], 2, axis=0), [0, 1])
    report = replace(audit_images(data, verbose=0), skipped=skipped, sizes=sizes)
    found = page(report, tmp_path)[1]
    assert "And 50 more." in found.words["files"]
    assert found.text("files").count("no image") == 200
    assert "8 others 16" in found.text("files")
    assert "and 17 others (34)" in str(report)
