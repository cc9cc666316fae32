from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.dicom import write_dicom
from helpers.image_trees import LEAKY, TEXTURES, write_tree
from synthray import AuditReport, ImageDataset, audit_images
from synthray.datasets.image_folder import load_image_folder
from synthray.exceptions import SkippedFilesWarning

HALVES = ["healthy"] * 4 + ["ill"] * 4


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("leaky"), LEAKY)
    (root / "train/ill/broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def leaky(tree: Path) -> AuditReport:
    return audit_images(tree, verbose=0)


def sets() -> dict[str, ImageDataset]:
    """Training images 0 to 5; the test images are 5 and 6."""
    labels = [0, 0, 0, 1, 1, 1, 1]
    data = ImageDataset.from_arrays(TEXTURES[:7], labels, groups=list("aabbccd"))
    return {"train": data.select(range(6)), "test": data.select([5, 6])}


class TestSplits:
    def test_counts(self, leaky: AuditReport) -> None:
        assert len(leaky.names) == 12
        assert (leaky.n_clusters, leaky.n_copies) == (8, 4)
        assert leaky.class_names == ("healthy", "ill")
        assert leaky.found == {"leak", "conflict", "duplicate", "unreadable"}
        assert leaky.sizes == {"64x64": 12}
        assert leaky.modes == {"L": 12}

    def test_leaks(self, leaky: AuditReport) -> None:
        shares = {splits: leak.test_share for splits, leak in leaky.leaks.items()}
        assert shares == {("train", "val"): 0, ("train", "test"): 0.5, ("val", "test"): 0}
        assert len(leaky.leaks["train", "test"].conflicts) == 1

    def test_clusters_follow_the_files(self, leaky: AuditReport) -> None:
        cluster = dict(zip(leaky.names.tolist(), leaky.clusters.tolist(), strict=True))
        assert cluster["train/healthy/0.png"] == cluster["test/healthy/0 turned.png"]
        assert len({cluster[name] for name in LEAKY if name.startswith("val/")}) == 2
        assert (leaky.groups == leaky.clusters).all()

    def test_conflicts(self, leaky: AuditReport) -> None:
        named = dict(zip(leaky.names.tolist(), leaky.clusters.tolist(), strict=True))
        expected = [named["train/healthy/1.png"], named["val/healthy/6.png"]]
        assert leaky.conflicts.tolist() == sorted(expected)

    def test_pairs_are_of_the_worst_kind_first(self, leaky: AuditReport) -> None:
        assert leaky.kinds == {
            "conflict_between_splits": 1,
            "leak": 1,
            "conflict": 1,
            "duplicate": 0,
        }
        names = [tuple(leaky.names[list(pair.places)]) for pair in leaky.pairs]
        assert names == [
            ("train/healthy/1.png", "test/ill/1 turned.png"),
            ("train/healthy/0.png", "test/healthy/0 turned.png"),
            ("val/healthy/6 again.png", "val/ill/6 turned.png"),
        ]
        assert [pair.size for pair in leaky.pairs] == [2, 2, 3]
        a, b = leaky.pairs[1].pictures
        np.testing.assert_array_equal(np.rot90(a[..., 0]), b[..., 0])

    def test_text(self, leaky: AuditReport) -> None:
        text = str(leaky)
        assert text.startswith("LEAK: 2 of 4 test images (50.0 %) are copies of train images.")
        assert "CONTRADICTING LABELS: 2 clusters" in text
        assert "'train/ill/broken.png'" in text
        assert "in train: 0 pixel by pixel, 1 with another class" in text

    def test_json(self, leaky: AuditReport) -> None:
        values = json.loads(json.dumps(leaky.to_dict()))
        assert values["n_clusters"] == 8
        assert values["found"] == sorted(leaky.found)
        assert [leak["known"] for leak in values["leaks"]] == [0, 2, 0]
        assert sorted(map(len, values["clusters"].values())) == [2, 2, 3]
        assert list(values["unreadable"]) == ["train/ill/broken.png"]

    def test_csv_gives_groups_to_the_loader(
        self, leaky: AuditReport, tree: Path, tmp_path: Path
    ) -> None:
        leaky.to_csv(tmp_path / "groups.csv")
        with pytest.warns(SkippedFilesWarning):
            loaded = load_image_folder(tree, groups=(tmp_path / "groups.csv", "group"))
        assert isinstance(loaded, dict)
        found: dict[str, str] = {}
        for data in loaded.values():
            assert data.names is not None
            assert data.groups is not None
            found |= dict(zip(data.names.tolist(), data.groups.tolist(), strict=True))
        assert found == dict(zip(leaky.names, map(str, leaky.clusters), strict=True))


class TestSources:
    def test_without_splits(self, tmp_path: Path) -> None:
        names = [f"{name}/{k}.png" for k, name in enumerate(HALVES)]
        write_tree(tmp_path, dict(zip(names, range(8), strict=True)))
        report = audit_images(tmp_path, verbose=0)
        assert report.leaks == {}
        assert report.found == set()
        assert report.describe() == "No contradicting labels. No copies found among 8 images."

    def test_flat_folder(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"a.png": 0, "b.png": 1, "below/c.png": -1})
        report = audit_images(tmp_path, verbose=0)
        assert report.class_names == ("unlabelled",)
        assert report.describe() == "1 of 3 images is a copy of another."
        assert report.kinds["duplicate"] == 1
        assert "contradicting" not in report.summary()

    def test_splits_without_classes(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"Test/a.png": 0, "train/b.png": 0, "train/c.png": 1})
        report = audit_images(tmp_path, verbose=0)
        assert list(report.leaks) == [("train", "Test")]
        assert report.found == {"leak", "duplicate"}

    def test_folders_that_are_no_classes(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"patient1/a.png": 0, "patient2/b.png": 0})
        assert audit_images(tmp_path, verbose=0).found == {"conflict", "duplicate"}
        assert audit_images(tmp_path, classes=(), verbose=0).found == {"duplicate"}

    def test_a_test_set_of_its_own(self, tmp_path: Path) -> None:
        for folder, k in (("ours", 0), ("theirs", -1)):
            write_tree(tmp_path / folder, {"a/1.png": k, f"{folder}/2.png": 1 - 3 * k})
        report = audit_images(tmp_path / "ours", tmp_path / "theirs", verbose=0)
        names = ["ours/a/1.png", "ours/ours/2.png", "theirs/a/1.png", "theirs/theirs/2.png"]
        assert report.names.tolist() == names
        assert report.class_names == ("a", "ours", "theirs")
        assert report.splits.tolist() == ["train", "train", "test", "test"]
        assert report.leaks["train", "test"].twins.tolist() == [0, -1]

    def test_a_folder_and_a_data_set(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"0/a.png": 0, "1/b.png": 1})
        test = ImageDataset.from_arrays(TEXTURES[[1, 2]], [1, 0], names=["b", "c"])
        report = audit_images(tmp_path, test, verbose=0)
        assert report.names.tolist() == ["0/a.png", "1/b.png", "test/b", "test/c"]
        assert report.leaks["train", "test"].twins.tolist() == [1, -1]

    def test_a_test_set_within(self, tree: Path) -> None:
        with pytest.raises(ValueError, match="outside"):
            audit_images(tree, tree / "test", verbose=0)

    def test_a_test_set_beside_splits(self, tree: Path, tmp_path: Path) -> None:
        write_tree(tmp_path, {"test/healthy/a.png": 0, "test/ill/b.png": 3})
        report = audit_images(tree, tmp_path, verbose=0)
        assert report.leaks["train", "other test"].test_share == 1.0

    def test_classes_on_one_side_only(self, tree: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="Expected classes in all sets or in none"):
            audit_images(tree, write_tree(tmp_path, {"a.png": 0}), verbose=0)

    def test_data_sets(self) -> None:
        report = audit_images(sets(), verbose=0)
        assert report.names.tolist()[-2:] == ["test/0", "test/1"]
        assert report.leaks["train", "test"].twins.tolist() == [5, -1]
        assert report.leaks["train", "test"].same_group == 1
        assert report.modes == {"L": 8}
        assert audit_images(sets()["train"], verbose=0).found == set()

    def test_known_groups_join_clusters(self) -> None:
        report = audit_images(sets(), verbose=0)
        assert report.groups.tolist() == [0, 0, 1, 1, 2, 2, 2, 3]

    def test_names_of_two_sets_are_told_apart(self) -> None:
        data = ImageDataset.from_arrays(TEXTURES[:2], [0, 1], names=["a", "b"])
        report = audit_images({"train": data, "test": data}, verbose=0)
        assert report.names.tolist() == ["train/a", "train/b", "test/a", "test/b"]

    def test_sets_of_other_shapes(self) -> None:
        small, large = sets().values()
        report = audit_images({"train": small, "test": large.resize(96, 96).to_rgb()}, verbose=0)
        assert report.sizes == {"64x64": 6, "96x96": 2}
        assert report.leaks["train", "test"].twins.tolist() == [5, -1]

    def test_npz(self, tmp_path: Path) -> None:
        split = np.array(["train", "test"] * 4)
        groups = np.arange(8) // 4
        np.savez(
            tmp_path / "a.npz", images=TEXTURES, labels=np.arange(8) % 2, split=split, group=groups
        )
        report = audit_images(tmp_path / "a.npz", verbose=0)
        assert report.found == {"leak"}  # by groups
        assert report.describe() == "LEAK: 4 of 4 test images share a group with train images."

        with pytest.raises(ValueError, match="classes of its own"):
            audit_images(tmp_path / "a.npz", labels=("t.csv", "file", "label"), verbose=0)

    def test_dicom(self, tmp_path: Path) -> None:
        elements: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
        ill = TEXTURES[0].astype(np.uint16) * 16
        write_dicom(tmp_path / "a.dcm", np.repeat(ill, 2, axis=1), **elements)
        Image.fromarray(TEXTURES[1]).save(tmp_path / "b.png")
        report = audit_images(tmp_path, verbose=0)
        assert report.sizes == {"128x64": 1, "64x64": 1}
        assert report.modes == {"MONOCHROME2, 12 bits": 1, "L": 1}

    def test_groups_from_a_file(self, tmp_path: Path) -> None:
        write_tree(tmp_path, {"train/a.png": 0, "train/b.png": 1, "test/c.png": 2})
        table = tmp_path / "patients.csv"
        table.write_text("file,who\na.png,x\nb.png,y\nc.png,x\n")
        report = audit_images(tmp_path, groups=(table, "who"), verbose=0)
        assert report.leaks["train", "test"].same_group == 1
        assert report.groups.tolist() == [0, 1, 0]

    def test_colours_and_aspect_of_pictures(self, tmp_path: Path) -> None:
        wide = np.repeat(TEXTURES[0], 2, axis=1)
        colour = np.stack([wide, wide // 2, wide // 3], axis=-1)
        for name in ("a.png", "b.png"):
            Image.fromarray(colour).save(tmp_path / name)
        report = audit_images(tmp_path, verbose=0)
        assert report.modes == {"RGB": 2}
        np.testing.assert_array_equal(report.pairs[0].pictures[0], colour)

    @pytest.mark.parametrize("source", [3, {}, {"train": TEXTURES}])
    def test_other_kinds(self, source: object) -> None:
        with pytest.raises(TypeError):
            audit_images(source, verbose=0)  # type: ignore[arg-type]

    def test_data_sets_have_groups_of_their_own(self) -> None:
        with pytest.raises(ValueError, match="with_groups"):
            audit_images(sets(), groups=str, verbose=0)

    def test_nothing_to_audit(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="at least one image"):
            audit_images(sets()["train"].select([]), verbose=0)
        with pytest.raises(FileNotFoundError):
            audit_images(tmp_path / "nowhere", verbose=0)


def test_csv_quotes_odd_names(tmp_path: Path) -> None:
    names = ['a,"b"\n.png', "über.png"]
    data = ImageDataset.from_arrays(TEXTURES[:2], [0, 1], names=names)
    audit_images(data, verbose=0).to_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "group", "split", "label"]
    assert rows[1:] == [[names[0], "0", "", "0"], [names[1], "1", "", "1"]]
