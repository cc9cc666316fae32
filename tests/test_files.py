"""Files that may be anything, files that are written whole, and folders that a process holds."""

from __future__ import annotations

import fcntl
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np
import pytest

from synthray import _files
from synthray._files import held, open_json, open_npz, reading, write_json, write_whole
from synthray.exceptions import FileFormatError


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda n: "known")
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / ".known.part.json").symlink_to(tmp_path / "theirs")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "mine.json", lambda part: part.write_text("mine"))
    assert (tmp_path / "theirs").read_text() == "precious"
    assert not (tmp_path / "mine.json").exists()


def test_json_comes_back_or_raises_the_one_error(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    values = {"name": "Knöchel", "numbers": [1, 0.1, None], "nested": {"a": []}}
    write_json(path, values)
    whole = path.read_bytes()
    with open_json(path, "a file of values") as found:
        assert found.items() >= values.items()
    places = range(0, len(whole), 5)
    changed = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in places]
    cut = [whole[:i] for i in places]
    others = [b"[" * 100_000, b"[]", b"null", b'{"a": NaN}', b'{"a": 1}', b"\xff\xfe"]
    for content in (*changed, *cut, *others):
        path.write_bytes(content)
        with (
            pytest.raises(FileFormatError, match=r"values\.json .* not a file of values"),
            open_json(path, "a file of values"),
        ):
            pass


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(FileFormatError, match="no regular file"), reading(path, "a file"):
            pass
    with pytest.raises(FileNotFoundError), reading(tmp_path / "absent", "a file"):
        pass


def test_what_unpacks_to_more_than_is_allowed_or_free_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, x=np.zeros(10**6, np.uint8))
    assert path.stat().st_size < 2000
    with open_npz(path, 1_000_128, "an archive") as arrays:
        assert arrays["x"].size == 10**6
    with (
        pytest.raises(FileFormatError, match=r"zeros\.npz .* 1,000,128 bytes .* at most 1,000,127"),
        open_npz(path, 1_000_127, "an archive"),
    ):
        pass
    monkeypatch.setattr(_files, "free_memory", lambda: 5)
    with pytest.raises(FileFormatError, match="at most 5 "), open_npz(path, 10**9, "an archive"):
        pass
    with zipfile.ZipFile(path, "w") as archive:
        for name in range(10_001):
            archive.writestr(f"{name}", b"")
    with pytest.raises(FileFormatError, match="10,001 parts"), open_npz(path, 9, "an archive"):
        pass


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    with held(None), held(tmp_path), held(tmp_path / "part"), held(tmp_path):
        assert f"process {os.getpid()} on " in (tmp_path / ".lock").read_text()
    with (tmp_path / ".lock").open("w") as other:  # a lock is of an open file, not of a process
        fcntl.flock(other, fcntl.LOCK_EX)
        print("process 7 on mars", end="", file=other, flush=True)
        with pytest.raises(RuntimeError, match="in use by process 7 on mars"), held(tmp_path):
            pass
    with held(tmp_path):
        assert "mars" not in (tmp_path / ".lock").read_text()
    (tmp_path / ".lock").unlink()
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="lock"), held(tmp_path):
        pass
    assert (tmp_path / "theirs").read_text() == "precious"
