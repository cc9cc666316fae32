from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import (
    KINDS,
    Images,
    changed,
    found_by_kind,
    one_a_group,
    pair_scores,
    plant,
    renumbered,
    textured,
)
from synthray.audit.copies import find_copies
from synthray.audit.duplicates import find_duplicates
from synthray.datasets.image_dataset import ImageDataset

FRACATLAS = "fracatlas_128.npz"


@pytest.fixture(scope="module")
def texture() -> Images:
    return textured(30, seed=11)


class TestPlanted:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_on_textures(self, kind: str, texture: Images) -> None:
        images, truth, _ = plant(texture, copies=1, side=64, seed=5, among=[kind])
        assert find_duplicates(images).tolist() == truth.tolist()

    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_on_radiographs(self, kind: str, shared_data: Path) -> None:
        base = one_a_group(shared_data / FRACATLAS, 30, seed=101)
        images, truth, kinds = plant(base, copies=1, side=64, seed=6, among=[kind])
        found = find_duplicates(images)
        hits, count = found_by_kind(found, truth, kinds)[kind]
        assert count == 30
        assert hits >= {"bytes": 30, "rotexp": 25, "rotcrop": 25, "crop": 25}.get(kind, 28)
        assert pair_scores(found, truth)[0] >= 0.95

    def test_precision_and_recall_on_radiographs(self, shared_data: Path) -> None:
        base = one_a_group(shared_data / FRACATLAS, 80, seed=102)
        images, truth, _ = plant(base, copies=5, side=64, seed=7)
        precision, recall = pair_scores(find_duplicates(images), truth)
        # Measured: 1.0 and 0.959. One wrong union of two of the 80 families would cost 0.03.
        assert precision >= 0.98
        assert recall >= 0.93

    def test_two_changes_on_one_copy(self, texture: Images) -> None:
        images, truth, _ = plant(texture, copies=3, side=64, seed=8, together=2)
        precision, recall = pair_scores(find_duplicates(images), truth)
        assert precision == 1.0
        assert recall >= 0.95

    def test_different_radiographs_stay_apart(self, shared_data: Path) -> None:
        images = one_a_group(shared_data / FRACATLAS, 150, seed=103)
        assert len(np.unique(find_duplicates(images))) >= 148

    def test_different_textures_stay_apart(self) -> None:
        assert find_duplicates(textured(120, side=64, seed=12)).tolist() == list(range(120))


class TestPartition:
    def test_equal_bytes_of_any_content(self) -> None:
        images = np.zeros((6, 16, 16), np.uint8)
        images[1:3] = 200
        images[3, 8, 8] = 1
        images[5, 8, 8] = 1
        assert find_duplicates(images).tolist() == [0, 1, 1, 2, 0, 2]

    def test_images_without_content_are_copies_of_equal_ones_only(self) -> None:
        images = np.stack([np.full((32, 32), level, np.uint8) for level in (0, 1, 255, 0)])
        assert find_duplicates(images).tolist() == [0, 1, 2, 0]

    def test_blank_images_that_are_not_square_are_blank_too(self, texture: Images) -> None:
        wide = np.stack([np.full((64, 32), level, np.uint8) for level in (100, 150, 100)])
        assert find_duplicates(wide).tolist() == [0, 1, 0]
        assert find_copies(wide[:2, ..., None], wide[1:2, ..., None]).tolist() == [-1, 0]
        part = texture[:2, :, 16:48]
        found = find_duplicates(np.concatenate([part, part[:, :, ::-1]]))
        assert found.tolist() == [0, 1, 0, 1]

    def test_blank_images_do_not_join_others(self, texture: Images) -> None:
        blank = np.full((2, 64, 64), 30, np.uint8)
        images = np.concatenate([blank, plant(texture[:3], copies=0, side=64, seed=0)[0], blank])
        assert find_duplicates(images).tolist() == [0, 0, 1, 2, 3, 0, 0]

    def test_one_image(self, texture: Images) -> None:
        assert find_duplicates(texture[:1]).tolist() == [0]

    def test_two_images(self, texture: Images) -> None:
        assert find_duplicates(texture[:2]).tolist() == [0, 1]
        assert find_duplicates(np.stack([texture[0], texture[0][:, ::-1]])).tolist() == [0, 0]

    def test_order_changes_nothing(self, shared_data: Path) -> None:
        base = one_a_group(shared_data / FRACATLAS, 40, seed=104)
        images, _, _ = plant(base, copies=2, side=64, seed=9, together=2)
        found = find_duplicates(images)
        order = np.random.default_rng(0).permutation(len(images))
        assert find_duplicates(images[order]).tolist() == renumbered(found[order])

    def test_is_deterministic_and_numbered_by_appearance(self, texture: Images) -> None:
        images, _, _ = plant(texture, copies=2, side=64, seed=10, together=2)
        state: Any = np.random.get_state()
        first, second = find_duplicates(images), find_duplicates(images)
        assert first.dtype == np.int64
        assert first.tolist() == second.tolist() == renumbered(first)
        now: Any = np.random.get_state()
        np.testing.assert_array_equal(state[1], now[1])


