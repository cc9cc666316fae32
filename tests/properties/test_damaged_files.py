"""Damaged files of every format that is loaded: what was written comes back, or the one error."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import synthray as sr
from helpers.counts import count
from helpers.results import make_result
from helpers.strategies import attempt, damaged, folder, share
from helpers.tiny import tiny_augmenter, untraced_cyclegan
from helpers.toys import bars
from synthray.comparison.cache import Cache
from synthray.exceptions import FileFormatError

KEY = "0" * 64
BARS = replace(
    bars(8, size=8),
    names=np.array(list("abcdefgh")),
    annotations={"angle": np.arange(8.0)},
    provenance={"source": "Röntgen"},
    skipped=(sr.SkippedFile("i.png", "empty"),),
)
RUN = make_result(n=12).runs[0]


class Format(NamedTuple):
    """How files are written into a folder and read from there, as something to compare."""

    write: Callable[[Path], Any]
    read: Callable[[Path], Any]


def described(data: Any) -> Any:
    return [
        [getattr(data, name).tolist() for name in ("images", "labels", "groups", "names")],
        [data.synthetic.tolist(), {k: v.tolist() for k, v in data.annotations.items()}],
        [data.class_names, data.skipped, data.positive_class, dict(data.provenance)],
    ]


def medmnist(path: Path, save: Any) -> None:
    splits = {"train": BARS.select(range(5)), "test": BARS.select(range(5, 8))}
    arrays = {f"{name}_images": split.images[..., 0] for name, split in splits.items()}
    save(path / "set.npz", **arrays, **{f"{k}_labels": v.labels for k, v in splits.items()})


def read_medmnist(path: Path) -> Any:
    found = sr.load_medmnist(path / "set.npz")
    return {name: [d.images.tolist(), d.labels.tolist()] for name, d in found.items()}


def translation() -> sr.TranslationAugmenter:
    make: Any = functools.partial(untraced_cyclegan, width=0.25)
    return sr.TranslationAugmenter(make, epochs=1, batch_size=4, random_state=0)


def state(augmenter: Any) -> Any:
    return augmenter.fingerprint(), augmenter.histories_, augmenter.n_train_, augmenter.classes_


def fit_in(path: Path) -> Any:
    return state(tiny_augmenter().fit(bars(8), workdir=path, verbose=0))


FORMATS = {
    "data set": Format(
        lambda path: BARS.save(path / "data.npz"),
        lambda path: described(sr.ImageDataset.load(path / "data.npz")),
    ),
    "MedMNIST": Format(lambda path: medmnist(path, np.savez), read_medmnist),
    "MedMNIST, packed": Format(lambda path: medmnist(path, np.savez_compressed), read_medmnist),
    "result": Format(
        lambda path: make_result(n=12).save(path / "result.json"),
        lambda path: sr.ComparisonResult.load(path / "result.json").to_dict(),
    ),
    "SyntheticAugmenter": Format(
        lambda path: tiny_augmenter().fit(bars(8), verbose=0).save(path),
        lambda path: state(sr.SyntheticAugmenter.load(path)),
    ),
    "TranslationAugmenter": Format(
        lambda path: translation().fit(bars(8), verbose=0).save(path),
        lambda path: state(sr.TranslationAugmenter.load(path, sources=bars(8))),
    ),
    "a training": Format(fit_in, fit_in),
    "a fit of a comparison": Format(
        lambda path: Cache(path).save_run(RUN, KEY),
        lambda path: _found(Cache(path).load_run(RUN.arm, 0, 0, KEY, RUN.probabilities.shape)),
    ),
    "images of a comparison": Format(
        lambda path: Cache(path).save_synthetic(BARS, KEY),
        lambda path: described(Cache(path).load_synthetic(KEY)),
    ),
}


WITH_MODELS = ("SyntheticAugmenter", "TranslationAugmenter", "a training")


def _found(run: Any) -> Any:
    return run.to_dict()


@functools.cache
def written(name: str) -> tuple[dict[str, bytes], Any]:
    """The files of a format, and what comes back from them whole."""
    with folder() as path:
        FORMATS[name].write(path)
        files = {
            file.relative_to(path).as_posix(): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        }
        return files, repr(FORMATS[name].read(path))


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in WITH_MODELS])
@share(1 / 4)
@given(data=st.data())
def test_damage_is_found(name: str, data: st.DataObject) -> None:
    check(name, data)


@pytest.mark.parametrize("name", WITH_MODELS)
@share(20)
@given(data=st.data())
def test_damage_of_models_is_found(name: str, data: st.DataObject) -> None:
    check(name, data)


def check(name: str, data: st.DataObject) -> None:
    files, whole = written(name)
    victim = data.draw(st.sampled_from(sorted(files)))
    content = data.draw(damaged(files[victim]))
    with folder() as path:
        for file, each in files.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(content if file == victim else each)
        found, message, warned = attempt(lambda: FORMATS[name].read(path), FileFormatError)
    assert warned == []
    if found is None:
        assert Path(victim).name in message, message
        assert content != files[victim], message
    else:
        assert repr(found) == whole
    count("damaged files")


PATIENTS = ["P0é", "P1é", "P2é"]
TABLE = "file,patient\r\n" + "".join(
    f"{c}/{i}.png,{PATIENTS[i]}\r\n" for c in "ab" for i in range(3)
)


@share(2)
@given(content=damaged(TABLE.encode()))
def test_damaged_tables_of_groups(content: bytes) -> None:
    """A table has no hash: a changed letter is another patient. But nothing else goes wrong."""
    pixels = io.BytesIO()
    Image.new("L", (4, 4), 100).save(pixels, "PNG")
    with folder() as path:
        for name in (f"{c}/{i}.png" for c in "ab" for i in range(3)):
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(pixels.getvalue())
        (path / "groups.csv").write_bytes(content)
        found, message, warned = attempt(
            lambda: sr.load_image_folder(
                path, (4, 4, 1), groups=("groups.csv", "patient"), progress=False
            )
        )
    assert warned == []
    assert found is not None or "groups.csv" in message, message
    if found is not None:
        assert isinstance(found, sr.ImageDataset)
        assert found.groups is not None
        assert all(found.groups)
        assert len(found) == 6
    if content == TABLE.encode():
        assert isinstance(found, sr.ImageDataset)
        assert list(found.groups if found.groups is not None else ()) == [*PATIENTS, *PATIENTS]
    count("damaged files")
