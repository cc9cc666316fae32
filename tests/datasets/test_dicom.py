"""Tests of how DICOM files become 8-bit images."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from helpers.dicom import NATIVE, bundled, item, ramp, write_dicom
from synthray.datasets import dicom as _dicom
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.image_folder import load_image_folder
from synthray.exceptions import SkippedFilesWarning


def load(path: Path, shape: tuple[int, ...], **options: Any) -> ImageDataset:
    """Load the folder above that of a file, in which another class has a PNG."""
    root = path.parent.parent
    (root / "b").mkdir(exist_ok=True)
    Image.new("L", (8, 8), 100).save(root / "b" / "other.png")
    data = load_image_folder(root, (*shape[:2], shape[2] if shape[2:] else 1), **options)  # type: ignore[arg-type]
    assert isinstance(data, ImageDataset)
    return data


def shown(tmp_path: Path, pixels: NDArray[Any], **options: Any) -> NDArray[np.uint8]:
    """Write an image and return its pixels as they are loaded, with neither resizing."""
    path = write_dicom(tmp_path / "a" / "x.dcm", pixels, **options)
    shape = pixels.shape[1:] if "NumberOfFrames" in options else pixels.shape
    return load(path, shape).images[0].squeeze()


def reason(path: Path) -> str:
    """Return why a file is skipped."""
    Image.new("L", (8, 8), 100).save(path.parent / "other.png")
    with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 3"):
        return load(path, (8, 8)).skipped[0].reason


STORED = (0, 100, 200, 300, 400)


class TestWindows:
    @pytest.mark.parametrize(
        ("elements", "expected"),
        [
            ({}, (0, 64, 128, 191, 255)),
            ({"WindowCenter": 200, "WindowWidth": 201}, (0, 1, 128, 255, 255)),
            ({"WindowCenter": [200, 50], "WindowWidth": [201, 10]}, (0, 1, 128, 255, 255)),
            ({"WindowCenter": 200, "WindowWidth": 1}, (0, 0, 255, 255, 255)),
            ({"WindowCenter": 200.5, "WindowWidth": 1}, (0, 0, 0, 255, 255)),
            ({"WindowCenter": 200, "WindowWidth": 0}, (0, 64, 128, 191, 255)),
            ({"WindowCenter": 200, "WindowWidth": -9}, (0, 64, 128, 191, 255)),
            ({"WindowCenter": 200}, (0, 64, 128, 191, 255)),
            ({"WindowCenter": "", "WindowWidth": ""}, (0, 64, 128, 191, 255)),
            (
                {"WindowCenter": 200, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"},
                (0, 64, 128, 191, 255),
            ),
            (
                {"WindowCenter": 200, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
                (30, 69, 128, 186, 225),
            ),
            (
                {"RescaleSlope": 0.001, "WindowCenter": 0.2, "WindowWidth": 0.4},
                (0, 64, 128, 191, 255),
            ),
        ],
    )
    def test_window(
        self, tmp_path: Path, elements: dict[str, Any], expected: tuple[int, ...]
    ) -> None:
        assert shown(tmp_path, ramp(*STORED), **elements).tolist() == list(expected)

    @pytest.mark.parametrize(
        "elements",
        [
            {"RescaleSlope": 2, "RescaleIntercept": -100},
            {"RescaleIntercept": -100, "WindowCenter": 100, "WindowWidth": 201},
            {"RescaleSlope": 1, "WindowCenter": 200, "WindowWidth": 201},
            {"RescaleSlope": 0, "WindowCenter": 200, "WindowWidth": 201},
        ],
    )
    def test_rescale(self, tmp_path: Path, elements: dict[str, Any]) -> None:
        # A slope changes nothing where the window is that of the image.
        own, given = [0, 64, 128, 191, 255], [0, 1, 128, 255, 255]
        expected = given if "WindowWidth" in elements else own
        assert shown(tmp_path, ramp(*STORED), **elements).tolist() == expected

    @pytest.mark.parametrize("syntax", ["explicit", "implicit", "big endian"])
    def test_look_up_tables(self, tmp_path: Path, syntax: str) -> None:
        modality = item(LUTDescriptor=[3, 100, 16], LUTData=[1000, 2000, 3000])
        modality["LUTDescriptor"].VR = "US"
        modality["LUTData"].VR = "US"
        modality.ModalityLUTType = "US"
        order = ">" if syntax == "big endian" else "<"
        entries = np.asarray([0, 200, 400, 4095], f"{order}u2").tobytes()
        voi = item(LUTDescriptor=[4, 1999, 12], LUTData=entries)
        voi["LUTDescriptor"].VR = "US"
        voi["LUTData"].VR = "OW"
        pixels = shown(
            tmp_path,
            ramp(0, 100, 101, 102, 400),
            syntax=NATIVE[syntax],
            ModalityLUTSequence=[modality],
            VOILUTSequence=[voi, item(LUTDescriptor=[1, 0, 16], LUTData=[7])],
            WindowCenter=1,
            WindowWidth=1,
        )
        assert pixels.tolist() == [0, 0, 12, 255, 255]

    def test_look_up_table_of_bytes(self, tmp_path: Path) -> None:
        voi = item(LUTDescriptor=[4, 0, 8], LUTData=bytes([0, 9, 90, 200]))
        voi["LUTDescriptor"].VR = "US"
        voi["LUTData"].VR = "OW"
        assert shown(tmp_path, ramp(0, 1, 2, 3, 4), VOILUTSequence=[voi]).tolist() == [
            *(0, 9, 90, 200, 200)
        ]

    def test_constant_image(self, tmp_path: Path) -> None:
        assert shown(tmp_path, ramp(7, 7, 7)).tolist() == [0, 0, 0]

    @pytest.mark.parametrize("name", ["MR_small.dcm", "examples_overlay.dcm"])
    def test_agrees_with_pydicom(self, tmp_path: Path, name: str) -> None:
        header = pydicom.dcmread(bundled(name))
        values = apply_voi_lut(apply_modality_lut(header.pixel_array, header), header)
        most = 2**header.BitsStored - 1
        low = -(2 ** (header.BitsStored - 1)) if header.PixelRepresentation else 0
        expected = np.clip((values - low) / most * 255, 0, 255)
        (tmp_path / "a").mkdir()
        path = Path(shutil.copy(bundled(name), tmp_path / "a"))
        found = load(path, expected.shape).images[0, ..., 0]
        np.testing.assert_allclose(found, expected, atol=0.51)


class TestStored:
    @pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
    @pytest.mark.parametrize("syntax", NATIVE)
    def test_types(self, tmp_path: Path, dtype: str, syntax: str) -> None:
        values = (-100, -50, 0, 50, 100) if dtype.startswith("i") else (20, 40, 60, 80, 100)
        assert shown(
            tmp_path, ramp(*values, 0, dtype=dtype)[:, :5], syntax=NATIVE[syntax]
        ).tolist() == [*(0, 64, 128, 191, 255)]

    def test_signed_of_12_bits(self, tmp_path: Path) -> None:
        values = np.asarray([[-2000, -1000, 0, 1000, 2000]], "int16")
        for stored in (values, values & 0x0FFF):  # with and without the sign in the unused bits
            pixels = shown(tmp_path, stored.astype("int16"), BitsStored=12)
            assert pixels.tolist() == [0, 64, 128, 191, 255]

    def test_unused_bits_are_dropped(self, tmp_path: Path) -> None:
        stored = ramp(0, 1024, 2048, 3072, 4095)
        overlay = stored | np.asarray([0x1000, 0, 0x8000, 0, 0x3000], "uint16")
        assert shown(tmp_path, overlay, BitsStored=12).tolist() == [0, 64, 128, 191, 255]
        high = shown(tmp_path, stored << 4, BitsStored=12, HighBit=15)
        assert high.tolist() == [0, 64, 128, 191, 255]

    def test_monochrome1(self, tmp_path: Path) -> None:
        pixels = shown(tmp_path, ramp(*STORED), PhotometricInterpretation="MONOCHROME1")
        assert pixels.tolist() == [255, 191, 128, 64, 0]

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    @pytest.mark.parametrize(
        ("pixels", "elements"),
        [
            (ramp(-2000, 0, 200, 400, -2000, dtype="int16"), {"PixelPaddingValue": -2000}),
            (ramp(63536, 0, 200, 400, 63536), {"PixelPaddingValue": 63536, "BitsStored": 12}),
            (ramp(2096, 0, 200, 400, -2000, dtype="int16"), {"PixelPaddingValue": -2000}),
            (ramp(9, 0, 200, 400, 5), {"PixelPaddingValue": 5, "PixelPaddingRangeLimit": 9}),
            (ramp(9, 0, 200, 400, 5), {"PixelPaddingValue": 9, "PixelPaddingRangeLimit": 5}),
            (
                ramp(-1e9, 0, 200, 400, np.nan, dtype="float32"),
                {"FloatPixelPaddingValue": -1e9},
            ),
        ],
    )
    def test_padding_is_black_and_sets_no_window(
        self, tmp_path: Path, photometric: str, pixels: NDArray[Any], elements: dict[str, Any]
    ) -> None:
        if pixels[0, 0] == 2096:  # -2000 in 12 bits, without the sign
            elements = elements | {"BitsStored": 12}
        for syntax in ("explicit", "implicit"):
            found = shown(
                tmp_path,
                pixels,
                syntax=NATIVE[syntax],
                PhotometricInterpretation=photometric,
                **elements,
            ).tolist()
            inside = [0, 128, 255] if photometric == "MONOCHROME2" else [255, 128, 0]
            assert found == [0, *inside, 0]

    def test_nothing_but_padding(self, tmp_path: Path) -> None:
        assert not shown(tmp_path, ramp(5, 5), PixelPaddingValue=5).any()

    def test_frames_have_functional_groups(self, tmp_path: Path) -> None:
        window = item(WindowCenter=200, WindowWidth=201)
        rescale = item(RescaleSlope=1, RescaleIntercept=100)
        pixels = shown(
            tmp_path,
            np.stack([ramp(*STORED), ramp(*STORED)]),
            NumberOfFrames="2",
            SharedFunctionalGroupsSequence=[item(FrameVOILUTSequence=[window])],
            PerFrameFunctionalGroupsSequence=[item(PixelValueTransformationSequence=[rescale])],
        )
        assert pixels.tolist() == [1, 128, 255, 255, 255]


COLOURS = np.asarray(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 90, 200]], [[0, 0, 0], [255, 255, 255]] * 2],
    np.uint8,
)


class TestColours:
    @pytest.mark.parametrize("syntax", NATIVE)
    def test_rgb(self, tmp_path: Path, syntax: str) -> None:
        kind = NATIVE[syntax]
        np.testing.assert_array_equal(shown(tmp_path, COLOURS, syntax=kind), COLOURS)
        planes = np.moveaxis(COLOURS, 2, 0).reshape(COLOURS.shape)
        pixels = shown(tmp_path, planes, syntax=kind, PlanarConfiguration=1)
        np.testing.assert_array_equal(pixels, COLOURS)

    def test_rgb_of_16_bits(self, tmp_path: Path) -> None:
        wide = COLOURS.astype(np.uint16)
        np.testing.assert_array_equal(shown(tmp_path, wide << 8), COLOURS)
        np.testing.assert_array_equal(shown(tmp_path, wide << 4, BitsStored=12), COLOURS)

    def test_ybr(self, tmp_path: Path) -> None:
        ybr = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
        pixels = shown(tmp_path, ybr, PhotometricInterpretation="YBR_FULL")
        np.testing.assert_allclose(pixels, COLOURS.astype(int), atol=2)

    def test_ybr_with_half_the_colours(self, tmp_path: Path) -> None:
        pairs = np.repeat(COLOURS[:, ::2], 2, axis=1)
        ybr = np.asarray(Image.fromarray(pairs).convert("YCbCr"))
        half = np.concatenate([ybr[:, ::2, :1], ybr[:, 1::2, :1], ybr[:, ::2, 1:]], axis=-1)
        path = write_dicom(tmp_path / "a" / "x", pairs, PhotometricInterpretation="YBR_FULL_422")
        header = pydicom.dcmread(path)
        header.PixelData = half.tobytes()
        header.save_as(path)
        np.testing.assert_allclose(load(path, pairs.shape).images[0], pairs.astype(int), atol=2)

    def test_gray_of_colour(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a" / "x", COLOURS)
        gray = np.asarray(Image.fromarray(COLOURS).convert("L"))
        np.testing.assert_array_equal(load(path, (2, 4)).images[0, ..., 0], gray)

    @pytest.mark.parametrize("depth", [8, 16])
    def test_palette(self, tmp_path: Path, depth: int) -> None:
        colours = COLOURS.reshape(-1, 3)
        elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
        for i, name in enumerate(("Red", "Green", "Blue")):
            entries = colours[:, i].astype(f"<u{depth // 8}") << (depth - 8)
            elements[f"{name}PaletteColorLookupTableDescriptor"] = [8, 10, depth]
            elements[f"{name}PaletteColorLookupTableData"] = entries.tobytes()
        places = np.arange(10, 18, dtype=np.uint8).reshape(2, 4)
        path = write_dicom(tmp_path / "a" / "x", places, **elements)
        np.testing.assert_array_equal(load(path, COLOURS.shape).images[0], COLOURS)


def encoded(pixels: NDArray[Any], form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue() + bytes(stream.tell() % 2)


class TestCompressed:
    gray = (np.indices((16, 24)).sum(axis=0) * 6).astype(np.uint8)

    def test_rle(self, tmp_path: Path) -> None:
        wide = self.gray.astype(np.uint16) * 16
        path = write_dicom(tmp_path / "a" / "x", wide, BitsStored=12)
        plain = load(path, wide.shape).images
        header = pydicom.dcmread(path)
        header.compress(RLELossless)
        header.save_as(path)
        np.testing.assert_array_equal(load(path, wide.shape).images, plain)

    def test_jpeg(self, tmp_path: Path) -> None:
        options = {"syntax": JPEGBaseline8Bit, "WindowCenter": 128, "WindowWidth": 256}
        frame = encoded(self.gray, "JPEG", quality=95)
        pixels = shown(tmp_path, self.gray, compressed=[frame], **options)
        np.testing.assert_allclose(pixels, self.gray.astype(int), atol=4)
        colour = np.stack([self.gray, self.gray[::-1], 255 - self.gray], axis=-1)
        frame = encoded(colour, "JPEG", quality=95, subsampling=0)
        options["PhotometricInterpretation"] = "YBR_FULL_422"
        pixels = shown(tmp_path, colour, compressed=[frame], **options)
        np.testing.assert_allclose(pixels, colour.astype(int), atol=6)

    def test_jpeg_2000_of_16_bits(self, tmp_path: Path) -> None:
        wide = self.gray.astype(np.uint16) * 250
        frame = encoded(wide, "JPEG2000", irreversible=False, no_jp2=True)
        pixels = shown(tmp_path, wide, compressed=[frame], syntax=JPEG2000Lossless)
        np.testing.assert_allclose(pixels, self.gray * (255 / self.gray.max()), atol=0.51)

    def test_no_decoder(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "x"
        write_dicom(path, self.gray, compressed=[b"\xff\xd8\xff\xf7"], syntax=JPEGLSLossless)
        found = reason(path)
        decoders = pydicom.pixels.get_decoder(JPEGLSLossless).available_plugins
        if not decoders:
            assert "compressed as JPEG-LS Lossless" in found
        write_dicom(path, self.gray, compressed=[b"ab"], syntax=MPEG2MPML)
        assert "for which pydicom finds no decoder" in reason(path)

    @pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
    def test_frame_of_another_size(self, tmp_path: Path, form: str) -> None:
        frame = encoded(np.zeros((600, 900), np.uint8), form)
        syntax = JPEGBaseline8Bit if form == "JPEG" else JPEG2000Lossless
        path = write_dicom(tmp_path / "a" / "x", self.gray, compressed=[frame], syntax=syntax)
        assert "larger than it should be" in reason(path)

    def test_frame_that_pillow_refuses(self, tmp_path: Path) -> None:
        frame = bytearray(encoded(self.gray, "JPEG"))
        at = frame.index(b"\xff\xc0") + 5
        frame[at : at + 4] = b"\xff\xdc\xff\xdc"  # of 65,500 by 65,500 pixels
        syntax = JPEGBaseline8Bit
        path = tmp_path / "a" / "x"
        write_dicom(path, self.gray, compressed=[bytes(frame)], syntax=syntax)
        assert "larger than it should be" in reason(path)
        write_dicom(path, self.gray, compressed=[b"no JPEG, so"], syntax=syntax)
        assert "Unable to decode" in reason(path)

    def test_scans(self, tmp_path: Path) -> None:
        frame = encoded(self.gray, "JPEG", progressive=True)
        last = frame.rindex(b"\xff\xda")
        many = frame[:last] + frame[last:].rstrip(b"\0")[:-2] * 101 + b"\xff\xd9"
        frame = many + bytes(len(many) % 2)
        path = tmp_path / "a" / "x"
        write_dicom(path, self.gray, compressed=[frame], syntax=JPEGBaseline8Bit)
        assert "longer compressed" in reason(path)


class TestFiles:
    @pytest.mark.parametrize("bare", ["", "preamble", "meta"])
    @pytest.mark.parametrize("syntax", ["explicit", "implicit", "big endian"])
    @pytest.mark.parametrize("name", ["x.dcm", "IM0001", "x.png", "1.2.840.7"])
    def test_content_decides(self, tmp_path: Path, name: str, syntax: str, bare: str) -> None:
        path = tmp_path / "a" / name
        write_dicom(path, ramp(*STORED), syntax=NATIVE[syntax], bare=bare)
        assert load(path, (1, 5)).images[0].ravel().tolist() == [0, 64, 128, 191, 255]

    def test_no_dicom_named_so(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a" / "x.dcm", ramp(*STORED))
        Image.new("L", (5, 1), 77).save(path, "PNG")
        assert (load(path, (1, 5)).images[0] == 77).all()
        path.write_bytes(b"text")
        assert "not an image in one of the formats" in reason(path)

    @pytest.mark.parametrize(
        ("elements", "expected"),
        [
            ({"Rows": None}, "without pixel data"),
            ({"Columns": None}, "damaged"),
            ({"Rows": 50}, "damaged"),
            ({"BitsAllocated": None}, "damaged"),
            ({"PhotometricInterpretation": None}, "damaged"),
            ({"PhotometricInterpretation": "RGB"}, "one sample a pixel, which cannot be RGB"),
            ({"SamplesPerPixel": 3, "Columns": 1, "PlanarConfiguration": 0}, "three samples a"),
            ({"SamplesPerPixel": 4, "Columns": 1, "PlanarConfiguration": 0}, "damaged"),
            (
                {"SamplesPerPixel": 3, "Columns": 1, "PlanarConfiguration": 0}
                | {"PixelRepresentation": 1, "PhotometricInterpretation": "RGB"},
                "3 samples a pixel of type int16",
            ),
            ({"NumberOfFrames": "4"}, ""),
            ({"NumberOfFrames": ""}, ""),
        ],
    )
    def test_headers(self, tmp_path: Path, elements: dict[str, Any], expected: str) -> None:
        pixels = ramp(*STORED)
        path = tmp_path / "a" / "x.dcm"
        write_dicom(path, pixels[None] if "NumberOfFrames" in elements else pixels, **elements)
        if expected:
            assert expected in reason(path)
        else:
            assert load(path, (1, 5)).images[0].ravel().tolist() == [0, 64, 128, 191, 255]

    def test_value_of_another_type(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "x.dcm"
        write_dicom(path, ramp(*STORED), WindowCenter="1234", WindowWidth=7)
        path.write_bytes(path.read_bytes().replace(b"1234", b"abcd"))
        assert "damaged (ValueError: could not convert" in reason(path)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("test-SR.dcm", "a DICOM file without pixel data"),
            ("rtplan.dcm", "a DICOM file without pixel data"),
            ("MR_truncated.dcm", "damaged"),
            ("JPGExtended.dcm", "12-bit precision"),
            ("image_dfl.dcm", ""),
            ("SC_rgb_small_odd_big_endian.dcm", ""),
            ("SC_ybr_full_422_uncompressed.dcm", ""),
            ("J2K_pixelrep_mismatch.dcm", ""),
            ("examples_palette.dcm", ""),
            ("liver_1frame.dcm", ""),
            ("rtdose.dcm", ""),
        ],
    )
    def test_bundled_files(self, tmp_path: Path, name: str, expected: str) -> None:
        (tmp_path / "a").mkdir()
        path = Path(shutil.copy(bundled(name), tmp_path / "a"))
        if expected:
            assert expected in reason(path)
        else:
            assert load(path, (16, 16)).images[0].std() > 10

    @pytest.mark.parametrize(
        "names",
        [
            "MR_small MR_small_RLE MR_small_bigendian MR_small_implicit MR_small_jp2klossless",
            "examples_rgb_color examples_jpeg2k",
            "SC_rgb_dcmtk_+eb+cr SC_rgb_rle SC_rgb_rle_16bit SC_rgb_rle_32bit SC_rgb_gdcm_KY",
            "SC_rgb_jpeg_dcmtk SC_rgb_dcmtk_+eb+cy+n2 SC_rgb_dcmtk_+eb+cy+s4",
        ],
    )
    def test_bundled_files_of_one_image(self, tmp_path: Path, names: str) -> None:
        (tmp_path / "a").mkdir()
        for name in names.split():
            path = Path(shutil.copy(bundled(f"{name}.dcm"), tmp_path / "a"))
        images = load(path, (32, 32, 3)).images[:-1].astype(int)
        assert len(images) == len(names.split())
        assert np.abs(images - images[0]).mean() < 2.5

    def test_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_dicom(tmp_path / "a" / "x.dcm", np.zeros((30, 20, 3), np.uint8))
        with pytest.raises(ValueError, match=r"x\.dcm': 20x30 = 600 pixels, counted 2 times"):
            load(path, (8, 8), max_pixels=1199)
        assert len(load(path, (8, 8), max_pixels=1200)) == 2
        write_dicom(path, np.zeros((300, 200), np.uint8), syntax=NATIVE["deflated"])
        monkeypatch.setattr(_dicom, "_MOST_INFLATED", 60_000)
        assert "deflated from more than 60,000 bytes" in reason(path)

    def test_without_pydicom(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_dicom(tmp_path / "a" / "x.dcm", ramp(*STORED))
        _dicom.pydicom.cache_clear()
        monkeypatch.setitem(sys.modules, "pydicom", None)
        assert "pip install 'synthray[dicom]'" in reason(path)
