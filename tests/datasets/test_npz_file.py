from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.npz_file import load_npz
from synthray.exceptions import FileFormatError

IMAGES = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)


def saved(tmp_path: Path, **columns: object) -> Path:
    path = tmp_path / "images.npz"
    np.savez(path, images=IMAGES, **columns)  # type: ignore[arg-type]
    return path


def test_columns(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        labels=np.array([1, 0, 1, 0], np.uint8),
        class_names=np.array(["ill", "healthy"]),
        split=np.array(["train", "test", "train", "test"]),
        filename=np.array(["a", "b", "c", "d"]),
        group=np.array([7, 8, 7, 9]),
        meta=np.zeros(4),
    )
    sets = load_npz(path)
    assert list(sets) == ["test", "train"]
    train = sets["train"]
    np.testing.assert_array_equal(train.images[..., 0], IMAGES[::2])
    assert (train.class_names, train.labels.tolist()) == (("ill", "healthy"), [1, 1])
    assert train.names is not None
    assert train.groups is not None
    assert (train.names.tolist(), train.groups.tolist()) == (["a", "c"], [7, 7])
    assert sets["test"].provenance == train.provenance


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([3, 1, 3, 1], ("1", "3")), (["b", "a", "b", "a"], ("a", "b"))],
)
def test_labels_without_names(tmp_path: Path, labels: list[object], expected: object) -> None:
    data = load_npz(saved(tmp_path, labels=np.array(labels)))[None]
    assert (data.class_names, data.labels.tolist()) == (expected, [1, 0, 1, 0])


def test_without_labels(tmp_path: Path) -> None:
    data = load_npz(saved(tmp_path))[None]
    assert data.class_counts == {"unlabelled": 4}
    assert data.groups is None


def test_layouts_of_others(tmp_path: Path) -> None:
    own = ImageDataset.from_arrays(IMAGES, [0, 1, 0, 1], class_names=("a", "b"))
    own.save(tmp_path / "own.npz")
    assert load_npz(tmp_path / "own.npz")[None].class_names == ("a", "b")
    np.savez(tmp_path / "medmnist.npz", train_images=IMAGES, train_labels=np.array([[0]] * 4))
    assert list(load_npz(tmp_path / "medmnist.npz")) == ["train"]


def test_shape_and_groups(tmp_path: Path) -> None:
    path = saved(tmp_path, filename=np.array(["a1", "a2", "b1", "b2"]))
    data = load_npz(path, (4, 4, 3), groups=lambda name: name[0])[None]
    assert data.image_shape == (4, 4, 3)
    assert data.group_codes.tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="names"):
        load_npz(saved(tmp_path), groups=lambda name: name[0])


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one split for each"):
        load_npz(saved(tmp_path, split=np.array(["train"])))
    (tmp_path / "no.npz").write_bytes(b"no archive")
    with pytest.raises(FileFormatError, match=r"no\.npz"):
        load_npz(tmp_path / "no.npz")
    np.savez(tmp_path / "other.npz", x=IMAGES)
    with pytest.raises(ValueError, match="train_images"):
        load_npz(tmp_path / "other.npz")
