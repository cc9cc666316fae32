"""Image files of at most 10 MB, many of them made to exhaust a reader."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from helpers.dicom_bombs import dicoms

Write = Callable[[Path], Any]
Cases = Iterator[tuple[str, Write]]
SIDE = 8192  # pixels: with its square, the most that is read by default


def images() -> Cases:
    """Yield names and writers of image files."""
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    photo = Image.fromarray(noise)
    for name in ("plain.png", "plain.jpg", "plain.tif", "plain.bmp", "plain.webp", "plain.ppm"):
        yield name, photo.save
    yield "plain.gif", photo.convert("P").save

    def flat(mode: str, **options: Any) -> Write:
        return lambda path: Image.new(mode, (SIDE, SIDE)).save(path, **options)

    for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16"):
        yield f"flat_{mode.replace(';', '_')}.png", flat(mode)
    for mode in ("L", "RGB", "CMYK"):
        yield f"flat_{mode}.jpg", flat(mode)
    yield "flat_progressive.jpg", flat("RGB", progressive=True)
    for compression in ("tiff_adobe_deflate", "tiff_lzw", "packbits", "jpeg"):
        yield f"flat_{compression}.tif", flat("L", compression=compression)
    for mode in ("I;16", "I", "F", "RGBA", "CMYK", "LAB"):
        name = f"flat_{mode.replace(';', '_')}.tif"
        yield name, flat(mode, compression="tiff_adobe_deflate")
    pages: dict[str, Any] = {"save_all": True, "compression": "tiff_adobe_deflate"}
    many = [Image.new("L", (2048, 2048))] * 50
    yield "pages.tif", partial(Image.new("L", (2048, 2048)).save, append_images=many, **pages)
    yield "flat.gif", flat("L")
    frames = [Image.new("L", (2048, 2048), value) for value in range(50)]
    yield "frames.gif", partial(frames[0].save, save_all=True, append_images=frames[1:])
    yield "frames.webp", partial(frames[0].save, save_all=True, append_images=frames[1:8])
    yield "frames.png", partial(frames[0].save, save_all=True, append_images=frames[1:8])
    yield "flat.webp", flat("RGBA", lossless=True)
    half = Image.new("RGBA", (SIDE, SIDE // 2))
    yield "half.webp", partial(half.save, lossless=True)
    yield "runs.bmp", lambda path: path.write_bytes(_runs_bmp(SIDE, SIDE))
    yield "huge.bmp", lambda path: path.write_bytes(_runs_bmp(60_000, 60_000))
    yield "huge.png", lambda path: path.write_bytes(_png(60_000, 60_000))
    yield "long.png", lambda path: path.write_bytes(_png(2**31 - 1, 1))
    yield "huge.ppm", lambda path: path.write_bytes(b"P6 60000 60000 255\n")
    yield "text.ppm", lambda path: path.write_bytes(b"P2 2000 2000 9\n" + b"7 " * 4_000_000)
    yield "huge.gif", lambda path: path.write_bytes(_huge_gif())
    yield "huge.jpg", lambda path: path.write_bytes(_huge_jpeg())
    yield "scans.jpg", lambda path: path.write_bytes(_many_scans())
    yield from dicoms()
    text, packed = PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo()
    for i in range(9):
        text.add_text(f"note{i}", "x" * 10**6)
        packed.add_text(f"note{i}", "x" * 10**8, zip=True)
    yield "text.png", partial(Image.new("L", (8, 8)).save, pnginfo=text)
    yield "packed_text.png", partial(Image.new("L", (8, 8)).save, pnginfo=packed)
    profile = zlib.compress(bytes(10**9), 9)
    chunk = _chunk(b"iCCP", b"icc\0\0" + profile)
    yield "profile.png", lambda path: path.write_bytes(_png(8, 8, chunk))
    for tag, value in ((273, 2**31), (279, 2**31), (277, 60_000), (258, 60_000), (34665, 8)):
        yield f"tag{tag}.tif", partial(_tagged, tag=tag, value=value)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, more: bytes = b"") -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(bytes(10**8), 9))
    return b"\x89PNG\r\n\x1a\n" + head + more + pixels + _chunk(b"IEND", b"")


def _runs_bmp(width: int, height: int) -> bytes:
    """Runs of one colour, which say themselves how long they are."""
    row = b"\xff\x01" * (width // 255) + bytes([width % 255 or 1, 1]) + b"\0\0"
    data = row * min(height, 9_000_000 // len(row))
    palette = bytes(1024)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", 1078 + len(data), 0, 0, 1078) + head + palette + data


def _huge_gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "GIF")
    content = bytearray(buffer.getvalue())
    content[6:10] = struct.pack("<HH", 65_535, 65_535)
    return bytes(content)


def _jpeg(**options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (SIDE, SIDE)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _huge_jpeg() -> bytes:
    content = _jpeg()
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", 65_500, 65_500) + content[at + 4 :]


def _many_scans() -> bytes:
    """A progressive JPEG that goes over all its pixels again and again, with nothing to add."""
    content = _jpeg(progressive=True)
    last = content.rindex(b"\xff\xda")
    again = content[last:-2]
    return content[:-2] + again * ((9_900_000 - len(content)) // len(again)) + content[-2:]


def _tagged(path: Path, tag: int, value: int) -> None:
    """A TIFF one of whose tags counts, or says, so much."""
    image = Image.new("L", (64, 64))
    image.save(path, tiffinfo={34665: 8} if tag == 34665 else {})
    content = bytearray(path.read_bytes())
    start = struct.unpack("<I", content[4:8])[0] + 2
    for at in range(start, len(content) - 12, 12):
        if struct.unpack("<H", content[at : at + 2])[0] == tag:
            content[at + 2 : at + 12] = struct.pack("<HII", 4, value, value)
    path.write_bytes(content)
