from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from helpers import planted
from helpers.planted import (
    AFFINE,
    KINDS,
    Images,
    cells,
    found_by_kind,
    one_a_group,
    pair_scores,
    plant,
    renumbered,
    textured,
)
from synthray.datasets.image_dataset import ImageDataset
from synthray.duplicates.duplicates import find_copies, find_duplicates

FRACATLAS = "fracatlas_128.npz"
FLOOR = {1: 0.98, 2: 0.95}

Planted = tuple[Images, NDArray[np.int64], list[str], NDArray[np.int64]]


@pytest.fixture(scope="module")
def radiographs(shared_data: Path) -> Planted:
    """Images, truth, kinds and found clusters: 25 radiographs and a copy of each kind of each."""
    base = one_a_group(shared_data / FRACATLAS, 25, seed=101)
    images, truth, kinds = plant(base, copies=len(KINDS), side=64, seed=6)
    return images, truth, kinds, find_duplicates(images)


class TestPlanted:
    def test_each_kind_on_textures(self, texture: Images) -> None:
        images, truth, kinds = plant(texture[:12], copies=len(KINDS), side=64, seed=5)
        assert {*kinds} == {"", *KINDS}
        assert find_duplicates(images).tolist() == truth.tolist()

    def test_each_kind_on_radiographs(self, radiographs: Planted) -> None:
        _, truth, kinds, found = radiographs
        least = dict.fromkeys(KINDS, 23) | {"bytes": 25, "rotexp": 20, "rotcrop": 20, "crop": 20}
        for kind, (hits, count) in found_by_kind(found, truth, kinds).items():
            assert count == 25
            assert hits >= least[kind], kind
        assert pair_scores(found, truth)[0] >= 0.98

    @pytest.mark.parametrize("together", [1, 2])
    def test_affine_copies_of_textures(self, texture: Images, together: int) -> None:
        small = texture[:20, ::2, ::2]
        images, truth, _ = plant(small, copies=5, side=64, seed=9, together=together, among=AFFINE)
        precision, recall = pair_scores(find_duplicates(images), truth)
        assert precision == 1.0
        assert recall >= FLOOR[together]

    @pytest.mark.parametrize("kind", ["zoom", "shift", "shear", "turn"])
    def test_black_around_bright_cells(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(planted, "BORDERS", ("constant",))
        images, truth, _ = plant(cells(30, seed=4), copies=1, side=64, seed=7, among=[kind])
        precision, recall = pair_scores(find_duplicates(images), truth)
        assert precision == 1.0
        assert recall >= 0.96

    @pytest.mark.parametrize("padding", [0, 16])
    def test_bright_copies_between_black_bars(self, texture: Images, padding: int) -> None:
        wide = 120 + texture[:20, :96] // 2
        turned = [
            np.asarray(Image.fromarray(each).rotate(12 + k, translate=(k - 10, 5)))
            for k, each in enumerate(wide)
        ]
        both = np.concatenate([wide, np.stack(turned)])
        padded = np.pad(both, ((0, 0), (padding, padding), (0, 0)))
        assert find_duplicates(padded).tolist() == [*range(20), *range(20)]

    def test_order_changes_nothing(self, radiographs: Planted) -> None:
        images, _, _, found = radiographs
        order = np.random.default_rng(0).permutation(len(images))
        assert find_duplicates(images[order]).tolist() == renumbered(found[order])

    def test_different_radiographs_stay_apart(self, shared_data: Path) -> None:
        images = one_a_group(shared_data / FRACATLAS, 120, seed=103)
        assert len(np.unique(find_duplicates(images))) >= 119

    def test_different_textures_stay_apart(self) -> None:
        assert find_duplicates(textured(60, side=64, seed=12)).tolist() == list(range(60))

    def test_precision_and_recall_on_radiographs(self, shared_data: Path) -> None:
        base = one_a_group(shared_data / FRACATLAS, 80, seed=102)
        images, truth, _ = plant(base, copies=5, side=64, seed=7)
        precision, recall = pair_scores(find_duplicates(images), truth)
        # Measured: 1.0 and 0.959. One wrong union of two of the 80 clusters would cost 0.03.
        assert precision >= 0.98
        assert recall >= 0.93

    def test_two_changes_on_one_copy(self, texture: Images) -> None:
        images, truth, _ = plant(texture, copies=3, side=64, seed=8, together=2)
        state: Any = np.random.get_state()
        found, again = find_duplicates(images), find_duplicates(images)
        now: Any = np.random.get_state()
        precision, recall = pair_scores(found, truth)
        assert precision == 1.0
        assert recall >= 0.95
        assert found.dtype == np.int64
        assert found.tolist() == again.tolist() == renumbered(found)
        np.testing.assert_array_equal(state[1], now[1])  # takes no random numbers


class TestContent:
    def test_equal_bytes_of_any_content(self) -> None:
        images = np.zeros((6, 16, 16), np.uint8)
        images[1:3] = 200
        images[3, 8, 8] = 1
        images[5, 8, 8] = 1
        assert find_duplicates(images).tolist() == [0, 1, 1, 2, 0, 2]

    def test_blank_images_join_equal_ones_only(self, texture: Images) -> None:
        blank = np.full((2, 64, 64), 30, np.uint8)
        others = plant(texture[:3], copies=0, side=64, seed=0)[0]
        images = np.concatenate([blank, others, blank, blank[:1] + 1])
        assert find_duplicates(images).tolist() == [0, 0, 1, 2, 3, 0, 0, 4]

    def test_blank_images_that_are_not_square_are_blank_too(self, texture: Images) -> None:
        wide = np.stack([np.full((64, 32), level, np.uint8) for level in (100, 150, 100)])
        assert find_duplicates(wide).tolist() == [0, 1, 0]
        assert find_copies(wide[:2, ..., None], wide[1:2, ..., None]).tolist() == [-1, 0]
        part = texture[:2, :, 16:48]
        found = find_duplicates(np.concatenate([part, part[:, :, ::-1]]))
        assert found.tolist() == [0, 1, 0, 1]

    def test_images_without_blobs(self) -> None:
        ramp = np.tile(np.linspace(20, 230, 64).astype(np.uint8), (64, 1))
        assert find_duplicates(np.stack([ramp, ramp.T // 2])).shape == (2,)
        assert find_copies(ramp[None, ..., None], ramp.T[None, ..., None]).shape == (1,)

    def test_one_and_two_images(self, texture: Images) -> None:
        assert find_duplicates(texture[:1]).tolist() == [0]
        assert find_duplicates(texture[:2]).tolist() == [0, 1]
        assert find_duplicates(np.stack([texture[0], texture[0][:, ::-1]])).tolist() == [0, 0]


class TestInputs:
    def test_shapes_agree_and_groups_and_names_do_not_count(self, texture: Images) -> None:
        images, truth, _ = plant(texture[:8], copies=1, side=64, seed=1)
        data = ImageDataset.from_arrays(
            images, np.arange(16) % 2, groups=np.zeros(16, int), names=["same"] * 16
        )
        for given in (images, images[..., None], np.stack([images] * 3, -1), data):
            assert find_duplicates(given).tolist() == truth.tolist()

    @pytest.mark.parametrize("side", [28, 128])
    def test_other_sizes(self, side: int, texture: Images) -> None:
        kinds = ("bytes", "jpeg", "bright", "flip", "rot", "rotcrop")
        images, truth, _ = plant(texture[:12], copies=3, side=side, seed=2, among=kinds)
        assert find_duplicates(images).tolist() == truth.tolist()

    def test_images_that_are_not_square(self, texture: Images) -> None:
        for shape in ((128, 90), (90, 128)):
            part = texture[:12, : shape[0], : shape[1]]
            gray = np.clip(part * 0.8 + 10, 0, 255).astype(np.uint8)
            found = find_duplicates(np.concatenate([part, part[:, :, ::-1], gray[:, ::-1, ::-1]]))
            assert found.tolist() == [*range(12)] * 3

    @pytest.mark.parametrize("given", [[[0, 1]], None, "images"])
    def test_rejects_other_types(self, given: Any) -> None:
        with pytest.raises(TypeError, match="ImageDataset or a uint8 array"):
            find_duplicates(given)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (np.zeros((2, 8, 8)), r"float64 .* np\.rint"),
            (np.zeros((8, 8), np.uint8), r"shape \(8, 8\)"),
            (np.zeros((2, 8, 8, 2), np.uint8), r"shape \(2, 8, 8, 2\)"),
            (np.zeros((0, 8, 8), np.uint8), "no image"),
        ],
    )
    def test_rejects_other_arrays(self, given: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            find_duplicates(given)


class TestCopies:
    def test_the_original_is_named(self, texture: Images) -> None:
        originals, others = texture[:10, ..., None], texture[20:24, ..., None]
        images = np.concatenate([others, originals[[7, 3]], np.rot90(originals[[5]], axes=(1, 2))])
        assert find_copies(images, originals).tolist() == [-1, -1, -1, -1, 7, 3, 5]

    def test_images_that_are_alike_do_not_hide_it(self, texture: Images) -> None:
        # More copies of one image than neighbours are compared: all are found, all name it.
        noise = np.random.default_rng(0).integers(-2, 3, (40, *texture.shape[1:]))
        alike = np.clip(texture[4].astype(int) + noise, 0, 255).astype(np.uint8)
        assert find_copies(alike[..., None], texture[:10, ..., None]).tolist() == [4] * 40

    def test_images_without_content_count_if_they_are_equal(self, texture: Images) -> None:
        flat = np.stack([np.full_like(texture[0], level) for level in (0, 90)])[..., None]
        found = find_copies(np.concatenate([flat, texture[:1, ..., None]]), flat[::-1])
        assert found.tolist() == [1, 0, -1]
