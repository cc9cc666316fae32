"""Folders of augmenters: what they hold, what comes back, what is refused."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.base import clone

import synthray as sr
from helpers.tiny import TinyGAN, tiny_augmenter
from helpers.toys import bars
from synthray._files import write_json
from synthray.exceptions import FileFormatError


def test_what_was_saved_comes_back(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    fitted.save(tmp_path / "augmenter")
    fitted.save(tmp_path / "augmenter")  # over its own earlier save
    assert len(list((tmp_path / "augmenter").iterdir())) == 3
    back = sr.SyntheticAugmenter.load(tmp_path / "augmenter")
    np.testing.assert_array_equal(back.sample(4, seed=0).images, fitted.sample(4, seed=0).images)
    for name in ("n_train_", "histories_", "class_names_", "classes_", "image_shape_"):
        assert getattr(back, name) == getattr(fitted, name)
    assert (back.epochs, back.batch_size, back.random_state) == (1, 8, 0)
    assert back.fingerprint() == fitted.fingerprint()
    manifest = json.loads((tmp_path / "augmenter" / "manifest.json").read_text())
    assert manifest["versions"]["synthray"] == sr.__version__


def test_a_clone_of_a_loaded_one_makes_the_same_generators(tmp_path: Path) -> None:
    strategy = {np.int64(0): 6, np.int64(1): 7}
    own = tiny_augmenter(
        generator=functools.partial(TinyGAN, units=3),
        sampling_strategy=strategy,
        random_state=np.int64(3),
    )
    own.fit(bars(8), verbose=0).save(tmp_path)
    again = clone(sr.SyntheticAugmenter.load(tmp_path))
    assert again.sampling_strategy == {0: 6, 1: 7}
    assert again.random_state == 3
    again.fit(bars(8), verbose=0)
    assert again.generators_["lying"].latent_dim == 3
    assert again.fingerprint() == own.fingerprint()


def test_changed_folders_are_refused(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    folder = tmp_path / "augmenter"
    fitted.save(folder)
    with pytest.raises(FileFormatError, match=r"synthray\.SyntheticAugmenter"):
        sr.TranslationAugmenter.load(folder)
    (file,) = folder.glob("lying*.keras")
    with file.open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(FileFormatError, match="SHA-256 differs"):
        sr.SyntheticAugmenter.load(folder)
    file.unlink()
    with pytest.raises(FileFormatError, match="is missing"):
        sr.SyntheticAugmenter.load(folder)
    write_json(folder / "manifest.json", {"format": "else"})
    with pytest.raises(FileFormatError, match="says 'else'"):
        sr.SyntheticAugmenter.load(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"manifest\.json is damaged"):
        sr.SyntheticAugmenter.load(folder)
    with pytest.raises(FileFormatError, match=r"manifest\.json is missing"):
        sr.SyntheticAugmenter.load(tmp_path)
    (tmp_path / "photo.png").touch()
    with pytest.raises(FileFormatError, match=r"manifest\.json is missing"):
        fitted.save(tmp_path)


def stopping(place: int) -> Callable[..., None]:
    """Rename files as `os.replace` does, but for one: there the disk is full."""
    replace, calls = os.replace, iter(range(99))

    def rename(*paths: Any) -> None:
        if next(calls) == place:
            raise OSError(28, "No space left on device")
        replace(*paths)

    return rename


def test_a_save_that_breaks_off_leaves_what_was_there(
    fitted: sr.SyntheticAugmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny_augmenter(random_state=1).fit(bars(21), verbose=0)
    folders = tmp_path / "old", tmp_path / "new"
    fitted.save(folders[0])
    for place in range(3):
        for folder in folders:
            with monkeypatch.context() as patch:
                patch.setattr(os, "replace", stopping(place))
                with pytest.raises(OSError, match="No space"):
                    other.save(folder)
        again = sr.SyntheticAugmenter.load(folders[0])
        assert again.fingerprint() == fitted.fingerprint()
        with pytest.raises(FileFormatError, match="missing"):
            sr.SyntheticAugmenter.load(folders[1])
    (folders[0] / "notes.keras").touch()
    for folder in folders:
        other.save(folder)
        assert sr.SyntheticAugmenter.load(folder).fingerprint() == other.fingerprint()
    assert (folders[0] / "notes.keras").exists()
    assert len(list(folders[1].iterdir())) == 3


def test_hostile_folders_raise_the_one_error(fitted: sr.SyntheticAugmenter, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    path = tmp_path / "manifest.json"
    whole = json.loads(path.read_text())
    del whole["content_sha256"]
    lying = tmp_path / whole["generators"]["lying"]["file"]

    def refused(name: str) -> None:
        with pytest.raises(FileFormatError, match=name):
            sr.SyntheticAugmenter.load(tmp_path)

    for key in whole.keys() - {"versions"}:
        write_json(path, {k: v for k, v in whole.items() if k != key})
        refused(r"manifest\.json")
    settings, generators = whole["settings"], whole["generators"]
    for changed, name in (
        ({"settings": settings | {"filter": 1}}, r"manifest\.json"),
        ({"settings": {}}, r"manifest\.json"),
        ({"class_names": []}, r"manifest\.json"),
        ({"classes": [0]}, r"manifest\.json"),
        ({"histories": {"lying": 3, "upright": 3}}, r"manifest\.json"),
        ({"generators": {"lying": generators["lying"]}}, r"manifest\.json"),
        ({"generators": generators | {"lying": {"file": "..", "sha256": ""}}}, "no regular file"),
        ({"image_shape": [8, 8, 1]}, r"\.keras"),
    ):
        write_json(path, whole | changed)
        refused(name)
    path.write_bytes(b"[" * 100_000)
    refused(r"manifest\.json")
    path.unlink()
    os.mkfifo(path)
    refused(r"manifest\.json")
    # A file with the right hash, but of no generator; no model at all; nothing that ends.
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(lying)
    for content in (lying.read_bytes(), b"nothing"):
        path.unlink()
        lying.write_bytes(content)
        entry = {"file": lying.name, "sha256": hashlib.sha256(content).hexdigest()}
        write_json(path, whole | {"generators": generators | {"lying": entry}})
        refused(lying.name)
    # Keras reads older formats too, less safely.
    older = lying.rename(tmp_path / "lying.h5")
    entry["file"] = older.name
    write_json(path, whole | {"generators": generators | {"lying": entry}})
    refused(r"lying\.h5 .* SHA-256 differs")
    os.mkfifo(lying)
    write_json(path, whole)
    refused(lying.name)
