"""ImageDataset: shapes, splits, conversions, files."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthray as sr
from synthray._digest import digest
from synthray.exceptions import FileFormatError

RNG = np.random.default_rng(0)


def toy(n: int = 40, *, groups: Any = "pairs", channels: int = 1) -> sr.ImageDataset:
    images = RNG.integers(0, 256, (n, 8, 12, channels), dtype=np.uint8)
    return sr.ImageDataset.from_arrays(
        images,
        np.arange(n) // 2 % 2,
        class_names=("intact", "fractured"),
        groups=np.arange(n) // 2 if isinstance(groups, str) else groups,
        names=[f"image{i}.png" for i in range(n)],
        annotations={"angle": np.linspace(0, 90, n)},
        provenance={"source": "toy"},
    )


def test_repr_tells_what_it_holds() -> None:
    assert repr(toy()) == ("ImageDataset(40 images of 8x12x1: 20 intact, 20 fractured; 20 groups)")
    assert len(toy()) == 40
    assert toy().class_counts == {"intact": 20, "fractured": 20}


def test_is_frozen_and_read_only() -> None:
    data = toy()
    with pytest.raises(FrozenInstanceError):
        data.labels = np.zeros(40, np.int64)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 0
    images, labels = data.to_arrays()
    images[0] = 0
    labels[0] = 1
    assert data.labels[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.full((2, 8, 8), 300)}, "value_range="),
        ({"images": np.ones((2, 8, 8), bool)}, "got bool"),
        ({"images": np.zeros((2, 8, 8, 2), "uint8")}, "1 or 3 channels"),
        ({"labels": [0, 1, 1]}, "labels must hold one value"),
        ({"labels": [0.5, 1.0]}, r"np\.unique"),
        ({"labels": [-1, 0]}, "between 0 and"),
        ({"labels": [0, 10**9]}, r"np\.unique"),
        ({"labels": [0, 2], "class_names": ("a", "b")}, "between 0 and 1"),
        ({"class_names": ("a", "a")}, "differ from each other"),
        ({"class_names": ("a", "b\udc80")}, r"UTF-8.*udc80"),
        ({"positive_class": "c"}, "one of the class names"),
        ({"groups": [0.5, 1.5]}, "integers or strings"),
        ({"groups": ["p1", float("nan")]}, "groups must be integers or strings, got object"),
        ({"groups": [None, "p1"]}, "groups must be integers or strings"),
        ({"groups": [1, 2, 3]}, "groups must hold one value"),
        ({"names": ["a"]}, "names must hold one value"),
        ({"annotations": {"x": np.zeros(3)}}, "x must hold one value"),
    ],
)
def test_bad_columns_are_named(arguments: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"images": np.zeros((2, 8, 8), "uint8"), "labels": [0, 1]}
    with pytest.raises(ValueError, match=message):
        sr.ImageDataset.from_arrays(**(good | arguments))


def test_later_writes_to_what_was_given_change_nothing() -> None:
    columns: dict[str, Any] = {
        "images": np.zeros((2, 8, 8), "uint8"),
        "labels": np.array([0, 1]),
        "groups": np.array([3, 4]),
        "names": np.array(["a", "b"]),
        "synthetic": np.array([False, True]),
        "annotations": {"angle": np.array([1.0, 2.0])},
    }
    data = sr.ImageDataset.from_arrays(**columns)

    def state() -> list[Any]:
        return [digest(data), *map(np.ndarray.tolist, (data.groups, data.names, data.synthetic))]  # type: ignore[arg-type]

    before = state()
    for column in (*columns.values(), *columns["annotations"].values()):
        if isinstance(column, np.ndarray):
            column[:] = column[::-1].copy()
    columns["images"][:] = 9
    assert state() == before
    base = np.zeros((1, 8, 8), "uint8")
    shown = sr.ImageDataset.from_arrays(np.broadcast_to(base, (2, 8, 8)), [0, 1])
    base[:] = 9
    assert not shown.images.any()
    # What nobody can write to is not copied.
    again = sr.ImageDataset.from_arrays(shown.images, [0, 1])
    assert np.shares_memory(again.images, shown.images)


def test_the_constructor_refuses_class_names_that_are_no_utf_8() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        sr.ImageDataset(np.zeros((1, 8, 8), "uint8"), np.zeros(1, int), ("\ud800",))


def test_the_constructor_takes_8_bits() -> None:
    images = np.zeros((2, 8, 8, 1))
    with pytest.raises(ValueError, match=r"must be uint8.*from_arrays"):
        sr.ImageDataset(images, np.array([0, 1]), ("a", "b"))  # type: ignore[arg-type]


def test_split_keeps_groups_and_class_shares() -> None:
    data = toy(200)
    train, test = data.split(0.3, seed=0)
    assert len(train) + len(test) == 200
    assert abs(len(test) - 60) <= 4
    assert not set(np.asarray(train.groups)) & set(np.asarray(test.groups))
    assert abs(test.labels.mean() - 0.5) < 0.05
    assert train.names is not None
    assert train.names[0].startswith("image")


def test_split_follows_the_seed() -> None:
    data = toy(100)
    first, again, other = (np.asarray(data.split(0.2, seed=s)[1].names) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [0.0, 1.0, -1, 5])
def test_split_refuses_impossible_shares(size: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        toy().split(size)


def test_split_needs_groups_enough() -> None:
    data = toy(40, groups=np.arange(40) // 20)
    with pytest.raises(ValueError, match=r"groups of every class.*fewer folds"):
        data.split(0.2, seed=0)
    with pytest.raises(ValueError, match="at least 2 folds"):
        list(data.folds(1))


def test_folds_cover_every_image_once_and_cut_no_group() -> None:
    data = toy(100)
    tests = []
    for train, test in data.folds(5, seed=3):
        assert not set(np.asarray(train.groups)) & set(np.asarray(test.groups))
        tests.append(np.asarray(test.names))
    assert sorted(np.concatenate(tests)) == sorted(np.asarray(data.names))


def test_without_groups_every_image_is_its_own() -> None:
    data = toy(groups=None)
    assert len(np.unique(data.group_codes)) == 40
    _, test = data.split(0.25, seed=0)
    assert len(test) == 10
    assert test.class_counts == {"intact": 5, "fractured": 5}


def test_select_takes_positions_and_masks() -> None:
    data = toy()
    some = data.select([3, 1])
    np.testing.assert_array_equal(some.images, data.images[[3, 1]])
    assert some.annotations["angle"].tolist() == data.annotations["angle"][[3, 1]].tolist()
    assert data.select(data.labels == 1).class_counts == {"intact": 0, "fractured": 20}
    assert len(data.select([])) == 0
    with pytest.raises(ValueError, match="one-dimensional"):
        data.select([[0, 1]])
    with pytest.raises(ValueError, match="integer positions"):
        data.select([0.5])


def test_the_positive_class_is_kept(tmp_path: Path) -> None:
    data = toy()
    assert (data.positive_class, data.positive_label) == ("fractured", 1)
    data = data.with_positive_class("intact")
    data.save(tmp_path / "data.npz")
    for same in (
        data.select([0, 1]),
        data.concatenate(toy()),
        data.resize(4, 4),
        data.split(0.5, seed=0)[1],
        sr.ImageDataset.load(tmp_path / "data.npz"),
    ):
        assert (same.positive_class, same.positive_label) == ("intact", 0)
    many = sr.ImageDataset.from_arrays(data.images, np.arange(40) % 3)
    assert (many.positive_class, many.positive_label) == (None, None)
    assert many.with_positive_class("2").positive_label == 2


def test_digest_of_what_decides_a_training() -> None:
    data = toy()
    same = [data.with_groups(None), data.with_positive_class("intact"), replace(data, names=None)]
    assert {digest(each) for each in same} == {digest(data)}
    other = [data.select(range(39)), data.resize(4, 4), replace(data, annotations={})]
    assert len({digest(each) for each in [data, *other]}) == 4


def test_by_class_keeps_labels() -> None:
    parts = toy().by_class()
    assert list(parts) == ["intact", "fractured"]
    assert set(parts["fractured"].labels) == {1}


def test_concatenate_joins_all_columns() -> None:
    data, bare = (
        toy(4),
        sr.ImageDataset.from_arrays(
            np.zeros((2, 8, 12), "uint8"),
            [0, 1],
            class_names=("intact", "fractured"),
            synthetic=True,
        ),
    )
    both = data.concatenate(bare)
    assert both.synthetic.tolist() == [False] * 4 + [True] * 2
    assert len(np.unique(both.group_codes)) == 2 + 2  # two pairs, two alone
    assert np.asarray(both.names).tolist()[-1] == ""
    assert np.isnan(both.annotations["angle"][-2:]).all()
    assert "6 images" in repr(both)
    assert "2 synthetic" in repr(both)
    assert np.asarray(data.concatenate(data).groups).tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert bare.concatenate(bare).groups is None
    more = data.concatenate(bare).concatenate(bare, bare)
    assert len(np.unique(more.group_codes)) == 2 + 3 * 2  # whatever was joined before
    assert np.asarray(more.groups).tolist()[4::2] == ["part1:0", "+part1:0", "+part2:0"]
    with pytest.raises(ValueError, match="to_rgb"):
        data.concatenate(data.to_rgb())
    with pytest.raises(ValueError, match="annotation 'view'"):
        replace(data, annotations={"view": np.arange(4)}).concatenate(bare)
    numbered = replace(data, annotations={"view": np.arange(4)})
    assert numbered.concatenate(numbered).annotations["view"].tolist() == [0, 1, 2, 3] * 2


def test_resize_and_channels() -> None:
    flat = sr.ImageDataset.from_arrays(np.full((3, 8, 8, 3), 77, "uint8"), [0, 0, 1])
    small = flat.resize(4, 6)
    assert small.image_shape == (4, 6, 3)
    assert (small.images == 77).all()
    assert flat.resize(8, 8).images is not None
    gray = flat.to_grayscale()
    assert gray.image_shape == (8, 8, 1)
    assert (gray.images == 77).all()
    assert (gray.to_rgb().images == 77).all()
    red = sr.ImageDataset.from_arrays(np.array([[[[255, 0, 0]]]], "uint8"), [0]).to_grayscale()
    assert red.images.item() == round(0.299 * 255)
    with pytest.raises(ValueError, match="at least 1"):
        flat.resize(0, 4)


@pytest.mark.backend
def test_py_dataset_covers_each_image_once_an_epoch() -> None:
    data = toy(10)
    batches = data.to_py_dataset(4, shuffle=True, seed=5)
    assert len(batches) == 3
    epochs = []
    for _ in range(2):
        pairs = [batches[i] for i in range(len(batches))]
        epochs.append(np.concatenate([x for x, _ in pairs]))
        batches.on_epoch_end()
    assert not np.array_equal(epochs[0], epochs[1])
    for seen in epochs:
        assert sorted(map(bytes, seen)) == sorted(map(bytes, data.images))
    batches.set_epoch(0)
    np.testing.assert_array_equal(batches[0][0], epochs[0][:4])
    assert len(data.to_py_dataset(4, drop_remainder=True)) == 2
    with pytest.raises(IndexError):
        batches[3]
    with pytest.raises(ValueError, match="batch_size"):
        data.to_py_dataset(0)


def test_label_modes() -> None:
    data = toy(6)
    assert data.to_arrays(label_mode="one_hot")[1].tolist()[2] == [0, 1]
    assert data.to_arrays(label_mode="float")[1].dtype == np.float32
    assert data.to_py_dataset(6, label_mode=None)[0].shape == (6, 8, 12, 1)
    three = sr.ImageDataset.from_arrays(np.zeros((3, 8, 8), "uint8"), [0, 1, 2])
    with pytest.raises(ValueError, match="two classes"):
        three.to_arrays(label_mode="float")
    with pytest.raises(ValueError, match="label_mode must be"):
        three.to_arrays(label_mode="string")  # type: ignore[arg-type]


def test_tf_dataset_and_back() -> None:
    pytest.importorskip("tensorflow")
    data = toy(10)
    back = sr.ImageDataset.from_batches(data.to_tf_dataset(4), class_names=data.class_names)
    np.testing.assert_array_equal(back.images, data.images)
    np.testing.assert_array_equal(back.labels, data.labels)
    mixed = sr.ImageDataset.from_batches(data.to_tf_dataset(4, shuffle=True, seed=0))
    assert not np.array_equal(mixed.images, data.images)
    assert sorted(map(bytes, mixed.images)) == sorted(map(bytes, data.images))
    again = sr.ImageDataset.from_batches(data.to_py_dataset(3))
    np.testing.assert_array_equal(again.images, data.images)
    assert len(list(data.to_tf_dataset(4, label_mode=None, drop_remainder=True))) == 2
    with pytest.raises(ValueError, match="at least one batch"):
        sr.ImageDataset.from_batches([])
    for labels in (data.labels[:, None].astype("float32"), np.eye(2)[data.labels]):
        of_keras = sr.ImageDataset.from_batches([(data.images, labels)])
        np.testing.assert_array_equal(of_keras.labels, data.labels)
    with pytest.raises(ValueError, match="Soft"):
        sr.ImageDataset.from_batches([(data.images, np.full((len(data), 2), 0.5))])
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        data.to_tf_dataset(0)


def test_file_round_trip(tmp_path: Path) -> None:
    data = replace(toy(), skipped=(sr.SkippedFile("a.png", "truncated"),))
    data.save(tmp_path / "sub" / "data.npz")
    back = sr.ImageDataset.load(tmp_path / "sub" / "data.npz")
    for name in ("images", "labels", "groups", "names", "synthetic"):
        np.testing.assert_array_equal(getattr(back, name), getattr(data, name))
    np.testing.assert_array_equal(back.annotations["angle"], data.annotations["angle"])
    assert back.skipped == data.skipped
    assert back.class_names == data.class_names
    assert back.provenance == {"source": "toy"}
    assert repr(back).endswith("20 groups, 1 files skipped)")
    bare = sr.ImageDataset.from_arrays(np.zeros((1, 8, 8), "uint8"), [0])
    bare.save(tmp_path / "bare.npz")
    assert sr.ImageDataset.load(tmp_path / "bare.npz").groups is None


def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        toy().save(tmp_path / "data.csv")
    with pytest.raises(FileNotFoundError):
        sr.ImageDataset.load(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 nothing")
    np.savez(tmp_path / "wrong.npz", header=np.array(json.dumps({"format": "else"})))
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "pickled.npz", header=pickled)
    toy().save(tmp_path / "torn.npz")
    whole = bytearray((tmp_path / "torn.npz").read_bytes())
    whole[len(whole) // 3 : len(whole) // 3 + 64] = b"\xff" * 64  # within compressed pixels
    (tmp_path / "torn.npz").write_bytes(whole)
    for name in ("other", "damaged", "wrong", "pickled", "torn"):
        with pytest.raises(FileFormatError, match=name):
            sr.ImageDataset.load(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match="Python objects"):
        replace(toy(2), annotations={"x": np.array([{}, {}])}).save(tmp_path / "x.npz")


def test_what_a_file_may_unpack_to_is_limited(tmp_path: Path) -> None:
    toy().save(tmp_path / "toy.npz")
    with pytest.raises(FileFormatError, match=r"toy\.npz .*max_bytes"):
        sr.ImageDataset.load(tmp_path / "toy.npz", max_bytes=1000)


def test_odd_files_raise_the_one_error(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    toy().save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays.pop("header")))
    changes = ({"provenance": float("nan")}, {"provenance": 3}, {"skipped": [[1]]}, {"images": 3})
    headers = [header | change for change in changes]
    for lacking in ("format", "class_names", "skipped", "provenance"):
        headers.append({k: v for k, v in header.items() if k != lacking})
    for text in ("[]", "null", "[" * 5000, *map(json.dumps, headers)):
        np.savez(path, header=np.array(text), **arrays)
        with pytest.raises(FileFormatError, match=r"odd\.npz"):
            sr.ImageDataset.load(path)
    np.savez(path, header=np.array(json.dumps(header)), other=np.zeros(3), **arrays)
    with pytest.raises(FileFormatError, match=r"odd\.npz"):
        sr.ImageDataset.load(path)


def test_plot_samples_has_a_row_a_class() -> None:
    figure = toy(channels=3).plot_samples(4)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert [t for t in titles if t] == ["intact (20)", "fractured (20)"]
    assert sum(len(axis.images) for axis in figure.axes) == 8
    assert sum(len(axis.images) for axis in toy(2).plot_samples(4).axes) == 2
    made = replace(toy(channels=3).select([0]), synthetic=np.array([True]))
    both = toy(channels=3).concatenate(made).plot_samples(4)
    titles = [axis.get_title(loc="left") for axis in both.axes]
    assert [t for t in titles if t] == ["intact (20)", "intact, synthetic (1)", "fractured (20)"]


def test_groups_may_be_a_column_of_strings() -> None:
    data = toy(4)
    names = np.array(["a", "a", "b", "b"], dtype=object)  # as pandas holds them
    assert data.with_groups(names).group_codes.tolist() == [0, 0, 1, 1]
    words = np.array(["ü".encode(), b"a", b"a", b"a"])
    assert np.asarray(data.with_groups(words).groups).tolist() == ["ü", "a", "a", "a"]
    with pytest.raises(ValueError, match="integers or strings, got object"):
        data.with_groups(np.array(["a", "a", "b", float("nan")], dtype=object))
