"""Small JPEG files as most are, decoded without `Image.open`.

On a thumbnail, `Image.open` and `load` spend as long on Python objects as the decoder does on the
pixels, and Python runs in one thread at a time. The decoder here is Pillow's own with the arguments
that `load` would pass, so that the pixels are the same. Whatever is out of the ordinary (metadata
that may turn the image, four components, damage of any kind) is left to `Image.open`, which also
finds the reason where a file cannot be read.
"""

from __future__ import annotations

import os
import stat

from PIL import Image

from synthray.datasets._layout import Fit, JpegPlan, plan_jpeg

# Beyond these, decoding takes so long that nothing else counts, and a stream saves memory.
_MOST_BYTES = 2**18
_MOST_PIXELS = 2**20

_MODES = {1: "L", 3: "RGB"}
_START = b"\xff\xd8\xff"
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive, by Huffman codes
_SCAN = 0xDA
# Segments that say nothing of how pixels are shown: tables, comments, JFIF, and applications' own
# but for 1 (EXIF and XMP: orientation) and 2 (several pictures in one file).
_PASSED = frozenset({0xC4, 0xDB, 0xDD, 0xE0, *range(0xE3, 0xF0), 0xFE})
# Not to wait for the other end where a name is that of a pipe; Windows else translates line ends.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def load_plain_jpeg(
    path: str, target: tuple[int, int], channels: int, *, fit: Fit, max_pixels: int
) -> tuple[Image.Image, JpegPlan] | None:
    """Decode the file at `path` if it is a small, plain JPEG.

    Args:
        path: Any path.
        target: Width and height of the result.
        channels: With 1, the decoder leaves colour out.
        fit: As `load_image_folder` takes it.
        max_pixels: Most pixels that the header may state.

    Returns:
        The image, of mode L or RGB, and what to do with it; `None` if it is anything else.
    """
    content = _read(path)
    frame = None if content is None else _frame(content)
    if content is None or frame is None:
        return None
    width, height, components = frame
    if not 0 < width * height <= min(max_pixels, _MOST_PIXELS):
        return None
    plan = plan_jpeg((width, height), target, fit)
    mode = "L" if channels == 1 else _MODES[components]
    try:
        image = Image.frombytes(mode, plan.decoded, content, "jpeg", mode, "", plan.scale, 0)
    except MemoryError:
        raise
    except Exception:
        return None
    return image, plan


def _read(path: str) -> bytes | None:
    """The content of a small regular file."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return None
        return os.read(descriptor, status.st_size)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _frame(content: bytes) -> tuple[int, int, int] | None:
    """Width, height and components, or `None` where the header is not plain."""
    if not content.startswith(_START):
        return None
    found = None
    at = 2
    try:
        while True:
            start, marker = content[at], content[at + 1]
            if start != 0xFF:
                return None
            if marker == _SCAN:
                return found
            length = content[at + 2] << 8 | content[at + 3]
            if marker in _FRAMES:
                bits, components = content[at + 4], content[at + 9]
                if found or bits != 8 or components not in _MODES:
                    return None
                height = content[at + 5] << 8 | content[at + 6]
                width = content[at + 7] << 8 | content[at + 8]
                found = width, height, components
            elif marker not in _PASSED:
                return None
            at += 2 + length
    except IndexError:
        return None
