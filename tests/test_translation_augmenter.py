"""TranslationAugmenter: real images of one class, translated into the other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import synthray as sr
from synthray.comparison import cost
from test_cyclegan import discs, set_weights
from toys import assert_equal_weights


def untraced(image_shape: Any, seed: int) -> sr.CycleGAN:
    """A small model that runs without being compiled, and does not start at the identity."""
    model = sr.CycleGAN(image_shape, width=4, residual_blocks=0, seed=seed)
    model.compile(run_eagerly=True)
    set_weights(model, seed)
    return model


def augmenter(**arguments: Any) -> sr.TranslationAugmenter:
    return sr.TranslationAugmenter(
        untraced, **({"epochs": 1, "batch_size": 8, "random_state": 0} | arguments)
    )


@pytest.fixture(scope="module")
def data() -> sr.ImageDataset:
    return discs(12, groups=[f"patient {i // 2}" for i in range(12)])


@pytest.fixture(scope="module")
def fitted(data: sr.ImageDataset) -> sr.TranslationAugmenter:
    return augmenter().fit(data, verbose=0)


def test_draws_translations_of_the_other_class(
    fitted: sr.TranslationAugmenter, data: sr.ImageDataset
) -> None:
    model: Any = fitted.generators_["fractured"]
    drawn = fitted.sample({"fractured": 8, "intact": 6}, seed=1)
    assert drawn.class_counts == {"intact": 6, "fractured": 8}
    assert drawn.synthetic.all()
    assert drawn.provenance["seed"] == 1
    for label, part in enumerate(drawn.by_class().values()):
        sources = data.select(data.labels != label)
        expected = model.translate(sources.images, to=label)
        found = [
            [i for i, image in enumerate(expected) if np.array_equal(image, other)]
            for other in part.images
        ]
        assert all(len(places) == 1 for places in found)
        places = np.concatenate(found)
        assert sources.groups is not None
        np.testing.assert_array_equal(part.groups, sources.groups[places])
        # 8 intact sources for 8; 4 fractured ones for 6: none twice before each came once.
        counts = np.bincount(places, minlength=len(sources))
        assert counts.max() - counts.min() == (0 if label else 1)
    batches = list(fitted.sample_batches({"fractured": 8, "intact": 6}, seed=1, batch_size=5))
    assert [(name, len(images)) for name, images in batches] == [
        ("intact", 5),
        ("intact", 1),
        ("fractured", 5),
        ("fractured", 3),
    ]
    again = np.concatenate([images for _, images in batches]).astype(int)
    assert np.abs(again - drawn.images).max() <= 1
    other = fitted.sample({"fractured": 3}, seed=2)
    assert not np.array_equal(other.images, fitted.sample({"fractured": 3}, seed=3).images)
    assert len(fitted.sample(6, seed=0)) == 6


def test_joins_a_training_set_group_by_group(data: sr.ImageDataset) -> None:
    balanced = augmenter().fit_resample(data, verbose=0)
    assert balanced.class_counts == {"intact": 8, "fractured": 8}
    np.testing.assert_array_equal(balanced.images[: len(data)], data.images)
    assert set(balanced.groups[len(data) :]) <= set(data.groups)  # type: ignore[arg-type]
    alone = augmenter().fit_resample(data.with_groups(None), verbose=0)
    assert set(alone.groups[len(data) :]) <= set(alone.groups[: len(data)])  # of its source
    assert len(np.unique(alone.groups)) == len(data)
    # Images of another set are nobody's source, whatever their places are.
    others = discs(12, seed=5).with_groups(None)
    mixed = augmenter().fit(data.with_groups(np.arange(12)), verbose=0).augment(others)
    assert not set(mixed.groups[:12]) & set(mixed.groups[12:])
    names = np.array(data.class_names)[data.labels]
    x, y = augmenter().fit_resample(data.images / 255.0, names, verbose=0)
    assert x.dtype == np.float64
    assert sorted(zip(*np.unique(y, return_counts=True), strict=True)) == [
        ("fractured", 8),
        ("intact", 8),
    ]


def test_a_checkpoint_is_taken_up(data: sr.ImageDataset, tmp_path: Path) -> None:
    straight = augmenter(epochs=2).fit(data, verbose=0)
    augmenter().fit(data, workdir=tmp_path, verbose=0)
    seen: list[str] = []

    def callbacks(name: str) -> list[Any]:
        seen.append(name)
        return []

    resumed = augmenter(epochs=2).fit(data, workdir=tmp_path, callbacks=callbacks, verbose=0)
    assert seen == ["translation"]
    assert len(resumed.histories_["intact"]["cycle_loss"]) == 2
    for name in data.class_names:
        assert_equal_weights(resumed.generators_[name], straight.generators_[name])
    assert resumed.fingerprint() == straight.fingerprint()
    others = sr.ImageDataset.from_arrays(data.images, 1 - data.labels, class_names=data.class_names)
    with pytest.raises(ValueError, match="images_sha256"):
        augmenter(epochs=3).fit(others, workdir=tmp_path, verbose=0)


def test_a_saved_folder_holds_no_real_image(
    fitted: sr.TranslationAugmenter, data: sr.ImageDataset, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "saved")
    assert {file.suffix for file in (tmp_path / "saved").iterdir()} == {".keras", ".json"}
    back = sr.TranslationAugmenter.load(tmp_path / "saved")
    assert back.fingerprint((16, 16, 1)) == back.fingerprint()
    with pytest.raises(RuntimeError, match=r"load\(folder\)\.use_sources\(train\)"):
        back.sample(2)
    with pytest.raises(ValueError, match="Expected classes and shape"):
        back.use_sources(data.to_rgb())
    np.testing.assert_array_equal(
        back.use_sources(data).sample(4, seed=0).images, fitted.sample(4, seed=0).images
    )
    assert back.fingerprint() == fitted.fingerprint()
    fewer = back.use_sources(data.select(np.arange(8))).fingerprint()  # draws other images
    assert fewer != back.use_sources(data).fingerprint() == fitted.fingerprint()
    alone = back.use_sources(data.with_groups(None)).sample({"fractured": 8}, seed=0)
    assert sorted(alone.groups) == np.flatnonzero(data.labels == 0).tolist()  # type: ignore[arg-type]
    fresh = fitted.unfitted_copy(random_state=1)
    assert not hasattr(fresh, "sources_")
    with pytest.raises(RuntimeError, match="has not been fitted"):
        fresh.sample(2)


def test_what_cannot_be_translated_is_refused(data: sr.ImageDataset) -> None:
    three = sr.ImageDataset.from_arrays(np.zeros((3, 16, 16), "uint8"), [0, 1, 2])
    with pytest.raises(ValueError, match="between two classes"):
        augmenter().fit(three, verbose=0)
    with pytest.raises(ValueError, match="between two classes"):
        augmenter().fit(data.select(data.labels == 0), verbose=0)
    drawn = sr.ImageDataset.from_arrays(data.images, data.labels, synthetic=True)
    with pytest.raises(ValueError, match="12 of 12 images are synthetic"):
        augmenter().fit(drawn, verbose=0)


def test_a_comparison_can_time_it(data: sr.ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_GENERATOR_STEPS", 2)
    sorted_by_class = data.select(np.argsort(data.labels))
    cell: Any = SimpleNamespace(
        recipe=SimpleNamespace(augmenter=augmenter()), train=sorted_by_class
    )
    a_step, an_image = cost._time_generator(cell)
    assert a_step > 0
    assert an_image > 0


def test_planned_steps_pass_over_the_larger_class() -> None:
    augmenter = sr.TranslationAugmenter(epochs=3, batch_size=4)
    assert augmenter.planned_steps({"a": 10, "b": 4}) == 9
