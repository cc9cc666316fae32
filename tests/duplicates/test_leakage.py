from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from helpers.planted import textured
from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.leakage import LeakageReport, audit_leakage, fold_leakage

BASE = textured(10, side=64, seed=3)
NAMES = ("intact", "fractured")


def make(places: list[int], labels: list[int], **columns: Any) -> ImageDataset:
    """A data set of some of ten different images."""
    return ImageDataset.from_arrays(BASE[places], labels, class_names=NAMES, **columns)


def altered(data: ImageDataset, places: list[int]) -> ImageDataset:
    """The same data set with some images mirrored and darkened."""
    images = data.images.copy()
    images[places] = (images[places][:, :, ::-1] * 0.8).astype(np.uint8)
    return ImageDataset.from_arrays(images, data.labels, class_names=NAMES)


@pytest.fixture(scope="module")
def leaky() -> LeakageReport:
    """Training 0 1 2 3, test 2 (its bytes), 3 (changed; another class), 4, 5."""
    train = make([0, 1, 2, 3], [0, 0, 0, 1])
    return audit_leakage(train, altered(make([2, 3, 4, 5], [0, 0, 1, 1]), [1]))


@pytest.fixture(scope="module")
def clean() -> LeakageReport:
    return audit_leakage(make([0, 1], [0, 0]), make([2, 3, 4], [0, 1, 1]))


class TestAudit:
    def test_twins_and_shares(self, leaky: LeakageReport) -> None:
        assert leaky.found
        assert (leaky.n_train, leaky.n_test, leaky.class_names) == (4, 4, NAMES)
        assert leaky.twins.tolist() == [2, 3, -1, -1]
        assert leaky.train_twins.tolist() == [False, False, True, True]
        assert leaky.identical.tolist() == [True, False, False, False]
        assert leaky.test_clusters.tolist() == [2, 3, 4, 5]
        assert (leaky.test_share, leaky.train_share, leaky.identical_share) == (0.5, 0.5, 0.25)

    def test_by_class(self, leaky: LeakageReport, clean: LeakageReport) -> None:
        assert leaky.by_class() == {
            "intact": {"train": pytest.approx(1 / 3), "test": 1.0},
            "fractured": {"train": 1.0, "test": 0.0},
        }
        assert clean.by_class()["fractured"] == {"train": None, "test": 0.0}

    def test_conflicts_are_twins_of_two_classes(self, leaky: LeakageReport) -> None:
        assert leaky.conflicts.tolist() == [[1, 3]]

    def test_nothing_is_found_in_a_clean_split(self, clean: LeakageReport) -> None:
        assert not clean.found
        assert clean.twins.tolist() == [-1, -1, -1]
        assert clean.conflicts.shape == (0, 2)
        assert clean.examples == ()
        assert (clean.test_share, clean.train_share, clean.identical_share) == (0, 0, 0)

    def test_the_twin_is_the_first_in_training(self) -> None:
        report = audit_leakage(make([7, 5, 5], [0, 0, 0]), make([5, 5, 6], [0, 0, 0]))
        assert report.twins.tolist() == [1, 1, -1]
        assert report.train_twins.tolist() == [False, True, True]

    def test_identical_to_any_image_of_the_cluster(self) -> None:
        train = altered(make([1, 1], [0, 0]), [0])  # the first twin is a changed one
        assert audit_leakage(train, make([1], [0])).identical.tolist() == [True]

    def test_a_conflict_with_any_twin_counts(self) -> None:
        report = audit_leakage(make([1, 1, 1], [0, 1, 0]), make([1], [0]))
        assert report.twins.tolist() == [0]
        assert report.conflicts.tolist() == [[0, 1]]

    def test_copies_within_one_side_are_no_leak(self) -> None:
        assert not audit_leakage(make([0, 0], [0, 0]), make([1, 1], [0, 0])).found


