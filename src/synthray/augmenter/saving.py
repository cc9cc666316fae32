"""Folders that an augmenter writes: itself, and PNG files of synthetic images."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from synthray._files import (
    check_archive,
    naming,
    open_json,
    reading,
    sha256,
    slug,
    write_json,
    write_whole,
)
from synthray._keras.workers import temporary_files_apart
from synthray._progress import progress_bar
from synthray._seeds import resolve_seed
from synthray.datasets.decode import SYNTHETIC_MARK
from synthray.datasets.folder_tree import SYNTHETIC_IMAGES, class_tree_above
from synthray.exceptions import FileFormatError
from synthray.generators.presets import is_preset

PLAIN = ("class_names", "classes", "image_shape", "n_train")  # attributes that JSON has
_MANIFEST = "manifest.json"
_OURS = re.compile(r".+-[0-9a-f]{8}\.keras|\.[0-9a-f]{12}\.part\.\w+")  # but for the manifest
_VERSIONS = {"synthray": version("synthray"), "keras": keras.__version__}


def save_augmenter(augmenter: Any, folder: str | PathLike[str]) -> None:
    """Write a fitted augmenter: `.keras` files first, then the manifest that names them."""
    folder = Path(folder)
    if folder.exists() and not all(map(_OURS.fullmatch, os.listdir(folder))):
        _read_manifest(folder, type(augmenter))  # only an earlier save is written over
    mark = secrets.token_hex(4)  # beside the files of an earlier save, until the manifest is new
    files: dict[int, dict[str, str]] = {}
    for name, gan in augmenter.generators_.items():
        if id(gan) not in files:  # one model may stand for several classes
            path = folder / f"{slug(name)}-{mark}.keras"
            files[id(gan)] = {"file": path.name, "sha256": save_generator(gan, path)}
    settings = augmenter.get_params(deep=False)
    settings = {k: _plain(v) for k, v in settings.items() if k not in ("generator", "filter")}
    manifest = {
        "format": _format(type(augmenter)),
        "settings": settings,
        "preset": os.fspath(own) if is_preset(own := augmenter.generator) else None,
        "filtered": augmenter.filter is not None,
        **{name: getattr(augmenter, f"{name}_") for name in PLAIN},
        "generators": {name: files[id(gan)] for name, gan in augmenter.generators_.items()},
        "histories": {k: history_to_json(v) for k, v in augmenter.histories_.items()},
        "versions": _VERSIONS,
    }
    write_json(folder / _MANIFEST, manifest)
    for old in folder.iterdir():
        if _OURS.fullmatch(old.name) and not old.stem.endswith(mark):
            old.unlink()


def load_augmenter(kind: Any, folder: str | PathLike[str]) -> dict[str, Any]:
    """Return the manifest of a saved folder, with the generators themselves and settings."""
    manifest = _read_manifest(Path(folder), kind)
    files = manifest["generators"]
    loaded = {path: load_generator(path, expected) for path, expected in set(files.values())}
    for path, gan in loaded.items():
        ours = isinstance(gan, kind._makes)
        if not ours or (not manifest["preset"] and gan.image_shape != manifest["image_shape"]):
            raise FileFormatError(f"{path} holds {gan.name}, which is not what {folder} says.")
    manifest["generators"] = {name: loaded[path] for name, (path, _) in files.items()}
    return manifest


def save_generator(generator: Any, path: Path) -> str:
    """Write a `.keras` file, whole or not at all, and return its hash."""
    with temporary_files_apart():
        write_whole(path, generator.save)
    return sha256(path)


def load_generator(path: Path, expected_sha256: str) -> Any:
    """Load a `.keras` file whose hash is known, in Keras' safe mode."""
    hint = "Restore it; do not load it if you do not know who changed it."
    if not path.exists():
        raise FileFormatError(f"{path} is missing. {hint}")
    with reading(path, "the generator that was saved", hint) as file:
        if path.suffix != ".keras" or sha256(path) != expected_sha256:
            raise ValueError("its SHA-256 differs")
        check_archive(file)
        return keras.saving.load_model(path, safe_mode=True)


def history_to_json(history: Mapping[str, list[float]]) -> dict[str, list[float | str]]:
    """Return metrics as JSON has them: values that are not finite as text."""
    return {k: [v if np.isfinite(v) else str(v) for v in vs] for k, vs in history.items()}


