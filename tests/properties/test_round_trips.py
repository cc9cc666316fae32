"""What is saved comes back equal, from every `save` and `load`."""

from __future__ import annotations

import csv
import functools
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import synthray as sr
from helpers.counts import count
from helpers.generators import set_weights, tiny_cyclegan, tiny_dcgan, tiny_r3gan
from helpers.image_trees import write_tree
from helpers.results import make_leak, make_result
from helpers.strategies import NAMES, attempt, datasets, folder, share
from helpers.tiny import TinyGAN, tiny_augmenter
from helpers.toys import Still, bars, weights_of
from synthray.exceptions import SynthrayWarning

SAVED = "saves that came back equal"


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, in type, NaN and order too."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)


def same_data(a: sr.ImageDataset, b: sr.ImageDataset) -> bool:
    return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


@given(data=datasets())
def test_data_sets(data: sr.ImageDataset) -> None:
    with folder() as path:
        data.save(path / "data.npz")
        assert same_data(sr.ImageDataset.load(path / "data.npz"), data)
    count(SAVED)


@functools.cache
def gan() -> TinyGAN:
    return tiny_augmenter().fit(bars(8), verbose=0).generators_["lying"]


VALUES = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(2**63, 2**64 - 1),
    st.booleans(),
    NAMES,
]
METRICS = st.dictionaries(NAMES, st.lists(st.floats(), max_size=3), max_size=2)


@pytest.mark.backend
@share(10)
@given(
    data=st.data(),
    classes=st.sampled_from(VALUES).flatmap(
        lambda values: st.lists(values, min_size=1, max_size=3, unique=True)
    ),
)
def test_augmenters(data: st.DataObject, classes: list[Any]) -> None:
    names = tuple(map(str, classes))
    counts = st.integers(1, 10**6)
    some = data.draw(st.dictionaries(st.sampled_from(classes), counts))
    augmenter = tiny_augmenter(
        sampling_strategy=data.draw(st.sampled_from(["auto", "minority", 0.1 + 0.2, some])),
        epochs=data.draw(st.sampled_from([1, "auto"])),
        batch_size=data.draw(counts),
        random_state=data.draw(st.none() | st.integers(0, 2**32 - 1)),
    )
    augmenter.class_names_, augmenter.classes_, augmenter.image_shape_ = names, classes, (16, 16, 1)
    augmenter.n_train_ = {name: data.draw(counts) for name in names}
    augmenter.generators_ = dict.fromkeys(names, gan())
    augmenter.histories_ = {name: data.draw(METRICS) for name in names}
    with folder() as path:
        augmenter.save(path)
        augmenter.save(path)  # over its own earlier save
        assert len(list(path.iterdir())) == 2
        back = sr.SyntheticAugmenter.load(path)
    attributes = ("class_names_", "classes_", "image_shape_", "n_train_", "histories_")
    for name in (*attributes, "sampling_strategy", "epochs", "batch_size", "random_state"):
        assert same(getattr(back, name), getattr(augmenter, name)), name
    assert back.fingerprint() == augmenter.fingerprint()
    count(SAVED)


MODELS: dict[str, Callable[[], Any]] = {
    "TinyGAN": functools.partial(TinyGAN, seed=0),
    "DCGAN": tiny_dcgan,
    "R3GAN": functools.partial(tiny_r3gan, num_classes=3),
    "CycleGAN": tiny_cyclegan,
    "FractureClassifier": functools.partial(sr.FractureClassifier, image_shape=(27, 28, 3), seed=0),
}


@functools.cache
def model(name: str) -> Any:
    made = MODELS[name]()
    made.compile()
    if not made.optimizer.built:  # as after a step
        made.optimizer.build(made.trainable_variables)
    return made


# On JAX, making the others takes minutes.
QUICK = ("TinyGAN", "FractureClassifier")
PARAMS = [pytest.param(n, marks=[pytest.mark.backend] * (n in QUICK)) for n in MODELS]


@pytest.mark.parametrize("name", PARAMS)
@share(40)
@given(seed=st.integers(0, 2**32 - 1))
def test_models(name: str, seed: int) -> None:
    made = model(name)
    set_weights(made, seed)
    rng = np.random.default_rng(seed)
    for variable in made.optimizer.variables:
        if len(variable.shape):
            variable.assign(rng.random(variable.shape))
    with folder() as path:
        made.save(path / "model.keras")
        back = keras.saving.load_model(path / "model.keras")
    assert type(back) is type(made)
    assert same(back.get_config(), made.get_config())
    assert same(weights_of(back), weights_of(made))
    count(SAVED)


@given(
    classes=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    arms=st.lists(NAMES, min_size=1, max_size=2, unique=True),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    words=st.dictionaries(NAMES, NAMES | st.none() | st.integers(), max_size=2),
    data=st.data(),
)
def test_results_of_comparisons(
    classes: list[str], arms: list[str], shape: tuple[int, int], words: Any, data: st.DataObject
) -> None:
    n = 16
    each: Any = {"min_size": n, "max_size": n}
    result = make_result(
        arms=dict.fromkeys(arms, 1.0),
        names=tuple(classes),
        n=n,
        folds=shape[0],
        seeds=shape[1],
        diverged=data.draw(st.none() | st.just(arms[0])),
        validation=data.draw(st.booleans()),
        epochs=2,
        positive_class=data.draw(st.none() | st.sampled_from(classes)),
        leak=data.draw(st.none() | st.just(make_leak(twins=3, names=tuple(classes)))),
        groups=data.draw(
            st.none()
            | st.lists(NAMES, **each).map(np.asarray)
            | st.lists(st.integers(0, 2**40), **each).map(np.asarray)
        ),
        settings=words,
    )
    with folder() as path:
        result.save(path / "result.json")
        back = sr.ComparisonResult.load(path / "result.json")
    assert same(back.to_dict(), result.to_dict())
    for a, b in zip(back.runs, result.runs, strict=True):
        assert same(a.probabilities, b.probabilities)
    count(SAVED)