class TestInputs:
    def test_shapes_and_data_sets_agree(self, texture: Images) -> None:
        images, truth, _ = plant(texture[:8], copies=2, side=64, seed=1)
        data = ImageDataset.from_arrays(images, np.zeros(len(images), int))
        for given in (images, images[..., None], np.stack([images] * 3, -1), data):
            assert find_duplicates(given).tolist() == truth.tolist()

    def test_groups_and_names_are_not_looked_at(self, texture: Images) -> None:
        images, truth, _ = plant(texture[:4], copies=1, side=64, seed=1)
        data = ImageDataset.from_arrays(
            images, np.arange(8) % 2, groups=np.zeros(8, int), names=["same"] * 8
        )
        assert find_duplicates(data).tolist() == truth.tolist()

    @pytest.mark.parametrize("side", [28, 128])
    def test_other_sizes(self, side: int, texture: Images) -> None:
        kinds = ("bytes", "jpeg", "bright", "flip", "rot", "rotcrop")
        images, truth, _ = plant(texture[:20], copies=3, side=side, seed=2, among=kinds)
        assert find_duplicates(images).tolist() == truth.tolist()

    @pytest.mark.parametrize("shape", [(128, 90), (90, 128)])
    def test_images_that_are_not_square(self, shape: tuple[int, int], texture: Images) -> None:
        part = texture[:20, : shape[0], : shape[1]]
        gray = np.clip(part * 0.8 + 10, 0, 255).astype(np.uint8)
        found = find_duplicates(np.concatenate([part, part[:, :, ::-1], gray[:, ::-1, ::-1]]))
        assert found.tolist() == [*range(20)] * 3

    @pytest.mark.parametrize("given", [[[0, 1]], None, "images"])
    def test_rejects_other_types(self, given: Any) -> None:
        with pytest.raises(TypeError, match=r"ImageDataset or a uint8 array .* got"):
            find_duplicates(given)

    def test_rejects_floats_and_says_how_to_convert(self) -> None:
        with pytest.raises(ValueError, match=r"float64 .* np\.rint\(x\)\.astype\('uint8'\)"):
            find_duplicates(np.zeros((2, 8, 8)))  # type: ignore[arg-type]

    @pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8, 2), (1, 2, 8, 8, 1)])
    def test_rejects_other_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"Expected uint8 images of shape"):
            find_duplicates(np.zeros(shape, np.uint8))

    def test_rejects_no_images(self) -> None:
        with pytest.raises(ValueError, match=r"no image"):
            find_duplicates(np.zeros((0, 8, 8), np.uint8))

    def test_progress_is_shown_only_for_thousands(
        self,
        texture: Images,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        find_duplicates(texture[:4], verbose=1)
        assert capsys.readouterr().out == ""
        monkeypatch.setattr("synthray.audit.duplicates._WORTH_SAYING", 4)
        find_duplicates(texture[:4], verbose=0)
        assert capsys.readouterr().out == ""
        find_duplicates(texture[:4], verbose=1)
        assert "Looking for duplicates among 4 different images" in capsys.readouterr().out


def test_unknown_kinds_are_refused() -> None:
    from PIL import Image

    with pytest.raises(ValueError, match=r"unknown kind 'melt'"):
        changed(Image.new("L", (4, 4)), "melt", np.random.default_rng(0))
