"""Files of at most 10 MB, of every format that is loaded, many of them made to exhaust a reader."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

import synthray as sr
from helpers.image_bombs import Cases, Write, images
from helpers.results import make_result
from helpers.tiny import tiny_augmenter
from helpers.toys import bars
from synthray._files import write_json

DEEP = b"[" * 4_900_000 + b"]" * 4_900_000


def tables() -> Cases:
    """Yield CSV files that name the group of the image `b/ok.png`."""
    rows = b"".join(b"b/%d.png,%d\n" % (i, i) for i in range(500_000))
    yield "plain.csv", _content(b"name,patient\nb/ok.png,1\na/ok.png,2\n" + rows)
    yield "wide.csv", _content(b"name,patient" + b"," * 4_000_000 + b"\n" + b"x,1\n" * 900_000)
    yield "field.csv", _content(b"name,patient\nb/ok.png," + b"7" * 9_000_000)
    yield "quote.csv", _content(b'name,patient\n"' + b"x\n" * 4_000_000)
    yield "commas.csv", _content(b"name,patient\n" + b"," * 9_000_000)
    yield "lines.csv", _content(b"name,patient\n" + b"\n" * 9_000_000)
    yield "columns.csv", _content(b",".join(b"%d" % i for i in range(1_000_000)))


def _content(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def data_sets() -> Cases:
    """Yield `.npz` files for `ImageDataset.load`."""
    yield "plain.npz", bars(500, size=64).save
    yield "zeros_400MB.npz", partial(_zeros, size=4 * 10**8)
    yield "zeros_3GB.npz", partial(_zeros, size=3 * 10**9)
    yield "shape.npz", partial(_member, name="images", shape=(10**6, 1024, 1024))
    yield "wide.npz", partial(_member, name="names", dtype="<U200000000")
    yield "entries.npz", _entries
    for name, header in (("deep", DEEP), ("number", b"7" * 9_000_000), ("lists", b"[[]" * 9)):
        yield f"{name}.npz", partial(_header, header=header.decode())


def med_sets() -> Cases:
    """Yield `.npz` files for `load_medmnist`."""
    photos = np.zeros((9000, 28, 28), np.uint8)
    most = np.zeros((360, 1000, 1000), np.uint8)
    most[:9] = np.random.default_rng(0).integers(0, 256, most[:9].shape)
    for name, arrays in {
        "plain": (photos, np.arange(9000) % 2),
        "labels": (photos[:2], np.array([0, 10**9])),
        "many_labels": (photos[:1], np.zeros(40_000_000, np.uint8)),
        "bytes_360MB": (most, np.arange(360) % 2),
        "bytes_300MB": (np.zeros((300, 1000, 1000), np.uint8), np.arange(300) % 2),
        "bytes_2GB": (np.zeros((2000, 1000, 1000), np.uint8), np.arange(2000) % 2),
        "floats_240MB": (np.zeros((30, 1000, 1000)), np.arange(30) % 2),
        "halves_200MB": (np.zeros((100, 1000, 1000), np.float16), np.arange(100) % 2),
    }.items():
        pair: dict[str, Any] = dict(zip(("train_images", "train_labels"), arrays, strict=True))
        yield f"{name}.npz", partial(np.savez_compressed, **pair)


def _zeros(path: Path, size: int) -> None:
    """A data set of one black image, of so many bytes."""
    bars(8).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    side = 1000
    parts["labels.npy"] = _npy((size // side**2,), "<i8", bytes(size // side**2 * 8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("labels.npy", "header.npy"):
            archive.writestr(name, parts[name])
        with archive.open("images.npy", "w", force_zip64=True) as file:
            file.write(_npy((size // side**2, side, side, 1), "|u1"))
            for _ in range(size // side**2):
                file.write(bytes(side**2))


def _npy(shape: tuple[int, ...], dtype: str, data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    head = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, head)
    return buffer.getvalue() + data


def _member(path: Path, name: str, shape: tuple[int, ...] = (1,), dtype: str = "|u1") -> None:
    bars(8).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in (parts | {f"{name}.npy": _npy(shape, dtype, b"0000")}).items():
            archive.writestr(entry, content)


def _header(path: Path, header: str) -> None:
    np.savez_compressed(path, header=np.array(header), images=np.zeros((2, 8, 8, 1), np.uint8))


def _entries(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(90_000):
            archive.writestr(f"{i:x}", b"")


def results() -> Cases:
    """Yield JSON files for `ComparisonResult.load`, whose hash is right."""
    values = make_result().to_dict()
    yield "plain.json", make_result(n=2000, seeds=5).save
    for name, value in {
        "lists": b"[" + b"[]," * 3_000_000 + b"0]",
        "objects": b"[" + b'{"":0},' * 1_300_000 + b"0]",
        "deep": DEEP,
        "number": b"7" * 9_000_000,
        "exponent": b"[1e999999999, " + b"1e-9," * 1_900_000 + b"0]",
    }.items():
        yield f"{name}.json", partial(_sealed, values=values, key=b"labels", value=value)
        yield f"{name}_names.json", partial(_sealed, values=values, key=b"runs", value=value)


def _sealed(path: Path, values: Mapping[str, Any], key: bytes, value: bytes) -> None:
    rest = {name: part for name, part in values.items() if name != key.decode()}
    body = json.dumps(rest).encode()[:-1] + b', "%s": %s}\n' % (key, value)
    seal = b'{"content_sha256": "%s",\n' % hashlib.sha256(body).hexdigest().encode()
    path.write_bytes(seal + body[1:])


def augmenters() -> Cases:
    """Yield folders for `SyntheticAugmenter.load`, whose hashes are right.

    None says that it has huge layers: Keras builds what a configuration says, whatever it takes.
    """
    yield "plain", tiny_augmenter().fit(bars(8), verbose=0).save
    changes: dict[str, Callable[[bytes], bytes]] = {
        "entries": _many_entries,
        "long_config": partial(_changed, name="config.json", content=b" " * 9 * 10**8),
        "deep_config": partial(_changed, name="config.json", content=DEEP[:100_000]),
        "long_weights": partial(_changed, name="model.weights.h5", content=bytes(9 * 10**8)),
        "declared_weights": partial(_changed, name="model.weights.h5", content=_declared()),
    }
    for name, change in changes.items():
        yield name, partial(_altered, change=change)


def _altered(folder: Path, change: Callable[[bytes], bytes]) -> None:
    tiny_augmenter().fit(bars(8), verbose=0).save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["content_sha256"]
    for entry in manifest["generators"].values():
        file = folder / entry["file"]
        file.write_bytes(change(file.read_bytes()))
        entry["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    write_json(folder / "manifest.json", manifest)


def _changed(keras: bytes, name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(keras)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.namelist():
            new.writestr(entry, content if entry == name else old.read(entry))
    return buffer.getvalue()


def _many_entries(keras: bytes) -> bytes:
    buffer = io.BytesIO(keras)
    with zipfile.ZipFile(buffer, "a") as archive:
        for i in range(40_000):
            archive.writestr(f"assets/{i:x}", b"")
    return buffer.getvalue()


def _declared() -> bytes:
    """Weights that take no room in the file, and 40 GB in memory."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name in ("generator", "discriminator"):
            for i in range(3):
                layer = file.create_group(f"{name}/layers/dense{f'_{i}' * bool(i)}/vars")
                layer.create_dataset("0", (10**5, 10**5), "f4", chunks=(1000, 1000))
    return buffer.getvalue()


CASES: dict[str, Callable[[], Cases]] = {
    "image": images,
    "group table": tables,
    "data set": data_sets,
    "MedMNIST": med_sets,
    "result": results,
    "augmenter": augmenters,
}
LOADERS: dict[str, Callable[[Path], Any]] = {
    "image": lambda path: sr.load_image_folder(path.parents[1], strict=True, progress=False),
    "group table": lambda path: sr.load_image_folder(
        path.parent / "images", groups=(path, "patient"), progress=False
    ),
    "data set": sr.ImageDataset.load,
    "MedMNIST": sr.load_medmnist,
    "result": sr.ComparisonResult.load,
    "augmenter": sr.SyntheticAugmenter.load,
}


def written(kind: str, name: str, write: Write, folder: Path) -> Path:
    """Write a file where its loader looks for it."""
    folder.mkdir(parents=True)
    path = folder / name
    if kind in ("image", "group table"):
        root = folder / "images"
        for good in ("a/ok.png", "b/ok.png"):
            (root / good).parent.mkdir(parents=True)
            Image.new("L", (8, 8), 100).save(root / good)
        path = root / "a" / name if kind == "image" else path
    write(path)
    return path


def load(kind: str, path: Path) -> None:
    LOADERS[kind](path)