def history_from_json(history: Mapping[str, list[float | str]]) -> dict[str, list[float]]:
    """Return metrics that `history_to_json` wrote."""
    return {k: [float(v) for v in vs] for k, vs in history.items()}


def write_images(
    augmenter: Any,
    path: str | PathLike[str],
    counts: Mapping[str, int],
    seed: int | None,
    batch_size: int,
    verbose: Any,
) -> None:
    """Write marked PNG files into a new folder, batch by batch, and a manifest beside them."""
    from PIL import Image, PngImagePlugin

    folder = Path(path)
    tree = class_tree_above(folder)
    if tree is not None or (folder.exists() and any(folder.iterdir())):
        problem = f"lies among the class folders of {tree}" if tree else "is not empty"
        raise ValueError(
            f"{folder} {problem}. Synthetic images go into a folder of their own, so that they "
            "are never taken for real ones; choose a new one elsewhere."
        )
    seed = resolve_seed(seed)
    marks = {name: PngImagePlugin.PngInfo() for name in counts}
    for name, mark in marks.items():
        mark.add_text(SYNTHETIC_MARK, json.dumps({"synthetic": True, "class": name, "seed": seed}))
    subfolders = {name: folder / slug(name) for name in counts}
    written, total = dict.fromkeys(counts, 0), sum(counts.values())
    with naming(folder, *subfolders.values()):  # an empty folder can be written to again
        for subfolder in subfolders.values():
            subfolder.mkdir(parents=True, exist_ok=True)
        with progress_bar(total, "Synthetic images", unit="images", verbose=verbose) as bar:
            for name, batch in augmenter.sample_batches(counts, seed=seed, batch_size=batch_size):
                for image in batch:
                    file = subfolders[name] / f"synthetic_{written[name]:06d}.png"
                    pixels = image[..., 0] if image.shape[-1] == 1 else image
                    Image.fromarray(pixels).save(file, pnginfo=marks[name])
                    written[name] += 1
                bar.update(len(batch))
        manifest = {
            "format": SYNTHETIC_IMAGES,
            "synthetic": True,
            "seed": seed,
            "counts": written,
            "folders": {name: subfolder.name for name, subfolder in subfolders.items()},
            "generators": {k: type(gan).__name__ for k, gan in augmenter.generators_.items()},
            "n_train": augmenter.n_train_,
            "versions": _VERSIONS,
        }
        write_json(folder / _MANIFEST, manifest)


def _format(kind: type) -> str:
    return f"synthray.{kind.__name__}/1"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):  # as pairs: JSON would turn labels into strings
        return [[_plain(k), _plain(v)] for k, v in value.items()]
    return value.item() if isinstance(value, np.generic) else value


def _read_manifest(folder: Path, kind: Any) -> dict[str, Any]:
    """Return a manifest, whose values are of the types and classes that they should be."""
    path = folder / _MANIFEST
    if not path.exists():
        raise FileFormatError(f"{path} is missing. Expected a folder that save wrote.")
    with open_json(path, f"the manifest of a {kind.__name__} that save wrote") as manifest:
        if manifest["format"] != _format(kind):
            raise ValueError(f"it says {manifest['format']!r}, expected {_format(kind)!r}")
        settings, names = manifest["settings"], tuple(manifest["class_names"])
        if isinstance(settings["sampling_strategy"], list):
            settings["sampling_strategy"] = dict(settings["sampling_strategy"])
        expected = set(kind._get_param_names()) - {"generator", "filter"}
        if set(settings) != expected or not 0 < len(names) == len(manifest["classes"]):
            raise ValueError(f"expected settings {expected} and as many labels as classes")
        entries = [manifest["generators"][name] for name in names]
        files = [(folder / Path(e["file"]).name, str(e["sha256"])) for e in entries]
        return manifest | {
            "preset": None if (preset := manifest["preset"]) is None else str(preset),
            "filtered": bool(manifest["filtered"]),
            "class_names": names,
            "image_shape": tuple(manifest["image_shape"]),
            "n_train": {name: int(manifest["n_train"][name]) for name in names},
            "generators": dict(zip(names, files, strict=True)),
            "histories": {k: history_from_json(manifest["histories"][k]) for k in names},
        }
