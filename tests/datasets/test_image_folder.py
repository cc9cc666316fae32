"""Tests of `load_image_folder`."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from synthray.datasets import decode as _decode
from synthray.datasets.image_dataset import ImageDataset, SkippedFile
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.pixels import window_to_8_bit
from synthray.exceptions import FileFormatError, SkippedFilesWarning


def save(root: Path, name: str, image: Image.Image | None = None, **options: Any) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("L", (8, 8), 100)).save(path, **options)
    return path


def load_one(path: Path, image_shape: tuple[int, int, int], **options: Any) -> NDArray[np.uint8]:
    """Load the folder with `path` in class `a` and return the pixels of that file."""
    root = path.parent.parent
    if not (root / "b").exists():
        save(root, "b/other.png")
    data = load_image_folder(root, image_shape, **options)
    assert isinstance(data, ImageDataset)
    assert data.names is not None
    return data.images[data.names.tolist().index(path.relative_to(root).as_posix())]


def load(root: Path, *args: Any, **options: Any) -> ImageDataset:
    data = load_image_folder(root, *args, **options)
    assert isinstance(data, ImageDataset)
    return data


def load_splits(root: Path, **options: Any) -> dict[str, ImageDataset]:
    data = load_image_folder(root, (8, 8, 1), **options)
    assert isinstance(data, dict)
    return data


def tiff(blocks: dict[int, list[int]], *, big: bool) -> bytes:
    """A gray TIFF of 8 by 8 pixels with strips or tiles of any size: deflated, 256 pixels."""
    pixels = zlib.compress(b"d" * 256)
    offsets, counts = (324, 325) if 322 in blocks else (273, 279)
    start, head, size = (16, "Q", 20) if big else (8, "H", 12)
    plain = {256: [8], 257: [8], 258: [8], 259: [8], 262: [1], 277: [1], counts: [len(pixels)]}
    n = sum(map(len, (plain | blocks).values())) + 1
    behind = start + struct.calcsize(f"<{head}") + n * size + (8 if big else 4)
    entries = [(t, v) for t, vs in (plain | blocks | {offsets: [behind]}).items() for v in vs]
    first = (
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHI", b"II", 42, 8)
    )
    form = "<HHQQ" if big else "<HHII"
    table = b"".join(struct.pack(form, tag, 4, 1, value) for tag, value in sorted(entries))
    return first + struct.pack(f"<{head}", n) + table + bytes(8 if big else 4) + pixels


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    for i, name in enumerate(("intact/1.png", "intact/2.png", "fractured/3.png")):
        save(tmp_path, name, Image.new("L", (8, 8), 50 * (i + 1)))
    return tmp_path


class TestTrees:
    def test_class_folders(self, two_classes: Path) -> None:
        data = load(two_classes, (4, 6, 3))
        assert data.class_names == ("fractured", "intact")
        assert data.names is not None
        assert data.names.tolist() == ["fractured/3.png", "intact/1.png", "intact/2.png"]
        assert data.labels.tolist() == [0, 1, 1]
        assert data.images.shape == (3, 4, 6, 3)
        assert data.images[:, 2, 3, 0].tolist() == [150, 50, 100]
        assert data.skipped == ()
        assert data.groups is None
        assert data.provenance == {
            "source": "load_image_folder",
            "path": str(two_classes),
            "fit": "pad",
            "image_shape": [4, 6, 3],
        }

    def test_split_folders_share_the_classes(self, tmp_path: Path) -> None:
        for name in ("train/b/1.png", "train/a/2.png", "test/b/3.png", "Val/a/4.png"):
            save(tmp_path, name)
        splits = load_splits(tmp_path)
        assert list(splits) == ["Val", "test", "train"]
        assert {data.class_names for data in splits.values()} == {("a", "b")}
        assert splits["test"].labels.tolist() == [1]
        assert splits["train"].names is not None
        assert splits["train"].names.tolist() == ["train/a/2.png", "train/b/1.png"]
        assert splits["train"].provenance["split"] == "train"

    def test_classes_choose_order_and_subset(self, two_classes: Path) -> None:
        save(two_classes, "other/4.png")
        data = load(two_classes, classes=["intact", "fractured"])
        assert data.class_names == ("intact", "fractured")
        assert data.labels.tolist() == [1, 0, 0]

    def test_classes_say_which_level_is_meant(self, tmp_path: Path) -> None:
        for name in ("p/x/1.png", "p/y/2.png", "q/x/3.png", "q/y/4.png"):
            save(tmp_path, name)
        with pytest.raises(ValueError, match="Cannot tell whether the folders 'p', 'q'"):
            load_image_folder(tmp_path)
        assert load(tmp_path, classes=("p", "q")).labels.tolist() == [0, 0, 1, 1]
        splits = load_splits(tmp_path, classes=("x", "y"))
        assert {name: data.labels.tolist() for name, data in splits.items()} == {
            "p": [0, 1],
            "q": [0, 1],
        }

    def test_a_folder_beside_splits_is_no_class(self, tmp_path: Path) -> None:
        for name in ("train/a/1", "train/b/2", "test/a/3", "test/b/4", "unlabeled/5"):
            save(tmp_path, f"{name}.png")
        with pytest.raises(ValueError, match=r"Cannot tell whether.*'unlabeled'"):
            load_image_folder(tmp_path)
        data = load_splits(tmp_path, classes=("a", "b"))
        assert {split: len(part) for split, part in data.items()} == {"train": 2, "test": 2}
        everything = load(tmp_path, classes=("test", "train", "unlabeled"))
        assert everything.class_counts == {"test": 2, "train": 2, "unlabeled": 1}

    def test_a_tree_within_itself_has_no_splits_for_classes(self, tmp_path: Path) -> None:
        for name in ("train/a/1", "train/b/2", "test/a/3", "test/b/4"):
            save(tmp_path, f"{name}.png")
            save(tmp_path, f"inner/{name}.png")
        with pytest.raises(ValueError, match=r"Cannot tell whether.*'inner'"):
            load_image_folder(tmp_path)
        data = load_splits(tmp_path, classes=("a", "b"))
        assert {split: len(part) for split, part in data.items()} == {"train": 2, "test": 2}
        (tmp_path / "val").mkdir()
        with pytest.raises(ValueError, match="the split 'val', got no file at all"):
            load_splits(tmp_path, classes=("a", "b"))

    def test_folders_below_a_class_belong_to_it(self, two_classes: Path) -> None:
        save(two_classes, "intact/patient 7/left/5.png")
        data = load(two_classes)
        assert data.names is not None
        assert data.names[-1] == "intact/patient 7/left/5.png"
        assert data.labels[-1] == 1

    def test_hidden_names_are_left_alone(self, two_classes: Path) -> None:
        (two_classes / "intact" / ".DS_Store").write_bytes(b"x")
        save(two_classes, ".cache/1.png")
        save(two_classes, "__MACOSX/1.png")
        save(two_classes, "intact/.thumbnails/1.png")
        (two_classes / "readme.txt").write_text("beside the classes, and no image")
        data = load(two_classes)
        assert len(data) == 3
        assert data.class_names == ("fractured", "intact")

    def test_links_are_followed_but_not_in_circles(self, two_classes: Path, tmp_path: Path) -> None:
        save(tmp_path / "elsewhere", "9.png")
        root = tmp_path / "root"
        shutil.copytree(two_classes / "intact", root / "intact")
        shutil.copytree(two_classes / "fractured", root / "fractured")
        (root / "intact" / "linked").symlink_to(tmp_path / "elsewhere")
        (root / "intact" / "circle").symlink_to(root)
        (root / "fractured" / "self").symlink_to(root / "fractured")
        data = load(root)
        assert data.names is not None
        assert data.names.tolist() == [
            "fractured/3.png",
            "intact/1.png",
            "intact/2.png",
            "intact/linked/9.png",
        ]

    def test_folders_that_link_to_each_other_are_read_once(self, two_classes: Path) -> None:
        folders = [two_classes / "intact" / f"p{i}" for i in range(8)]
        for folder in folders:
            save(folder, "x.png")
        for folder in folders:
            for other in folders:
                (folder / f"to_{other.name}").symlink_to(other)
        data = load(two_classes)
        assert data.names is not None
        assert data.names[3:].tolist() == [f"intact/p{i}/x.png" for i in range(8)]

    def test_deep_folders_and_folders_of_the_system_are_skipped(self, two_classes: Path) -> None:
        save(two_classes, "intact/" + "d/" * 110 + "x.png")
        (two_classes / "intact" / "up").symlink_to(two_classes.parent)
        names = ["intact/" + "/".join("d" * 100), "intact/up"]
        if Path("/proc/version").exists():
            (two_classes / "intact" / "proc").symlink_to("/proc")
            (two_classes / "intact" / "version.png").symlink_to("/proc/version")
            names += ["intact/proc", "intact/version.png"]
        with pytest.warns(SkippedFilesWarning, match=f"Skipped {len(names)} of"):
            data = load(two_classes)
        assert len(data) == 3
        assert [file.name for file in data.skipped] == sorted(names)

    def test_without_classes(self, two_classes: Path) -> None:
        save(two_classes, "0.png")
        (two_classes / "notes.txt").write_text("no image")
        with pytest.warns(SkippedFilesWarning, match=r"notes\.txt"):
            data = load(two_classes, (8, 8, 1), classes=())
        assert data.names is not None
        assert data.names.tolist() == ["0.png", "fractured/3.png", "intact/1.png", "intact/2.png"]
        assert data.class_names == ("unlabelled",)

    def test_splits_without_classes(self, tmp_path: Path) -> None:
        for name in ("train/1.png", "train/p/2.png", "test/3.png", "beside.png"):
            save(tmp_path, name)
        with pytest.warns(SkippedFilesWarning, match=r"beside\.png"):
            splits = load_splits(tmp_path, classes=())
        assert {name: len(data) for name, data in splits.items()} == {"test": 1, "train": 2}


class TestErrors:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="none"):
            load_image_folder(tmp_path / "none")
        with pytest.raises(NotADirectoryError, match=r"a\.png"):
            load_image_folder(save(tmp_path, "a.png"))

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"one subfolder a class .* 0 entries"):
            load_image_folder(tmp_path)

    def test_single_class(self, tmp_path: Path) -> None:
        save(tmp_path, "only/1.png")
        with pytest.raises(ValueError, match=r"at least two classes in .*, got only 'only'"):
            load_image_folder(tmp_path)

    def test_no_readable_image(self, tmp_path: Path) -> None:
        for name in ("a/1.png", "b/2.png"):
            save(tmp_path, name).write_bytes(b"no image")
        with pytest.raises(ValueError, match=r"1 unreadable files, such as 'a/1.png'"):
            load_image_folder(tmp_path)

    def test_empty_class(self, two_classes: Path) -> None:
        (two_classes / "other").mkdir()
        with pytest.raises(ValueError, match="the class 'other', got no file at all"):
            load_image_folder(two_classes)

    def test_empty_split(self, tmp_path: Path) -> None:
        for name in ("train/a/1.png", "train/b/2.png"):
            save(tmp_path, name)
        (tmp_path / "test" / "a").mkdir(parents=True)
        with pytest.raises(ValueError, match="the split 'test', got no file"):
            load_image_folder(tmp_path)

    @pytest.mark.parametrize(
        ("names", "kind"),
        [
            (("Intact/1.png", "intact/2.png"), "class"),
            (("train/Intact/1.png", "test/intact/2.png"), "class"),
            (("train/a/1.png", "Train/b/2.png"), "split"),
            (("h\u00fcfte/1.png", "hu\u0308fte/2.png"), "class"),
        ],
    )
    def test_names_that_differ_by_case_or_unicode_form_only(
        self, tmp_path: Path, names: tuple[str, str], kind: str
    ) -> None:
        save(tmp_path, names[0])
        if (tmp_path / names[1]).parent.exists():
            pytest.skip("this file system does not tell them apart")
        save(tmp_path, names[1])
        with pytest.raises(ValueError, match=f"Expected {kind} folders that differ by more than"):
            load_image_folder(tmp_path)

    def test_class_names_that_are_no_utf_8(self, two_classes: Path) -> None:
        try:
            os.mkdir(os.fsencode(two_classes) + b"/h\xfcfte")
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
        with pytest.raises(ValueError, match=r"class folders named in UTF-8.*h\\udcfcfte"):
            load_image_folder(two_classes)

    def test_splits_without_classes(self, tmp_path: Path) -> None:
        save(tmp_path, "train/1.png")
        save(tmp_path, "test/2.png")
        with pytest.raises(ValueError, match=r"Cannot tell whether.* no folders"):
            load_image_folder(tmp_path)
        assert len(load(tmp_path, classes=("test", "train"))) == 2

    def test_missing_class(self, two_classes: Path) -> None:
        for i in range(7):
            (two_classes / f"c{i}").mkdir()
        with pytest.raises(ValueError, match=r"got none for 'broken'.*'c0'.* and 3 more"):
            load_image_folder(two_classes, classes=("broken", "intact"))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"image_shape": (64, 64)}, ValueError, "three integers"),
            ({"image_shape": 64}, ValueError, "three integers"),
            ({"image_shape": (64, 0, 1)}, ValueError, "at least 1"),
            ({"image_shape": (64, 64, 4)}, ValueError, "1 or 3 channels"),
            ({"fit": "squeeze"}, ValueError, "'pad', 'stretch', 'crop'"),
            ({"classes": "intact"}, ValueError, "different names"),
            ({"classes": ("intact", "intact")}, ValueError, "different names"),
            ({"max_pixels": 0}, ValueError, "max_pixels of at least 1"),
            ({"workers": 0}, ValueError, "workers of at least 1"),
        ],
    )
    def test_arguments(
        self, two_classes: Path, options: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            load_image_folder(two_classes, **options)

    @pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="free memory is not known")
    def test_more_images_than_memory(self, two_classes: Path) -> None:
        with pytest.raises(MemoryError, match=r"3 images .* 9,895.6 GB, .* smaller image_shape"):
            load_image_folder(two_classes, (2**20, 2**20, 3))

    @pytest.mark.parametrize("strict", [False, True])
    def test_pixel_limit(self, two_classes: Path, strict: bool) -> None:
        save(two_classes, "intact/large.png", Image.new("L", (30, 20)))
        message = r"at most max_pixels=599 .*large\.png': 30x20 = 600 pixels"
        with pytest.raises(ValueError, match=message):
            load_image_folder(two_classes, max_pixels=599, strict=strict)
        assert len(load(two_classes, max_pixels=600)) == 4

    @pytest.mark.parametrize("max_pixels", [2**26, 2**40])
    @pytest.mark.parametrize("side", [10_000, 60_000])
    def test_bomb_is_not_unpacked(self, two_classes: Path, side: int, max_pixels: int) -> None:
        # The header alone states the size; the pixels behind it are of 8 by 8.
        path = save(two_classes, "intact/bomb.bmp")
        content = bytearray(path.read_bytes())
        content[18:26] = struct.pack("<ii", side, side)
        path.write_bytes(content)
        if side == 10_000 and max_pixels == 2**40:
            with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 4"):
                assert len(load(two_classes, max_pixels=max_pixels)) == 3
        else:
            with pytest.raises(ValueError, match=r"bomb\.bmp': .*pixels"):
                load_image_folder(two_classes, max_pixels=max_pixels)

    @pytest.mark.parametrize("big", [False, True])
    def test_tiles_of_a_tiff_count(self, two_classes: Path, big: bool) -> None:
        path = two_classes / "intact" / "tiled.tif"
        for blocks in ({322: [16], 323: [16]}, {278: [65_535]}):
            path.write_bytes(tiff(blocks, big=big))
            assert load(two_classes, (8, 8, 1)).images[-1, 4, 4] == 100
        path.write_bytes(tiff({322: [20_000], 323: [20_000]}, big=big))
        with pytest.raises(ValueError, match=r"tiled\.tif': tiles of 20000x20000 pixels"):
            load_image_folder(two_classes)
        # Of these widths, Pillow may take another than libtiff.
        path.write_bytes(tiff({322: [20_000, 16], 323: [20_000]}, big=big))
        with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 4 .*not one number each"):
            load_image_folder(two_classes)


class TestSkipped:
    def test_one_warning_and_a_reason_each(self, two_classes: Path) -> None:
        folder = two_classes / "intact"
        whole = save(
            two_classes, "intact/cut.jpg", Image.effect_noise((64, 64), 50), quality=90
        ).read_bytes()
        (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
        (folder / "desktop.ini").write_bytes(b"[.ShellClassInfo]")
        (folder / "empty.png").write_bytes(b"")
        (folder / "link.png").symlink_to(folder / "nowhere.png")
        os.mkfifo(folder / "pipe.png")
        png = bytearray(save(two_classes, "intact/bad.png").read_bytes())
        png[png.index(b"IDAT") + 6] ^= 0xFF
        (folder / "bad.png").write_bytes(png)
        save(two_classes, "loose.png")
        with pytest.warns(
            SkippedFilesWarning, match=r"Skipped 7 of 10 files .* 'intact/bad.png'"
        ) as seen:
            data = load(two_classes)
        assert len(seen) == 1
        assert seen[0].filename == __file__.replace(".pyc", ".py")
        assert len(data) == 3
        assert data.images[:, 32, 32, 0].tolist() == [150, 50, 100]
        reasons = {file.name: file.reason for file in data.skipped}
        assert list(reasons) == sorted(reasons)
        assert "truncated" in reasons["intact/cut.jpg"]
        assert "not an image" in reasons["intact/desktop.ini"]
        assert "empty" in reasons["intact/empty.png"]
        assert "regular file" in reasons["intact/link.png"]
        assert "regular file" in reasons["intact/pipe.png"]
        assert reasons["intact/bad.png"]
        assert "beside the class folders" in reasons["loose.png"]

    def test_link_to_itself(self, two_classes: Path) -> None:
        (two_classes / "intact" / "loop.png").symlink_to(two_classes / "intact" / "loop.png")
        with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 4"):
            assert len(load(two_classes)) == 3

    def test_strict_raises_on_the_first(self, two_classes: Path) -> None:
        for name in ("intact/z.png", "intact/1b.png"):
            (two_classes / name).write_bytes(b"no image")
        with pytest.raises(FileFormatError, match=r"Cannot read 'intact/1b.png': its content is"):
            load_image_folder(two_classes, strict=True)

    def test_strict_raises_on_an_image_without_class(self, two_classes: Path) -> None:
        save(two_classes, "loose.png")
        with pytest.raises(FileFormatError, match=r"'loose.png': an image beside"):
            load_image_folder(two_classes, strict=True)

    def test_each_split_lists_its_own(self, tmp_path: Path) -> None:
        for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"):
            save(tmp_path, name)
        (tmp_path / "train" / "a" / "x.png").write_bytes(b"")
        save(tmp_path, "test/loose.png")
        save(tmp_path, "root.png")
        with pytest.warns(SkippedFilesWarning, match="Skipped 3 of 7"):
            splits = load_splits(tmp_path)
        assert [file.name for file in splits["train"].skipped] == ["root.png", "train/a/x.png"]
        assert [file.name for file in splits["test"].skipped] == ["root.png", "test/loose.png"]

    def test_every_cut_of_every_format_is_skipped_or_whole(self, two_classes: Path) -> None:
        noise = Image.effect_noise((40, 40), 60)
        for suffix, options in (("jpg", {"progressive": True}), ("png", {}), ("bmp", {})):
            whole = save(two_classes, f"intact/whole.{suffix}", noise, **options).read_bytes()
            for share in (2, 20, 50, 90):
                cut = two_classes / "intact" / f"cut{share}.{suffix}"
                cut.write_bytes(whole[: len(whole) * share // 100])
        with pytest.warns(SkippedFilesWarning, match="Skipped 12 of 18"):
            data = load(two_classes, (8, 8, 1))
        assert len(data.skipped) == 12

    def test_any_error_of_a_decoder_is_a_reason(
        self, two_classes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(two_classes, "intact/odd.gif")

        def fail(*args: Any) -> None:
            raise KeyError("palette")

        monkeypatch.setattr(GifImagePlugin.GifImageFile, "load", fail)
        with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 4"):
            data = load(two_classes)
        assert data.skipped == (SkippedFile("intact/odd.gif", "damaged (KeyError: 'palette')"),)

    def test_lack_of_memory_is_no_reason(
        self, two_classes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **options: Any) -> None:
            raise MemoryError

        monkeypatch.setattr(Image.Image, "load", fail)
        with pytest.raises(MemoryError):
            load_image_folder(two_classes)


class TestFormats:
    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM"])
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_the_content_decides(self, tmp_path: Path, format_: str, mode: str) -> None:
        colour = 90 if mode == "L" else (90, 90, 90)
        path = save(tmp_path, "a/x.jpg", Image.new(mode, (20, 20), colour), format=format_)
        pixels = load_one(path, (10, 10, 1))
        assert np.abs(pixels.astype(int) - 90).max() <= 1

    @pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "jpeg"])
    def test_tiff_compressions(self, tmp_path: Path, compression: str) -> None:
        image = Image.new("L", (20, 20), 90)
        path = save(tmp_path, "a/x.tif", image, compression=compression)
        assert np.abs(load_one(path, (10, 10, 1)).astype(int) - 90).max() <= 1

    def test_first_frame(self, tmp_path: Path) -> None:
        frames = [Image.new("L", (8, 8), value) for value in (40, 200)]
        for suffix in ("gif", "tif"):
            options = {"save_all": True, "append_images": frames[1:]}
            path = save(tmp_path, f"a/x.{suffix}", frames[0], **options)
            assert set(load_one(path, (8, 8, 1)).ravel()) == {40}

    @pytest.mark.parametrize(
        ("mode", "colour", "gray", "rgb"),
        [
            ("1", 1, 255, (255, 255, 255)),
            ("L", 80, 80, (80, 80, 80)),
            ("LA", (200, 51), 40, (40, 40, 40)),
            ("RGB", (200, 100, 50), 124, (200, 100, 50)),
            ("RGBA", (200, 100, 50, 51), 25, (40, 20, 10)),
            ("RGBA", (200, 100, 50, 0), 0, (0, 0, 0)),
            ("CMYK", (0, 255, 255, 0), 76, (255, 0, 0)),
        ],
    )
    def test_modes(
        self, tmp_path: Path, mode: str, colour: Any, gray: int, rgb: tuple[int, int, int]
    ) -> None:
        format_ = "TIFF" if mode == "CMYK" else "PNG"
        path = save(tmp_path, "a/x.png", Image.new(mode, (8, 8), colour), format=format_)
        assert load_one(path, (4, 4, 1)) == pytest.approx(gray, abs=1)
        assert load_one(path, (4, 4, 3))[2, 2].tolist() == list(rgb)

    def test_lab(self, tmp_path: Path) -> None:
        path = save(tmp_path, "a/1.tif", Image.new("LAB", (8, 8), (128, 128, 128)))
        gray, colour = (load_one(path, (8, 8, channels))[4, 4] for channels in (1, 3))
        assert gray == pytest.approx([colour.mean()], abs=2)  # no colour at a = b = 0
        assert 100 < gray[0] < 140

    def test_16_bit_gray_with_transparency_is_named(self, two_classes: Path) -> None:
        # Pillow can read such a file, with 8 bits, and write none.
        header = struct.pack(">IIBBBBB", 8, 8, 16, 4, 0, 0, 0)
        pixels = zlib.compress((b"\0" + struct.pack(">HH", 4095, 65535) * 8) * 8)
        parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
        chunks = [
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        ]
        (two_classes / "intact/deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        with pytest.warns(SkippedFilesWarning, match="Skipped 1 of 4"):
            data = load(two_classes)
        [skipped] = data.skipped
        assert skipped.name == "intact/deep.png"
        assert "16-bit gray with transparency" in skipped.reason

    def test_what_cannot_be_converted_is_skipped(
        self, two_classes: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(image: Image.Image, channels: int) -> Image.Image:
            raise ValueError("conversion not supported")

        monkeypatch.setattr(_decode, "_to_8_bit", refuse)
        with pytest.raises(ValueError, match=r"cannot be converted \(conversion not supported\)"):
            load(two_classes)

    @pytest.mark.parametrize("transparent", [False, True])
    def test_palette(self, tmp_path: Path, transparent: bool) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 200, 100, 50])
        path = save(tmp_path, "a/x.png", image, **({"transparency": 1} if transparent else {}))
        expected = [0, 0, 0] if transparent else [200, 100, 50]
        assert load_one(path, (4, 4, 3))[1, 1].tolist() == expected

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation(self, tmp_path: Path, format_: str, orientation: int) -> None:
        side = 400 if format_ == "JPEG" else 40  # the JPEG decoder shrinks
        upright = np.zeros((side, side // 2), np.uint8)
        upright[: side // 2, : side // 4] = 240
        upright[side // 2 :, : side // 4] = 120
        stored: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = {
            1: lambda a: a,
            2: lambda a: a[:, ::-1],
            3: lambda a: a[::-1, ::-1],
            4: lambda a: a[::-1],
            5: lambda a: a.T,
            6: lambda a: np.rot90(a),
            7: lambda a: a[::-1, ::-1].T,
            8: lambda a: np.rot90(a, -1),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(np.ascontiguousarray(stored(upright)))
        path = save(tmp_path, "a/x", image, format=format_, exif=exif)
        pixels = load_one(path, (20, 10, 1))[..., 0].astype(int)
        corners = pixels[[3, 3, 16, 16], [2, 7, 2, 7]]
        assert np.abs(corners - [240, 0, 120, 0]).max() <= 3

    @pytest.mark.parametrize("value", [0, 9, 6000])
    def test_senseless_orientation_is_none(self, tmp_path: Path, value: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = value
        path = save(tmp_path, "a/x.jpg", Image.new("L", (8, 16), 77), exif=exif)
        assert load_one(path, (16, 8, 1)) == pytest.approx(77, abs=1)

    def test_damaged_exif_does_not_lose_the_image(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save(tmp_path, "a/x.jpg", Image.new("L", (8, 8), 77), exif=b"Exif\0\0II*\0\x08")
        assert load_one(path, (8, 8, 1)) == pytest.approx(77, abs=1)

        def fail(*args: Any) -> None:
            raise SyntaxError("not a TIFF file")

        monkeypatch.setattr(Image.Image, "getexif", fail)
        assert load_one(path, (8, 8, 1)) == pytest.approx(77, abs=1)


class TestWideGray:
    @pytest.mark.parametrize(
        ("suffix", "dtype"),
        [("png", "<u2"), ("tif", "<u2"), ("tif", "<i4"), ("tif", "<f4")],
    )
    def test_window(self, tmp_path: Path, suffix: str, dtype: str) -> None:
        # 12 bits in use, and one hot pixel that a minimum-to-maximum window would follow.
        ramp = np.linspace(1000, 4095, 64 * 64).reshape(64, 64).astype(dtype)
        ramp[0, 0] = 60_000
        path = save(tmp_path, f"a/x.{suffix}", Image.fromarray(ramp))
        pixels = load_one(path, (64, 64, 1))[..., 0]
        expected = window_to_8_bit(ramp)
        assert pixels.tolist() == expected.tolist()
        assert pixels[0, 1] == 0
        assert pixels[-1, -1] == 255
        assert abs(int(pixels[32, 0]) - 128) <= 1

    def test_window_formula(self) -> None:
        values = np.arange(1001.0).reshape(7, 143)
        expected = np.rint(np.clip((values - 5) / 990, 0, 1) * 255)
        assert window_to_8_bit(values).tolist() == expected.tolist()
        assert window_to_8_bit(values, inverted=True).max() == 255
        assert window_to_8_bit(values, inverted=True)[0, 0] == 255

    @pytest.mark.parametrize("dtype", ["<u2", ">u2", "i4", "f4"])
    def test_window_takes_little_memory(self, dtype: str) -> None:
        import tracemalloc

        values = np.random.default_rng(0).integers(0, 4096, (700, 500)).astype(dtype)
        low, high = np.percentile(values.astype(np.float64), (0.5, 99.5))
        expected = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)
        tracemalloc.start()
        found = window_to_8_bit(values)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert np.array_equal(found, expected)
        assert peak < 4 * values.nbytes

    def test_window_without_contrast(self) -> None:
        assert not window_to_8_bit(np.full((4, 4), 7, np.uint16)).any()
        assert not window_to_8_bit(np.full((4, 4), np.nan)).any()
        sparse = np.zeros((50, 50), np.uint16)
        sparse[3, 4] = 900
        assert window_to_8_bit(sparse)[3, 4] == 255

    def test_values_that_are_no_numbers(self) -> None:
        values = np.linspace(0, 1, 100).reshape(10, 10)
        values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
        assert window_to_8_bit(values)[0, :3].tolist() == [0, 255, 0]

    def test_constant_file(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.full((8, 8), 3000, np.uint16))
        assert not load_one(save(tmp_path, "a/x.png", image), (8, 8, 1)).any()

    def test_tiff_where_white_is_zero(self, tmp_path: Path) -> None:
        ramp = np.linspace(0, 60_000, 64).reshape(8, 8).astype("<u2")
        path = save(tmp_path, "a/x.tif", Image.fromarray(ramp), tiffinfo={262: 0})
        with Image.open(path) as image:
            assert image.tag_v2[262] == 0  # type: ignore[attr-defined]
        pixels = load_one(path, (8, 8, 1))[..., 0]
        assert pixels[0, 0] == 255
        assert pixels[-1, -1] == 0


class TestFit:
    def test_pad_keeps_all_and_centres(self, tmp_path: Path) -> None:
        path = save(tmp_path, "a/x.png", Image.new("L", (40, 20), 200))
        pixels = load_one(path, (16, 16, 1))[..., 0]
        assert (pixels[4:12] == 200).all()
        assert not pixels[:4].any()
        assert not pixels[12:].any()

    def test_stretch_fills(self, tmp_path: Path) -> None:
        path = save(tmp_path, "a/x.png", Image.new("L", (40, 20), 200))
        assert (load_one(path, (16, 16, 1), fit="stretch") == 200).all()

    def test_crop_keeps_the_centre(self, tmp_path: Path) -> None:
        image = Image.new("L", (40, 20), 10)
        image.paste(200, (10, 0, 30, 20))
        path = save(tmp_path, "a/x.png", image)
        assert (load_one(path, (10, 10, 1), fit="crop")[:, 1:-1] == 200).all()

    @pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
    @pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 3), (64, 64)])
    def test_any_size(self, tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
        path = save(tmp_path, "a/x.jpg", Image.new("L", size, 120))
        pixels = load_one(path, (12, 20, 3), fit=fit)
        assert pixels.max() == pytest.approx(120, abs=2)
        if fit != "pad":
            assert pixels.min() == pytest.approx(120, abs=2)

    def test_shrinking_is_antialiased(self, tmp_path: Path) -> None:
        # One-pixel checks become flat gray, not a moire.
        checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
        for suffix in ("png", "jpg"):
            path = save(tmp_path, f"a/x.{suffix}", Image.fromarray(checks))
            pixels = load_one(path, (32, 32, 1))
            assert pixels.mean() == pytest.approx(127.5, abs=2)
            assert pixels.std() < 4

    @pytest.mark.parametrize("channels", [1, 3])
    def test_jpeg_shortcut_agrees_with_a_full_decode(self, tmp_path: Path, channels: int) -> None:
        rows, columns = np.indices((600, 450))
        smooth = 120 + 60 * np.sin(rows / 40) + 60 * np.cos(columns / 31)
        colour = np.stack([smooth, smooth[::-1], 255 - smooth], axis=-1).astype(np.uint8)
        jpeg = save(tmp_path, "a/x.jpg", Image.fromarray(colour), quality=95)
        full = load_one(save(tmp_path, "a/x.png", Image.open(jpeg)), (64, 64, channels))
        quick = load_one(jpeg, (64, 64, channels))
        assert np.abs(full.astype(int) - quick).mean() < 0.6


def picture(size: tuple[int, int], mode: str) -> Image.Image:
    """Smooth colours with noise on them, so that every way of decoding shows."""
    rng = np.random.default_rng(size[0] + size[1])
    rows, columns = np.indices(size[::-1])
    smooth = 120 + 60 * np.sin(rows / 11) + 50 * np.cos(columns / 7)
    colour = np.stack([smooth, smooth[::-1], 255 - smooth], axis=-1)
    noisy = np.clip(colour + rng.normal(0, 12, colour.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


class TestPlainJpeg:
    """Small JPEGs are decoded without `Image.open`, to the same pixels and reasons."""

    @pytest.fixture
    def by_open(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageDataset]:
        def load_by_open(*args: Any, **options: Any) -> ImageDataset:
            with monkeypatch.context() as patched:
                patched.setattr(_decode, "_MOST_PLAIN_BYTES", 0)
                return load(*args, **options)

        return load_by_open

    @pytest.mark.parametrize(
        ("fit", "shape"),
        [("pad", (16, 16, 3)), ("stretch", (9, 23, 3)), ("crop", (16, 16, 1)), ("pad", (4, 7, 1))],
    )
    def test_same_pixels(
        self, two_classes: Path, by_open: Any, fit: str, shape: tuple[int, int, int]
    ) -> None:
        kinds: list[dict[str, Any]] = [
            {"quality": 88},
            {"progressive": True},
            {"subsampling": 0, "optimize": True},
            {"restart_marker_rows": 1, "comment": b"said", "dpi": (72, 72)},
            {"icc_profile": b"profile"},  # not plain
        ]
        for w, h in ((160, 160), (61, 47), (301, 133), (127, 255), (7, 90), (1, 1)):
            for mode in ("L", "RGB"):
                for i, kind in enumerate(kinds):
                    save(
                        two_classes, f"intact/{w} {h} {mode} {i}.jpg", picture((w, h), mode), **kind
                    )
        save(two_classes, "intact/cmyk.jpg", picture((40, 30), "CMYK"))
        found, expected = load(two_classes, shape, fit=fit), by_open(two_classes, shape, fit=fit)
        assert len(found) == 64
        np.testing.assert_array_equal(found.images, expected.images)

    def test_same_reasons(self, two_classes: Path, by_open: Any) -> None:
        whole = save(two_classes, "intact/whole.jpg", picture((40, 30), "RGB")).read_bytes()
        table, frame = b"\xff\xdb", b"\xff\xc0\x00\x11\x08"
        spoilt = [
            *(whole[:n] for n in (0, 2, 300, len(whole) // 2, len(whole) - 2)),
            b"\x89PNG" + whole,
            whole.replace(table, b"\xff" + table, 1),  # a fill byte
            whole.replace(table, b"\x00\x00" + table, 1),
            whole.replace(b"\xff\xc0", b"\xff\xc9", 1),  # arithmetic codes
            whole.replace(frame, frame[:-1] + b"\x0c", 1),  # 12 bits
            whole.replace(frame + b"\x00\x1e", frame + b"\x00\x00", 1),  # of height 0
            whole.replace(table, b"\xff\xe1\x00\x04ab" + table, 1),  # EXIF or XMP
            whole.replace(table, b"\xff\xe2\x00\x04ab" + table, 1),  # several pictures
        ]
        for i, content in enumerate(spoilt):
            (two_classes / f"intact/spoilt{i:02}.jpg").write_bytes(content)
        with pytest.warns(SkippedFilesWarning):
            found = load(two_classes, (16, 16, 3))
        with pytest.warns(SkippedFilesWarning):
            expected = by_open(two_classes, (16, 16, 3))
        assert found.skipped == expected.skipped
        assert len(found.skipped) > 5
        np.testing.assert_array_equal(found.images, expected.images)


class TestGroups:
    def test_function(self, two_classes: Path) -> None:
        data = load(two_classes, groups=lambda name: name.split("/")[0])
        assert data.groups is not None
        assert data.groups.tolist() == ["fractured", "intact", "intact"]

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda name: None, "got NoneType"),
            (lambda name: 1 if "intact" in name else "1", "got int and string"),
        ],
    )
    def test_function_of_another_type(
        self, two_classes: Path, function: Callable[[str], Any], message: str
    ) -> None:
        with pytest.raises(TypeError, match=message):
            load_image_folder(two_classes, groups=function)

    def test_array(self, two_classes: Path) -> None:
        (two_classes / "intact" / "1b.png").write_bytes(b"")
        for values in ([7, 8, 9, 8], [7, 8, 8]):  # one a file found, one an image decoded
            with pytest.warns(SkippedFilesWarning, match="Skipped 1"):
                data = load(two_classes, groups=values)
            assert data.groups is not None
            assert data.groups.tolist() == [7, 8, 8]
        message = r"groups of shape \(4,\).*or \(3,\).*got shape \(2,\)"
        with pytest.raises(ValueError, match=message):
            load_image_folder(two_classes, groups=np.zeros(2, int))

    def test_array_over_splits(self, tmp_path: Path) -> None:
        for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"):
            save(tmp_path, name)
        splits = load_splits(tmp_path, groups=["p", "q", "r", "s"])
        groups = {name: data.groups for name, data in splits.items()}
        assert groups["test"] is not None
        assert groups["test"].tolist() == ["p", "q"]
        assert groups["train"] is not None
        assert groups["train"].tolist() == ["r", "s"]

    @pytest.mark.parametrize(
        "table",
        [
            "patient,filename\nA,1.png\nB,2.png\nA,3.png\nC,unused.png\n",
            "study,patient\nintact/1.png,A\nintact\\2.png,B\n./fractured/3.png,A\n",
            "age,Path,patient\n3,intact/1.png,A\n4,intact/2.png,B\n5,3.png,A\n",
            "\ufeffname,patient\n1.png,A\n1.png,A\n\n2.png,B\n3.png, A\n",
        ],
    )
    def test_csv(self, two_classes: Path, table: str) -> None:
        (two_classes / "groups.csv").write_text(table, encoding="utf-8")
        for csv_file in (two_classes / "groups.csv", "groups.csv"):
            data = load(two_classes, groups=(csv_file, "patient"))
            assert data.groups is not None
            assert data.groups.tolist() == ["A", "A", "B"]

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("name,sex\n1.png,f\n", r"a column 'patient' in .*, got \['name', 'sex'\]"),
            ("", r"a column 'patient' in .*, got \[\]"),
            ("name,patient,patient\n1.png,A,B\n", "a column 'patient' in .*, each once, got"),
            ("name,patient,name\n1.png,A,2.png\n", "a column of file names .*, each once, got"),
            ("name,patient\n1.png,NA\n2.png,NA\n3.png,nan\n", "none for 3 of 3"),
            ("patient\nA\n", "a column of file names"),
            ("name,patient\n1.png,A\n2.png,\n", "none for 2 of 3, such as 'fractured/3.png', 'int"),
            ("name,patient\n1.png,A\n1.png,B\n", "one 'patient' a file in .*'A' and 'B' for '1"),
        ],
    )
    def test_csv_that_does_not_fit(self, two_classes: Path, table: str, message: str) -> None:
        (two_classes / "groups.csv").write_text(table)
        with pytest.raises(ValueError, match=message):
            load_image_folder(two_classes, groups=(two_classes / "groups.csv", "patient"))

    @pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
    def test_csv_in_another_encoding(self, two_classes: Path, encoding: str) -> None:
        table = "name,patient\n1.png,M\u00fcller\n2.png,B\n3.png,C\n"
        (two_classes / "groups.csv").write_text(table, encoding=encoding)
        with pytest.raises(FileFormatError, match=r"groups\.csv .*CSV in UTF-8"):
            load_image_folder(two_classes, groups=("groups.csv", "patient"))

    def test_csv_of_bare_names_that_images_share(self, two_classes: Path) -> None:
        save(two_classes, "fractured/1.png")
        (two_classes / "groups.csv").write_text("name,patient\n1.png,A\n2.png,B\n3.png,C\n")
        with pytest.raises(ValueError, match="bare file names that 2 images share"):
            load_image_folder(two_classes, groups=("groups.csv", "patient"))

    def test_csv_without_column(self, two_classes: Path) -> None:
        with pytest.raises(TypeError, match=r"groups=\('groups.csv', 'patient'\)"):
            load_image_folder(two_classes, groups="groups.csv")
        with pytest.raises(FileNotFoundError, match=r"none\.csv"):
            load_image_folder(two_classes, groups=("none.csv", "patient"))

    def test_skipped_files_need_no_group(self, two_classes: Path) -> None:
        (two_classes / "intact" / "bad.png").write_bytes(b"")
        (two_classes / "groups.csv").write_text("name,patient\n1.png,A\n2.png,B\n3.png,C\n")
        with pytest.warns(SkippedFilesWarning, match="Skipped 1"):
            data = load(two_classes, groups=("groups.csv", "patient"))
        assert data.groups is not None
        assert data.groups.tolist() == ["C", "A", "B"]


class TestLabels:
    """Classes from a table."""

    @pytest.fixture
    def flat(self, tmp_path: Path) -> Path:
        for i in range(4):
            save(tmp_path, f"im{i}.png", Image.new("L", (8, 8), 50 * i))
        (tmp_path / "readme.md").write_text("no image, and not in the table")
        return tmp_path

    def labelled(self, root: Path, table: str, **options: Any) -> ImageDataset:
        (root / "labels.csv").write_text(table, encoding="utf-8")
        return load(root, (8, 8, 1), labels=("labels.csv", "file", "finding"), **options)

    @pytest.mark.parametrize(
        "names",
        [
            ("im0.png", "im1.png", "im2.png", "im3.png"),
            ("im0", "im1", "im2", "im3"),
            ("set/a/im0.png", "/data/im1", "set\\im2.png", "./im3.png"),
        ],
    )
    def test_names(self, flat: Path, names: tuple[str, ...]) -> None:
        rows = [f"{name},{60 + i},{'ba'[i % 2]}" for i, name in enumerate(names)]
        data = self.labelled(flat, "\n".join(["file,age,finding", *rows]))
        assert data.class_names == ("a", "b")
        assert data.labels.tolist() == [1, 0, 1, 0]
        assert data.images[:, 0, 0, 0].tolist() == [0, 50, 100, 150]
        assert data.skipped == ()
        assert data.provenance["labels"] == ["labels.csv", "file", "finding"]

    @pytest.mark.parametrize(
        ("values", "class_names", "labels"),
        [
            ("1 0 0 1", ("0", "1"), [1, 0, 0, 1]),
            ("1.0 0.0 0.0 1.0", ("0", "1"), [1, 0, 0, 1]),
            ("10 9 9 -1", ("-1", "9", "10"), [2, 1, 1, 0]),
            ("10 9 9 x", ("10", "9", "x"), [0, 1, 1, 2]),
            ("0.5 9 9 0.5", ("0.5", "9"), [0, 1, 1, 0]),
        ],
    )
    def test_numbers(
        self, flat: Path, values: str, class_names: tuple[str, ...], labels: list[int]
    ) -> None:
        rows = "".join(f"im{i},{value}\n" for i, value in enumerate(values.split()))
        data = self.labelled(flat, "file,finding\n" + rows)
        assert data.class_names == class_names
        assert data.labels.tolist() == labels

    def test_classes_choose_order_and_subset(self, flat: Path) -> None:
        table = "file,finding\nim0,x\nim1,y\nim2,z|x\nim3,x\n"
        data = self.labelled(flat, table, classes=("y", "x"))
        assert data.class_names == ("y", "x")
        assert data.labels.tolist() == [1, 0, 1]
        assert data.skipped == ()
        with pytest.raises(ValueError, match=r"a label for each of .*none for 'w'. The labels are"):
            self.labelled(flat, table, classes=("x", "w"))
        with pytest.raises(ValueError, match=r"two classes .*, got only 'x'"):
            self.labelled(flat, table, classes=("x",))

    def test_rows_without_file_and_files_without_row(self, flat: Path) -> None:
        table = "file,finding\nim0,x\nim1,y\nim3,NA\nb/im9.png,w\n,\n"
        with pytest.warns(SkippedFilesWarning, match=r"Skipped 3 of 5 files .*'b/im9.png' \(no s"):
            data = self.labelled(flat, table)
        assert data.class_names == ("x", "y")
        assert [(file.name, file.reason) for file in data.skipped] == [
            ("b/im9.png", "no such file, although 'labels.csv' has a row for it"),
            ("im2.png", "not in 'labels.csv'"),
            ("im3.png", "'labels.csv' has no 'finding' for it"),
        ]
        with pytest.raises(FileFormatError, match=r"Cannot use 'b/im9.png': no such file"):
            self.labelled(flat, table, strict=True)

    def test_trees(self, tmp_path: Path) -> None:
        for name in ("p1/left.png", "p1/right.png", "p2/x/left.png"):
            save(tmp_path, name)
        data = self.labelled(tmp_path, "file,finding\np1/left,a\nright,b\nx/left.png,a\n")
        assert data.labels.tolist() == [0, 1, 0]

    def test_splits(self, tmp_path: Path) -> None:
        for name in ("train/1.png", "train/2.png", "test/3.png", "test/4.png", "5.png"):
            save(tmp_path, name)
        table = "file,finding\n1,a\n2,b\n3,a\n4,b\n5,a\n6,b\n"
        (tmp_path / "t.csv").write_text(table)
        with pytest.warns(SkippedFilesWarning, match="Skipped 2 of 6"):
            splits = load_splits(tmp_path, labels=("t.csv", "file", "finding"))
        for split, names in (("train", ["1.png", "2.png"]), ("test", ["3.png", "4.png"])):
            data = splits[split]
            assert data.names is not None
            assert data.names.tolist() == [f"{split}/{name}" for name in names]
            assert data.labels.tolist() == [0, 1]
            assert {file.name for file in data.skipped} == {"5.png", "6"}

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ("name,finding\nim0,a\n", r"column 'file' and a column 'finding' .*\['name', 'finding"),
            ("file,label\nim0,a\n", r"a column 'finding' in .*, got \['file', 'label'\]"),
            ("file,finding\nim0,a\nx/im0,b\n", "several that fit 'im0.png'.*'im0' and 'x/im0'"),
            ("file,finding\nim0,a\nim0,b\n", "one 'finding' a file in .*'a' and 'b' for 'im0'"),
            ("file,finding\npic0,a\npic1,b\n", r"names of files below .*\['pic0', 'pic1'\]; the "),
            ("file,finding\nim0,a\nim1,A\n", "classes that differ by more than case"),
        ],
    )
    def test_table_that_does_not_fit(self, flat: Path, table: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.labelled(flat, table)

    def test_names_that_files_share(self, flat: Path) -> None:
        save(flat, "im0.jpg")
        save(flat, "b/im1.png")
        rest = "im2,a\nim3,b\n"
        with pytest.raises(ValueError, match="bare file names that 3 images share"):
            self.labelled(flat, f"file,finding\nim0,a\nim1.png,b\nim1,b\n{rest}")
        whole = "im0.png,a\nim0.jpg,b\nim1.png,a\nb/im1.png,b\n"
        data = self.labelled(flat, f"file,finding\n{whole}{rest}")
        assert data.names is not None
        assert dict(zip(data.names.tolist(), data.labels.tolist(), strict=True)) == {
            "b/im1.png": 1,
            "im0.jpg": 1,
            "im0.png": 0,
            "im1.png": 0,
            "im2.png": 0,
            "im3.png": 1,
        }

    def test_flat_folder_without_table(self, flat: Path) -> None:
        with pytest.raises(ValueError, match=r"labels=\(CSV file, column of file names"):
            load_image_folder(flat)
        with pytest.raises(TypeError, match=r"labels as \(CSV file.*got \('a.csv', 'b'\)"):
            load_image_folder(flat, labels=("a.csv", "b"))  # type: ignore[arg-type]


class TestManyFiles:
    @pytest.fixture(scope="class")
    @staticmethod
    def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp("many")
        for i in range(520):
            save(root, f"{'ab'[i % 2]}/{i:03}.png", Image.new("L", (4, 4), i % 251))
        return root

    def test_any_number_of_threads_gives_the_same(self, many: Path) -> None:
        results = [load(many, (4, 4, 1), workers=n, progress=False) for n in (1, 7)]
        expected = [i % 251 for i in range(0, 520, 2)] + [i % 251 for i in range(1, 520, 2)]
        for data in results:
            assert data.images[:, 0, 0, 0].tolist() == expected

    def test_result_is_filled_in_place(self, many: Path, tmp_path: Path) -> None:
        import tracemalloc

        root = shutil.copytree(many, tmp_path / "many")
        (root / "a" / "000.png").write_bytes(b"")
        shape = (96, 96, 3)
        load_image_folder(many, (4, 4, 1), progress=False)  # imports and caches
        tracemalloc.start()
        with pytest.warns(SkippedFilesWarning, match="Skipped 1"):
            data = load(root, shape, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(data) == 519
        assert peak < 1.5 * data.images.nbytes


class TestRealFiles:
    def test_edge_cases(self, shared_data: Path, tmp_path: Path) -> None:
        for path in (shared_data / "edge-cases").iterdir():
            if path.name != "index.csv":
                target = tmp_path / ("intact" if "not fractured" in path.name else "fractured")
                target.mkdir(exist_ok=True)
                shutil.copy(path, target / path.name)
        save(tmp_path, "intact/one.png")
        with pytest.warns(SkippedFilesWarning, match="Skipped 3 of 17"):
            data = load(tmp_path)
        assert {file.name for file in data.skipped} == {
            "intact/test__not fractured__IMG0004134.jpg",
            "intact/test__not fractured__IMG0004143.jpg",
            "fractured/kaggle__desktop.ini",
        }
        assert data.names is not None
        assert "fractured/train__fractured__159.jpg" in data.names  # a GIF
        assert (data.images.reshape(len(data), -1).std(axis=1)[:-1] > 5).all()

    def test_bone_fracture(self, shared_data: Path) -> None:
        with pytest.warns(SkippedFilesWarning, match="Skipped 18 of 10,580 files"):
            splits = load_image_folder(
                shared_data / "bone-fracture-160", (16, 16, 1), progress=False
            )
        assert isinstance(splits, dict)
        assert {name: len(data) for name, data in splits.items()} == {
            "test": 500,
            "train": 9240,
            "val": 822,
        }
        for data in splits.values():
            assert data.class_names == ("fractured", "not fractured")
            assert all("truncated" in file.reason for file in data.skipped)
