"""One image file to 8-bit pixels of a fixed shape."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps, JpegImagePlugin, UnidentifiedImageError

from synthray.datasets.dicom import is_dicom, read_frames
from synthray.datasets.dicom import read_header as read_dicom_header
from synthray.datasets.pixels import window_to_8_bit
from synthray.exceptions import FileFormatError

Fit: TypeAlias = Literal["pad", "stretch", "crop"]
Size: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[float, float, float, float]

SYNTHETIC_MARK = "synthray"  # keyword of the text in a PNG file that `sample_to_folder` wrote

# A closed list: Pillow also knows formats that start other programs, such as EPS.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "PPM", "WEBP")
_WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_GRAY_MODES = frozenset({"1", "L", "LA"})
_GRAY_16_ALPHA = "LA;16B"  # how Pillow's decoder names it
_PHOTOMETRIC_TAG = 262
_DICOM_HEADER = ("Columns", "Rows", "PhotometricInterpretation", "BitsStored")
_TILE_TAGS = (322, 323)  # width and length
# Above these, decoding takes so long that nothing else counts, and a stream saves memory.
_MOST_PLAIN_BYTES = 2**18
_MOST_PLAIN_PIXELS = 2**20
_JPEG_START = b"\xff\xd8\xff"
_JPEG_MODES = {1: "L", 3: "RGB"}
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, by Huffman codes
_JPEG_SCAN = 0xDA
# Segments that do not change how pixels are shown: tables, comments, JFIF, and applications' own
# except 1 (EXIF and XMP: orientation) and 2 (several pictures in one file).
_JPEG_PASSED = frozenset({0xC4, 0xDB, 0xDD, 0xE0, *range(0xE3, 0xF0), 0xFE})


class Marks(NamedTuple):
    """What a file says of its images besides their pixels."""

    synthetic: bool = False
    burnt_in: bool = False


def decode_into(out: NDArray[np.uint8], path: str, *, fit: Fit, max_pixels: int) -> Marks:
    """Decode the image file at `path` into `out`, and return how it is marked.

    Args:
        out: `uint8`, shape `(frames, height, width, 1 or 3)`, all zero; receives the pixels, 0 to
            255, of the first frames. Only DICOM has more than one.
        path: The file; its content decides the format, not its name.
        fit: How an image of another aspect goes into `out`.
        max_pixels: Most pixels that the header may state; checked before anything is decoded.

    Raises:
        FileFormatError: If the file is not an image, is truncated or is damaged; the message is
            the reason alone.
        ValueError: If its header states more than `max_pixels` pixels, or tiles of more.
    """
    _, height, width, channels = out.shape
    with opened(path, max_pixels) as file:
        content = file.read(min(os.fstat(file.fileno()).st_size, _MOST_PLAIN_BYTES))
        if is_dicom(content):
            frames, burnt_in = read_frames(io.BufferedReader(file), len(out), max_pixels)
            for frame, image in zip(out, frames, strict=True):
                _place(frame, _in_8_bits(image, channels), image.size, fit)
            return Marks(burnt_in=burnt_in)
        image, extent = _load(file, content, (width, height), channels, fit, max_pixels)
    marks = Marks(synthetic=SYNTHETIC_MARK in image.info)
    image = _in_8_bits(image, channels)  # a wider original is let go before it is resized
    _place(out[0], image, extent, fit)
    return marks


def _in_8_bits(image: Image.Image, channels: int) -> Image.Image:
    try:
        return _to_8_bit(image, channels)
    except MemoryError:
        raise
    except Exception as error:
        # Pillow has no conversion for every mode that its decoders know.
        raise FileFormatError(f"cannot be converted ({error})") from error


def _place(out: NDArray[np.uint8], image: Image.Image, extent: Size, fit: Fit) -> None:
    """Write an image of 8 bits into `out`, in its size."""
    height, width, _ = out.shape
    size, box = _layout(extent, (width, height), fit)
    # Pillow widens the bilinear filter to the scale: antialiased, and no overshoot.
    small = image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    left, top = (width - small.width) // 2, (height - small.height) // 2
    # Not by np.asarray, which asks the image for more than its bytes.
    pixels = np.frombuffer(small.tobytes(), np.uint8).reshape(small.height, small.width, -1)
    out[top : top + small.height, left : left + small.width] = pixels[..., :3]


def read_header(path: str) -> tuple[int, int, str]:
    """Return width, height and mode that a file states: Pillow's, or DICOM's with its bits.

    Args:
        path: An image that `decode_into` has read before: it is a regular file.
    """
    with open(path, "rb") as file:
        if not is_dicom(file.read(132)):
            with Image.open(file, formats=_FORMATS) as image:
                return *image.size, image.mode
        file.seek(0)
        width, height, mode, bits = read_dicom_header(file, _DICOM_HEADER).values()
    return int(width), int(height), f"{mode}, {bits} bits"


def _open(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextlib.contextmanager
def opened(path: str, max_pixels: int) -> Iterator[io.FileIO]:
    """Open an image file; what goes wrong with it in the block becomes a reason.

    Raises:
        FileFormatError: As `decode_into` does.
        ValueError: In place of `DecompressionBombError`.
    """
    try:
        with open(path, "rb", buffering=0, opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError
            yield file
    except (FileFormatError, MemoryError):
        raise
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileFormatError("not a regular file, or a link to nothing") from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"Expected images of at most max_pixels={max_pixels:,} pixels, got {path!r}: {error}. "
            "Remove the file or, if you trust it, raise max_pixels (and, above twice its value, "
            "PIL.Image.MAX_IMAGE_PIXELS)."
        ) from error
    except UnidentifiedImageError as error:
        empty = os.path.getsize(path) == 0
        formats = "its content is not an image in one of the formats " + ", ".join(_FORMATS)
        raise FileFormatError("the file is empty" if empty else f"{formats}, DICOM") from error
    except (OSError, ImportError) as error:
        raise FileFormatError(str(error) or "cannot be read") from error
    except Exception as error:
        # Decoders meet damaged bytes with every kind of exception, SyntaxError and KeyError too.
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise FileFormatError(f"damaged ({text})") from error


def _load(
    file: io.FileIO,
    content: bytes,
    target: tuple[int, int],
    channels: int,
    fit: Fit,
    max_pixels: int,
) -> tuple[Image.Image, Size]:
    """Return the first frame, upright, and its exact width and height."""
    plain = _plain_jpeg(content, target, channels, fit, max_pixels)
    if plain is not None:
        return plain
    file.seek(0)
    # Not by path: Pillow then maps some files into memory, and garbles raw TIFFs of orientation 5
    # to 8 (seen with Pillow 13.0).
    with Image.open(io.BufferedReader(file), formats=_FORMATS) as image:
        return _load_open(image, target, channels, fit, max_pixels)


def _load_open(
    image: Any, target: tuple[int, int], channels: int, fit: Fit, max_pixels: int
) -> tuple[Image.Image, Size]:
    width, height = image.size
    # The decoder of WebP holds several copies.
    if width * height * (2 if image.format == "WEBP" else 1) > max_pixels:
        raise Image.DecompressionBombError(f"{width}x{height} = {width * height:,} pixels")
    if image.format == "TIFF":
        _check_tiles(image, max_pixels)
    extent, file = None, image.fp
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        file.seek(0)
        if file.read().count(b"\xff\xda") > 100:
            raise FileFormatError("damaged: more than 100 scans, each of which is of all pixels")
        scale = _jpeg_scale(image.size, target, fit)
        extent = width / scale, height / scale
        # Rounded down, or the decoder would take a smaller scale if sizes do not divide.
        image.draft("L" if channels == 1 else None, (width // scale, height // scale))
    elif any(tile[3] == _GRAY_16_ALPHA for tile in image.tile):
        raise FileFormatError(
            "16-bit gray with transparency, of which Pillow reads 8 bits: save it without the "
            "alpha channel"
        )
    image.load()
    stored = image.im
    # After loading: PNG may hold its orientation behind the pixels, and Pillow turns a TIFF itself.
    with contextlib.suppress(Exception):  # damaged metadata is no reason to lose a whole image
        ImageOps.exif_transpose(image, in_place=True)
    return image, image.size if extent is None or image.im is not stored else extent


def _check_tiles(image: Any, max_pixels: int) -> None:
    """Raise if a TIFF has larger tiles than an image may be: libtiff unpacks a tile as a whole.

    libtiff reads the sizes itself, so they must be such that Pillow reads the same. Strips need no
    check: of these, libtiff unpacks no more rows than the image has.
    """
    tags, file = image.tag_v2, image.fp
    order: Any = "little" if tags.prefix == b"II" else "big"
    file.seek(0)
    head = file.read(4)
    length, entry = (8, 20) if head == b"II+\0" else (2, 12)  # the first is BigTIFF
    file.seek(tags.offset)
    raw = file.read(entry * min(int.from_bytes(file.read(length), order), 2**16))
    found = [int.from_bytes(raw[i : i + 2], order) for i in range(0, len(raw), entry)]
    width, height = (tags.get(tag, 0) for tag in _TILE_TAGS)
    alike = head != b"MM\0+" and all(found.count(tag) == (tag in tags) for tag in _TILE_TAGS)
    if not (alike and isinstance(width, int) and isinstance(height, int)):
        raise FileFormatError("damaged: width and length of its tiles are not one number each")
    if width * height > max_pixels:
        raise Image.DecompressionBombError(f"tiles of {width}x{height} pixels")


def _plain_jpeg(
    content: bytes, target: tuple[int, int], channels: int, fit: Fit, max_pixels: int
) -> tuple[Image.Image, Size] | None:
    """Decode a small JPEG without `Image.open`, which takes as long as the decoder for a thumbnail.

    The decoder is Pillow's own, with the arguments that `load` would pass: the pixels are the same.
    `None` for anything out of the ordinary: `Image.open` then finds the reason if a file is bad.
    """
    if len(content) == _MOST_PLAIN_BYTES or (frame := _jpeg_frame(content)) is None:
        return None
    width, height, components = frame
    if not 0 < width * height <= min(max_pixels, _MOST_PLAIN_PIXELS):
        return None
    scale = _jpeg_scale((width, height), target, fit)
    mode = "L" if channels == 1 else _JPEG_MODES[components]
    size = -(-width // scale), -(-height // scale)
    try:
        image = Image.frombytes(mode, size, content, "jpeg", mode, "", scale, 0)
    except MemoryError:
        raise
    except Exception:
        return None
    return image, (width / scale, height / scale)


def _jpeg_frame(content: bytes) -> tuple[int, int, int] | None:
    """Return width, height and components, or `None` if the header is not plain."""
    found, at = None, 2
    if not content.startswith(_JPEG_START):
        return None
    with contextlib.suppress(IndexError):
        while content[at] == 0xFF:
            marker = content[at + 1]
            if marker == _JPEG_SCAN:
                return found
            if marker in _JPEG_FRAMES and not found and content[at + 4] == 8:
                height, width = (content[i] << 8 | content[i + 1] for i in (at + 5, at + 7))
                found = width, height, content[at + 9]
                if found[2] not in _JPEG_MODES:
                    return None
            elif marker not in _JPEG_PASSED:
                return None
            at += 2 + (content[at + 2] << 8 | content[at + 3])
    return None


@lru_cache(maxsize=256)
def _jpeg_scale(source: tuple[int, int], target: tuple[int, int], fit: Fit) -> int:
    """Return by how much the decoder itself shrinks: 1, 2, 4 or 8.

    It shrinks to no less than twice the size wanted: below that, the result differs visibly from
    that of a full decode (up to 5 gray levels on average over a radiograph).
    """
    least = 8
    for turned in (target, target[::-1]):  # metadata may turn the image
        (w, h), (left, top, right, bottom) = _layout(source, turned, fit)
        across = source[0] // max(1, round(2 * source[0] * w / (right - left)))
        down = source[1] // max(1, round(2 * source[1] * h / (bottom - top)))
        least = min(least, across, down)
    return next((scale for scale in (8, 4, 2) if scale <= least), 1)


@lru_cache(maxsize=256)
def _layout(source: Size, target: tuple[int, int], fit: Fit) -> tuple[tuple[int, int], Box]:
    """Return the size to resize to, at most `target`, and the box of the source to resize."""
    width, height = source
    scales = target[0] / width, target[1] / height
    if fit == "pad":
        least = min(scales)
        w, h = (min(t, max(1, round(s * least))) for s, t in zip(source, target, strict=True))
        return (w, h), (0.0, 0.0, width, height)
    left = top = 0.0
    if fit == "crop":
        most = max(scales)
        left, top = (max(0.0, (s - t / most) / 2) for s, t in zip(source, target, strict=True))
    return target, (left, top, width - left, height - top)


def _to_8_bit(image: Image.Image, channels: int) -> Image.Image:
    """Return mode L, or for three channels of colour RGB or RGBa; transparency becomes black."""
    if image.mode == "LAB":
        image = image.convert("RGB")  # on the way to gray too
    if image.mode in _WIDE_MODES:
        tags: Any = getattr(image, "tag_v2", {})
        white_is_zero = tags.get(_PHOTOMETRIC_TAG) == 0
        image = Image.fromarray(window_to_8_bit(np.asarray(image), inverted=white_is_zero))
    # Gray stays gray for as long as it can: in memory, Pillow's RGB is four times the size.
    mode = "L" if channels == 1 or image.mode in _GRAY_MODES else "RGB"
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        if mode == "RGB":
            return rgba.convert("RGBa")  # colour times alpha
        return ImageChops.multiply(rgba.convert("L"), rgba.getchannel("A"))
    return image if image.mode == mode else image.convert(mode)
