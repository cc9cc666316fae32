from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import (
    KINDS,
    Images,
    changed,
    found_by_kind,
    one_a_group,
    pair_scores,
    plant,
    textured,
)
from scipy.ndimage import map_coordinates, rotate

from synthray.audit.duplicates import find_duplicates
from synthray.audit.embedding import SIDE, best_rotations, embeddings, spectra, working_copies
from synthray.audit.families import Families
from synthray.audit.matching import Evidence
from synthray.audit.neighbours import nearest
from synthray.audit.registration import Registration
from synthray.datasets.image_dataset import ImageDataset

FRACATLAS = "fracatlas_128.npz"


def renumbered(codes: NDArray[np.int64]) -> list[int]:
    """The same families, numbered in order of first appearance."""
    seen: dict[int, int] = {}
    return [seen.setdefault(code, len(seen)) for code in codes.tolist()]


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
        assert hits >= {"bytes": 30, "rotexp": 25, "rotcrop": 27, "crop": 27}.get(kind, 28)
        assert pair_scores(found, truth)[0] >= 0.95

    def test_precision_and_recall_on_radiographs(self, shared_data: Path) -> None:
        base = one_a_group(shared_data / FRACATLAS, 80, seed=102)
        images, truth, _ = plant(base, copies=5, side=64, seed=7)
        precision, recall = pair_scores(find_duplicates(images), truth)
        # One wrong union of two of the 80 families costs 0.03: here, two feet in one pose.
        assert precision >= 0.96
        assert recall >= 0.95

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
        state = np.random.get_state()[1]
        first, second = find_duplicates(images), find_duplicates(images)
        assert first.dtype == np.int64
        assert first.tolist() == second.tolist() == renumbered(first)
        np.testing.assert_array_equal(state, np.random.get_state()[1])


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


def evidence(*rows: tuple[int, int, float]) -> Evidence:
    i, j, odds = zip(*rows, strict=True)
    return Evidence(np.asarray(i), np.asarray(j), np.asarray(odds, float))


TRIPLES = ((0, 1, 9.0), (0, 2, 9.0), (1, 2, 9.0), (3, 4, 9.0), (3, 5, 9.0), (4, 5, 9.0))


def families_of(n: int, *parts: Evidence) -> list[int]:
    families = Families(n)
    families.grow(parts)
    return renumbered(families.labels())


class TestFamilies:
    def test_nobody_is_joined_without_evidence(self) -> None:
        assert renumbered(Families(3).labels()) == [0, 1, 2]

    def test_a_link_joins_and_a_weak_one_does_not(self) -> None:
        assert families_of(4, evidence((0, 1, 3.0), (2, 3, -0.5))) == [0, 0, 1, 2]

    def test_a_link_joins_whole_families(self) -> None:
        assert families_of(6, evidence(*TRIPLES, (2, 3, 4.0))) == [0] * 6

    def test_one_false_link_does_not_weld_two(self) -> None:
        against = ((0, 3, -20.0), (1, 4, -20.0), (2, 5, -20.0))
        found = families_of(6, evidence(*TRIPLES, (2, 3, 8.0), *against))
        assert found == [0, 0, 0, 1, 1, 1]

    def test_one_false_refusal_does_not_part_two(self) -> None:
        links = ((0, 3, 8.0), (1, 4, 8.0), (2, 5, -50.0))
        assert families_of(6, evidence(*TRIPLES, *links)) == [0] * 6

    def test_a_chain_of_false_links_stops(self) -> None:
        # Each end is bound to the middle; that they do not fit each other outweighs the second.
        assert families_of(3, evidence((0, 1, 5.0), (1, 2, 2.0), (0, 2, -np.inf))) == [0, 0, 1]

    def test_families_only_grow(self) -> None:
        families = Families(4)
        near = evidence((0, 1, 5.0))
        families.grow([near])
        families.grow([near, evidence((2, 3, 5.0), (1, 2, 5.0))])
        assert renumbered(families.labels()) == [0] * 4

    def test_parts_are_summed_up(self) -> None:
        parts = evidence(*TRIPLES, (2, 3, 2.0)), evidence((0, 5, -9.0), (1, 4, -9.0))
        assert families_of(6, *parts) == [0, 0, 0, 1, 1, 1]


