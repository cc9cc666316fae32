"""One image file to 8-bit pixels of a fixed shape."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (  # importing a plug-in is what registers its format with Image.open
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from synthray.datasets._layout import Box, Fit, layout, plan_jpeg
from synthray.datasets._resize import resize_into

# A closed list: Pillow also knows formats that start other programs, such as EPS.
_PLUGINS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    PpmImagePlugin.PpmImageFile,
    WebPImagePlugin.WebPImageFile,
)
FORMATS = tuple(plugin.format for plugin in _PLUGINS)

_WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I", "F"})
_GRAY_MODES = frozenset({"1", "L", "LA"})
_WINDOW_PERCENTILES = (0.5, 99.5)
_GRAY_16_ALPHA = "LA;16B"  # how Pillow's decoder names it
_ORIENTATION_TAG = 0x0112
_PHOTOMETRIC_TAG = 262


class UnreadableImageError(Exception):
    """The file cannot be decoded; the message is the reason, in one sentence."""


class ImageTooLargeError(Exception):
    """The file's header states more pixels than allowed; the message states how many."""


def decode_into(out: NDArray[np.uint8], path: str, *, fit: Fit, max_pixels: int) -> None:
    """Decode the image file at `path` into `out`.

    Args:
        out: `uint8`, shape `(height, width, 1 or 3)`, all zero; receives the pixels, 0 to 255.
        path: The file; its content decides the format, its name does not.
        fit: How an image of another aspect goes into `out`.
        max_pixels: Most pixels that the header may state; checked before anything is decoded.

    Raises:
        UnreadableImageError: If the file is not an image, is truncated or is damaged.
        ImageTooLargeError: If its header states more than `max_pixels` pixels.
    """
    height, width, channels = out.shape
    loaded = _load(path, (width, height), channels, fit=fit, max_pixels=max_pixels)
    try:
        image = _to_8_bit(loaded.image, channels)
    except MemoryError:
        raise
    except Exception as error:
        # Pillow has no conversion for every mode that its decoders know.
        raise UnreadableImageError(f"cannot be converted ({error})") from error
    resize_into(out, image, loaded.size, loaded.box, loaded.orientation)


@dataclass(frozen=True)
class _Loaded:
    """A decoded image as stored; resize `box` of it to `size`, then turn it by `orientation`."""

    image: Image.Image
    orientation: int
    size: tuple[int, int]
    box: Box


def _load(
    path: str, target: tuple[int, int], channels: int, *, fit: Fit, max_pixels: int
) -> _Loaded:
    """Decode the first frame; JPEGs much larger than `target` shrink on the way."""
    if not os.path.isfile(path):
        raise UnreadableImageError("not a regular file, or a link to nothing")
    try:
        # Not by path: that makes Pillow map some files into memory, and then it garbles raw TIFFs
        # of orientation 5 to 8 (seen with Pillow 13.0).
        with open(path, "rb") as stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                pixels = image.width * image.height
                raise ImageTooLargeError(f"{image.width}x{image.height} = {pixels:,} pixels")
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                return _load_jpeg(image, target, channels, fit)
            if any(tile[3] == _GRAY_16_ALPHA for tile in image.tile):
                raise UnreadableImageError(
                    "16-bit gray with transparency, of which Pillow reads 8 bits: save it without "
                    "the alpha channel"
                )
            image.load()
            # Only now: PNG may hold its orientation behind the pixels, and Pillow turns a TIFF
            # upright, and says so, while it loads.
            orientation = _orientation(image)
            size, (left, top) = layout(image.size, _as_stored(target, orientation), fit)
            box = (left, top, image.width - left, image.height - top)
            return _Loaded(image, orientation, size, box)
    except (UnreadableImageError, ImageTooLargeError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        limit = "the hard limit is Pillow's, twice PIL.Image.MAX_IMAGE_PIXELS"
        raise ImageTooLargeError(f"{error} ({limit})") from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError(_not_an_image(path)) from error
    except OSError as error:
        raise UnreadableImageError(str(error) or "cannot be read") from error
    except Exception as error:
        # Decoders meet damaged bytes with every kind of exception, SyntaxError and KeyError too.
        raise UnreadableImageError(f"damaged ({type(error).__name__}: {error})") from error


def _load_jpeg(
    image: JpegImagePlugin.JpegImageFile, target: tuple[int, int], channels: int, fit: Fit
) -> _Loaded:
    """Decode a JPEG at the scale that is planned, whatever its metadata."""
    orientation = _orientation(image)
    plan = plan_jpeg(image.size, _as_stored(target, orientation), fit)
    # Rounded down, or the decoder would take the next smaller scale where sizes do not divide.
    least = image.width // plan.scale, image.height // plan.scale
    image.draft("L" if channels == 1 else None, least)
    image.load()
    return _Loaded(image, orientation, plan.size, plan.box)


def _as_stored(target: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The target size before the image is turned upright."""
    return (target[1], target[0]) if orientation >= 5 else target


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it makes no sense."""
    try:
        value: Any = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        # Damaged metadata is no reason to lose a whole image.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_8_bit(image: Image.Image, channels: int) -> Image.Image:
    """Mode L, or for three channels of colour RGB or RGBa; transparency composited over black."""
    if image.mode == "LAB":
        image = image.convert("RGB")  # on the way to gray too
    if image.mode in _WIDE_MODES:
        image = Image.fromarray(window_to_8_bit(np.asarray(image), inverted=_white_is_zero(image)))
    # Gray stays gray for as long as it can: in memory, Pillow's RGB is four times the size.
    mode = "L" if channels == 1 or image.mode in _GRAY_MODES else "RGB"
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        if mode == "RGB":
            return rgba.convert("RGBa")  # colour times alpha
        return ImageChops.multiply(rgba.convert("L"), rgba.getchannel("A"))
    return image if image.mode == mode else image.convert(mode)


def _white_is_zero(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(_PHOTOMETRIC_TAG) == 0


def window_to_8_bit(values: NDArray[Any], *, inverted: bool = False) -> NDArray[np.uint8]:
    """Map gray values of more than 8 bits to 0 ... 255 by a window of the image's own.

    The window is linear, from the 0.5th to the 99.5th percentile of the finite values, so that
    neither a hot pixel nor unused bits make the image dark; values outside are clipped. Where
    both percentiles are equal, it is the minimum to the maximum; a constant image becomes black.
    Not-a-number becomes black too.

    Args:
        values: Any real type, shape `(height, width)`.
        inverted: Whether small values are bright.

    Returns:
        `uint8`, shape `(height, width)`.
    """
    wide = values.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(finite, _WINDOW_PERCENTILES)
    if not high > low:
        low, high = finite.min(), finite.max()
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    unit = np.clip((wide - low) / (high - low), 0.0, 1.0)
    if inverted:
        unit = 1.0 - unit
    return np.rint(np.nan_to_num(unit, nan=0.0) * 255.0).astype(np.uint8)


def _not_an_image(path: str) -> str:
    if os.path.getsize(path) == 0:
        return "the file is empty"
    return "its content is not an image in one of the formats " + ", ".join(FORMATS)
