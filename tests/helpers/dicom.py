"""DICOM files, written by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

NATIVE = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def bundled(name: str) -> Path:
    """The path of a file that pydicom brings along."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    return Path(path)


def item(**elements: Any) -> Dataset:
    """A data set of elements, such as an item of a sequence."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def write_dicom(
    path: Path,
    pixels: NDArray[Any],
    *,
    syntax: str = ExplicitVRLittleEndian,
    compressed: list[bytes] | None = None,
    bare: str = "",
    **elements: Any,
) -> Path:
    """Write an image; elements that are `None` are left out.

    Args:
        path: Of the file.
        pixels: Shape `(h, w)` or `(h, w, samples)`; with NumberOfFrames, frames in front.
        syntax: Transfer syntax.
        compressed: Frames in place of the pixels.
        bare: "preamble" or "meta": what is left out, with all before it.
        elements: Of the header, besides those that the pixels say.
    """
    frames = "NumberOfFrames" in elements
    height, width, *samples = pixels.shape[frames:]
    bits = 8 * pixels.itemsize
    header = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": f"1.2.3.{abs(hash(str(path)))}",
        "SamplesPerPixel": samples[0] if samples else 1,
        "PhotometricInterpretation": "RGB" if samples else "MONOCHROME2",
        "PlanarConfiguration": 0 if samples else None,
        "Rows": height,
        "Columns": width,
        "BitsAllocated": bits,
    }
    if pixels.dtype.kind != "f":
        stored = elements.get("BitsStored", bits)
        header |= {"BitsStored": stored, "HighBit": stored - 1}
        header |= {"PixelRepresentation": int(pixels.dtype.kind == "i")}
    made = item(**{k: v for k, v in (header | elements).items() if v is not None})
    little = syntax != ExplicitVRBigEndian
    if pixels.dtype.kind == "f":
        made.FloatPixelData = pixels.tobytes()
    elif compressed is None:
        data = pixels.astype(pixels.dtype.newbyteorder("<" if little else ">")).tobytes()
        made.PixelData = data + bytes(len(data) % 2)
    else:
        made.PixelData = encapsulate(compressed)
        made["PixelData"].is_undefined_length = True
    if "PixelData" in made:
        made["PixelData"].VR = "OB" if bits == 8 and syntax != ImplicitVRLittleEndian else "OW"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    if bare:
        content = path.read_bytes()
        meta = 144 + int.from_bytes(content[140:144], "little")
        path.write_bytes(content[132 if bare == "preamble" else meta :])
    return path


def ramp(*values: float, dtype: str = "uint16") -> NDArray[Any]:
    """A row of these values."""
    return np.asarray([values], dtype)
