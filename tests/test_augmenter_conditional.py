"""SyntheticAugmenter(conditional=...): one model that learns all classes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import synthray as sr
from synthray.augmenter.parts import epochs_of, is_conditional, parts_of, sizes_of
from toys import assert_equal_weights, bars

tiny = functools.partial(sr.R3GAN, width=0.125, latent_dim=4, label_images=0)


def eager(num_classes: int | None = None, **arguments: Any) -> sr.R3GAN:
    gan = tiny(num_classes=num_classes, **arguments)
    gan.compile(run_eagerly=True)
    return gan


def make(generator: Any = tiny, **arguments: Any) -> sr.SyntheticAugmenter:
    settings = {"epochs": 2, "batch_size": 8, "random_state": 0, "conditional": True}
    return sr.SyntheticAugmenter(generator, **(settings | arguments))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> sr.SyntheticAugmenter:
    return make().fit(bars(16, size=8), workdir=tmp_path_factory.mktemp("work"), verbose=0)


def test_one_model_draws_each_class(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    gan = fitted.generators_["upright"]
    assert gan is fitted.generators_["lying"]
    assert gan.num_classes == 2
    assert int(gan.optimizer.iterations.numpy()) == 4  # 2 epochs of 16 images, 8 a step
    drawn = fitted.sample({"upright": 5, "lying": 4}, seed=1)
    assert drawn.class_counts == {"upright": 5, "lying": 4}
    lying = fitted.sample({"lying": 4}, seed=1).images
    np.testing.assert_array_equal(drawn.by_class()["lying"].images, lying)
    same_latents = gan.sample(4, seed=2, labels=0), gan.sample(4, seed=2, labels=1)
    assert not np.array_equal(*same_latents)
    fitted.save(tmp_path / "saved")
    assert len(list((tmp_path / "saved").glob("*.keras"))) == 1
    back = sr.SyntheticAugmenter.load(tmp_path / "saved")
    assert back.generators_["upright"] is back.generators_["lying"]
    assert back.conditional is True
    np.testing.assert_array_equal(back.sample(6, seed=3).images, fitted.sample(6, seed=3).images)
    filtered = make(filter=lambda drawn, real: drawn.select(range(0, len(drawn), 2)))
    filtered.__dict__.update({k: v for k, v in vars(fitted).items() if k.endswith("_")})
    kept = filtered.use_sources(bars(16, size=8)).sample({"lying": 3}, seed=1)
    assert kept.class_counts == {"upright": 0, "lying": 3}


def test_a_stopped_fit_goes_on(tmp_path: Path) -> None:
    data = bars(16, size=8)
    called: list[str] = []

    def note(name: str) -> list[Any]:
        called.append(name)
        return []

    straight = make(eager).fit(data, callbacks=note, verbose=0)
    make(eager, epochs=1).fit(data, workdir=tmp_path, verbose=0)
    other = sr.ImageDataset.from_arrays(
        data.images, 1 - data.labels, class_names=data.class_names, groups=data.groups
    )
    with pytest.raises(ValueError, match="images_sha256"):
        make(eager).fit(other, workdir=tmp_path, verbose=0)
    assert called == ["all classes"]
    resumed = make(eager).fit(data, workdir=tmp_path, verbose=0)
    assert len(resumed.histories_["lying"]["loss"]) == 2
    # Not the same weights: of one epoch alone, the learning rate fell faster.
    assert int(resumed.generators_["lying"].images_seen.numpy()) == 32
    again = make(eager).fit(data, verbose=0)
    assert_equal_weights(again.generators_["lying"], straight.generators_["lying"])


def test_picks_by_class_size_and_ability() -> None:
    few, many = {"a": 5000, "b": 999}, {"a": 5000, "b": 1000}
    assert is_conditional("auto", tiny, few)
    assert not is_conditional("auto", tiny, many)
    assert is_conditional(True, tiny, many)
    assert not is_conditional(False, tiny, few)
    assert not is_conditional("auto", sr.DCGAN, few)
    assert not is_conditional("auto", tiny, {"a": 5})
    in_c: Any = dict
    assert not is_conditional("auto", in_c, few)
    for make_one, counts in ((sr.DCGAN, few), (tiny, {"a": 5})):
        with pytest.raises(ValueError, match="conditional=True trains one model for all classes"):
            is_conditional(True, make_one, counts)
    with pytest.raises(ValueError, match="got 'yes'"):
        make(conditional="yes").fit(bars(8, size=8), verbose=0)
    both = functools.partial(tiny, num_classes=2)
    with pytest.raises(ValueError, match="pass conditional=True to the augmenter"):
        make(both, conditional=False).fit(bars(8, size=8), verbose=0)
    with pytest.raises(ValueError, match="one model on both classes in any case"):
        sr.TranslationAugmenter(conditional=True)


def test_a_fingerprint_knows_it() -> None:
    one, each = make().fingerprint((8, 8, 1)), make(conditional=False).fingerprint((8, 8, 1))
    assert one != each
    assert one == make().fingerprint((8, 8, 1))


def test_classes_are_shown_equally_often() -> None:
    data = bars(20, size=8)
    few = data.select(np.flatnonzero((data.labels == 0) | (np.arange(20) < 4)))  # 10 and 2
    [part] = parts_of(few, True).values()
    assert part.class_counts == {"upright": 10, "lying": 10}
    assert len(np.unique(part.images[part.labels == 1], axis=0)) == 2
    assert sizes_of(few.class_counts, True) == {"all classes": 20}
    assert sizes_of(few.class_counts, False) == {"upright": 10, "lying": 2}


def test_epochs_show_so_many_images() -> None:
    assert epochs_of("auto", 1000) == 35
    assert epochs_of("auto", 999) == 36
    assert epochs_of(3, 999) == 3
    mistakes: tuple[Any, ...] = (0, 1.5, "many")
    for wrong in mistakes:
        with pytest.raises(ValueError, match='epochs must be an integer from 1, or "auto"'):
            epochs_of(wrong, 10)


@pytest.mark.parametrize("conditional", [True, False])
def test_planned_steps_are_those_taken(conditional: bool) -> None:
    steps: list[int] = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(1))
    augmenter = make(conditional=conditional, epochs=2, batch_size=4)
    data = bars(14, size=8).select(np.arange(13))  # 7 and 6
    augmenter.fit(data, verbose=0, callbacks=lambda name: [count])
    assert len(steps) == augmenter.planned_steps(data.class_counts)
