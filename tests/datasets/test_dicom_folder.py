"""Tests of `load_dicom_folder`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.dicom import bundled, ramp, write_dicom
from synthray.datasets import dicom as _dicom
from synthray.datasets.dicom_folder import load_dicom_folder
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.image_folder import load_image_folder
from synthray.exceptions import FileFormatError, SkippedFilesWarning, SynthrayWarning

SHAPE = (1, 3, 1)
# Relative path, then PatientID and StudyInstanceUID.
FILES = {
    "ap/1": ("Smith^42", "1.2.77701"),
    "ap/2.dcm": ("Jones", "1.2.77702"),
    "lat/1": ("Smith^42 ", "1.2.77703"),
    "lat/2": (None, "1.2.77704"),
    "lat/3": ("", "1.2.77704"),
    "lat/4": (None, None),
}


def load(root: Path, **options: Any) -> ImageDataset:
    data = load_dicom_folder(root, SHAPE, **options)
    assert isinstance(data, ImageDataset)
    return data


def write(root: Path, name: str, **elements: Any) -> Path:
    return write_dicom(root / name, ramp(0, 1, 2), **elements)


def groups(data: ImageDataset) -> dict[str, Any]:
    assert data.names is not None
    assert data.groups is not None
    return dict(zip(data.names.tolist(), data.groups.tolist(), strict=True))


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    for name, (patient, study) in FILES.items():
        view = {"ViewPosition": name.partition("/")[0].upper(), "InstanceNumber": len(name)}
        write(tmp_path, name, PatientID=patient, StudyInstanceUID=study, **view)
    return tmp_path


class TestPatients:
    def test_numbers_in_order_of_appearance(self, two_classes: Path) -> None:
        data = load(two_classes)
        assert data.class_names == ("ap", "lat")
        assert list(groups(data).values()) == [0, 1, 0, 2, 2, 3]
        assert data.groups is not None
        assert data.groups.dtype == np.int64
        assert data.provenance == {
            "source": "load_dicom_folder",
            "path": str(two_classes),
            "fit": "pad",
            "image_shape": [1, 3, 1],
            "frames": "first",
        }

    def test_files_of_one_study_show_one_patient(self, two_classes: Path) -> None:
        write(two_classes, "ap/0", StudyInstanceUID=FILES["ap/2.dcm"][1])
        found = groups(load(two_classes))
        assert found["ap/0"] == found["ap/2.dcm"] == 0

    def test_a_patient_in_two_splits(self, tmp_path: Path) -> None:
        for name, patient in (("test/a/1", "q"), ("test/b/2", "p"), ("train/a/3", "p")):
            write(tmp_path, name, PatientID=patient)
        write(tmp_path, "train/b/4", PatientID="r")
        splits = load_dicom_folder(tmp_path, SHAPE)
        assert isinstance(splits, dict)
        assert groups(splits["test"]) == {"test/a/1": 0, "test/b/2": 1}
        assert groups(splits["train"]) == {"train/a/3": 1, "train/b/4": 2}

    def test_key_matches_separate_calls(self, two_classes: Path, tmp_path: Path) -> None:
        other = tmp_path / "elsewhere"
        write(other, "a/9", PatientID="Jones")
        write(other, "b/4")
        first = groups(load(two_classes, patient_key="secret", classes=("ap", "lat")))
        second = groups(load(other, patient_key=b"secret"))
        third = groups(load(other, patient_key="another"))
        assert first["ap/1"] == first["lat/1"] != first["ap/2.dcm"]
        assert second["a/9"] == first["ap/2.dcm"] != third["a/9"]
        assert len(set(first.values()) | set(second.values()) | set(third.values())) == 7
        assert all(len(value) == 32 for value in first.values())

    @pytest.mark.parametrize("key", [None, "secret"])
    def test_nothing_of_the_header_is_kept(self, two_classes: Path, key: str | None) -> None:
        data = load(two_classes, patient_key=key)
        data.save(two_classes / "saved.npz")
        with np.load(two_classes / "saved.npz") as archive:
            text = " ".join(str(archive[name].tolist()) for name in archive)
        for word in ("Smith", "Jones", "7770"):
            assert word not in text + repr(data)
        assert data.annotations == {}

    def test_a_reason_quotes_no_patient(self, two_classes: Path) -> None:
        path = two_classes / "ap" / "2.dcm"  # where the identifier is said to be a number
        path.write_bytes(path.read_bytes().replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0FD"))
        with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 6"):
            data = load(two_classes)
        assert data.skipped[0].reason == "damaged (BytesLengthException in its header)"

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"patient_key": ""}, ValueError, "patient_key, got an empty one"),
            ({"patient_key": 7}, TypeError, "patient_key as text or bytes, got int"),
            ({"frames": "second"}, ValueError, "'first', 'all'"),
            ({"labels": "ViewPositions"}, ValueError, "DICOM keyword .*, got 'ViewPositions'"),
            ({"labels": "VOILUTSequence"}, ValueError, "DICOM keyword .*, got 'VOILUTSequence'"),
            ({"labels": ("a.csv", "file")}, TypeError, "labels as"),
        ],
    )
    def test_arguments(
        self, two_classes: Path, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            load_dicom_folder(two_classes, SHAPE, **options)


class TestLabels:
    def test_element(self, two_classes: Path) -> None:
        write(two_classes, "IM1", ViewPosition="AP")
        write(two_classes, "IM2")
        write(two_classes, "IM3", ViewPosition="")
        (two_classes / "readme").write_text("no image")
        (two_classes / "DICOMDIR").write_bytes(bundled("test-SR.dcm").read_bytes())
        with pytest.warns(SkippedFilesWarning, match="Skipped 2 of 9"):
            data = load(two_classes, labels="ViewPosition")
        assert data.class_names == ("AP", "LAT")
        assert data.class_counts == {"AP": 3, "LAT": 4}
        assert {(f.name, f.reason) for f in data.skipped} == {
            ("IM2", "no ViewPosition in its header"),
            ("IM3", "no ViewPosition in its header"),
        }
        assert data.provenance["labels"] == "ViewPosition"

    def test_numbers_and_several_values(self, two_classes: Path) -> None:
        data = load(two_classes, labels="InstanceNumber")
        assert data.class_names == ("4", "5", "8")
        write(two_classes, "x/1", ImageType=["ORIGINAL", "PRIMARY"])
        write(two_classes, "x/2", ImageType=["DERIVED", "PRIMARY"])
        with pytest.warns(SkippedFilesWarning, match="Skipped 6 of 8"):
            data = load(two_classes, labels="ImageType")
        assert data.class_names == ("DERIVED\\PRIMARY", "ORIGINAL\\PRIMARY")

    def test_table(self, two_classes: Path) -> None:
        rows = [f"{name},{i % 2}" for i, name in enumerate(FILES)]
        (two_classes / "t.csv").write_text("\n".join(["file,broken", *rows]))
        data = load(two_classes, labels=("t.csv", "file", "broken"))
        assert data.labels.tolist() == [0, 1] * 3
        assert list(groups(data).values()) == [0, 1, 0, 2, 2, 3]
        assert data.provenance["labels"] == ["t.csv", "file", "broken"]


class TestFrames:
    def test_all(self, two_classes: Path) -> None:
        cine = np.stack([ramp(0, 1, 2), ramp(0, 0, 2), ramp(0, 2, 2)])
        write_dicom(two_classes / "ap/1b", cine, NumberOfFrames=3, PatientID="Jones")
        data = load(two_classes, frames="all")
        assert data.names is not None
        assert data.names[:5].tolist() == ["ap/1", "ap/1b#0", "ap/1b#1", "ap/1b#2", "ap/2.dcm"]
        assert data.images[1:4, 0, 1, 0].tolist() == [128, 0, 255]
        assert list(groups(data).values()) == [0, 1, 1, 1, 1, 0, 2, 2, 3]
        assert len(load(two_classes)) == 7

    def test_a_file_is_read_as_a_whole(self, two_classes: Path) -> None:
        cine = np.stack([ramp(0, 1, 2)] * 3)
        path = write_dicom(two_classes / "ap/1b", cine, NumberOfFrames=3)
        path.write_bytes(path.read_bytes()[:-4])
        write_dicom(two_classes / "ap/1c", cine, NumberOfFrames=10**9)
        with pytest.warns(SkippedFilesWarning, match="Skipped 2 of 8"):
            data = load(two_classes, frames="all")
        assert len(data) == 6
        assert [file.name for file in data.skipped] == ["ap/1b", "ap/1c"]
        assert data.skipped[1].reason == "damaged: it cannot hold 1000000000 frames"
        assert (data.images[:, 0, :, 0] == [0, 128, 255]).all()


class TestFiles:
    def test_other_files_are_skipped(self, two_classes: Path) -> None:
        Image.new("L", (3, 1)).save(two_classes / "ap" / "0.png")
        (two_classes / "ap" / "empty.dcm").write_bytes(b"")
        with pytest.warns(SkippedFilesWarning, match="Skipped 2 of 8") as seen:
            data = load(two_classes)
        assert seen[0].filename == __file__
        assert [(file.name, file.reason) for file in data.skipped] == [
            ("ap/0.png", "not a DICOM file"),
            ("ap/empty.dcm", "not a DICOM file"),
        ]
        with pytest.raises(FileFormatError, match=r"Cannot use 'ap/0.png': not a DICOM file"):
            load(two_classes, strict=True)

    def test_no_dicom_at_all(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            Image.new("L", (3, 1)).save(tmp_path / name / "0.png")
        with pytest.raises(ValueError, match=r"1 unreadable files, .*not a DICOM file"):
            load(tmp_path)

    @pytest.mark.parametrize("loader", [load_dicom_folder, load_image_folder])
    def test_burnt_in_annotation(self, two_classes: Path, loader: Any) -> None:
        write(two_classes, "ap/8", BurnedInAnnotation="YES")
        write(two_classes, "ap/9", BurnedInAnnotation="NO")
        with pytest.warns(SynthrayWarning, match=r"1 of 8 files .*such as 'ap/8'") as seen:
            loader(two_classes, SHAPE)
        assert len(seen) == 1

    def test_without_pydicom(self, two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _dicom.pydicom.cache_clear()
        monkeypatch.setitem(sys.modules, "pydicom", None)
        with pytest.raises(ImportError, match=r"pip install 'synthray\[dicom\]'"):
            load_dicom_folder(two_classes)