class TestGroups:
    def test_shared_groups_are_counted(self) -> None:
        data = make([0, 1, 2, 3], [0, 0, 1, 1], groups=[7, 8, 7, 9])
        report = audit_leakage(data.select([0, 1]), data.select([2, 3]))
        assert report.same_group == 1
        assert report.found
        assert "1 of 2 test images (50%) share a group" in report.describe()

    def test_groups_that_are_not_shared(self) -> None:
        data = make([0, 1], [0, 1], groups=["a", "b"])
        report = audit_leakage(data.select([0]), data.select([1]))
        assert report.same_group == 0
        assert not report.found

    @pytest.mark.parametrize(
        ("train", "test", "expected"),
        [
            ({}, {"groups": [7]}, None),
            ({"groups": [7]}, {}, None),
            ({"groups": [7]}, {"groups": ["7"]}, None),
            ({"groups": [7]}, {"groups": [7], "provenance": {"path": "elsewhere"}}, None),
            (
                {"groups": [7], "provenance": {"path": "x", "split": "train"}},
                {"groups": [7], "provenance": {"path": "x", "split": "test"}},
                1,
            ),
            ({"groups": ["a"]}, {"groups": ["abc"]}, 0),
        ],
    )
    def test_which_groups_can_be_compared(
        self, train: dict[str, Any], test: dict[str, Any], expected: int | None
    ) -> None:
        report = audit_leakage(make([0], [0], **train), make([1], [0], **test))
        assert report.same_group == expected

    def test_groups_given_to_each_side_apart_are_not_compared(self) -> None:
        data = make([0, 1, 2, 3], [0, 0, 1, 1])
        train, test = (data.select(k).with_groups([0, 1]) for k in ([0, 2], [1, 3]))
        assert audit_leakage(train, test).same_group == 2  # the same values: of one source
        assert audit_leakage(train, test.with_groups([1, 0])).same_group is None
        whole = data.with_groups([0, 1, 1, 2])
        assert audit_leakage(whole.select([0, 2]), whole.select([1, 3])).same_group == 1


class TestFolds:
    def test_twins_lie_in_other_folds(self) -> None:
        data = make([0, 1, 0, 2, 0, 1], [0, 0, 0, 0, 1, 0])
        clusters = np.asarray([0, 1, 0, 2, 0, 1])
        report = fold_leakage(data, np.asarray([0, 1, 0, 1, 1, 1]), clusters)
        assert report.twins.tolist() == [4, -1, 4, -1, 0, -1]
        assert report.train_twins.tolist() == [True, False, True, False, True, False]
        assert report.identical.tolist() == report.train_twins.tolist()
        assert report.conflicts.tolist() == [[0, 4], [2, 4], [4, 0]]
        assert report.test_clusters.tolist() == clusters.tolist()
        assert report.same_group is None
        assert report.test_share == report.train_share == 0.5

    def test_folds_that_keep_clusters_together(self) -> None:
        data = make([0, 0, 1, 1], [0, 0, 1, 1])
        report = fold_leakage(data, np.asarray([0, 0, 1, 1]), np.asarray([0, 0, 1, 1]))
        assert not report.found
        assert not report.identical.any()

    def test_identical_to_any_image_of_another_fold(self) -> None:
        # The last image is a copy of the second; its twin is the first, which was changed.
        data = altered(make([0, 0, 0], [0, 0, 0]), [0])
        report = fold_leakage(data, np.asarray([0, 0, 1]), np.zeros(3, int))
        assert report.twins.tolist() == [2, 2, 0]
        assert report.identical.tolist() == [False, True, True]

    def test_identical_within_one_fold_does_not_count(self) -> None:
        data = altered(make([0, 0, 0], [0, 0, 0]), [2])
        report = fold_leakage(data, np.asarray([0, 0, 1]), np.zeros(3, int))
        assert report.twins.tolist() == [2, 2, 0]
        assert not report.identical.any()


