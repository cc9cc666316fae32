"""DICOM files of at most 10 MB, many of them made to exhaust a reader."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from helpers.dicom import NATIVE, write_dicom

SIDE = 8192  # pixels: with its square, the most that is read by default
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"


def dicoms() -> Iterator[tuple[str, Any]]:
    """Yield names and writers of DICOM files."""
    noise = np.random.default_rng(0).integers(0, 2**12, (2048, 2048), np.uint16)
    most, half = np.zeros((SIDE, SIDE), np.uint16), np.zeros((SIDE, SIDE // 2, 3), np.uint8)
    small, run = noise[:8, :8], b"\x81\x00" * (SIDE**2 // 128)  # 128 zeros each
    ybr = {"PhotometricInterpretation": "YBR_FULL_422"}
    for name, pixels, syntax, frame, elements in (
        ("plain.dcm", noise, NATIVE["explicit"], None, {"BitsStored": 12}),
        ("rle.dcm", most, RLELossless, _rle(run, run), {}),
        ("rle_ybr.dcm", half, RLELossless, _rle(*[run[: len(run) // 2]] * 3), ybr),
        ("rle_long.dcm", small, RLELossless, _rle(run * 4, run), {}),
        ("jpeg.dcm", most[..., None], JPEGBaseline8Bit, _saved(most.astype(np.uint8), "JPEG"), {}),
        ("jpeg_ybr.dcm", half, JPEGBaseline8Bit, _saved(half, "JPEG"), ybr),
        ("jpeg_large.dcm", half[:8, :8], JPEGBaseline8Bit, _saved(half, "JPEG"), ybr),
        ("jpeg_2000.dcm", most, JPEG2000Lossless, _saved(most, "JPEG2000"), {}),
    ):
        pixels = pixels[..., 0].astype(np.uint8) if pixels.shape[2:] == (1,) else pixels
        compressed = None if frame is None else [frame]
        yield (
            name,
            partial(write_dicom, pixels=pixels, syntax=syntax, compressed=compressed, **elements),
        )
    nested = b"\x28\x00\x10\x30SQ\x00\x00\xff\xff\xff\xff" + ITEM
    yield "deflated.dcm", _deflated
    yield "deep.dcm", partial(_with, element=nested * 400_000)
    yield "many.dcm", partial(_with, element=b"\x27\x00\x10\x10LO\x00\x00" * 1_100_000)
    yield "length.dcm", partial(_with, element=b"\x28\x00\x01\x12OW\x00\x00\xf0\xff\xff\xff")


def _rle(*segments: bytes) -> bytes:
    starts = np.cumsum([64, *map(len, segments)])[:-1].tolist()
    head = struct.pack("<16L", len(starts), *starts, *[0] * (15 - len(starts)))
    return head + b"".join(segments)


def _saved(pixels: NDArray[Any], form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue() + bytes(stream.tell() % 2)


def _parts(path: Path, syntax: str) -> tuple[bytes, bytes]:
    """Return the file meta information of a small image, and what follows it."""
    content = write_dicom(path, np.zeros((8, 8), np.uint8), syntax=syntax).read_bytes()
    end = 144 + int.from_bytes(content[140:144], "little")
    return content[:end], content[end:]


def _deflated(path: Path) -> None:
    packer = zlib.compressobj(wbits=-15)
    zeros = [packer.compress(bytes(10**8)) for _ in range(20)]
    path.write_bytes(_parts(path, NATIVE["deflated"])[0] + b"".join([*zeros, packer.flush()]))


def _with(path: Path, element: bytes) -> None:
    """An image with an element before its pixels."""
    meta, body = _parts(path, NATIVE["explicit"])
    at = body.index(b"\x28\x00\x02\x00US")
    path.write_bytes(meta + body[:at] + element + body[at:])
