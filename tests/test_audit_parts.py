from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, rotate

from planted import Images, renumbered, textured
from synthray.audit.copies import find_copies
from synthray.audit.embedding import SIDE, best_rotations, embeddings, spectra, working_copies
from synthray.audit.families import Families
from synthray.audit.matching import Evidence
from synthray.audit.neighbours import nearest
from synthray.audit.registration import Registration
from synthray.audit.structure import Structure


@pytest.fixture(scope="module")
def texture() -> Images:
    return textured(30, seed=11)


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
        turned = rotate(copies, -angle, axes=(1, 2), reshape=False, order=1)
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
        assert (registration.structure.judge(i, j, mirrors, found)[0] > 0.8).all()
        np.testing.assert_allclose(found[:, :2], [[cosine, sine]] * 10, atol=0.01)
        np.testing.assert_allclose(found[:, 2:], [[right, down]] * 10, atol=0.2)

    def test_different_images_do_not_fit(self, texture: Images) -> None:
        copies = working_copies(texture[:20, ::2, ::2, None])
        registration = Registration(copies)
        i, j = np.arange(10), np.arange(10, 20)
        start = np.tile(np.asarray([1, 0, 0, 0], np.float32), (10, 1))
        _, found = registration.align(i, j, np.zeros(10, bool), start, coarse=True)
        assert (registration.structure.judge(i, j, np.zeros(10, bool), found)[0] < 0.5).all()

    def test_straightness(self, texture: Images) -> None:
        shaft = np.zeros((SIDE, SIDE), np.float32)
        shaft[:, 24:40] = 200
        copies = np.stack([shaft, working_copies(texture[:1, ::2, ::2, None])[0]])
        straight = Structure(copies).straightness
        assert straight[0] > 0.9
        assert straight[1] < 0.4


class TestCopies:
    def test_the_original_is_named(self, texture: Images) -> None:
        originals, others = texture[:10, ..., None], texture[20:24, ..., None]
        images = np.concatenate([others, originals[[7, 3]], np.rot90(originals[[5]], axes=(1, 2))])
        assert find_copies(images, originals).tolist() == [-1, -1, -1, -1, 7, 3, 5]

    def test_images_that_are_alike_do_not_hide_it(self, texture: Images) -> None:
        # More copies of one image than neighbours are looked at: all are found, all name it.
        noise = np.random.default_rng(0).integers(-2, 3, (70, *texture.shape[1:]))
        alike = np.clip(texture[4].astype(int) + noise, 0, 255).astype(np.uint8)
        assert find_copies(alike[..., None], texture[:10, ..., None]).tolist() == [4] * 70

    def test_images_without_content_count_where_they_are_equal(self, texture: Images) -> None:
        flat = np.stack([np.full_like(texture[0], level) for level in (0, 90)])[..., None]
        found = find_copies(np.concatenate([flat, texture[:1, ..., None]]), flat[::-1])
        assert found.tolist() == [1, 0, -1]
