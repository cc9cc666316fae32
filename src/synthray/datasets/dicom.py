"""One DICOM file to 8-bit images, by pydicom, which is an optional extra.

Section numbers of DICOM PS3.3: image pixels C.7.6.3, modality look-up table C.11.1, VOI look-up
table and windows C.11.2, palettes C.7.9, functional groups C.7.6.16.
"""

from __future__ import annotations

import importlib
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from synthray.exceptions import FileFormatError

# The start of a file without a preamble: a first element of group 2 or 8, with a plausible type.
_BARE = re.compile(rb"[\x02\x08]\0.\0(?:[A-Z]{2}|..\0\0)|\0\x08\0.[A-Z]{2}", re.DOTALL)
_PIXELS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GRAY = ("MONOCHROME1", "MONOCHROME2")
_JPEG_SCAN = b"\xff\xda"
# JPEG of 8 bits (two syntaxes) and JPEG 2000 (lossless, and not)
_BY_PILLOW = [f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 90, 91)]
_MOST_INFLATED = 2**28  # bytes that a deflated file may unpack to


def is_dicom(content: bytes) -> bool:
    """Whether a file that starts like this seems to be DICOM, with or without a preamble."""
    return content[128:132] == b"DICM" or _BARE.match(content) is not None


@cache
def pydicom() -> Any:
    """Return the module.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        for name in ("datadict", "encaps", "filereader", "pixels", "uid"):
            importlib.import_module(f"pydicom.{name}")
        return importlib.import_module("pydicom")
    except ImportError as error:
        raise ImportError("DICOM files need pydicom: pip install 'synthray[dicom]'") from error


def tag_of(keyword: str) -> int:
    """Return the tag of a keyword such as `"ViewPosition"`.

    Raises:
        ValueError: If DICOM has no such element, or it holds no plain values.
    """
    dictionary = pydicom().datadict
    tag = dictionary.tag_for_keyword(keyword)
    if tag is None or dictionary.dictionary_VR(tag) in ("SQ", "OB", "OW", "OF", "OD", "UN"):
        raise ValueError(
            f"Expected the DICOM keyword of an element with plain values, such as 'ViewPosition' "
            f"or 'Modality', got {keyword!r}."
        )
    return int(tag)


def read_header(file: BinaryIO, keywords: Sequence[str]) -> dict[str, str]:
    r"""Return some elements as text, `""` where they are missing; of several, joined by `\`.

    Raises:
        FileFormatError: If the file is not DICOM.
    """
    if not is_dicom(file.read(132)):
        raise FileFormatError("not a DICOM file")
    try:
        header = _read(file, [tag_of(keyword) for keyword in keywords])[0]
        values = [header.get(keyword) for keyword in keywords]
    except FileFormatError:
        raise
    except Exception as error:  # not with its text, which may quote a patient's name
        raise FileFormatError(f"damaged ({type(error).__name__} in its header)") from None
    multiple = pydicom().multival.MultiValue
    lists = [v if isinstance(v, multiple) else [] if v is None else [v] for v in values]
    texts = ["\\".join(map(str, several)).strip(" \0") for several in lists]
    return dict(zip(keywords, texts, strict=True))


def read_frames(file: BinaryIO, n: int, max_pixels: int) -> tuple[Iterator[Image.Image], bool]:
    """Return the first `n` frames, and whether text is declared to be burnt into them.

    Padding becomes black. Gray goes through the modality look-up table or rescale, then the first
    VOI look-up table, or else the first window, or else a window from the least to the largest
    value; `MONOCHROME1` is inverted. Palettes and YBR become RGB. Of colour with more than 8 bits,
    the high byte is kept.

    Args:
        file: A file for which `is_dicom` holds, open; frames are read as they are asked for.
        n: Number of frames.
        max_pixels: Most pixels of a frame; those of colour count twice, those of more than 16 bits
            four times.

    Raises:
        FileFormatError: If it has no pixels, or needs a decoder that is not installed.
        Image.DecompressionBombError: If it states more pixels.
    """
    image_module = [tag for tag in pydicom().datadict.DicomDictionary if tag >> 16 == 0x28]
    tags = [*image_module, 0x52009229, 0x52009230, 0x7FE00001, 0x7FE00002]
    header, stream, syntax = _read(file, tags)
    head = stream.read(12)
    little = header.original_encoding[1]
    group, element = (int.from_bytes(head[i : i + 2], _order(little)) for i in (0, 2))
    keyword = _PIXELS.get(group << 16 | element)
    if keyword is None or not header.get("Rows"):
        raise FileFormatError("a DICOM file without pixel data")
    explicit = head[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN")
    stream.seek(0 if explicit else -4, io.SEEK_CUR)
    weight = (2 if (header.get("SamplesPerPixel") or 1) > 1 else 1) * (
        4 if header.get("BitsAllocated", 0) > 16 else 1
    )
    pixels = header.Rows * header.Columns
    if pixels * weight > max_pixels:
        text = f"{header.Columns}x{header.Rows} = {pixels:,} pixels"
        raise Image.DecompressionBombError(text + (f", counted {weight} times" * (weight > 1)))
    try:
        decoder = pydicom().pixels.get_decoder(syntax)
        available = decoder.is_available
    except NotImplementedError:
        available = False
    if not available:
        raise FileFormatError(
            f"compressed as {pydicom().uid.UID(syntax).name}, for which pydicom finds no decoder"
        )
    options = pydicom().pixels.as_pixel_options(
        header, pixel_keyword=keyword, transfer_syntax_uid=syntax
    )
    if explicit:
        options["pixel_vr"] = head[4:6].decode()
    if decoder.is_encapsulated:
        _check_frames(stream, n, options)
    # The bits that are not used may hold the padding value.
    arrays = decoder.iter_array(
        stream, indices=range(n), raw=True, correct_unused_bits=False, **options
    )
    frames = (_shown(array, kind, header, i) for i, (array, kind) in enumerate(arrays))
    return frames, str(header.get("BurnedInAnnotation")).upper() == "YES"


def _order(little: bool) -> Any:
    return "little" if little else "big"


def _read(file: BinaryIO, tags: Sequence[int]) -> tuple[Any, BinaryIO, Any]:
    """Return some elements before the pixels, a stream that stands there, and the transfer syntax.

    Not by `dcmread`, which inflates a deflated file of any size.
    """
    uids, read = pydicom().uid, pydicom().filereader.read_dataset
    file.seek(128)
    file.seek(132 if file.read(4) == b"DICM" else 0)
    meta = read(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = meta.get("TransferSyntaxUID")
    if not syntax:
        start = file.read(6)
        file.seek(-len(start), io.SEEK_CUR)
        syntax = uids.ImplicitVRLittleEndian
        if start[4:6].isalpha() and start[4:6].isupper():
            syntax = uids.ExplicitVRLittleEndian if start[0] else uids.ExplicitVRBigEndian
    if syntax == uids.DeflatedExplicitVRLittleEndian:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MOST_INFLATED + 1)
        if len(inflated) > _MOST_INFLATED:
            raise FileFormatError(f"deflated from more than {_MOST_INFLATED:,} bytes")
        file, syntax = io.BytesIO(inflated), uids.ExplicitVRLittleEndian
    header = read(
        file,
        syntax == uids.ImplicitVRLittleEndian,
        syntax != uids.ExplicitVRBigEndian,
        stop_when=lambda tag, *_: tag in _PIXELS,
        specific_tags=[pydicom().tag.Tag(tag) for tag in tags],
    )
    return header, file, syntax


def _check_frames(stream: BinaryIO, n: int, options: dict[str, Any]) -> None:
    """Raise if a compressed frame may unpack to more than the header says."""
    size = options["columns"], options["rows"]
    most = size[0] * size[1] * options["samples_per_pixel"] * options["bits_allocated"] // 8
    for i in range(n):
        frame = pydicom().encaps.get_frame(
            stream,
            i,
            number_of_frames=options["number_of_frames"],
            extended_offsets=options.get("extended_offsets"),
        )
        if len(frame) > 2 * most + 2**16 or frame.count(_JPEG_SCAN) > 100:
            raise FileFormatError("damaged: a frame is longer compressed than it should be")
        if options["transfer_syntax_uid"] in _BY_PILLOW:
            try:
                with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
                    found = image.size
            except Image.DecompressionBombError:
                found = None
            except UnidentifiedImageError:  # such as JPEG of 12 bits, for another decoder
                continue
            if found != size:
                raise FileFormatError("damaged: a compressed frame is larger than it should be")


def _shown(array: NDArray[Any], kind: Any, header: Any, index: int) -> Image.Image:
    """Return a frame as mode L or RGB."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    photometric = kind["photometric_interpretation"]
    if array.ndim == 2:
        if photometric == "PALETTE COLOR":
            colours = pydicom().pixels.apply_color_lut
            return Image.fromarray(_each(array, lambda v: _high_byte(colours(v, header)[:, :3])))
        if photometric not in _GRAY:
            raise FileFormatError(f"one sample a pixel, which cannot be {photometric}")
        header = _of_frame(header, index)
        return Image.fromarray(_each(array, partial(_gray, header=header)))
    if array.shape[2] != 3 or array.dtype.kind != "u":
        raise FileFormatError(f"{array.shape[2]} samples a pixel of type {array.dtype}")
    size, stored = array.shape[1::-1], kind["bits_stored"]
    pixels = (array >> max(stored - 8, 0)).astype(np.uint8) if array.itemsize > 1 else array
    if photometric == "RGB":
        return Image.frombytes("RGB", size, pixels.tobytes())
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return Image.frombytes("YCbCr", size, pixels.tobytes()).convert("RGB")
    raise FileFormatError(f"three samples a pixel, which cannot be {photometric}")


def _high_byte(colours: NDArray[Any]) -> NDArray[np.uint8]:
    return (colours >> 8 * (colours.itemsize - 1)).astype(np.uint8)


def _each(
    array: NDArray[Any], shade: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """Apply a function to the values that occur: a list of them is shorter than an image."""
    if array.dtype.kind == "f" or array.itemsize > 2:
        values, places = np.unique(array, return_inverse=True)
        return shade(values)[places.reshape(array.shape)]
    bits = array.view(f"u{array.itemsize}")
    occurs = np.zeros(2 ** (8 * array.itemsize), bool)
    occurs[bits] = True
    found = np.flatnonzero(occurs)
    shades = shade(found.astype(bits.dtype).view(array.dtype))
    table = np.zeros((len(occurs), *shades.shape[1:]), np.uint8)
    table[found] = shades
    return table[bits]


def _of_frame(header: Any, index: int) -> Any:
    """Return the header with what its functional groups say of one frame."""
    found = header
    for keyword, i in zip(_FUNCTIONAL_GROUPS, (0, index), strict=True):
        for group in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            items = header.get(keyword) or []
            for item in (items[i].get(group) or [])[:1] if i < len(items) else []:
                found = pydicom().Dataset(found)
                found.update(item)
    return found


def _gray(stored: NDArray[Any], header: Any) -> NDArray[np.uint8]:
    """Return the shades of different stored values, shape `(n,)`."""
    values, whole = stored, stored.dtype.kind in "iu"
    bits, used = header.BitsAllocated, header.get("BitsStored")
    if whole and used and used < bits == 8 * stored.itemsize:
        high = header.get("HighBit") or used - 1
        values = stored << max(bits - 1 - high, 0) >> (bits - used)
    padding = np.zeros(len(values), bool)
    ends = [
        header.get(f"{'' if whole else 'Float'}PixelPadding{w}") for w in ("Value", "RangeLimit")
    ]
    if ends[0] is not None:
        ends = [ends[0] if end is None else end for end in ends]
        # Both as they would be stored: -2000 may be written as 63536.
        low, high = sorted(np.asarray(ends).astype(stored.dtype))
        for seen in (stored, values):
            padding |= (seen >= low) & (seen <= high)
    shades = _modality(values, header)
    padding |= ~np.isfinite(shades)
    shades = _voi(shades, header, shades[~padding])
    if header.PhotometricInterpretation == "MONOCHROME1":
        shades = 1.0 - shades
    shades[padding] = 0.0
    return np.rint(shades * 255.0).astype(np.uint8)


def _modality(values: NDArray[Any], header: Any) -> NDArray[np.float64]:
    if header.get("ModalityLUTSequence"):
        return _look_up(values, header.ModalityLUTSequence[0], header)[0]
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return values.astype(np.float64) * float(slope or 1.0) + float(intercept or 0.0)


def _voi(
    values: NDArray[np.float64], header: Any, inside: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map to 0 ... 1."""
    if header.get("VOILUTSequence"):
        shades, most = _look_up(values, header.VOILUTSequence[0], header)
        return np.clip(shades / most, 0.0, 1.0)
    center, width = (_first(header.get(f"Window{word}")) for word in ("Center", "Width"))
    function = header.get("VOILUTFunction") or "LINEAR"
    if not (np.isfinite([center, width]).all() and width > 0):
        low, high = (inside.min(), inside.max()) if inside.size else (0.0, 0.0)
        function = ""
    elif function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -500.0, 500.0)))
    elif function == "LINEAR_EXACT" or width < 1:  # for which LINEAR is not defined
        low, high = center - width / 2, center + width / 2
    else:
        low, high = center - width / 2, center + width / 2 - 1
    if high > low:
        return np.clip((values - low) / (high - low), 0.0, 1.0)
    return (values > low).astype(np.float64) if function else np.zeros(len(values))


def _first(value: Any) -> float:
    """Return the first of several values, and NaN for none."""
    values = list(value) if np.iterable(value) and not isinstance(value, str) else [value]
    return float(values[0]) if values and values[0] not in (None, "") else np.nan


def _look_up(values: NDArray[Any], item: Any, header: Any) -> tuple[NDArray[np.float64], float]:
    """Return entries of a look-up table, and the largest that its bits allow."""
    n, first, bits = (int(value) for value in item.LUTDescriptor)
    n, data = n or 2**16, item.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8)
        if len(data) >= 2 * n:
            data = data[: 2 * n].view("<u2" if header.original_encoding[1] else ">u2")
    entries = np.asarray(data, np.float64)[:n]
    # As floats, because unsigned ones below the first would be large.
    places = np.clip(np.nan_to_num(values.astype(np.float64)) - first, 0, len(entries) - 1)
    return entries[places.astype(np.intp)], 2.0**bits - 1
