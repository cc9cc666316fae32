"""Tests of the short way of plain JPEGs: the same pixels as by `Image.open`, or `None`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops, JpegImagePlugin

from synthray.datasets import _decode_chunk, _plain_jpeg
from synthray.datasets._decode import UnreadableImageError
from synthray.datasets._decode_chunk import decode_chunk
from synthray.datasets._layout import Fit, layout, plan_jpeg
from synthray.datasets._plain_jpeg import load_plain_jpeg
from synthray.datasets._resize import resize_together

MODES = {1: "L", 3: "RGB"}


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Smooth colours with noise on them, so that every way of decoding shows."""
    rng = np.random.default_rng(size[0] + size[1])
    rows, columns = np.indices(size[::-1])
    smooth = 120 + 60 * np.sin(rows / 11) + 50 * np.cos(columns / 7)
    colour = np.stack([smooth, smooth[::-1], 255 - smooth], axis=-1)
    noisy = np.clip(colour + rng.normal(0, 12, colour.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def jpeg(size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture(size, mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def written(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "x"
    path.write_bytes(content)
    return str(path)


def read(path: str, max_pixels: int = 2**26) -> Image.Image | None:
    found = load_plain_jpeg(path, (16, 16), 3, fit="pad", max_pixels=max_pixels)
    return None if found is None else found[0]


def decode_into(out: NDArray[np.uint8], path: str, *, fit: Fit, max_pixels: int) -> None:
    (error,) = decode_chunk([out], [path], fit=fit, max_pixels=max_pixels)
    if error is not None:
        raise error


def by_open(path: str, shape: tuple[int, int, int], fit: Fit) -> NDArray[np.uint8]:
    """The way of `Image.open`: colour first, then the size; nothing shared but `layout`."""
    height, width, channels = shape
    with Image.open(path) as image:
        source = image.size
        size, (left, top) = layout(source, (width, height), fit)
        least = (
            max(1, round(2 * source[0] * size[0] / (source[0] - 2 * left))),
            max(1, round(2 * source[1] * size[1] / (source[1] - 2 * top))),
        )
        drafted = image.draft("L" if channels == 1 else None, least)
        assert drafted is not None
        scale = source[0] / drafted[1][2]
        box = (
            left / scale,
            top / scale,
            min((source[0] - left) / scale, image.width),
            min((source[1] - top) / scale, image.height),
        )
        small = image.convert(MODES[channels]).resize(
            size, Image.Resampling.BILINEAR, box, reducing_gap=3.0
        )
    result = Image.new(MODES[channels], (width, height))
    result.paste(small, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(result).reshape(shape)


class TestSamePixels:
    @pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    @pytest.mark.parametrize("shape", [(16, 16, 1), (16, 16, 3), (9, 23, 3)])
    def test_sizes_and_kinds(
        self, tmp_path: Path, fit: Fit, mode: str, shape: tuple[int, int, int]
    ) -> None:
        kinds: list[dict[str, Any]] = [
            {"quality": 88},
            {"progressive": True},
            {"subsampling": 0, "optimize": True},
            {"restart_marker_rows": 1, "comment": b"said", "dpi": (72, 72)},
            {"icc_profile": b"profile"},  # not plain: it goes by Image.open
        ]
        for size in ((160, 160), (61, 47), (301, 133), (7, 90), (1, 1)):
            for kind in kinds:
                path = written(tmp_path, jpeg(size, mode, **kind))
                out = np.zeros(shape, np.uint8)
                decode_into(out, path, fit=fit, max_pixels=2**26)
                assert np.array_equal(out, by_open(path, shape, fit))
                assert (read(path) is None) == ("icc_profile" in kind)

    def test_plan_is_that_of_draft(self) -> None:
        scales = set()
        for width in range(1, 140, 3):
            for height in (1, 2, 15, 16, 17, 64, 111):
                content = jpeg((width, height), "L")
                for target in ((4, 4), (7, 3), (16, 16)):
                    plan = plan_jpeg((width, height), target, "stretch")
                    with Image.open(io.BytesIO(content)) as image:
                        image.draft(None, (2 * target[0], 2 * target[1]))
                        assert plan.decoded == image.size
                        assert isinstance(image, JpegImagePlugin.JpegImageFile)
                        assert plan.scale == image.decoderconfig[0]
                    scales.add(plan.scale)
        assert scales == {1, 2, 4, 8}

    def test_it_is_the_way_that_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **options: Any) -> None:
            raise AssertionError("a plain JPEG went the long way")

        path = written(tmp_path, jpeg())
        monkeypatch.setattr(Image, "open", fail)
        out = np.zeros((16, 16, 3), np.uint8)
        decode_into(out, path, fit="stretch", max_pixels=2**26)
        assert out.any(axis=-1).all()

    def test_odd_sizes_with_metadata_are_planned_alike(self, tmp_path: Path) -> None:
        # 1001 / 2 is no whole number: a decoder that is asked for 501 would not shrink at all.
        exif = Image.Exif()
        exif[0x010E] = "described"
        for size in ((1001, 1003), (127, 255), (15, 31)):
            path = written(tmp_path, jpeg(size, "L", exif=exif))
            assert read(path) is None
            out = np.zeros((16, 16, 1), np.uint8)
            decode_into(out, path, fit="stretch", max_pixels=2**26)
            assert np.array_equal(out, by_open(path, (16, 16, 1), "stretch"))


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


class TestNotPlain:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda content: b"",
            lambda content: content[:2],
            lambda content: content[:300],  # within the header
            lambda content: content[: len(content) // 2],
            lambda content: content[:-2],
            lambda content: b"\x89PNG" + content,
            replaced(b"\xff\xdb", b"\xff\xff\xdb"),  # a fill byte
            replaced(b"\xff\xdb", b"\x00\x00\xff\xdb"),
            replaced(b"\xff\xc0", b"\xff\xc9"),  # arithmetic codes
            replaced(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),  # 12 bits
            replaced(b"\xff\xc0\x00\x11\x08\x00\x1e", b"\xff\xc0\x00\x11\x08\x00\x00"),  # height 0
            replaced(b"\xff\xdb", b"\xff\xe1\x00\x04ab\xff\xdb"),  # EXIF or XMP
            replaced(b"\xff\xdb", b"\xff\xe2\x00\x04ab\xff\xdb"),  # several pictures
            replaced(b"\xff\xc4", b"\xff\xc0\x00\x0b\x08\x00\x1e\x00\x28\x01\x01\x11\x00\xff\xc4"),
        ],
    )
    def test_content(self, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
        whole = jpeg()
        spoilt = spoil(whole)
        assert spoilt != whole
        assert read(written(tmp_path, whole)) is not None
        assert read(written(tmp_path, spoilt)) is None

    def test_four_components(self, tmp_path: Path) -> None:
        assert read(written(tmp_path, jpeg(mode="CMYK"))) is None

    def test_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
            assert read(str(path)) is None

    def test_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path, jpeg((40, 30)))
        assert read(path, max_pixels=1200) is not None
        assert read(path, max_pixels=1199) is None
        monkeypatch.setattr(_plain_jpeg, "_MOST_PIXELS", 1199)
        assert read(path) is None
        monkeypatch.setattr(_plain_jpeg, "_MOST_PIXELS", 1200)
        monkeypatch.setattr(_plain_jpeg, "_MOST_BYTES", os.path.getsize(path))
        assert read(path) is not None
        monkeypatch.setattr(_plain_jpeg, "_MOST_BYTES", os.path.getsize(path) - 1)
        assert read(path) is None

    def test_errors_of_the_system(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = written(tmp_path, jpeg())

        def fail(error: BaseException) -> Callable[..., Any]:
            def raise_it(*args: Any) -> None:
                raise error

            return raise_it

        with monkeypatch.context() as patched:
            patched.setattr(os, "read", fail(OSError("the disk is gone")))
            assert read(path) is None
        monkeypatch.setattr(Image, "frombytes", fail(MemoryError()))
        with pytest.raises(MemoryError):
            read(path)

    def test_damage_is_told_as_by_open(self, tmp_path: Path) -> None:
        content = jpeg((64, 64))
        path = written(tmp_path, content[: len(content) // 2])
        with pytest.raises(UnreadableImageError, match="truncated"):
            decode_into(np.zeros((8, 8, 3), np.uint8), path, fit="pad", max_pixels=2**26)


class TestTogether:
    @pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
    @pytest.mark.parametrize("shape", [(16, 16, 1), (12, 20, 3)])
    def test_four_at_a_time_are_each_as_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fit, shape: tuple[int, int, int]
    ) -> None:
        together = []

        def count(outs: Any, images: Any, size: Any, box: Any) -> None:
            together.append(len(outs))
            resize_together(outs, images, size, box)

        monkeypatch.setattr(_decode_chunk, "resize_together", count)
        # Of (300, 40) and (16, 16), Pillow reduces one axis before it resizes.
        sizes = [(160, 160), (300, 40), (61, 47), (16, 16), (9, 5)]
        paths = []
        for turn in range(5):
            for number, size in enumerate(sizes):
                image = picture(size).rotate(40 * turn)
                paths.append(tmp_path / f"{turn} {number}.jpg")
                image.convert("RGB" if turn == 2 else "L").save(paths[-1], quality=80 + turn)
            paths.append(tmp_path / f"{turn}.png")
            picture((40, 40), "L").save(paths[-1])
        cut = tmp_path / "cut.jpg"
        cut.write_bytes(paths[0].read_bytes()[:-40])
        paths.insert(7, cut)
        outs = np.zeros((len(paths), *shape), np.uint8)
        errors = decode_chunk(list(outs), [str(p) for p in paths], fit=fit, max_pixels=2**26)
        assert [isinstance(error, UnreadableImageError) for error in errors] == [
            path == cut for path in paths
        ]
        for path, out in zip(paths, outs, strict=True):
            if path.suffix == ".jpg" and path != cut:
                assert np.array_equal(out, by_open(str(path), shape, fit))
        assert not outs[7].any()
        assert together == [4] * 5

    def test_large_images_do_not_wait(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = written(tmp_path, jpeg((40, 30), "L"))

        def told(*args: Any) -> None:
            raise AssertionError("together")

        monkeypatch.setattr(_decode_chunk, "resize_together", told)
        outs = np.zeros((4, 8, 30, 1), np.uint8)
        with pytest.raises(AssertionError, match="together"):
            decode_chunk(list(outs), [path] * 4, fit="stretch", max_pixels=2**26)
        monkeypatch.setattr(_decode_chunk, "_MOST_WAITING_PIXELS", 1199)
        decode_chunk(list(outs), [path] * 4, fit="stretch", max_pixels=2**26)
        assert outs.all()


class TestOtherModes:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_colour_after_the_size_is_colour_before_it(
        self, tmp_path: Path, mode: str, channels: int
    ) -> None:
        image = picture((61, 47), "RGB")
        alpha = picture((61, 47), "L").rotate(180)
        if mode in ("LA", "RGBA"):
            image = image.convert(mode[:-1])
            image.putalpha(alpha)
        image = image.convert(mode)
        path = tmp_path / "x.png"
        image.save(path)
        out = np.zeros((16, 16, channels), np.uint8)
        decode_into(out, str(path), fit="stretch", max_pixels=2**26)
        plain = image.convert(MODES[channels])
        if mode in ("LA", "RGBA"):
            shade = image.getchannel("A")
            plain = ImageChops.multiply(plain, shade.convert(MODES[channels]))
        full = plain.resize((16, 16), Image.Resampling.BILINEAR, reducing_gap=3.0)
        expected = np.asarray(full).reshape(out.shape)
        # Colour times alpha is now rounded, and was cut off: at most one gray level.
        rounding = 1 if (mode, channels) == ("RGBA", 3) else 0
        assert np.abs(out.astype(int) - expected).max() <= rounding