class TestNeighbours:
    @pytest.mark.parametrize(("block", "columns"), [(1024, 32_768), (7, 11), (50, 3), (3, 50)])
    def test_agrees_with_brute_force(
        self, block: int, columns: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("synthray.audit.neighbours._BLOCK", block)
        monkeypatch.setattr("synthray.audit.neighbours._COLUMNS", columns)
        rng = np.random.default_rng(0)
        queries, points = rng.normal(size=(2, 50, 6)).astype(np.float32)
        likeness = queries @ points.T
        np.fill_diagonal(likeness, -np.inf)
        expected = np.sort(np.argsort(-likeness, axis=1)[:, :5], axis=1)
        np.testing.assert_array_equal(np.sort(nearest(queries, points, 5), axis=1), expected)

    def test_never_finds_itself(self) -> None:
        points = np.eye(4, dtype=np.float32)
        found = nearest(points, points, 9)
        assert found.shape == (4, 3)
        assert not (found == np.arange(4)[:, None]).any()


class TestEmbedding:
    def test_working_copies_are_padded_not_stretched(self) -> None:
        copies = working_copies(np.full((2, 32, 16, 1), 90, np.uint8))
        assert copies.shape == (2, SIDE, SIDE)
        assert copies[0, :, :12].max() == 0
        np.testing.assert_allclose(copies[0, 8:-8, 24:40], 90, atol=1)

    def test_turns_and_flips_change_nothing(self, texture: Images) -> None:
        copies = working_copies(texture[:, ::2, ::2, None])
        plain = embeddings(spectra(copies))
        np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, rtol=1e-5)
        for turned in (np.rot90(copies, axes=(1, 2)), copies[:, ::-1], copies[:, :, ::-1]):
            same = embeddings(spectra(np.ascontiguousarray(turned)))
            np.testing.assert_allclose(same, plain, atol=1e-4)

    def test_brightness_and_contrast_change_nothing(self, texture: Images) -> None:
        copies = working_copies(texture[:, ::2, ::2, None])
        np.testing.assert_allclose(
            embeddings(spectra(copies * 0.5 + 40)), embeddings(spectra(copies)), atol=1e-4
        )

    @pytest.mark.parametrize("angle", [0.0, 33.75, 90.0, 200.0])
    def test_the_best_rotation_is_the_true_one(self, angle: float, texture: Images) -> None:
        copies = working_copies(texture[:, ::2, ::2, None])
        turned = rotate(copies, angle, axes=(1, 2), reshape=False, order=1)
        for number, other in enumerate((turned, turned[:, ::-1])):
            fits, angles = best_rotations(spectra(copies), spectra(np.ascontiguousarray(other)))
            assert (fits[:, number] > 0.9).all()
            sign = 1 if number == 0 else -1
            error = np.rad2deg(angles[:, number]) - sign * angle
            assert (np.abs((error + 180) % 360 - 180) < 4).all()


class TestRegistration:
    @pytest.mark.parametrize("flipped", [False, True])
    def test_recovers_rotation_zoom_and_shift(self, flipped: bool, texture: Images) -> None:
        copies = working_copies(texture[:10, ::2, ::2, None])
        scale, angle, right, down = 1.05, np.deg2rad(7.0), 1.5, -2.0
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        mirror = -1 if flipped else 1
        # A point (x, y) of the first image lies at `forward @ (x, y) + shift` of the second.
        forward = np.array([[cosine, -sine * mirror], [sine, cosine * mirror]])
        middle = (SIDE - 1) / 2
        y, x = np.mgrid[:SIDE, :SIDE] - middle
        back = np.linalg.inv(forward) @ np.stack([(x - right).ravel(), (y - down).ravel()])
        where = back[::-1].reshape(2, SIDE, SIDE) + middle
        others = np.stack([map_coordinates(copy, where, order=3) for copy in copies])
        registration = Registration(np.concatenate([copies, others]).astype(np.float32))
        i, j = np.arange(10), np.arange(10, 20)
        mirrors = np.full(10, flipped)
        start = np.tile(np.asarray([1, 0, 0, 0], np.float32), (10, 1))
        _, rough = registration.align(i, j, mirrors, start, coarse=True)
        fit, found = registration.align(i, j, mirrors, rough, coarse=False)
        assert (fit > 0.95).all()
        assert (registration.judge(i, j, mirrors, found)[0] > 0.8).all()
        np.testing.assert_allclose(found[:, :2], [[cosine, sine]] * 10, atol=0.01)
        np.testing.assert_allclose(found[:, 2:], [[right, down]] * 10, atol=0.2)

    def test_different_images_do_not_fit(self, texture: Images) -> None:
        copies = working_copies(texture[:20, ::2, ::2, None])
        registration = Registration(copies)
        i, j = np.arange(10), np.arange(10, 20)
        start = np.tile(np.asarray([1, 0, 0, 0], np.float32), (10, 1))
        _, found = registration.align(i, j, np.zeros(10, bool), start, coarse=True)
        assert (registration.judge(i, j, np.zeros(10, bool), found)[0] < 0.5).all()

    def test_straightness(self, texture: Images) -> None:
        shaft = np.zeros((SIDE, SIDE), np.float32)
        shaft[:, 24:40] = 200
        copies = np.stack([shaft, working_copies(texture[:1, ::2, ::2, None])[0]])
        straight = Registration(copies).straightness
        assert straight[0] > 0.9
        assert straight[1] < 0.4


def test_unknown_kinds_are_refused() -> None:
    from PIL import Image

    with pytest.raises(ValueError, match=r"unknown kind 'melt'"):
        changed(Image.new("L", (4, 4)), "melt", np.random.default_rng(0))
