"""Damaged images in a folder: shown, or skipped with a reason; never another exception.

Whether a file is whole cannot always be told: a changed byte in a BMP is another pixel. PNG has
check sums; so an image that the library marked as synthetic never comes back as a real one.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

import synthray as sr
from helpers.counts import count
from helpers.dicom import NATIVE, write_dicom
from helpers.strategies import attempt, damaged, folder, share
from helpers.tiny import tiny_augmenter
from helpers.toys import Still
from synthray.exceptions import SkippedFilesWarning, SynthrayWarning

SHAPE = (12, 10, 1)
VICTIMS = 6  # in each folder
# Format of Pillow, mode and how to save.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png": ("PNG", "L", {}),
    "rgba.png": ("PNG", "RGBA", {}),
    "palette.png": ("PNG", "P", {"transparency": 0}),
    "16 bit.png": ("PNG", "I;16", {}),
    "1 bit.png": ("PNG", "1", {}),
    "jpg": ("JPEG", "L", {}),
    "progressive.jpg": (
        "JPEG",
        "RGB",
        {"progressive": True},
    ),
    "cmyk.jpg": ("JPEG", "CMYK", {}),
    "tif": ("TIFF", "L", {}),
    "lzw.tif": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "deflate.tif": ("TIFF", "I;16", {"compression": "tiff_adobe_deflate"}),
    "jpeg.tif": ("TIFF", "RGB", {"compression": "jpeg"}),
    "group4.tif": ("TIFF", "1", {"compression": "group4"}),
    "float.tif": ("TIFF", "F", {}),
    "bmp": ("BMP", "RGB", {}),
    "palette.bmp": ("BMP", "P", {}),
    "gif": ("GIF", "P", {}),
    "webp": ("WEBP", "RGB", {}),
    "lossless.webp": ("WEBP", "RGBA", {"lossless": True}),
    "pgm": ("PPM", "L", {}),
    "ppm": ("PPM", "RGB", {}),
    "dcm": ("DICOM", "I;16", {"PixelPaddingValue": 9, "WindowCenter": 9000, "WindowWidth": 9000}),
    "implicit.dcm": ("DICOM", "L", {"syntax": NATIVE["implicit"], "bare": "meta"}),
    "deflated.dcm": ("DICOM", "I;16", {"syntax": NATIVE["deflated"]}),
    "jpeg.dcm": ("DICOM", "L", {"syntax": JPEGBaseline8Bit}),
}


@functools.cache
def content_of(kind: str) -> bytes:
    form, mode, options = KINDS[kind]
    rows, columns = np.mgrid[:20, :30]
    gray = Image.fromarray((rows * 9 + columns * 2).astype(np.uint8))
    picture = {
        "I;16": lambda: Image.fromarray((rows * 2000 + columns).astype(np.uint16)),
        "F": lambda: Image.fromarray((rows * 0.7 - columns).astype(np.float32)),
    }.get(mode, lambda: gray.convert("RGB").convert(mode))()
    stream = io.BytesIO()
    if form == "DICOM":
        if "syntax" in options and options["syntax"] == JPEGBaseline8Bit:
            picture.save(stream, "JPEG")
            options = options | {"compressed": [stream.getvalue() + bytes(stream.tell() % 2)]}
        with folder() as path:
            return write_dicom(path / "x", np.asarray(picture), **options).read_bytes()
    picture.save(stream, form, **options)
    return stream.getvalue()


def load(contents: list[bytes], suffix: str) -> tuple[Any, list[Any]]:
    """Load images beside a whole one; return the data set, and the categories of warnings."""
    names = [f"b/{i}.{suffix}" for i in range(len(contents))]
    with folder() as path:
        for part in "ab":
            (path / part).mkdir()
            (path / part / "whole.png").write_bytes(content_of("png"))
        for name, content in zip(names, contents, strict=True):
            (path / name).write_bytes(content)
        while True:
            found, message, warned = attempt(
                lambda: sr.load_image_folder(
                    path, SHAPE, max_pixels=2**14, workers=1, progress=False
                )
            )
            if found is not None:
                return found, warned
            # More pixels than allowed are an error always, which names the file.
            (large,) = [name for name in names if str(path / name) in message]
            assert "max_pixels" in message, message
            (path / large).unlink()


@pytest.mark.parametrize("kind", KINDS)
@share(10)
@given(data=st.data())
def test_damaged_images(kind: str, data: st.DataObject) -> None:
    whole = content_of(kind)
    contents = [data.draw(damaged(whole)) for _ in range(VICTIMS)]
    found, warned = load(contents, kind.rpartition(".")[2])
    assert warned == [SkippedFilesWarning] * bool(found.skipped)
    assert all(file.name.startswith("b/") and file.reason for file in found.skipped)
    images = dict(zip(found.names.tolist(), found.images, strict=True))
    assert not images.keys() & {file.name for file in found.skipped}
    assert not found.synthetic.any()
    for i, content in enumerate(contents):
        if content == whole:
            np.testing.assert_array_equal(
                images[f"b/{i}.{kind.rpartition('.')[2]}"], as_loaded(kind)
            )
    count("damaged files", len(contents))


@functools.cache
def as_loaded(kind: str) -> Any:
    suffix = kind.rpartition(".")[2]
    found, _ = load([content_of(kind)], suffix)
    return found.images[found.names.tolist().index(f"b/0.{suffix}")]


@functools.cache
def synthetic() -> bytes:
    augmenter = tiny_augmenter()
    augmenter.class_names_, augmenter.classes_ = ("a",), ["a"]
    augmenter.image_shape_, augmenter.n_train_ = (9, 9, 1), {"a": 1}
    augmenter.generators_ = {"a": Still((9, 9, 1), 0)}
    with folder() as path:
        augmenter.sample_to_folder(path / "made", 1, verbose=0)
        (file,) = path.rglob("*.png")
        return file.read_bytes()


@share(3)
@given(data=st.data())
def test_a_damaged_synthetic_image_is_never_real(data: st.DataObject) -> None:
    contents = [data.draw(damaged(synthetic())) for _ in range(VICTIMS)]
    found, warned = load([synthetic(), *contents], "png")
    assert set(warned) <= {SkippedFilesWarning, SynthrayWarning}
    for name, marked in zip(found.names.tolist(), found.synthetic, strict=True):
        assert marked == (not name.endswith("whole.png")), name
    count("damaged files", len(contents))