@given(data=datasets())
def test_medmnist_files(data: sr.ImageDataset) -> None:
    with folder() as path:
        arrays: Any = {"test_images": data.images, "test_labels": data.labels[:, np.newaxis]}
        np.savez_compressed(path / "set.npz", **arrays)
        (back,) = sr.load_medmnist(path / "set.npz", class_names=data.class_names).values()
    assert same_data(
        back,
        sr.ImageDataset.from_arrays(
            data.images,
            data.labels,
            class_names=data.class_names,
            provenance=back.provenance,
        ),
    )
    count(SAVED)


MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none")
# A table has names without white space around them, and either slash between folders.
PATIENTS = NAMES.map(str.strip).filter(lambda name: name.lower() not in MISSING)
SPLITS = ("val", "dev", "eval", "test", "train", "valid")
FOLDERS = NAMES.map(lambda name: name.replace("/", "-").replace("\\", "-")[:9].strip()).filter(
    lambda name: name != "" and not name.startswith(".") and name.lower() not in SPLITS
)


def form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@share(2)
@given(
    classes=st.lists(FOLDERS, min_size=2, max_size=3, unique_by=form),
    names=st.lists(FOLDERS, min_size=3, max_size=3, unique=True),
    groups=st.lists(PATIENTS, min_size=3, max_size=3),
    channels=st.sampled_from([1, 3]),
)
def test_image_folders(
    classes: list[str], names: list[str], groups: list[str], channels: int
) -> None:
    shape = (5, 7, channels)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    files = [f"{classes[i % len(classes)]}/{name}" for i, name in enumerate(names)]
    with folder() as path:
        for name, image in zip(files, images, strict=True):
            (path / name).parent.mkdir(exist_ok=True)
            Image.fromarray(image.squeeze()).save(path / name, format="PNG")
        with (path / "table.csv").open("w", encoding="utf-8", newline="") as table:
            csv.writer(table).writerows([("file", "patient"), *zip(files, groups, strict=True)])
        back = sr.load_image_folder(path, shape, groups=("table.csv", "patient"), progress=False)
    assert isinstance(back, sr.ImageDataset)
    assert back.class_names == tuple(sorted(classes))
    rows = sorted(range(3), key=lambda i: files[i])
    assert same(back.images, images[rows])
    assert back.names is not None
    assert back.names.tolist() == [files[i] for i in rows]
    assert back.groups is not None
    assert back.groups.tolist() == [groups[i] for i in rows]
    assert not back.synthetic.any()
    count(SAVED)


@share(2)
@given(
    classes=st.lists(FOLDERS, min_size=2, max_size=2, unique_by=form),
    names=st.lists(FOLDERS, min_size=4, max_size=4, unique=True),
    shown=st.lists(st.integers(-8, 7), min_size=4, max_size=4),
    splits=st.booleans(),
)
def test_tables_of_an_audit(
    classes: list[str], names: list[str], shown: list[int], splits: bool
) -> None:
    homes = [f"{split}/{name}" for split in ("train", "test") for name in classes]
    homes = homes if splits else [*classes, *classes]
    files = [f"{home}/{name}" for home, name in zip(homes, names, strict=True)]
    with folder() as path:
        write_tree(path / "images", dict(zip(files, shown, strict=True)))
        report = sr.audit_images(path / "images", verbose=0)
        report.to_csv(path / "audit.csv")
        groups = (path / "audit.csv", "group")
        back = sr.load_image_folder(path / "images", groups=groups, progress=False)
    parts = [back] if isinstance(back, sr.ImageDataset) else list(back.values())
    found: dict[str, str] = {}
    for part in parts:
        assert part.names is not None
        assert part.groups is not None
        found |= dict(zip(part.names.tolist(), part.groups.tolist(), strict=True))
    assert found == {n: str(g) for n, g in zip(report.names, report.clusters, strict=True)}
    assert sorted(found) == sorted(files)
    same_image = {n: k if k >= 0 else -1 - k for n, k in zip(files, shown, strict=True)}
    pairs = {(found[name], same_image[name]) for name in files}
    assert len(pairs) == len(set(found.values())) == len(set(same_image.values()))
    count(SAVED)


@share(2)
@given(
    classes=st.lists(NAMES, min_size=2, max_size=3, unique=True), channels=st.sampled_from([1, 3])
)
def test_folders_of_synthetic_images(classes: list[str], channels: int) -> None:
    shape, counts = (8, 8, channels), {name: i + 1 for i, name in enumerate(classes)}
    augmenter = tiny_augmenter()
    augmenter.class_names_, augmenter.classes_ = tuple(classes), classes
    augmenter.image_shape_, augmenter.n_train_ = shape, counts
    augmenter.generators_ = {name: Still(shape, i) for i, name in enumerate(classes)}
    with folder() as path:
        augmenter.sample_to_folder(path / "made", counts, seed=1, verbose=0)
        back, message, warned = attempt(
            lambda: sr.load_image_folder(path / "made", shape, progress=False)
        )
    assert isinstance(back, sr.ImageDataset), message
    assert warned == [SynthrayWarning]
    assert back.synthetic.all()
    assert sorted(back.class_counts.values()) == sorted(counts.values())
    assert same(back.images, augmenter.sample(counts).images)
    (manifest,) = back.provenance["synthetic"].values()
    assert manifest["counts"] == counts
    assert sorted(manifest["folders"].values()) == list(back.class_names)
    count(SAVED)
