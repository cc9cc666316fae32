"""Tests of `load_medmnist`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthray.datasets.medmnist import load_medmnist
from synthray.exceptions import FileFormatError


def arrays(
    n: int = 6, size: tuple[int, ...] = (28, 28), classes: int = 2, splits: str = "train val test"
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {}
    for split in splits.split():
        result[f"{split}_images"] = rng.integers(0, 256, (n, *size), np.uint8)
        result[f"{split}_labels"] = (np.arange(n) % classes).astype(np.uint8)[:, np.newaxis]
    return result


@pytest.mark.parametrize(("size", "classes"), [((28, 28), 2), ((32, 20, 3), 5)])
def test_path_open_file_and_mapping_agree(
    tmp_path: Path, size: tuple[int, ...], classes: int
) -> None:
    source = arrays(size=size, classes=classes)
    path = tmp_path / "set.npz"
    np.savez(path, **source)
    with np.load(path) as opened:
        results = [load_medmnist(path), load_medmnist(str(path)), load_medmnist(opened)]
        assert opened["train_labels"].size  # still open
    results.append(load_medmnist(source))
    for splits in results:
        assert list(splits) == ["train", "val", "test"]
        for split, data in splits.items():
            expected = source[f"{split}_images"].reshape(6, *size[:2], -1)
            assert np.array_equal(data.images, expected)
            assert data.labels.tolist() == source[f"{split}_labels"][:, 0].tolist()
            assert data.class_names == tuple("01234"[:classes])
            assert data.provenance["split"] == split
    assert results[0]["val"].provenance["path"] == str(path)
    assert results[-1]["val"].provenance["path"] is None


def test_any_split_may_be_missing() -> None:
    assert list(load_medmnist(arrays(splits="train test"))) == ["train", "test"]
    assert list(load_medmnist(arrays(splits="test"))) == ["test"]


def test_splits_share_the_classes() -> None:
    source = arrays(splits="train test")
    source["train_labels"] = np.zeros((6, 1), int)
    source["test_labels"] = np.full(6, 3)
    splits = load_medmnist(source)
    assert splits["train"].class_names == splits["test"].class_names == ("0", "1", "2", "3")
    named = load_medmnist(source, class_names=list("abcd"))
    assert named["test"].class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize("class_names", [("a",), "ab"])
def test_class_names_that_do_not_fit(class_names: Any) -> None:
    with pytest.raises(ValueError, match="at least 2 names"):
        load_medmnist(arrays(), class_names=class_names)


@pytest.mark.parametrize("shape", [(16, 20, 1), (28, 28, 3), (64, 64, 3)])
@pytest.mark.parametrize("size", [(28, 28), (28, 28, 3)])
def test_image_shape_converts(size: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    data = load_medmnist(arrays(size=size), image_shape=shape)["val"]
    assert data.image_shape == shape
    assert 100 < data.images.mean() < 155


def test_image_shape_is_checked() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels"):
        load_medmnist(arrays(), image_shape=(28, 28, 2))


def test_boolean_labels() -> None:
    source = arrays(splits="test") | {"test_labels": np.arange(6) > 2}
    assert load_medmnist(source)["test"].labels.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_labels": np.zeros((6, 14), int)}, "val_labels of shape .* multi-label"),
        ({"val_labels": np.zeros((6, 1))}, "labels must be integers"),
        ({"val_labels": np.zeros((6, 1, 1), int)}, "labels must hold one value"),
        ({"val_labels": np.full((6, 1), -1)}, "between 0 and 1.* got -1"),
        ({"val_labels": np.zeros((5, 1), int)}, "labels must hold one value"),
        ({"val_images": np.full((6, 28, 28), 0.5)}, "got float64.*value_range="),
        ({"val_labels": np.full((6, 1), 10**9)}, "labels must be integers from 0"),
        ({"val_images": np.zeros((6, 28, 28, 28), np.uint8)}, "Slice volumes"),
        ({"val_images": np.zeros((6, 28), np.uint8)}, "must have the shape"),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_medmnist(arrays() | change)


def test_missing_keys_say_what_came(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train_images and train_labels.* got \['x', 'y'\]"):
        load_medmnist({"x": np.zeros(3), "y": np.zeros(3)})
    source = arrays()
    del source["val_labels"]
    with pytest.raises(ValueError, match=r"pairs of val and test, in the mapping, got"):
        load_medmnist(source)


class TestFiles:
    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="none"):
            load_medmnist(tmp_path / "none.npz")

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more"])
    def test_another_kind_of_file(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "set.npz"
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"set\.npz is damaged, or is not"):
            load_medmnist(path)
        os.mkfifo(tmp_path / "pipe.npz")
        with pytest.raises(FileFormatError, match="no regular file"):
            load_medmnist(tmp_path / "pipe.npz")

    def test_what_is_larger_than_allowed(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "set.npz", **arrays())
        with pytest.raises(FileFormatError, match=r"set\.npz .*max_bytes"):
            load_medmnist(tmp_path / "set.npz", max_bytes=10_000)

    def test_single_array(self, tmp_path: Path) -> None:
        np.save(tmp_path / "set.npy", np.zeros(3))
        with pytest.raises(FileFormatError, match=r"set\.npy"):
            load_medmnist(tmp_path / "set.npy")

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_damaged_member(self, tmp_path: Path, save: Any) -> None:
        path = tmp_path / "set.npz"
        save(path, **arrays(n=40))
        content = bytearray(path.read_bytes())
        content[2000:2040] = bytes(40)
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"set\.npz"):
            load_medmnist(path)

    def test_pickled_objects_are_not_loaded(self, tmp_path: Path) -> None:
        path = tmp_path / "set.npz"
        np.savez(path, **arrays() | {"val_labels": np.array([{}] * 6, object)})
        with pytest.raises(FileFormatError, match=r"set\.npz .* allow_pickle=False"):
            load_medmnist(path)

    def test_another_type(self) -> None:
        with pytest.raises(TypeError, match="got int"):
            load_medmnist(3)  # type: ignore[arg-type]


def test_pneumonia(shared_data: Path) -> None:
    splits = load_medmnist(shared_data / "pneumoniamnist.npz", class_names=("normal", "pneumonia"))
    assert {split: len(data) for split, data in splits.items()} == {
        "train": 4708,
        "val": 524,
        "test": 624,
    }
    assert splits["train"].image_shape == (28, 28, 1)
    assert splits["test"].class_counts == {"normal": 234, "pneumonia": 390}