class TestReport:
    def test_the_verdict_has_the_numbers(self, leaky: LeakageReport, clean: LeakageReport) -> None:
        text = leaky.describe()
        assert text.startswith("LEAKAGE: 2 of 4 test images (50%)")
        assert "1 of them byte-identical. 1 of them have another class" in text
        assert clean.describe().startswith("No leakage found")

    def test_the_table(self, leaky: LeakageReport, clean: LeakageReport) -> None:
        lines = str(leaky).splitlines()
        assert lines[0].split("  ")[0] == "class"
        assert [line.split() for line in lines[1:4]] == [
            ["intact", "33.3%", "100.0%"],
            ["fractured", "100.0%", "0.0%"],
            ["all", "50.0%", "50.0%"],
        ]
        assert len({len(line) for line in lines[:4]}) == 1
        assert lines[-1] == leaky.describe()
        assert repr(clean).splitlines()[2].split() == ["fractured", "-", "0.0%"]

    def test_pairs(self, leaky: LeakageReport, clean: LeakageReport) -> None:
        assert len(leaky.examples) == 2
        # The changed copy comes first: it tells more than equal bytes.
        np.testing.assert_array_equal(leaky.examples[0][1][..., 0], BASE[3])
        assert len(leaky.plot_pairs().axes) == 4
        assert len(leaky.plot_pairs(1).axes) == 2
        assert clean.plot_pairs().axes == []

    def test_at_most_eight_pairs_are_kept(self) -> None:
        data = make(list(range(10)), [0] * 10)
        assert len(audit_leakage(data, data).examples) == 8


class TestRoundTrip:
    def test_everything_but_the_images(self, leaky: LeakageReport, clean: LeakageReport) -> None:
        for report in (leaky, clean):
            values = json.loads(json.dumps(report.to_dict()))
            again = LeakageReport.from_dict(values)
            assert again.to_dict() == report.to_dict()
            assert str(again) == str(report)
            assert again.conflicts.shape == report.conflicts.shape
            assert again.examples == ()

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("n_test", "many", "not a LeakageReport"),
            ("twins", ["a"], "not a LeakageReport"),
            ("conflicts", [1, 2, 3], "not a LeakageReport"),
            ("class_names", 3, "not a LeakageReport"),
            ("same_group", "some", "not a LeakageReport"),
            ("twins", [0], "Expected 4 twins, got 1"),
            ("train_labels", [0], "Expected 4 train_labels, got 1"),
        ],
    )
    def test_damage_is_explained(
        self, name: str, value: Any, message: str, leaky: LeakageReport
    ) -> None:
        values = leaky.to_dict()
        with pytest.raises(ValueError, match=message):
            LeakageReport.from_dict({**values, name: value})
        del values[name]
        with pytest.raises(ValueError, match=rf"not a LeakageReport: KeyError\('{name}'\)"):
            LeakageReport.from_dict(values)


class TestErrors:
    @pytest.mark.parametrize("name", ["train", "test"])
    def test_arrays_are_refused(self, name: str) -> None:
        sets: dict[str, Any] = {"train": make([0], [0]), "test": make([1], [0]), name: BASE}
        with pytest.raises(TypeError, match=rf"{name} must be an ImageDataset, got ndarray"):
            audit_leakage(**sets)

    @pytest.mark.parametrize("name", ["train", "test"])
    def test_empty_sets_are_refused(self, name: str) -> None:
        sets = {"train": make([0], [0]), "test": make([1], [0])}
        sets[name] = sets[name].select(np.zeros(0, int))
        with pytest.raises(ValueError, match=rf"{name} holds no image"):
            audit_leakage(**sets)

    def test_other_shapes_and_classes_are_refused(self) -> None:
        data = make([0], [0])
        with pytest.raises(ValueError, match=r"\(64, 64, 1\).*\(64, 64, 3\).*to_rgb"):
            audit_leakage(data, data.to_rgb())
        other = ImageDataset.from_arrays(BASE[:1], [0], class_names=("a", "b"))
        with pytest.raises(ValueError, match=r"'intact', 'fractured'.*'a', 'b'"):
            audit_leakage(data, other)
