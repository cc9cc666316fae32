"""Folders that an augmenter writes: itself, and drawn PNG files; each with a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import keras

from synthray._seeds import resolve_seed
from synthray._version import __version__
from synthray.augmenter._files import load_generator, sha256, slug, write_json
from synthray.augmenter.checkpoints import plain
from synthray.generators.gan import GAN

_MANIFEST = "manifest.json"
_SAVED = "synthray.SyntheticAugmenter/1"
_DRAWN = "synthray.synthetic-images/1"


def save_augmenter(augmenter: Any, folder: str | PathLike[str]) -> None:
    """Write a fitted augmenter: `.keras` files first, the manifest that names them last."""
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        _read_manifest(folder, _SAVED)  # only an earlier save is written over
    folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, dict[str, str]] = {}
    for name, gan in augmenter.generators_.items():
        same = [k for k in entries if augmenter.generators_[k] is gan]
        if same:  # one model of several classes
            entries[name] = entries[same[0]]
            continue
        part = folder / f"part-{slug(name)}.keras"
        gan.save(part)
        path = folder / f"{slug(name)}.keras"
        part.replace(path)
        entries[name] = {
            "file": path.name,
            "sha256": sha256(path),
            "generator": f"{type(gan).__module__}.{type(gan).__qualname__}",
        }
    strategy = augmenter.sampling_strategy
    write_json(
        folder / _MANIFEST,
        {
            "format": _SAVED,
            "class_names": list(augmenter.class_names_),
            "classes": list(augmenter.classes_),
            "image_shape": list(augmenter.image_shape_),
            "n_train": augmenter.n_train_,
            "generators": entries,
            "histories": augmenter.histories_,
            "filtered": augmenter.filter is not None,
            "settings": {
                # Pairs, for JSON would turn labels into strings.
                "sampling_strategy": plain(
                    list(strategy.items()) if isinstance(strategy, Mapping) else strategy
                ),
                "epochs": plain(augmenter.epochs),
                "batch_size": plain(augmenter.batch_size),
                "random_state": plain(augmenter.random_state),
                "conditional": augmenter.conditional,
            },
            "versions": {
                "synthray": __version__,
                "keras": keras.__version__,
                "backend": keras.backend.backend(),
            },
        },
    )


def load_augmenter(folder: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, GAN]]:
    """Return the manifest and the generators of a saved folder."""
    folder = Path(folder)
    manifest = _read_manifest(folder, _SAVED)
    strategy = manifest["settings"]["sampling_strategy"]
    if isinstance(strategy, list):
        manifest["settings"]["sampling_strategy"] = dict(strategy)
    generators: dict[str, GAN] = {}
    loaded: dict[str, GAN] = {}
    for name in manifest["class_names"]:
        entry = manifest["generators"][name]
        file = Path(entry["file"]).name
        if file not in loaded:
            loaded[file] = load_generator(folder / file, entry["sha256"])
        generators[name] = loaded[file]
    return manifest, generators


def write_folder(
    augmenter: Any,
    path: str | PathLike[str],
    counts: Mapping[str, int],
    seed: int | None,
    batch_size: int,
    verbose: Any,
) -> None:
    """Draw PNG files into a new folder, batch by batch, and a manifest beside them."""
    from PIL import Image

    folder = Path(path)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty. Drawn images go into a folder of their own, so that they are "
            "never taken for real ones; choose a new one."
        )
    seed = resolve_seed(seed)
    subfolders = {name: folder / slug(name) for name in counts}
    for subfolder in subfolders.values():
        subfolder.mkdir(parents=True, exist_ok=True)
    progress = keras.utils.Progbar(sum(counts.values()), verbose=0 if verbose == 0 else 1)
    written = dict.fromkeys(counts, 0)
    for name, batch in augmenter.sample_batches(counts, seed=seed, batch_size=batch_size):
        for image in batch:
            pixels = image[..., 0] if image.shape[-1] == 1 else image
            file = subfolders[name] / f"synthetic_{written[name]:06d}.png"
            Image.fromarray(pixels).save(file)
            written[name] += 1
        progress.update(sum(written.values()))
    write_json(
        folder / _MANIFEST,
        {
            "format": _DRAWN,
            "synthetic": True,
            "seed": seed,
            "counts": written,
            "folders": {name: subfolder.name for name, subfolder in subfolders.items()},
            "generators": {k: type(gan).__name__ for k, gan in augmenter.generators_.items()},
            "n_train": augmenter.n_train_,
            "versions": {"synthray": __version__, "keras": keras.__version__},
        },
    )


def _read_manifest(folder: Path, expected: str) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.is_file():
        raise ValueError(f"{folder} holds no {_MANIFEST}: it is not a folder that save wrote.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Restore the folder.") from error
    if found != expected:
        raise ValueError(f"{path} says {found!r}, expected {expected!r}.")
    return dict(manifest)
